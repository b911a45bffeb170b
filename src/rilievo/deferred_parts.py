"""Fields of frozen records that are computed when they are first read.

Most callers read only the depth of a prediction; for 12 megapixels, normals take longer than depth.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rilievo.records import read_only

# Not typing.Self, which beartype refuses in a class that it does not decorate.
_Parts = TypeVar("_Parts", bound="DeferredParts")


@dataclass(frozen=True, slots=True)
class _Later:
    """Placeholder for a value that has not been computed yet."""

    make: Callable[[], object]


class DeferredParts:
    """Mixin for frozen dataclasses whose fields may be computed later.

    Two threads that read a field at once may both compute it, with the same result.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # for type checkers, fields have their declared types

        def __getattribute__(self, name: str) -> Any:
            value = object.__getattribute__(self, name)
            if isinstance(value, _Later):
                value = value.make()
                if isinstance(value, np.ndarray):
                    value = read_only(value)
                object.__setattr__(self, name, value)
            return value

    def defer(self, name: str, make: Callable[[], object]) -> None:
        """Register a function that computes a field when it is first read.

        Args:
            name: Name of the field.
            make: Function that computes the value; arrays become read-only.
        """
        object.__setattr__(self, name, _Later(make))

    def has(self, name: str) -> bool:
        """Whether a field is not None, without computing it."""
        return object.__getattribute__(self, name) is not None

    def is_computed(self, name: str) -> bool:
        """Whether a field has its value, so that reading it costs nothing."""
        return not isinstance(object.__getattribute__(self, name), _Later)

    def but(self: _Parts, **changes: Any) -> _Parts:
        """A copy with some fields changed; fields not computed yet stay so."""
        names = [field.name for field in fields(self)]  # pyright: ignore[reportArgumentType]
        values = {name: object.__getattribute__(self, name) for name in names}
        later = {name: value for name, value in values.items() if isinstance(value, _Later)}
        copy = type(self)(**{**values, **dict.fromkeys(later), **changes})
        for name in later.keys() - changes.keys():
            object.__setattr__(copy, name, later[name])
        return copy
