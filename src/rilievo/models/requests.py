"""Requests for a model, by name or function, and the model found."""

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
    """Request for a model."""

    name: str | Path
    options: "LoadOptions"

    @property
    def kind(self) -> DepthKind | None:
        """Kind of depth that the user states."""
        return self.options.depth_kind

    @property
    def text(self) -> str:
        """Name as a string."""
        return str(self.name)

    @property
    def is_onnx_file(self) -> bool:
        """Whether it names an ONNX file."""
        is_path = isinstance(self.name, Path) and not os.path.isdir(self.name)
        return is_path or self.text.endswith(".onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """Model that was found, with its card unless the file has the facts."""

    card: ModelCard | None
    revision: str | None = None
    load: "Callable[[LoadOptions], Model] | None" = None


DepthFunction = Callable[[Any], Any]

_GIVEN: dict[str, DepthFunction] = {}


def register_function(function: DepthFunction) -> str:
    """Register a function; return its place as its name.

    Raises:
        OptionError: If it cannot be called.
    """
    if not callable(function):
        raise OptionError(
            f"model is a name, a file, a loaded model or a function of an image, got {function!r}"
        )
    name = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
    place = f"{_module_or_script(function)}:{name}"
    if not is_import_path(place):  # those that are defined in a function share a name
        count = 2
        while _GIVEN.get(place, function) is not function:
            place = f"{_module_or_script(function)}:{name} {count}"
            count += 1
    else:
        # It will run, so the files that rilievo writes for it may name it in this process.
        trust((place,))
    _GIVEN[place] = function
    return place


def registered_function(name: str) -> DepthFunction | None:
    """Function that was given under a name."""
    return _GIVEN.get(name)


def is_module_level(function: DepthFunction) -> bool:
    """Whether other processes can import a function by name."""
    name = getattr(function, "__qualname__", "")
    module: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    return module is not None and getattr(module, name, None) is function


def _module_or_script(function: DepthFunction) -> str:
    module = getattr(function, "__module__", None) or "__main__"
    file = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" and file and file.endswith(".py"):
        return os.path.relpath(file)
    return module
