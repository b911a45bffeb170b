"""Objects of the user, loaded from ``package.module:NAME`` or ``path/to/file.py:NAME``."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.extensions.foreign_code import FOREIGN_PACKAGES
from rilievo.extensions.trust import is_import_path, trust


def load_user_object(import_path: str, what: str) -> object:
    """Load an object of the user, from Python's path or the working folder, which runs its code.

    ``what`` is the kind of the object in messages, such as "metric".

    Raises:
        OptionError: If it cannot be loaded.
    """
    module, _, name = import_path.rpartition(":")
    if module.endswith(".py"):
        module = _module_of_user_file(Path(module), what, import_path)
    package = module.partition(".")[0]
    FOREIGN_PACKAGES.add(package)
    try:
        _add_working_folder_for(package)
        user_object = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        hint = ""
        if error.name == package:
            hint = f"; looked where Python finds modules and in the working folder, {os.getcwd()}"
        raise OptionError(f"no {what} '{import_path}': {error}{hint}") from error
    # Modules of other people may raise any exception.
    except Exception as error:
        raise OptionError(f"no {what} '{import_path}': {error}") from error

    # The code has run, so the files that rilievo writes for it may name it in this process.
    if package != "rilievo" and is_import_path(import_path):
        trust((import_path,))
    return user_object


def _module_of_user_file(file: Path, what: str, import_path: str) -> str:
    """Make a file importable, and return the name of its module."""
    folder = str(file.expanduser().resolve().parent)
    if not file.expanduser().is_file():
        raise OptionError(f"no {what} '{import_path}': there is no file {file}")
    if folder not in sys.path:
        sys.path.append(folder)

    # If a module of that name is loaded, ``find_spec`` returns the specification of that module.
    spec = find_spec(file.stem)
    origin = None if spec is None else spec.origin
    if origin is None or not Path(folder, file.name).samefile(origin):
        raise OptionError(
            f"no {what} '{import_path}': another module is called '{file.stem}'; rename the file"
        )
    return file.stem


def _add_working_folder_for(package: str) -> None:
    """Let Python look in the working folder, if it does not find a package elsewhere."""
    folder = os.getcwd()
    if folder in sys.path or not package or package in sys.modules:
        return
    if find_spec(package) is None:
        sys.path.append(folder)
