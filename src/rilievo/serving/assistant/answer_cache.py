"""A cache of records with arrays, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Generic, TypeVar

import numpy as np

Key = TypeVar("Key")
Record = TypeVar("Record")


@dataclass(slots=True)
class _Entry(Generic[Record]):
    record: Record
    pristine_copy: Record
    """Copy that was made before any cached property of ``record`` was computed."""


class AnswerCache(Generic[Key, Record]):
    """Least-recently-used cache of records with arrays, whose size is bounded in bytes.

    Arrays of cached properties count too. If a single record exceeds the bound, they are dropped
    first.
    """

    def __init__(self, max_bytes: int, copy: Callable[[Record], Record]) -> None:
        """Start empty; ``copy`` copies a record without its cached properties."""
        self._max_bytes = max_bytes
        self._copy = copy
        self._entries: OrderedDict[Key, _Entry[Record]] = OrderedDict()

    def get(self, key: Key) -> Record | None:
        """Return the record of a key and mark it as just used; None if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.record

    def put(self, key: Key, record: Record) -> None:
        """Add a record. ``trim`` applies the bound later, once cached properties are computed."""
        self._entries[key] = _Entry(record, self._copy(record))
        self._entries.move_to_end(key)

    def trim(self) -> None:
        """Drop records until the rest is within the bound.

        If the last record alone is too large, first its cached properties are dropped, then it.
        """
        while len(self._entries) > 1 and self.array_bytes > self._max_bytes:
            self._entries.popitem(last=False)
        if self.array_bytes > self._max_bytes:
            for entry in self._entries.values():
                entry.record = self._copy(entry.pristine_copy)
        if self.array_bytes > self._max_bytes:
            self._entries.clear()

    @property
    def array_bytes(self) -> int:
        """Size of all arrays [bytes]; memory that several arrays share counts once."""
        bytes_by_address = {}
        for array in _base_arrays_in(list(self._entries.values())):
            address, _ = array.__array_interface__["data"]
            bytes_by_address[address] = array.nbytes
        return sum(bytes_by_address.values())


def _base_arrays_in(record: object) -> Iterator[np.ndarray]:
    """Yield all arrays in nested records and lists; for a view, the array that owns its memory."""
    if isinstance(record, np.ndarray):
        while isinstance(record.base, np.ndarray):
            record = record.base
        yield record
    elif isinstance(record, list | tuple):
        for item in record:
            yield from _base_arrays_in(item)
    elif is_dataclass(record) and not isinstance(record, type):
        # Cached properties are in ``__dict__``, which a dataclass with slots does not have.
        attributes = getattr(record, "__dict__", None)
        if not attributes:
            attributes = {field.name: getattr(record, field.name) for field in fields(record)}
        for value in attributes.values():
            yield from _base_arrays_in(value)
