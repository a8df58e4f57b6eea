"""What must hold of an input."""

from __future__ import annotations

from linclass_cli.errors import LinclassError
from tests.faults.fuzz.targets import Target


class Found(AssertionError):
    """An input that shows a bug; ``content`` is the input."""

    def __init__(self, content: bytes, why: str) -> None:
        super().__init__(f"{why}: {content[:400]!r}")
        self.content = content


def check(target: Target, content: bytes) -> bool:
    """Whether an input is taken, not refused with an error for users. Raises :class:`Found`."""
    try:
        target.check(content)
    except LinclassError:
        return False
    except Exception as error:
        raise Found(content, f"{type(error).__name__}: {error}") from error
    return True
