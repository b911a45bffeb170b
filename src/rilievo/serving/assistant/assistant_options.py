"""Options of ``rilievo mcp``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.models import DEFAULT_MODEL
from rilievo.models.model_options import EngineOptions
from rilievo.schema.fields import FieldsByTitle, option


@dataclass(frozen=True, kw_only=True)
class AssistantOptions(EngineOptions):
    """Folders and model of the tools."""

    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Files": ("folder", "output"),
        "Model": ("model", "device", "engine", "precision", "threads", "trust_code"),
    }

    folder: Annotated[tuple[Path, ...], option(repeats=True, metavar="FOLDER")] = ()
    """Folder with photographs that the assistant may open. Repeat the option for several folders.
    Nothing outside these folders is read or written."""
    output: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder for surfaces, inside one of the folders with photographs. By default, rilievo-output
    in the photograph's folder."""
    model: Annotated[str, option(aliases=("-m",), metavar="NAME|FILE.onnx")] = DEFAULT_MODEL
    """Model to use: a name that 'rilievo models' lists, or a model's file or folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folder:
            raise OptionError(
                option="folder",
                problem=(
                    "is missing: give a folder with photographs that the assistant may open, as in "
                    "'rilievo mcp --folder FOLDER'"
                ),
            )
