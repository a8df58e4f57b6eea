"""What one writes without linclass: HOG of a dataset with scikit-image, two processes, one HDF5 file.

``python -m benchmarks.extract_peer DATASET CACHE_DIR OUT.h5``; the layout is that of linclass's store.
"""

from __future__ import annotations

import json
import sys
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from skimage.feature import hog

PROCESSES = 2
_FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}


def read_cifar10(folder: Path, part: str) -> tuple[Any, Any]:
    """Images uint8 (n, 32, 32, 3), labels int64 (n,)."""
    records = np.concatenate(
        [np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in _FILES[part]]
    )
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0].astype(np.int64)


def features(image: Any) -> Any:
    """HOG with scikit-image's defaults, of the mean over the channels."""
    return hog(image.mean(axis=-1)).astype(np.float32)


def main() -> None:
    dataset, cache_dir, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if dataset == "cifar10":
        parts = {part: read_cifar10(cache_dir / "datasets" / dataset, part) for part in _FILES}
    else:
        from linclass_cli.data.readers import load_dataset

        loaded = load_dataset(dataset, cache_dir)
        parts = {
            part: (split.images, split.labels)
            for part, split in (("train", loaded.train), ("test", loaded.test))
        }
    with Pool(PROCESSES) as pool, h5py.File(out, "w") as file:
        for part, (pictures, labels) in parts.items():
            file[f"{part}/features"] = np.stack(pool.map(features, pictures, chunksize=512))
            file[f"{part}/labels"] = labels
        file.attrs["meta"] = json.dumps({"dataset": dataset, "feature": "hog"})


if __name__ == "__main__":
    main()
