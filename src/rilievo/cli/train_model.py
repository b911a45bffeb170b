"""``rilievo train model``."""

from collections.abc import Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.errors import needing
from rilievo.train.config import RecipeOptions


def main(arguments: Sequence[str]) -> int:
    """Train an embedded model by a recipe.

    Returns:
        0 when training finished.
    """
    given = parse(
        RecipeOptions,
        arguments,
        prog="rilievo train model",
        description="Train an embedded model by a recipe.",
        examples=(
            "rilievo train model small-rendered --shards shards/ --encoder encoder.npz -o run",
            "rilievo train model distilled --shards lessons/ --device cuda -o run --resume",
        ),
    )
    with needing("training a model", "train"):
        from rilievo.train.engine.loop import is_first_process
        from rilievo.train.recipe_run import train_recipe

    train_recipe(given)
    if is_first_process():
        with printing():
            print(f"next: rilievo predict PHOTO --model {given.output / 'small.onnx'}")
    return 0
