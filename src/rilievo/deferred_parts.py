"""Parts of a record that are made when they are first read.

Most callers read the depth of a prediction alone; normals of 12 megapixels take longer than it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rilievo.depth_map import read_only

# Not typing.Self, which beartype refuses in a class that it does not decorate.
_Parts = TypeVar("_Parts", bound="DeferredParts")


@dataclass(frozen=True, slots=True)
class _Later:
    """Stand-in for an array until somebody reads it."""

    make: Callable[[], np.ndarray]


class DeferredParts:
    """Mixed into a frozen dataclass, whose fields may then be made later.

    Two threads that read a part at once may both make it; they get the same values.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # for type checkers the fields are what they are declared to be

        def __getattribute__(self, name: str) -> Any:
            value = object.__getattribute__(self, name)
            if isinstance(value, _Later):
                value = read_only(value.make())
                object.__setattr__(self, name, value)
            return value

    def defer(self, name: str, make: Callable[[], np.ndarray]) -> None:
        """Have a field made when it is first read.

        Args:
            name: Name of the field.
            make: Function that makes its array.
        """
        object.__setattr__(self, name, _Later(make))

    def has(self, name: str) -> bool:
        """Whether a field is not None, without making what is made when it is first read."""
        return object.__getattribute__(self, name) is not None

    def but(self: _Parts, **changes: Any) -> _Parts:
        """A copy with other values of some fields; what is not made yet stays so."""
        names = [field.name for field in fields(self)]  # pyright: ignore[reportArgumentType]
        kept = {name: object.__getattribute__(self, name) for name in names}
        later = {name: value for name, value in kept.items() if isinstance(value, _Later)}
        copy = type(self)(**{**kept, **dict.fromkeys(later), **changes})
        for name in later.keys() - changes.keys():
            object.__setattr__(copy, name, later[name])
        return copy
