"""Options of ``rilievo view`` and ``rilievo report``: names, defaults, help and checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.errors import OptionError
from rilievo.evaluation.evaluate_options import ImageOptions
from rilievo.models.model_options import TrustOptions


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ImageOptions, TrustOptions):
    """Place of photographs and ground truth, as far as the targets do not state it."""

    dataset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Dataset of the photographs, for folders of predictions; 'rilievo datasets' lists the names.
    Evaluations know theirs.
    """
    root: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the dataset; for evaluations, its present folder if it was moved."""
    photos: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder that was predicted, for results of 'rilievo predict' without a dataset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("root", "photos"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())
        if self.photos is not None and self.dataset is not None:
            raise OptionError("--photos and --dataset do not go together; give one")


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Options of the view in FiftyOne."""

    name: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Name of the dataset in FiftyOne; by default made from the targets. An existing dataset is
    updated, without duplicates.
    """
    output: Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = None
    """Folder for heat maps and other pictures, which FiftyOne reads as long as the dataset exists;
    by default rilievo-view/NAME.
    """
    points: bool = False
    """Add surfaces as point clouds, each image in a group with its 3-D scene."""
    surface_points: int = 200_000
    """Most points of a cloud."""
    export: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder to export the dataset to, in FiftyOne's own format with all its media."""
    app: bool = True
    """Open the app, which Ctrl-C ends."""
    port: int = 5151
    """Port of the app."""

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise OptionError(f"--port is between 1 and 65535, got {self.port}")
        if self.surface_points < 100:
            raise OptionError(f"--surface-points is 100 or more, got {self.surface_points}")
        if self.name is not None and not self.name.strip():
            raise OptionError("--name is empty; name the dataset or leave the option out")
