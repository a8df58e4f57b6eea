"""``python -m linclass_cli`` is ``linclass``."""

from linclass_cli.cli import main

main()
