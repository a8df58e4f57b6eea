"""A Dask worker by its own command, in which something of linclass is as it should not be.

    python a_worker.py '{"version": "9.9.9"}' tcp://127.0.0.1:8786 --nthreads 1 …

version: linclass says that it has this one; without: it cannot be imported; blind: the worker sees none of
the files of the one that asks; slow: seconds that each piece of its work takes longer; kills: [n, process]:
its n-th piece of work begins with a kill -9 of that process, 0 for its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from distributed.cli.dask_worker import main


class Without:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "linclass_cli":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def spoil(version=None, without=False, blind=False, slow=0.0, kills=None):
    if without:
        sys.meta_path.insert(0, Without())
        return
    import linclass_cli

    if version:
        linclass_cli.__version__ = version
    from linclass_cli.cluster import worker

    if blind:
        worker.has_features = worker.has_dataset = lambda *_: False
    own, done = worker.run, 0

    def run(*args):
        nonlocal done
        done += 1
        if kills and done == kills[0]:
            os.kill(kills[1] or os.getpid(), signal.SIGKILL)
        time.sleep(slow)
        return own(*args)

    worker.run = run


if __name__ == "__main__":
    spoil(**json.loads(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    main()
