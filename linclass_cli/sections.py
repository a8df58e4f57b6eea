"""What a setting is, and what a section of settings is: frozen dataclasses whose values are checked.

Options, files and messages are made from the declarations alone. pydantic does the checking, and is loaded
by the first value that is not a default: help, completion and wrong flags never wait for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Setting:
    """One setting: ``kind`` is its type; ``bounds`` are its range, named as pydantic names them.

    ``only_for``: the choices of its section's ``name`` that it belongs to; none where it always counts.
    ``convert``: makes a value of what a user may write instead; it raises ValueError for nonsense.
    ``metavar``: what help calls the value, where its kind says too little.
    ``joined``: the sign between several of its choices, where it may be several.
    ``words``: what it may be, in words, where its bounds are a pattern.
    """

    name: str
    kind: Any
    default: Any
    description: str
    only_for: tuple[str, ...] = ()
    convert: Callable[[Any], Any] | None = None
    metavar: str = ""
    bounds: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    joined: str = ""
    words: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; none where it is not one of a few words."""
        return get_args(self.kind) if get_origin(self.kind) is not tuple else ()

    def check(self, value: Any) -> Any:
        """The value, a whole number as a float where floats are wanted. Raises ValueError if it cannot be."""
        if self.joined and isinstance(value, str) and self.joined in value:
            words = [self._adapter.validate_python(word) for word in value.split(self.joined)]
            if len(set(words)) < len(words):
                raise ValueError("each word once")
            return value
        return self._adapter.validate_python(self.convert(value) if self.convert else value)

    def parse(self, text: str) -> Any:
        """What a text from a shell means: "5" is a number there. Raises ValueError; looks at no range."""
        from pydantic import TypeAdapter

        if self.joined:
            return text
        return self.convert(text) if self.convert else TypeAdapter(self.kind).validate_python(text)

    def belongs_to(self, choice: str) -> bool:
        """Whether it means anything to a choice of its section, or to one of several joined by +."""
        return not self.only_for or not set(self.only_for).isdisjoint(choice.split("+"))

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        from typing import Annotated

        from pydantic import ConfigDict, Field, TypeAdapter

        kind: Any = Annotated[self.kind, Field(**self.bounds)] if self.bounds else self.kind
        return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


def setting(
    default: Any,
    description: str,
    *,
    only_for: tuple[str, ...] = (),
    convert: Callable[[Any], Any] | None = None,
    joined: str = "",
    metavar: str = "",
    words: str = "",
    **bounds: Any,
) -> Any:
    """The field of a section: ``epochs: int = setting(100, "passes over the training part", ge=1)``."""
    about = {"description": description, "only_for": only_for, "convert": convert, "bounds": bounds}
    about |= {"joined": joined, "metavar": metavar, "words": words}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True)
class Section:
    """A group of settings. Raises ValueError for a value that a setting cannot have."""

    @classmethod
    @cache
    def settings(cls) -> tuple[Setting, ...]:
        """The settings that the section declares, in their order; sections within it are not among them."""
        return tuple(
            Setting(field.name, field.type, field.default, **field.metadata)
            for field in dataclasses.fields(cls)
            if field.metadata
        )

    def __post_init__(self) -> None:
        for one in self.settings():
            value = getattr(self, one.name)
            # A test holds the defaults against their own ranges; here they need not be looked at.
            if value is not one.default:
                object.__setattr__(self, one.name, one.check(value))

    def options(self, name: str) -> dict[str, Any]:
        """The settings that the choice ``name``, or several joined by +, has, without ``name`` itself."""
        return {
            one.name: getattr(self, one.name)
            for one in self.settings()
            if one.name != "name" and one.belongs_to(name)
        }
