"""Objects of installed packages, loaded by their entry points."""

from collections.abc import Mapping
from typing import Any

from rilievo.errors import OptionError
from rilievo.extensions.foreign_code import FOREIGN_PACKAGES
from rilievo.extensions.subpackages import resolve_name


def load_named(own: Mapping[str, str], name: str, *, kind: str) -> Any | None:
    """Load an object of a kind, such as "finder", of rilievo or of an installed package.

    ``own`` are the import paths of rilievo's objects. Return None if nothing has that name.
    """
    if name in own:
        return resolve_name(own[name])
    return load_entry_point(name, kind)


def entry_point_names(kind: str) -> tuple[str, ...]:
    """Sorted names of the entry points of a kind, such as "model"."""
    # Imported on demand, because it takes 10 ms.
    from importlib.metadata import entry_points

    return tuple(sorted({point.name for point in entry_points(group=f"rilievo.{kind}s")}))


def load_entry_point(name: str, kind: str) -> object | None:
    """Load an entry point of the group ``rilievo.{kind}s``; return None if there is none."""
    from importlib.metadata import entry_points

    for point in entry_points(group=f"rilievo.{kind}s", name=name):
        module = point.value.partition(":")[0]
        # Errors in its code will be reported as the package's own.
        FOREIGN_PACKAGES.add(module.partition(".")[0])
        try:
            return point.load()
        # Modules of other packages may raise any exception.
        except Exception as error:
            package = point.dist.name if point.dist is not None else point.value
            raise OptionError(
                f"{kind} '{name}' from the package {package} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
    return None
