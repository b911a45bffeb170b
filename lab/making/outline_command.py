"""``python -m lab.making outlines``."""

from collections.abc import Sequence

from lab.making.distil.frames.shards import check_shards
from lab.making.outline_options import OutlineOptions
from rilievo.cli.parsing import parse
from rilievo.errors import explain_missing_extra


def main(arguments: Sequence[str]) -> int:
    """Train an outline head; returns 0 when training finished."""
    options = parse(
        OutlineOptions,
        arguments,
        prog="python -m lab.making outlines",
        description="Train a head that makes the outlines of rilievo/base's depth narrow.",
        examples=(
            "python -m lab.making outlines --shards shards/ --start base.onnx -o run --pick",
        ),
    )
    check_shards(options.shards)
    with explain_missing_extra("training a model", "train"):
        from lab.making.outline_training import train_outlines

    train_outlines(options)
    return 0
