"""Too little memory is said before the work, or in the middle of it, in one line: exit 6."""

from __future__ import annotations

import json
import resource
import tracemalloc
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from linclass_cli import memory
from linclass_cli.config import Config
from linclass_cli.errors import ResourceError
from linclass_cli.learn import footprint
from linclass_cli.learn.crossval import cross_validate
from linclass_cli.learn.fit import train
from linclass_cli.learn.footprint import fit_bytes, most_bytes
from linclass_cli.memory import Left, is_shortage, physical, require, spilling
from linclass_cli.settings import resolve
from linclass_cli.store import load_features, write_features
from tests.faults.children import run
from tests.faults.tally import tried
from tests.tiers import slow

FEATURE = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2")
MB = 10**6


def limited(mega: int) -> str:
    return f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({mega << 20},) * 2)"


def attempt(folder: Path, mega: int, *command: str) -> int:
    """Run a command with so many MiB of address space; it works, or says in one line that they do not do."""
    code, out, err = run(folder, *command, "--quiet", before=limited(mega))
    assert code in (0, 6), (mega, code, err)
    if code == 6:
        assert out == "" or command[0] == "predict"  # whose rows go out as they come
        assert err.startswith("error: "), (mega, err)
        assert err.count("\n") == 1, (mega, err)
        assert "memory" in err
    assert not list(folder.rglob("*.tmp"))
    tried("a limit of address space")
    return code


def steps(folder: Path, sizes: list[int], *command: str) -> None:
    """More memory is never worse, and the most is enough."""
    codes = [attempt(folder, size, *command) for size in sizes]
    assert codes == sorted(codes, reverse=True), dict(zip(sizes, codes, strict=True))
    assert codes[0] == 6
    assert codes[-1] == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with features and a run, whose kernels are compiled."""
    folder = tmp_path_factory.mktemp("made")
    for command in (("train", *FEATURE), ("extract", *FEATURE, "--force")):
        code, _, err = run(folder, *command)
        assert code == 0, err
    return folder


def test_extract_in_steps_of_address_space(made):
    steps(made, [20, 60, 150, 330, 350, 365, 380, 2000], "extract", *FEATURE, "--force")


def test_train_in_steps_of_address_space(made):
    steps(made, [40, 100, 335, 345, 360, 2000], "train", *FEATURE)


@pytest.mark.slow_faults
@pytest.mark.parametrize(
    "command",
    [
        ("extract", *FEATURE, "--force"),
        ("train", *FEATURE),
        ("train", *FEATURE, "--loss", "hinge"),
        ("train", *FEATURE, "--loss", "ridge"),
        ("cv", *FEATURE, "--folds", "3", "--l2", "0.1"),
        ("evaluate", "run1"),
        ("predict", "run1", "picture.png"),
        ("plot", "run1"),
        ("export", "run1", "--format", "npz"),
        ("import", "vectors.npz", "--name", "vectors", "--force"),
        ("import", "photos", "--name", "photos", "--force"),
        ("runs", "list"),
        ("cache", "verify"),
    ],
    ids=lambda command: "-".join(command[:1] + command[-2:]),
)
def test_every_command_in_small_steps(made, command):
    """From what Python needs to start, to what is enough: a process every 10 MiB."""
    from PIL import Image

    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(made / "picture.png")
    np.savez(made / "vectors.npz", X=rng.normal(size=(3000, 500)), y=np.arange(3000) % 3)
    for label in ("a", "b"):
        (made / "photos" / label).mkdir(parents=True, exist_ok=True)
        for i in range(5):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(
                made / f"photos/{label}/{i}.png"
            )
    codes = [attempt(made, size, *command) for size in [*range(15, 800, 10), 2000]]
    assert codes[0] == 6
    assert codes[-1] == 0


def test_what_surely_does_not_fit_is_said_before_the_work(tmp_path, made):
    """Imported vectors that are larger than the limit: with the estimate, and what there is."""
    n, d = 60_000, 600  # 144 MB
    np.save(tmp_path / "X.npy", np.random.default_rng(0).random((n, d), np.float32))
    np.savetxt(tmp_path / "y.txt", np.arange(n) % 2, fmt="%d")
    command = ("import", "X.npy", "--labels", "y.txt", "--name", "large")
    code, out, err = run(tmp_path, *command, before=limited(350))
    assert (code, out) == (6, "")
    assert "importing 60,000 rows takes at least" in err
    assert "are left of the address space (ulimit -v 358400)" in err
    code, _, err = run(tmp_path, *command)
    assert code == 0, err
    for command in (("train",), ("cv", "--folds", "2")):
        code, out, err = run(tmp_path, *command, "--data", "large", "--memory", "100M")
        assert (code, out) == (6, ""), err
        assert f"{command[0]} on vectors of large " in err
        assert "are left of --memory 100M: raise that limit" in err
    assert "or fewer --folds" in err


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Imported vectors, 205 MB of them: rows enough for many pieces."""
    folder, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    n, d = 80_000, 640
    X = rng.random((n, d), np.float32)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", (X[:, :3].sum(axis=1) + rng.normal(0, 0.2, n) > 1.5).astype(np.int64))
    code, _, err = run(folder, "import", "X.npy", "--labels", "y.npy", "--name", "large")
    assert code == 0, err
    return folder


