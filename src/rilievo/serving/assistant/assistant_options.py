"""Options of ``rilievo mcp``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.models import DEFAULT_MODEL
from rilievo.models.model_options import EngineOptions
from rilievo.schema.fields import Groups, option


@dataclass(frozen=True, kw_only=True)
class AssistantOptions(EngineOptions):
    """Folders and model of the tools."""

    GROUPS: ClassVar[Groups] = {
        "Files": ("folder", "output"),
        "Model": ("model", "device", "engine", "precision", "threads", "trust_code"),
    }

    folder: Annotated[tuple[Path, ...], option(repeats=True, metavar="FOLDER")] = ()
    """Folder with photographs that the assistant may name; repeat the option for several. Nothing
    outside of these folders is read or written."""
    output: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder for surfaces, inside one of the folders; by default rilievo-output in the folder of
    the photograph."""
    model: Annotated[str, option(aliases=("-m",), metavar="NAME|FILE.onnx")] = DEFAULT_MODEL
    """Name that 'rilievo models' lists, or a model's file or folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folder:
            raise OptionError(
                option="folder",
                problem=(
                    "names the photographs that the assistant may read: rilievo mcp --folder FOLDER"
                ),
            )
