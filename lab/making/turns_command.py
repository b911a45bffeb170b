"""``python -m lab.making turns``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.making.distil.frames.shards import check_shards
from rilievo.cli.parsing import parse
from rilievo.errors import needing
from rilievo.schema.fields import option


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsOptions:
    """Options of ``python -m lab.making turns``."""

    base: Annotated[Path, option(metavar="FILE")]
    """ONNX file of the layout networks, of which one learns."""
    member: Annotated[int, option(metavar="0|1")]
    """Network that learns: 0 sees photographs, 1 their mirror images."""
    shards: Annotated[Path, option(metavar="FOLDER")]
    """Folder of rendered shards, or of such folders; only their pictures are used."""
    real: Annotated[Path, option(metavar="FOLDER")]
    """Folder of NYU Depth V2's labelled frames, of which only the pictures are used."""
    photos: Annotated[Path, option(metavar="FOLDER")]
    """Folder of photographs (.jpg); every eighth is held out."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")]
    """Folder for the weights and the log."""
    steps: Annotated[int, option(metavar="N")] = 1600
    """Number of steps of 16 pictures."""
    seed: Annotated[int, option(metavar="N")] = 1
    """Seed of the views and of the batches."""


def main(arguments: Sequence[str]) -> int:
    """Teach a layout network turned and grey pictures; returns 0 when training finished."""
    options = parse(
        TurnsOptions,
        arguments,
        prog="python -m lab.making turns",
        description="Teach a layout network to see turned and grey pictures as it sees upright "
        "ones in colour.",
        examples=(
            "python -m lab.making turns --base base.onnx --member 0 --shards shards/ --real nyu/ "
            "--photos photos/ -o run",
        ),
    )
    check_shards(options.shards)
    with needing("training a model", "train"):
        from lab.making.turns_training import train_turns

    train_turns(options)
    return 0
