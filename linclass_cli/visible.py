"""Text from elsewhere (names of files, answers of servers, labels) as it may be sent to a terminal."""

from __future__ import annotations

import unicodedata

# Control characters, halves of characters, line ends, and what turns the direction of a line: a terminal
# would do as they say.
_UNSHOWABLE = {"Cc", "Cs", "Zl", "Zp"}
LONGEST_NAME = 255  # characters: as long as a folder's may be
_TURNS = {chr(code) for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def visible(text: str, keep: str = "") -> str:
    """The text, what no terminal should be sent written as backslash escapes; ``keep``: what stays anyway."""
    if text.isprintable():
        return text
    return "".join(char if char in keep else _escaped(char) for char in text)


def is_name(value: object) -> bool:
    """Whether a value from a file may be the name of a class: a text that needs no escapes, not too long."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and visible(value) == value


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8, as it stands in the names of files
        return f"\\x{ord(char) - 0xDC00:02x}"
    if unicodedata.category(char) in _UNSHOWABLE or char in _TURNS:
        return char.encode("unicode_escape", "backslashreplace").decode("ascii")
    return char
