"""``python -m linclass_cli`` is ``linclass``."""

from linclass_cli.entry import main

if __name__ == "__main__":  # not in the processes that a local cluster starts
    main()
