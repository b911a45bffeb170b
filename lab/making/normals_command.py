"""``python -m lab.making normals``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.making.distil.frames.shards import check_shards
from rilievo.cli.parsing import parse
from rilievo.errors import explain_missing_extra
from rilievo.schema.fields import option


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsOptions:
    """Options of ``python -m lab.making normals``."""

    base: Annotated[Path, option(metavar="FILE")]
    """ONNX file of the layout networks, of which the first one's encoder is used."""
    shards: Annotated[Path, option(metavar="FOLDER")]
    """Folder of rendered shards, or of such folders; the first shard is held out."""
    real: Annotated[Path, option(metavar="FOLDER")]
    """Folder of NYU Depth V2's labelled frames."""
    photos: Annotated[Path, option(metavar="FOLDER")]
    """Folder of photographs (.jpg) whose normals stay as they are."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")]
    """Folder for the weights and the log."""
    steps: Annotated[int, option(metavar="N")] = 1900
    """Number of steps of 16 frames."""
    seed: Annotated[int, option(metavar="N")] = 1
    """Seed of the views and of the batches."""


def main(arguments: Sequence[str]) -> int:
    """Train a decoder of normals; returns 0 when training finished."""
    options = parse(
        NormalsOptions,
        arguments,
        prog="python -m lab.making normals",
        description="Train layers of their own for the normals of rilievo/base.",
        examples=(
            "python -m lab.making normals --base base.onnx --shards shards/ --real nyu/ "
            "--photos photos/ -o run",
        ),
    )
    check_shards(options.shards)
    with explain_missing_extra("training a model", "train"):
        from lab.making.normals_training import train_normals

    train_normals(options)
    return 0
