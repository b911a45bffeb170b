"""The command ``python -m making RECIPE``."""

import sys
from collections.abc import Sequence

from making.recipe_options import RecipeOptions
from making.recipes import find_recipe
from rilievo.cli.parsing import in_flags, parse
from rilievo.cli.streams import complain, printing
from rilievo.errors import RilievoError, needing
from rilievo.training.distil.frames.shards import check_shards
from rilievo.training.engine.processes import is_first_process


def run() -> int:
    """Run the command with the arguments of this process; 2 for wrong use or input."""
    try:
        return main(sys.argv[1:])
    except RilievoError as error:
        complain(f"making: {in_flags(error)}")
        return 2


def main(arguments: Sequence[str]) -> int:
    """Train an embedded model by a recipe; returns 0 when training finished."""
    given = parse(
        RecipeOptions,
        arguments,
        prog="python -m making",
        description="Train an embedded model by a recipe.",
        examples=(
            "python -m making small-rendered --shards shards/ --encoder encoder.npz -o run",
            "python -m making base --shards shards/ --real nyu/ --device cuda -o run --resume",
        ),
    )
    # Before torch is imported, which takes seconds: most slips are in names and paths.
    find_recipe(given.recipe)
    for folder in (given.shards, given.lessons):
        if folder is not None:
            check_shards(folder)
    with needing("training a model", "train"):
        from making.recipe_run import train_recipe

    train_recipe(given)
    if is_first_process():
        with printing():
            print(f"next: rilievo predict PHOTO --model {given.output / 'small.onnx'}")
    return 0
