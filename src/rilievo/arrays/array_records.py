"""Equality, hash and read-only fields of dataclasses that hold arrays.

A dataclass compares its fields by ``==``, which gives an array of answers for two arrays.
"""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from rilievo.arrays.shapes import Shaped


def same_record(self: object, other: object) -> bool:
    """Compare two records by the values of their fields, as their ``__eq__``.

    Arrays are equal if dtype, shape and values are; NaN equals NaN.
    """
    if type(self) is not type(other):
        return False
    names = [field.name for field in fields(self)]  # pyright: ignore[reportArgumentType]
    return all(_is_same_value(getattr(self, name), getattr(other, name)) for name in names)


def no_hash(self: object) -> int:
    """Refuse to hash a record that holds arrays, as its ``__hash__``.

    Raises:
        TypeError: Always.
    """
    raise TypeError(
        f"a {type(self).__name__} contains arrays, so it has no hash: use the name of its file, or "
        "id(...), as the key"
    )


def _is_same_value(first: object, second: object) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        if first.dtype != second.dtype or first.shape != second.shape:
            return False
        may_have_nan = first.dtype.kind in "fc"  # real or complex numbers
        return np.array_equal(first, second, equal_nan=may_have_nan)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return dict(first) == dict(second)
    # A number that is NaN equals itself only by identity.
    return first is second or bool(first == second)


def read_only(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Make a read-only view of an array, which shares its memory."""
    view = array.view()
    view.flags.writeable = False
    return view
