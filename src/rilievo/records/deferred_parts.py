"""Parts of a record that are computed when they are first read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rilievo.arrays.array_records import read_only


@dataclass(frozen=True, slots=True)
class Deferred:
    """Part that is not computed yet."""

    compute: Callable[[], object]


class DeferrableField:
    """Field of a dataclass that may hold a ``Deferred``, which is computed when it is first read.

    It is a descriptor-typed field, as the documentation of ``dataclasses`` describes them. A
    property or a ``cached_property`` cannot take its place, because the same name is also a field
    that the constructor, ``dataclasses.replace`` and the comparison of records use.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: object, owner: type) -> Any:
        if record is None:
            return None  # the default of the field
        value = vars(record)[self._name]
        if isinstance(value, Deferred):
            computed = value.compute()
            value = read_only(computed) if isinstance(computed, np.ndarray) else computed
            vars(record)[self._name] = value
        return value

    def __set__(self, record: object, value: object) -> None:
        # The frozen dataclass refuses assignments; only its constructor comes here.
        vars(record)[self._name] = value


def deferrable() -> Any:
    """Declare a deferrable field, None by default, which keeps its annotated type for checkers."""
    return DeferrableField()
