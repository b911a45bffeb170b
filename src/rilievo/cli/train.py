"""``rilievo train``, with a subcommand for each kind of training."""

from collections.abc import Mapping, Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.errors import OptionError, needing, suggest


def train_model(arguments: Sequence[str]) -> int:
    """Train an embedded model by a recipe; returns 0 when training finished."""
    from rilievo.train.config import RecipeOptions

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
    from rilievo.train.frames import check_shards
    from rilievo.train.recipes import find_recipe

    # Before torch is imported, which takes seconds: most slips are in names and paths.
    find_recipe(given.recipe)
    for folder in (given.shards, given.lessons):
        if folder is not None:
            check_shards(folder)
    with needing("training a model", "train"):
        from rilievo.train.engine.loop import is_first_process
        from rilievo.train.recipe_run import train_recipe

    train_recipe(given)
    if is_first_process():
        with printing():
            print(f"next: rilievo predict PHOTO --model {given.output / 'small.onnx'}")
    return 0


KINDS: Mapping[str, str] = {
    "model": "an embedded model, by a recipe, or from another model's answers",
    "probe": "a probe on a frozen backbone, for depth, normals or both",
    "video": "depth and camera motion from videos alone, without any truth",
    "supervised": "a whole network, on photographs with depth, normals or both",
}


def main(arguments: Sequence[str]) -> int:
    """Train a network into a run folder; returns 1 when it learned nothing."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        lines = [f"  {kind:<12}{summary}" for kind, summary in KINDS.items()]
        with printing():
            print("\n".join(["usage: rilievo train KIND [OPTIONS]", "", *lines]))
        return 0 if arguments else 2
    if name not in KINDS:
        raise OptionError(f"no kind of training '{name}'; {suggest(name, KINDS)}")
    if name == "model":
        return train_model(arguments[1:])
    if name == "video":
        from rilievo.cli.train_video import main as train_video

        return train_video(arguments[1:])
    from rilievo.cli.train_probe import main as train_probe

    return train_probe(name, arguments[1:])
