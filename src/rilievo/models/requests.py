"""Request of a user for a model, and the model that is found for it."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import OptionError
from rilievo.extensions.trust import is_import_path, trust
from rilievo.models.card import ModelCard
from rilievo.records.depth_map import DepthKind

if TYPE_CHECKING:
    from rilievo.models.base import Model
    from rilievo.models.load_options import LoadOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """Model that a user names, and the options for loading it."""

    name: str | Path
    options: "LoadOptions"

    @property
    def kind(self) -> DepthKind | None:
        """Kind of depth that the user states; None if not stated."""
        return self.options.depth_kind

    @property
    def text(self) -> str:
        """Name as a string."""
        return str(self.name)

    @property
    def is_onnx_file(self) -> bool:
        """Whether the name can be the path of an ONNX file."""
        is_path = isinstance(self.name, Path) and not os.path.isdir(self.name)
        return is_path or self.text.endswith(".onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """Model that was found, but not yet loaded.

    Attributes:
        card: Its card; None if only the file, once it is open, states what the model predicts.
        load: Function that loads it; None if the card names its loader.
    """

    card: ModelCard | None
    revision: str | None = None
    load: "Callable[[LoadOptions], Model] | None" = None


DepthFunction = Callable[[Any], Any]
"""Function of the user from an image to its depth."""

_FUNCTIONS: dict[str, DepthFunction] = {}


def register_function(function: DepthFunction) -> str:
    """Register a function of the user, and return the name under which it is found.

    The name is its import path ``module:NAME`` if it has one.
    """
    if not callable(function):
        raise OptionError(
            "model must be a name, a file, a loaded model or a function of an image, "
            f"got {function!r}"
        )
    qualified_name = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
    name = f"{_module_or_script(function)}:{qualified_name}"
    if is_import_path(name):
        # The user passes the function to run it, so files that name it are trusted as well.
        trust((name,))
    else:
        name = _free_name(name, function)
    _FUNCTIONS[name] = function
    return name


def _free_name(name: str, function: DepthFunction) -> str:
    """Append a number to a name if another function is registered under it.

    Functions that are defined inside a function may share a name.
    """
    free_name = name
    number = 1
    while _FUNCTIONS.get(free_name, function) is not function:
        number += 1
        free_name = f"{name} {number}"
    return free_name


def registered_function(name: str) -> DepthFunction | None:
    """Function that was registered under a name; None if there is none."""
    return _FUNCTIONS.get(name)


def is_importable(function: DepthFunction) -> bool:
    """Whether other processes can import a function by its name."""
    name = getattr(function, "__qualname__", "")
    module: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    return module is not None and getattr(module, name, None) is function


def _module_or_script(function: DepthFunction) -> str:
    """Module of a function; for one of the script that runs, the script's path."""
    module = getattr(function, "__module__", None) or "__main__"
    file = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" and file and file.endswith(".py"):
        return os.path.relpath(file)
    return module
