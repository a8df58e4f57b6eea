"""``python -m linclass_cli`` is ``linclass``."""

from linclass_cli.entry import main

main()
