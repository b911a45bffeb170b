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
    """Table of rilievo's entries by name, which installed packages and the user extend.

    An entry of an installed package is loaded when its name is first looked up. Iteration yields
    rilievo's own names and those of packages that were loaded so far, without the import paths of
    the user's objects.

    Attributes:
        own: Entries of rilievo.
    """

    def __init__(
        self, own: Mapping[str, T], what: str, convert: Callable[[object, str], T]
    ) -> None:
        """Create a table of a kind of entries, ``what``, such as "output".

        ``convert`` makes an entry of the object and the name of a package or a user.
        """
        self.own: Mapping[str, T] = own
        self._of_packages: dict[str, T] = {}
        self._of_user: dict[str, T] = {}
        self._what = what
        self._convert = convert

    def __getitem__(self, name: object) -> T:
        if not isinstance(name, str):
            raise KeyError(name)
        for table in (self.own, self._of_user):
            if name in table:
                return table[name]
        if name not in self._of_packages:
            offered = load_entry_point(name, self._what)
            if offered is None:
                raise KeyError(name)
            self._of_packages[name] = self._convert(offered, name)
        return self._of_packages[name]

    def find(self, name: str) -> T:
        """Look up a name or an import path.

        The code of an import path is run. So names that come from requests are looked up by
        ``registry[name]``, which never runs code that is not installed.

        Raises:
            OptionError: If nothing has that name, or its object cannot be loaded.
        """
        if name not in self:
            if not is_import_path(name):
                raise OptionError(f"no {self._what} '{name}'; {suggest(name, self)}")
            user_object = load_user_object(name, self._what)
            self._of_user[name] = self._convert(user_object, name)
        return self[name]

    def sorted_names(self, names: Collection[str]) -> tuple[str, ...]:
        """Sort names in the order of the table; import paths come last."""
        in_order_of_table = [name for name in self if name in names]
        import_paths = sorted(self._of_user.keys() & {*names})
        return (*in_order_of_table, *import_paths)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from list(self._of_packages)

    def __len__(self) -> int:
        return len(self.own) + len(self._of_packages)

    def all(self) -> Mapping[str, T]:
        """Entries of rilievo and of all installed packages, except those that cannot be loaded."""
        for name in entry_point_names(self._what):
            with suppress(OptionError):
                self.get(name)
        return dict(self)
