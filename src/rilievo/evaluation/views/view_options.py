"""Options of views and reports."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.errors import OptionError
from rilievo.evaluation.options import ImageOptions
from rilievo.models.load_options import TrustOptions
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ImageOptions, TrustOptions):
    """Options that say where photographs and ground truth are."""

    root: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of the dataset; for evaluations, its present folder if it was moved."""
    photos: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder that was predicted, for results of 'rilievo predict' without a dataset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("root", "photos"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Options of the view in FiftyOne."""

    name: Annotated[str | None, option(metavar="NAME")] = None
    """Name of the dataset in FiftyOne; by default made from the targets. An existing dataset is
    updated, without duplicates.
    """
    output: Annotated[Path | None, option(aliases=("-o",), metavar="FOLDER")] = None
    """Folder for heat maps and other pictures, which FiftyOne reads as long as the dataset exists;
    by default rilievo-view/NAME.
    """
    brain: bool = False
    """Index the photographs by similarity, and score how unique each is (FiftyOne's brain), by
    their colours on a coarse grid.
    """
    app: bool = True
    """Open the app, which Ctrl-C ends."""
    port: int = 5151
    """Port of the app."""

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise OptionError(option="port", expected="between 1 and 65535", value=self.port)
        if self.name is not None and not self.name.strip():
            raise OptionError(
                option="name", problem="is empty", hint="name the dataset or leave the option out"
            )
