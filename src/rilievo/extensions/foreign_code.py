"""Load objects of installed packages and of the user's own modules, and describe their errors.

Installed packages name their objects as entry points. The user names an object as
``package.module:NAME`` or ``path/to/file.py:NAME``.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rilievo.errors import OptionError
from rilievo.errors.messages import one_line
from rilievo.extensions.subpackages import resolve_name
from rilievo.extensions.trust import is_import_path, trust

FOREIGN_PACKAGES: set[str] = set()
"""Names of the top-level packages whose code this process has loaded for the user."""


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


def load_user_object(import_path: str, kind: str) -> object:
    """Load an object of the user, and thereby run its module.

    Modules are found on Python's path and in the working folder.

    Args:
        import_path: ``package.module:NAME`` or ``path/to/file.py:NAME``.
        kind: Kind of object for messages, such as "metric".

    Raises:
        OptionError: If there is no such module or name, or the module raises an error.
    """
    module, _, name = import_path.rpartition(":")
    if module.endswith(".py"):
        module = _make_importable(Path(module), kind, import_path)
    package = module.partition(".")[0]
    FOREIGN_PACKAGES.add(package)
    try:
        _search_working_folder_for(package)
        user_object = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        hint = ""
        is_package_missing = error.name == package  # and not a package that its module imports
        if is_package_missing:
            hint = f"; rilievo searched Python's module path and the working folder, {os.getcwd()}"
        raise OptionError(f"no {kind} '{import_path}': {error}{hint}") from error
    except AttributeError as error:
        raise OptionError(f"no {kind} '{import_path}': {error}") from error
    # Modules of other people may raise any exception.
    except Exception as error:
        raise OptionError(
            f"{kind} '{import_path}' cannot be loaded: {type(error).__name__}: {error}"
        ) from error

    # The user has named this code, so files that rilievo writes may name it in this process too.
    if package != "rilievo" and is_import_path(import_path):
        trust((import_path,))
    return user_object


def _make_importable(file: Path, kind: str, import_path: str) -> str:
    """Add the folder of a file to ``sys.path`` for good, and return the name of its module."""
    if not file.expanduser().is_file():
        raise OptionError(f"no {kind} '{import_path}': there is no file {file}")
    folder = str(file.expanduser().resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)

    # The name may belong to another module, which is loaded already or found first.
    spec = find_spec(file.stem)
    origin = None if spec is None else spec.origin
    if origin is None or not Path(folder, file.name).samefile(origin):
        raise OptionError(
            f"no {kind} '{import_path}': another module is already called '{file.stem}'; rename "
            "the file"
        )
    return file.stem


def _search_working_folder_for(package: str) -> None:
    """Add the working folder to ``sys.path`` for good, if a package is not found without it."""
    folder = os.getcwd()
    if folder in sys.path or not package or package in sys.modules:
        return
    if find_spec(package) is None:
        sys.path.append(folder)


def extension_fault(error: BaseException) -> str | None:
    """Describe an exception that code of a foreign package raised or passed on.

    The description names the innermost line of that code. Return None if only code of rilievo and
    its dependencies was involved.
    """
    from traceback import walk_tb

    frames_from_innermost = reversed([*walk_tb(error.__traceback__)])
    for frame, line in frames_from_innermost:
        module = str(frame.f_globals.get("__name__"))
        package = module.partition(".")[0]
        if package in FOREIGN_PACKAGES and package != "rilievo":
            file = Path(frame.f_code.co_filename).name
            return f"{type(error).__name__}: {one_line(str(error))} ({file}, line {line})"
    return None
