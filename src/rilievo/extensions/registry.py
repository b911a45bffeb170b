"""Table of objects by name, to which installed packages can add entries.

Other packages extend rilievo with objects named ``package.module:NAME``, ``path/to/file.py:NAME``,
or in the entry-point groups ``rilievo.models``, ``.datasets``, ``.benchmarks``, ``.metrics``,
``.outputs``, ``.commands``, ``.finders`` and ``.loaders``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.extensions.foreign_code import entry_point_names, load_entry_point, load_user_object
from rilievo.extensions.trust import is_import_path

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Table of entries by name: rilievo's own, those of installed packages, and the user's.

    An entry of an installed package is loaded when its name is first looked up. Iteration yields
    rilievo's own names and those of packages that were loaded so far, but not the import paths of
    the user's objects.

    Attributes:
        own: Entries of rilievo.
    """

    def __init__(
        self, own: Mapping[str, T], kind: str, convert: Callable[[object, str], T]
    ) -> None:
        """Create a table of entries of a kind, such as "output".

        ``convert`` turns the object of a package or a user, and its name, into an entry.
        """
        self.own: Mapping[str, T] = own
        self._package_entries: dict[str, T] = {}
        self._user_entries: dict[str, T] = {}
        self._kind = kind
        self._convert = convert

    def __getitem__(self, name: object) -> T:
        if not isinstance(name, str):
            raise KeyError(name)
        for entries in (self.own, self._user_entries, self._package_entries):
            if name in entries:
                return entries[name]
        package_object = load_entry_point(name, self._kind)
        if package_object is None:
            raise KeyError(name)
        self._package_entries[name] = self._convert(package_object, name)
        return self._package_entries[name]

    def find(self, name: str) -> T:
        """Look up a name, or import the object at an import path, which runs its code.

        For names that come from requests use ``registry[name]``, which only loads installed
        packages.

        Raises:
            OptionError: If nothing has that name, or its object cannot be loaded.
        """
        if name not in self:
            if not is_import_path(name):
                raise OptionError(f"no {self._kind} '{name}'; {suggest(name, self)}")
            user_object = load_user_object(name, self._kind)
            self._user_entries[name] = self._convert(user_object, name)
        return self[name]

    def sorted_names(self, names: Collection[str]) -> tuple[str, ...]:
        """Sort names in the order of the table; import paths come last."""
        table_names = [name for name in self if name in names]
        import_paths = sorted(self._user_entries.keys() & {*names})
        return (*table_names, *import_paths)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from list(self._package_entries)

    def __len__(self) -> int:
        return len(self.own) + len(self._package_entries)

    def all(self) -> Mapping[str, T]:
        """Entries of rilievo and of all installed packages, except those that cannot be loaded."""
        for name in entry_point_names(self._kind):
            with suppress(OptionError):
                self.get(name)
        return dict(self)
