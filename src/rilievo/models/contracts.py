"""Records of a search for a model."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.depth_map import DepthKind
from rilievo.frozen import frozen
from rilievo.models.card import ModelCard

if TYPE_CHECKING:
    from rilievo.models.base import Model
    from rilievo.models.load_options import LoadOptions


@frozen
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


@frozen
class FoundModel:
    """Model that was found, with its card unless the file has the facts."""

    card: ModelCard | None
    revision: str | None = None
    load: "Callable[[LoadOptions], Model] | None" = None
