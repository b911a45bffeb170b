"""A cache of records with arrays, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Generic, TypeVar

import numpy as np

Key = TypeVar("Key")
SomeAnswer = TypeVar("SomeAnswer")


@dataclass(slots=True)
class _Entry(Generic[SomeAnswer]):
    answer: SomeAnswer
    original: SomeAnswer
    """Copy from before any cached property of the answer was computed."""


class AnswerCache(Generic[Key, SomeAnswer]):
    """Cache of answers that drops the least recently used ones above a number of bytes.

    Answers are records with arrays. What their cached properties compute counts as well, and is
    dropped before the last answer is.
    """

    def __init__(self, max_bytes: int, copy: Callable[[SomeAnswer], SomeAnswer]) -> None:
        """Begin empty; ``copy`` copies an answer without its cached properties."""
        self._max_bytes = max_bytes
        self._copy = copy
        self._entries: OrderedDict[Key, _Entry[SomeAnswer]] = OrderedDict()

    def get(self, key: Key) -> SomeAnswer | None:
        """Return the answer of a key and mark it as just used; None if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def put(self, key: Key, answer: SomeAnswer) -> None:
        """Keep an answer, however large; ``trim`` applies the bound."""
        self._entries[key] = _Entry(answer, self._copy(answer))
        self._entries.move_to_end(key)

    def trim(self) -> None:
        """Drop answers, then cached properties of the last one, until the rest is in bounds."""
        while len(self._entries) > 1 and self.array_bytes > self._max_bytes:
            self._entries.popitem(last=False)
        if self.array_bytes > self._max_bytes:
            for entry in self._entries.values():
                entry.answer = self._copy(entry.original)
        if self.array_bytes > self._max_bytes:
            self._entries.clear()

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays; memory that several arrays share counts once."""
        arrays = _base_arrays_in(list(self._entries.values()))
        bytes_by_address = {array.__array_interface__["data"][0]: array.nbytes for array in arrays}
        return sum(bytes_by_address.values())


def _base_arrays_in(record: object) -> Iterator[np.ndarray]:
    """Yield the arrays of nested records; for a view, the array that owns its memory."""
    if isinstance(record, np.ndarray):
        while isinstance(record.base, np.ndarray):
            record = record.base
        yield record
    elif isinstance(record, list | tuple):
        for part in record:
            yield from _base_arrays_in(part)
    elif is_dataclass(record) and not isinstance(record, type):
        # Cached properties are in ``__dict__``, which a dataclass with slots does not have.
        parts = getattr(record, "__dict__", None)
        if not parts:
            parts = {field.name: getattr(record, field.name) for field in fields(record)}
        for part in parts.values():
            yield from _base_arrays_in(part)
