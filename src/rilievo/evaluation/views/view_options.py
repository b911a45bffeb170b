"""Options of views and reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.evaluation.options import ImageOptions
from rilievo.options.run_options import TrustOptions
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ImageOptions, TrustOptions):
    """Options that say where photographs and ground truth are."""

    root: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of the dataset; for evaluations, its current folder if you moved it."""
    photos: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of the photographs, for results of 'rilievo predict' without a dataset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("root", "photos"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Options of the view in FiftyOne."""

    OFF_HELP: ClassVar[Mapping[str, str]] = {
        "app": "Do not open the app. By default it opens, and stays open until you press Ctrl-C."
    }

    name: Annotated[str | None, option(metavar="NAME")] = None
    """Name of the dataset in FiftyOne; by default derived from the targets. An existing dataset is
    updated without duplicates.
    """
    output: Annotated[Path | None, option(aliases=("-o",), metavar="FOLDER")] = None
    """Folder for heat maps and other pictures, which FiftyOne reads as long as the dataset exists;
    by default rilievo-view/NAME.
    """
    brain: bool = False
    """Index the photographs by similarity and compute how unique each one is (FiftyOne's brain),
    from their colours on a coarse grid.
    """
    app: bool = True
    """Whether to open the app, which stays open until you press Ctrl-C."""
    port: int = 5151
    """Port of the app."""

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise OptionError(option="port", expected="between 1 and 65535", value=self.port)
        if self.name is not None and not self.name.strip():
            raise OptionError(
                option="name", problem="is empty", hint="give a name or leave the option out"
            )
