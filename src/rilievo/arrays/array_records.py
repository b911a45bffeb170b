"""Behaviour of records."""

from collections.abc import Mapping
from dataclasses import fields

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
