"""Names of functions that the user gave as models."""

import os
import sys
from collections.abc import Callable
from typing import Any

from rilievo.errors import OptionError
from rilievo.registry import is_import_path, trust

DepthFunction = Callable[[Any], Any]

_GIVEN: dict[str, DepthFunction] = {}


def name_of(function: DepthFunction) -> str:
    """Register a function by its place.

    Raises:
        OptionError: If it cannot be called.
    """
    if not callable(function):
        raise OptionError(
            f"model is a name, a file, a loaded model or a function of an image, got {function!r}"
        )
    name = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
    place = f"{_module_of(function)}:{name}"
    if not is_import_path(place):  # those that are defined in a function share a name
        count = 2
        while _GIVEN.get(place, function) is not function:
            place = f"{_module_of(function)}:{name} {count}"
            count += 1
    else:
        # It will run, so the files that rilievo writes for it may name it in this process.
        trust((place,))
    _GIVEN[place] = function
    return place


def given_function(name: str) -> DepthFunction | None:
    """Function that was given under a name."""
    return _GIVEN.get(name)


def is_module_level(function: DepthFunction) -> bool:
    """Whether other processes can import a function by name."""
    name = getattr(function, "__qualname__", "")
    module: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    return module is not None and getattr(module, name, None) is function


def _module_of(function: DepthFunction) -> str:
    module = getattr(function, "__module__", None) or "__main__"
    file = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" and file and file.endswith(".py"):
        return os.path.relpath(file)
    return module
