"""Table of objects by name, which installed packages extend.

Other packages extend rilievo with objects named ``package.module:NAME``, ``path/to/file.py:NAME``,
or in the entry-point groups ``rilievo.models``, ``.datasets``, ``.benchmarks``, ``.metrics``,
``.outputs``, ``.commands``, ``.finders`` and ``.loaders``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.extensions.entry_points import entry_point_names, load_entry_point
from rilievo.extensions.trust import is_import_path
from rilievo.extensions.user_objects import load_user_object

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Table of our entries that installed packages extend; iteration yields names known so far."""

    def __init__(self, own: Mapping[str, T], what: str, read: Callable[[object, str], T]) -> None:
        """Create a table of ``own`` entries; ``read`` makes others of objects and their names."""
        self.own: Mapping[str, T] = own
        self._found: dict[str, T] = {}
        self._places: dict[str, T] = {}
        self._what, self._read = what, read

    def __getitem__(self, name: object) -> T:
        if not isinstance(name, str):
            raise KeyError(name)
        for table in (self.own, self._places):
            if name in table:
                return table[name]
        if name not in self._found:
            offered = load_entry_point(name, self._what)
            if offered is None:
                raise KeyError(name)
            self._found[name] = self._read(offered, name)
        return self._found[name]

    def find(self, name: str) -> T:
        """Look up a name or place; a place is code that runs, so no request names one."""
        if name not in self:
            if not is_import_path(name):
                raise OptionError(f"no {self._what} '{name}'; {suggest(name, self)}")
            self._places[name] = self._read(load_user_object(name, self._what), name)
        return self[name]

    def sorted_names(self, names: Collection[str]) -> tuple[str, ...]:
        """Names in the table's order, then places."""
        return (*(name for name in self if name in names), *sorted(self._places.keys() & {*names}))

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from list(self._found)

    def __len__(self) -> int:
        return len(self.own) + len(self._found)

    def all(self) -> Mapping[str, T]:
        """Own entries, and others that can be loaded."""
        for name in entry_point_names(self._what):
            with suppress(OptionError):
                self.get(name)
        return dict(self)
