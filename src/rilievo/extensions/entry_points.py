"""Objects of installed packages, loaded by their entry points."""

from collections.abc import Mapping
from typing import Any

from rilievo.errors import OptionError
from rilievo.extensions.foreign_code import FOREIGN_PACKAGES
from rilievo.extensions.subpackages import resolve_name


def load_named(own: Mapping[str, str], name: str, *, what: str) -> Any | None:
    """Load an object of ``own``, else of an entry point; None without."""
    return resolve_name(own[name]) if name in own else load_entry_point(name, what)


def entry_point_names(what: str) -> tuple[str, ...]:
    """Names of the entry points of a kind, such as "model"."""
    from importlib.metadata import entry_points  # takes 10 ms, so only on demand

    return tuple(sorted({entry.name for entry in entry_points(group=f"rilievo.{what}s")}))


def load_entry_point(name: str, what: str) -> object | None:
    """Load the object of an entry point; None without one."""
    from importlib.metadata import entry_points

    for point in entry_points(group=f"rilievo.{what}s", name=name):
        FOREIGN_PACKAGES.add(point.value.partition(":")[0].partition(".")[0])
        try:
            return point.load()
        # Modules of other packages may raise any exception.
        except Exception as error:
            package = point.dist.name if point.dist is not None else point.value
            raise OptionError(
                f"{what} '{name}' of the package {package} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
    return None
