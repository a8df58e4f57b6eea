"""Parameters that are a few whole numbers, written with commas: ``8,4``."""

from __future__ import annotations

import re

from linclass_cli.errors import InputError

MOST = 8  # numbers


def parse_numbers(name: str, text: object, least: int, most: int) -> tuple[int, ...]:
    """The numbers of ``text``. Raises InputError, naming the parameter, for anything else, or one twice."""
    if isinstance(text, str) and re.fullmatch(r"\d{1,6}(,\d{1,6})*", text, re.ASCII):
        numbers = tuple(int(one) for one in text.split(","))
        twice = next((one for one in numbers if numbers.count(one) > 1), None)
        if twice is not None:
            raise InputError(f"{name} = {text} has {twice} more than once: name each number once")
        if len(numbers) <= MOST and all(least <= one <= most for one in numbers):
            return numbers
    raise InputError(
        f"{name} must be up to {MOST} different whole numbers, {least} to {most}, with commas, not {text!r}"
    )


def check_even(name: str, value: object, least: int, most: int) -> None:
    """Raise InputError unless it is an even whole number within the bounds."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= most or value % 2:  # type: ignore[operator]
        raise InputError(f"{name} must be an even whole number, {least} to {most}, not {value!r}")
