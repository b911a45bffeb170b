"""Objects of installed packages, loaded by their entry points."""

from collections.abc import Mapping
from typing import Any

from rilievo.errors import OptionError
from rilievo.extensions.foreign_code import FOREIGN_PACKAGES
from rilievo.extensions.subpackages import resolve_name


def load_named(own: Mapping[str, str], name: str, *, what: str) -> Any | None:
    """Load an object by its name; None if nobody offers one of that name.

    Args:
        own: ``module:NAME`` of the objects of rilievo, by their names.
        name: Name of an object of rilievo, or of an entry point of an installed package.
        what: Kind of the object, such as "finder".

    Raises:
        OptionError: If the object of a package cannot be loaded.
    """
    if name in own:
        return resolve_name(own[name])
    return load_entry_point(name, what)


def entry_point_names(what: str) -> tuple[str, ...]:
    """Names of the entry points of a kind, such as "model", in order."""
    # Imported on demand, because it takes 10 ms.
    from importlib.metadata import entry_points

    return tuple(sorted({point.name for point in entry_points(group=f"rilievo.{what}s")}))


def load_entry_point(name: str, what: str) -> object | None:
    """Load the object of an entry point of a kind; None if there is no entry point of that name.

    Raises:
        OptionError: If it cannot be loaded.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=f"rilievo.{what}s", name=name):
        module = point.value.partition(":")[0]
        FOREIGN_PACKAGES.add(module.partition(".")[0])
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
