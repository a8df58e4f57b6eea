"""``python -m benchmarks NAME``: the command line."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from pathlib import Path

from benchmarks.measure import limit_threads
from benchmarks.options import Options

MODULES = {
    "hog": "HOG against scikit-image, one core each",
    "patches": "the encoder of patches against the peak of products",
    "extract": "the whole command against a script with scikit-image and two processes",
    "pass": "one loss and gradient against numpy; many problems at once",
    "accuracy": "test accuracy against seconds, of every preset and of what one writes by hand",
    "fit": "fits to the same objective against every peer",
    "cv": "folds × strengths against LogisticRegressionCV; ridge's whole path",
    "predict": "files to labels against scikit-image and scikit-learn",
    "startup": "how long a process takes to say something",
    "scaling": "how time and memory grow",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="linclass beside its peers")
    parser.add_argument(
        "name", choices=list(MODULES), help="; ".join(f"{n}: {t}" for n, t in MODULES.items())
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    parser.add_argument("--rounds", type=int, help="turns that every entry takes")
    parser.add_argument("--data", type=Path, default=Path("cache"), help="linclass's cache folder (cache)")
    parser.add_argument("--loss", action="append", default=[], help="of fit and pass: only this loss")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="of fit and accuracy: only what has this text in its name",
    )
    given = parser.parse_args()
    limit_threads()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers end, too
    options = Options(
        given.data.resolve(), given.quick, given.rounds, None, tuple(given.loss), tuple(given.only)
    )
    module = importlib.import_module("benchmarks." + {"pass": "passes"}.get(given.name, given.name))
    report = module.run(options)
    print(report.as_json() if given.json else report.as_text())


if __name__ == "__main__":
    main()
