"""Load objects of the user from ``package.module:NAME`` or ``path/to/file.py:NAME``."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.extensions.foreign_code import FOREIGN_PACKAGES
from rilievo.extensions.trust import is_import_path, trust


def load_user_object(import_path: str, kind: str) -> object:
    """Load an object of the user, and thereby run its module.

    Modules are found on Python's path and in the working folder. ``kind`` is the kind of object for
    messages, such as "metric".
    """
    module, _, name = import_path.rpartition(":")
    if module.endswith(".py"):
        module = _make_importable(Path(module), kind, import_path)
    package = module.partition(".")[0]
    FOREIGN_PACKAGES.add(package)
    try:
        _find_in_working_folder(package)
        user_object = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        hint = ""
        if error.name == package:
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


def _find_in_working_folder(package: str) -> None:
    folder = os.getcwd()
    if folder in sys.path or not package or package in sys.modules:
        return
    if find_spec(package) is None:
        sys.path.append(folder)
