"""Cache of answers, bounded in bytes."""

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
    """Copy without its late parts."""


class AnswerCache(Generic[Key, SomeAnswer]):
    """Answers by questions; the least recently used leave first."""

    def __init__(self, most_bytes: int, copied: Callable[[SomeAnswer], SomeAnswer]) -> None:
        """Begin empty; ``copied`` copies an answer without computing its late parts."""
        self._most_bytes, self._copied = most_bytes, copied
        self._entries: OrderedDict[Key, _Entry[SomeAnswer]] = OrderedDict()

    def get(self, key: Key) -> SomeAnswer | None:
        """Answer of a key, which becomes the newest."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def put(self, key: Key, answer: SomeAnswer) -> None:
        """Keep an answer, and a copy without late parts."""
        self._entries[key] = _Entry(answer, self._copied(answer))
        self._entries.move_to_end(key)

    def trim(self) -> None:
        """Drop the oldest, then late parts, down to the bound."""
        while len(self._entries) > 1 and self.array_bytes > self._most_bytes:
            self._entries.popitem(last=False)
        if self.array_bytes > self._most_bytes:
            for entry in self._entries.values():
                entry.answer = self._copied(entry.fresh)
        if self.array_bytes > self._most_bytes:
            self._entries.clear()

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays, shared ones once."""
        arrays = _base_arrays_in([*self._entries.values()])
        sizes = {array.__array_interface__["data"][0]: array.nbytes for array in arrays}
        return sum(sizes.values())


def _base_arrays_in(record: object) -> Iterator[np.ndarray]:
    if isinstance(record, np.ndarray):
        while isinstance(record.base, np.ndarray):
            record = record.base
        yield record
    elif isinstance(record, list | tuple):
        for part in record:
            yield from _base_arrays_in(part)
    elif is_dataclass(record) and not isinstance(record, type):
        held = getattr(record, "__dict__", None)
        names = [field.name for field in fields(record)]
        for part in held.values() if held else (getattr(record, name) for name in names):
            yield from _base_arrays_in(part)
