"""Parts of a record that are computed when they are first read, such as normals from depth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rilievo.arrays.array_records import read_only


@dataclass(frozen=True, slots=True)
class Deferred:
    """Part that is not computed yet.

    Attributes:
        compute: Function that returns the part. Each record that holds it calls it at most once.
    """

    compute: Callable[[], object]


class DeferrableField:
    """Field of a dataclass that may hold a ``Deferred``, which is computed when it is first read.

    It is a descriptor-typed field, as the documentation of ``dataclasses`` describes them. A
    property or a ``cached_property`` cannot take its place, because the same name is also a field
    that the constructor, ``dataclasses.replace`` and the comparison of records use.

    The record keeps the part, or its ``Deferred``, in its ``__dict__`` under the field's name.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: object, owner: type) -> Any:
        """Return the field's value, and compute it first if it is still ``Deferred``."""
        if record is None:
            # ``dataclass`` reads the field on the class to find its default, which is None.
            return None

        stored_values = vars(record)
        value = stored_values[self._name]
        if isinstance(value, Deferred):
            value = value.compute()
            if isinstance(value, np.ndarray):
                value = read_only(value)
            stored_values[self._name] = value  # so that it is computed only once
        return value

    def __set__(self, record: object, value: object) -> None:
        # Only the constructor calls this, because a frozen dataclass refuses assignments.
        vars(record)[self._name] = value


def deferrable() -> Any:
    """Declare a field that may be deferred, None by default.

    The return type is ``Any``, so that type checkers use the annotation of the field.
    """
    return DeferrableField()
