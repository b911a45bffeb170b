"""``python -m lab.making distil``."""

from collections.abc import Sequence

from lab.making.distil.distil_options import DistilOptions
from lab.making.distil.frames.shards import check_shards
from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.errors import explain_missing_extra
from rilievo.training.engine.progress import is_first_process


def main(arguments: Sequence[str]) -> int:
    """Train a small network on a teacher's answers; returns 0 when training finished."""
    given = parse(
        DistilOptions,
        arguments,
        prog="python -m lab.making distil",
        description="Train a small network on another model's answers for your own photographs.",
        examples=(
            "python -m lab.making distil --shards lessons/ --start small.onnx -o run",
            "python -m lab.making distil --shards lessons/ --device cuda -o run --resume",
        ),
    )
    # Before torch is imported, which takes seconds: most slips are in names and paths.
    check_shards(given.shards)
    with explain_missing_extra("training a model", "train"):
        from lab.making.distil.distil_run import train_distil

    train_distil(given)
    if is_first_process():
        with printing():
            print(f"next: rilievo predict PHOTO --model {given.output / 'small.onnx'}")
    return 0
