"""Answers that are kept for the next question, as many as fit into a number of bytes."""

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
    fresh: SomeAnswer
    """Copy of which nothing was read that is computed late."""


class AnswerCache(Generic[Key, SomeAnswer]):
    """Answers by their questions; those that were used longest ago leave first."""

    def __init__(self, most_bytes: int, copied: Callable[[SomeAnswer], SomeAnswer]) -> None:
        """Begin without any.

        Args:
            most_bytes: Bytes of all arrays of the answers.
            copied: Function that copies an answer, without parts that are computed when they are
                read and were not read yet.
        """
        self._most_bytes, self._copied = most_bytes, copied
        self._entries: OrderedDict[Key, _Entry[SomeAnswer]] = OrderedDict()

    def get(self, key: Key) -> SomeAnswer | None:
        """The answer to a question; None if it is not kept."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def put(self, key: Key, answer: SomeAnswer) -> None:
        """Keep an answer of which nothing was read yet."""
        self._entries[key] = _Entry(answer, self._copied(answer))
        self._entries.move_to_end(key)

    def trim(self) -> None:
        """Drop what takes too much, after answers were used: parts computed late take most."""
        while len(self._entries) > 1 and self.bytes > self._most_bytes:
            self._entries.popitem(last=False)
        if self.bytes > self._most_bytes:
            for entry in self._entries.values():
                entry.answer = self._copied(entry.fresh)
        if self.bytes > self._most_bytes:
            self._entries.clear()

    @property
    def bytes(self) -> int:
        """Bytes of all arrays, those that several answers share once."""
        arrays = _memories([*self._entries.values()])
        sizes = {array.__array_interface__["data"][0]: array.nbytes for array in arrays}
        return sum(sizes.values())


def _memories(record: object) -> Iterator[np.ndarray]:
    """Arrays of a record that own their memory; nothing is computed for it."""
    if isinstance(record, np.ndarray):
        while isinstance(record.base, np.ndarray):
            record = record.base
        yield record
    elif isinstance(record, list | tuple):
        for part in record:
            yield from _memories(part)
    elif is_dataclass(record) and not isinstance(record, type):
        held = getattr(record, "__dict__", None)
        names = [field.name for field in fields(record)]
        for part in held.values() if held else (getattr(record, name) for name in names):
            yield from _memories(part)