def answers(folder: Path, *command: str, mega: int = 0) -> dict[str, object]:
    """What a command says but for times; ``mega``: with so many MiB of address space and of ``--memory``."""
    limits = ("--memory", f"{mega}M") if mega else ()
    code, out, err = run(folder, *command, *limits, "--json", "--quiet", before=limited(mega) if mega else "")
    assert code == 0, err
    kept = {"seconds", "run", "path", "images_per_second", "cached"}
    return {name: value for name, value in json.loads(out).items() if name not in kept}


FITS = (
    ("train", "--data", "large", "--solver", "lbfgs", "--max-iterations", "5"),
    ("train", "--data", "large", "--loss", "hinge", "--epochs", "1"),
    ("train", "--data", "large", "--loss", "ridge"),
    ("cv", "--data", "large", "--loss", "ridge", "--folds", "2", "--l2", "0.1"),
)


@slow
def test_features_larger_than_memory_give_the_same_bits(large):
    """Under a limit that leaves less than their size: features, models, and what is said of them."""
    made = answers(large, "extract", "--data", "large", mega=560)
    file = next((large / "cache/features").glob("large-*.h5"))
    content = file.read_bytes()
    assert answers(large, "extract", "--data", "large", "--force") == made
    assert file.read_bytes() == content
    for fit in FITS:
        there = answers(large, *fit)  # first: compiling would take more than the limit
        assert answers(large, *fit, mega=560) == there, fit
    there = answers(large, "evaluate", "run1")
    assert answers(large, "evaluate", "run1", mega=560) == there
    predicted = run(large, "predict", "run1", "X.npy", "--memory", "560M", before=limited(560))
    assert predicted == run(large, "predict", "run1", "X.npy")
    assert predicted[1].count("\n") == 80_001


@pytest.mark.slow_faults
@pytest.mark.parametrize("command", [*FITS, ("cv", "--data", "large", "--folds", "3", "--l2", "0.1")])
def test_features_larger_than_memory_in_steps_of_address_space(large, command):
    for mega in range(360, 800, 40):
        attempt(large, mega, *command, "--memory", f"{mega}M")


@pytest.mark.parametrize("size", ["4", "4GB", "-1G", "G", "many", "1e3M"])
def test_a_size_that_is_none_is_one_line(tmp_path, size):
    code, out, err = run(tmp_path, "train", "--memory", size)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert "a size as 4G or 500M" in err


def fake(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal: 8000 kB\nMemAvailable:    4000 kB\nSwapFree: 1000 kB\n"


def test_the_machine_has_what_is_available_and_the_free_swap(tmp_path):
    assert physical(tmp_path) is None
    left = physical(fake(tmp_path, {"proc/meminfo": MEMINFO}))
    assert (left.bytes, left.where) == (5000 << 10, "on this machine")


@pytest.mark.parametrize("place", ["/", "/user/mine", "/known/to/the/host/alone"])
def test_a_container_has_its_limit_but_for_what_is_not_reclaimable(tmp_path, place):
    """Version 2: at its own place, or, where that is the host's name for it, at the top."""
    at = "sys/fs/cgroup" + ("/user/mine" if place == "/user/mine" else "")
    root = fake(
        tmp_path,
        {
            "proc/meminfo": MEMINFO.replace("1000", "0"),
            "proc/self/cgroup": f"0::{place}\n",
            f"{at}/memory.max": "3000000\n",
            f"{at}/memory.current": "2500000\n",
            f"{at}/memory.stat": "anon 1\ninactive_file 300000\nactive_file 100000\nslab_reclaimable 50000\n",
        },
    )
    left = physical(root)
    assert (left.bytes, left.where) == (950_000, "under the memory limit of this container")


def test_a_limit_further_up_counts_and_max_is_none(tmp_path):
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": "5\n",
        "sys/fs/cgroup/a/memory.max": "700\n",
        "sys/fs/cgroup/a/memory.current": "200\n",
    }
    assert physical(fake(tmp_path, files)).bytes == 500


def test_the_first_version_of_control_groups(tmp_path):
    files = {
        "proc/self/cgroup": "5:cpu:/x\n4:memory:/x\n",
        "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9000\n",
        "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "6000\n",
        "sys/fs/cgroup/memory/x/memory.stat": "active_file 1\ntotal_active_file 40\ntotal_inactive_file 2\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "6000\n",
    }
    assert physical(fake(tmp_path, files)).bytes == 3042


def test_this_machine_says_something_sensible():
    left = physical()
    assert left is not None
    assert 0 < left.bytes < 1 << 50


