"""What one writes without linclass for an accuracy on CIFAR-10; two processes or threads where it can be had.

``python -m benchmarks.accuracy_peer hog|pixels CACHE_DIR``; prints the accuracy on the test part as JSON.
"""

from __future__ import annotations

import json
import sys
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from benchmarks.extract_peer import PROCESSES, features, read_cifar10


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2]) / "datasets" / "cifar10"
    parts = [read_cifar10(folder, part) for part in ("train", "test")]
    if kind == "hog":
        with Pool(PROCESSES) as pool:
            Xs = [np.stack(pool.map(features, images, chunksize=512)) for images, _ in parts]
        model: Any = LinearSVC(C=0.01, dual=False)
    else:
        Xs = [(images.reshape(len(images), -1) / 255).astype(np.float32) for images, _ in parts]
        model = LogisticRegression(C=0.01, max_iter=200)
    fitted = make_pipeline(StandardScaler(), model).fit(Xs[0], parts[0][1])
    print(json.dumps({"test_accuracy": float(fitted.score(Xs[1], parts[1][1]))}))


if __name__ == "__main__":
    main()
