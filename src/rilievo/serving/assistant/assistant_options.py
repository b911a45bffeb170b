"""The options of ``rilievo mcp``: folders, model, address of a server."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.errors import OptionError
from rilievo.models import DEFAULT_MODEL
from rilievo.models.model_options import EngineOptions
from rilievo.options.option_record import Rule, flag
from rilievo.serving.address.address_options import AddressOptions, is_count


@dataclass(frozen=True, kw_only=True)
class AssistantOptions(AddressOptions, EngineOptions):
    """Folders and model of the tools, and the address of a server for ``--http``."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Files": ("folder", "output"),
        "Model": ("model", "device", "engine", "precision", "threads", "trust_code"),
        "HTTP": ("http", "host", "port", "root_path", "hosts", "token_file", "proxies"),
        "Limits": ("waiting", "connections"),
    }
    RULES: ClassVar[tuple[Rule, ...]] = (("waiting", is_count, "1 or more"),)

    folder: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="FOLDER")
    ] = ()
    """Folder with photographs that the assistant may name; repeat the option for several. Nothing
    outside of these folders is read or written."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for surfaces, inside one of the folders; by default rilievo-output in the folder of
    the photograph."""
    model: Annotated[str, tyro.conf.arg(aliases=("-m",), metavar="NAME|FILE.onnx")] = DEFAULT_MODEL
    """Name that 'rilievo models' lists, or a model's file or folder."""
    http: bool = False
    """Serve streamable HTTP at /mcp, in place of standard input and output."""
    waiting: int = 16
    """Calls that may wait for the one at work; more are refused."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folder:
            raise OptionError(
                "--folder names the photographs that the assistant may read: "
                "rilievo mcp --folder FOLDER"
            )
        if not self.http:
            for field in fields(AddressOptions):
                if getattr(self, field.name) != field.default:
                    raise OptionError(f"{flag(field.name)} is of a server: give --http as well")
