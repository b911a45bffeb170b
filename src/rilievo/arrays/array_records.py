"""Behaviour of records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Shaped


def same_record(self: object, other: object) -> bool:
    """``__eq__`` of a record, by value; NaN equals NaN."""
    if type(self) is not type(other):
        return False
    names = [field.name for field in fields(self)]  # pyright: ignore[reportArgumentType]
    return all(_is_same_value(getattr(self, name), getattr(other, name)) for name in names)


def no_hash(self: object) -> int:
    """``__hash__`` of a record with arrays, which has none."""
    raise TypeError(
        f"a {type(self).__name__} holds arrays and has no hash: use its file's name, or id(...), "
        "as the key"
    )


def _is_same_value(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return dict(one) == dict(other)
    return one is other or bool(one == other)


def read_only(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Read-only view of an array."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, slots=True)
class Later:
    """Value that is not computed yet."""

    make: Callable[[], object]


class LazyField:
    """Field that may be computed when it is first read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: object, owner: type) -> Any:
        if record is None:
            return None
        value = vars(record)[self._name]
        if isinstance(value, Later):
            made = value.make()
            value = read_only(made) if isinstance(made, np.ndarray) else made
            vars(record)[self._name] = value
        return value

    def __set__(self, record: object, value: object) -> None:
        vars(record)[self._name] = value