def test_only_what_surely_does_not_fit_is_refused(monkeypatch):
    left = Left(100 * MB, "on this machine", "free some")
    monkeypatch.setattr(memory, "physical", lambda: left)
    monkeypatch.setattr(memory, "address_space", lambda: None)
    require("this", {"images": 90 * MB}, {"features": 10**12})  # pages of a file need not stay in memory
    with pytest.raises(ResourceError) as error:
        require("this", {"images": 80 * MB, "scores": 20 * MB, "crumbs": 10})
    assert str(error.value) == (
        "this takes at least 107 MB of memory (images 80 MB, scores 20 MB, work 7 MB), and 100 MB are left "
        "on this machine: free some, or take fewer images or a smaller feature"
    )
    monkeypatch.setattr(
        memory, "address_space", lambda: Left(10**9, "of the address space", "raise that limit")
    )
    require("this", {"images": 50 * MB}, {"features": 900 * MB})
    with pytest.raises(ResourceError, match="at least 1.1 GB of memory .features 1.0 GB"):
        require("this", {"images": 50 * MB}, {"features": 1000 * MB})
    assert spilling(100 * MB) == ""
    assert spilling(101 * MB).startswith("note: the features take 101 MB, and 100 MB are left")


def test_a_shortage_is_known_by_what_it_came_from():
    def chained(inner: BaseException) -> BaseException:
        outer = ValueError("something else")
        outer.__cause__ = inner
        return outer

    shortages = [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        chained(MemoryError()),
    ]
    assert all(is_shortage(error) for error in shortages)
    others = [ImportError("No module named x"), OSError(2, "No such file"), RuntimeError("bad"), None]
    assert not any(is_shortage(error) for error in others)


@pytest.mark.parametrize("where", ["numpy", "disk", "threads", "libraries"])
def test_a_shortage_met_all_the_same_is_one_line(tmp_path, where):
    raised = {
        "numpy": "import numpy as np; np.empty(1 << 60, np.uint8)",
        "disk": "raise OSError(12, 'Cannot allocate memory')",
        "threads": 'raise RuntimeError("can\'t start new thread")',
        "libraries": "raise ImportError('libx.so: failed to map segment from shared object')",
    }[where]
    before = f"""
import linclass_cli.filling as stage
def load(*_):
    {raised}
stage._load_images = load
"""
    code, out, err = run(tmp_path, "extract", *FEATURE, before=before)
    assert (code, out) == (6, "")
    assert err.startswith("error: not enough memory for this;")
    assert err.count("\n") == 1
    assert list((tmp_path / "cache/features").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "loss", "solver"),
    [
        ("train", "softmax", "newton"),
        ("train", "softmax", "sgd"),
        ("train", "softmax", "lbfgs"),
        ("train", "hinge", "smoothed"),
        ("train", "ridge", "closed"),
        ("cv", "softmax", "newton"),
        ("cv", "ridge", "closed"),
    ],
)
def test_a_fit_takes_what_is_estimated_at_the_least(tmp_path, kind, loss, solver):
    """Or it would be refused where it could succeed."""
    n, d, k, folds = 20_000, 40, 20, 4
    sizes = {"train": n, "test": 10}

    def fill(part, X, y):
        X[:] = np.random.default_rng(0).random(X.shape, np.float32)
        y[:] = np.arange(len(y)) % k

    meta = {"dataset": {"name": "x", "digest": ""}, "feature": {"name": "x", "version": 1, "params": {}}}
    write_features(tmp_path / "x.h5", meta, sizes, d, fill)
    features = load_features(tmp_path / "x.h5", meta)
    limits = {
        f"solver.{key}": 2 for key in Config().solver.options(solver) if key in ("epochs", "max_iterations")
    }
    wanted = {"model.loss": loss, "solver.name": solver, "cv.folds": folds, "cv.l2": (0.1,), **limits}
    config = resolve(
        {key: (key, value) for key, value in wanted.items()}, environment={}, folder=tmp_path
    ).config
    start = train if kind == "train" else cross_validate
    rows = round(0.8 * n) if kind == "train" else n

    def fit() -> None:
        for _ in start(features, tuple(map(str, range(k))), config):
            pass

    fit()  # compiles, and fills caches
    tracemalloc.start()
    try:
        fit()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    of_folds = folds if kind == "cv" else 1
    estimate = sum(fit_bytes(rows, d, k, solver, of_folds).values())
    assert 0 < estimate <= peak
    assert estimate <= sum(most_bytes(rows, d, k, solver, of_folds).values())


def test_estimates_are_of_what_the_solvers_do():
    from linclass_cli.learn import gram
    from linclass_cli.learn.solvers.newton import FIRST_PER_FEATURE, FIRST_ROWS

    assert footprint.SAMPLE_ROWS == FIRST_ROWS
    assert footprint.SAMPLE_PER_FEATURE == FIRST_PER_FEATURE
    assert footprint.PAIRS == import_module("linclass_cli.learn.solvers.lbfgs")._PAIRS
    assert footprint.MOST_FACTORS == gram._FACTOR_BYTES
    assert footprint.NORMAL_ROWS == import_module("linclass_cli.learn.solvers.closed").LEAST_ROWS


def test_no_limit_leaves_everything_as_it_is():
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        assert memory.address_space() is None
        memory.leave_room(1 << 60)
