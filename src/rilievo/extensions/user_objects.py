"""Objects of the user, loaded from ``package.module:NAME`` or ``path/to/file.py:NAME``."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.extensions.foreign_code import FOREIGN_PACKAGES
from rilievo.extensions.trust import is_import_path, trust


def load_user_object(place: str, what: str) -> object:
    """Load an object of the user's, from Python's path or the working folder."""
    module, _, name = place.rpartition(":")
    if module.endswith(".py"):
        module = _module_of_user_file(Path(module), what, place)
    top = module.partition(".")[0]
    FOREIGN_PACKAGES.add(top)
    try:
        _add_working_folder(top)
        target = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        hint = ""
        if error.name == top:
            hint = f"; looked where Python finds modules and in the working folder, {os.getcwd()}"
        raise OptionError(f"no {what} '{place}': {error}{hint}") from error
    # Modules of other people may raise any exception.
    except Exception as error:
        raise OptionError(f"no {what} '{place}': {error}") from error
    # It has run, so the files that rilievo writes for it may name it in this process.
    if top != "rilievo" and is_import_path(place):
        trust((place,))
    return target


def _module_of_user_file(file: Path, what: str, place: str) -> str:
    folder = str(file.expanduser().resolve().parent)
    if not file.expanduser().is_file():
        raise OptionError(f"no {what} '{place}': there is no file {file}")
    if folder not in sys.path:
        sys.path.append(folder)
    # The specification of what is loaded already, else of what would be.
    spec = find_spec(file.stem)
    if spec is None or spec.origin is None or not Path(folder, file.name).samefile(spec.origin):
        raise OptionError(
            f"no {what} '{place}': another module is called '{file.stem}'; rename the file"
        )
    return file.stem


def _add_working_folder(top: str) -> None:
    folder = os.getcwd()
    if folder in sys.path or not top or top in sys.modules:
        return
    if find_spec(top) is None:
        sys.path.append(folder)
