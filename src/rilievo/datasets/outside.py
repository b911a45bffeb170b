"""Datasets, benchmarks and metrics that stay outside rilievo, found by ``package.module:NAME``."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec

from rilievo.errors import OptionError


def load_outside(place: str, what: str) -> object:
    """Load an object from a module of the user's own.

    The module is looked for where Python finds modules, and then in the working folder, which
    the ``rilievo`` command does not search by itself.

    Args:
        place: ``package.module:NAME``.
        what: The kind of thing, for messages, such as "benchmark".

    Raises:
        OptionError: If there is no such module, or it has no such name.
    """
    module, _, name = place.partition(":")
    top = module.partition(".")[0]
    try:
        _search_working_folder(top)
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        hint = ""
        if error.name == top:
            hint = f"; looked where Python finds modules and in the working folder, {os.getcwd()}"
        raise OptionError(f"no {what} '{place}': {error}{hint}") from error
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(f"no {what} '{place}': {error}") from error


def _search_working_folder(top: str) -> None:
    """Let Python find a module here too, behind all other places, where none of those has it.

    The folder stays on the path: processes that score import the module anew.
    """
    folder = os.getcwd()
    if folder in sys.path or not top or top in sys.modules:
        return
    if find_spec(top) is None:
        sys.path.append(folder)
