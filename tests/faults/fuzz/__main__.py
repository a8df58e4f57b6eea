"""``python -m tests.faults.fuzz NAME --runs N``: see the package's docstring."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import atheris  # pip install atheris

os.environ["NUMBA_DISABLE_JIT"] = "1"  # kernels run as Python: instrumented, and with checked indices
with atheris.instrument_imports(include=["linclass_cli"]):
    from tests.faults.fuzz.check import check
    from tests.faults.fuzz.corpus import corpus_of
    from tests.faults.fuzz.targets import TARGETS

MEMORY, SECONDS = 2048, 10  # MiB, and seconds of one input


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz")
    parser.add_argument("name", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where inputs are kept that reach new code")
    given = parser.parse_args()
    target = TARGETS[given.name]()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(exist_ok=True)
    for i, content in enumerate([*target.seeds, *corpus_of(given.name)]):
        check(target, content)  # what is compiled for the first takes its time
        (folder / f"seed-{i}").write_bytes(content)

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.3:
            return atheris.Mutate(content, most)
        if rng.random() < 0.5:  # most of what reaches new code is refused, and what comes of it
            content = rng.choice(target.seeds)
        return target.change(rng, content, target.seeds)[:most]

    tally = Counter[bool]()

    def test(content: bytes) -> None:
        tally[check(target, content)] += 1
        if tally.total() == given.runs:
            print(f"{given.name}: {given.runs:,} inputs, {tally[True]:,} of them taken", flush=True)

    limits = [f"-runs={given.runs}", f"-seed={given.seed}", f"-rss_limit_mb={MEMORY}", f"-timeout={SECONDS}"]
    arguments = [sys.argv[0], *limits, f"-artifact_prefix=found-{given.name}-", "-print_final_stats=1"]
    atheris.Setup([*arguments, str(folder)], test, custom_mutator=mutate)
    atheris.Fuzz()


main()
