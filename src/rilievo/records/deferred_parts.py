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
        if record is None:
            # Python passes None if the field is read on the class. The decorator ``dataclass``
            # does so, and uses what it gets as the default of the field.
            return None

        values = vars(record)
        part = values[self._name]
        if isinstance(part, Deferred):
            part = part.compute()
            if isinstance(part, np.ndarray):
                part = read_only(part)
            values[self._name] = part  # The next reading finds the computed part.
        return part

    def __set__(self, record: object, value: object) -> None:
        # The frozen dataclass refuses assignments, so only its constructor calls this.
        vars(record)[self._name] = value


def deferrable() -> Any:
    """Declare a field that may be deferred, None by default.

    The return type is ``Any``, so that type checkers use the annotation of the field.
    """
    return DeferrableField()
