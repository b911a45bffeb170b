"""Recipes: functions that return a network's layer widths and training configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.making.distil.distil_config import TrainConfig
from lab.making.recipe_stage import RecipeStage
from rilievo.errors import OptionError, suggest
from rilievo.training.networks.small import BASE, NARROW, SMALL, Widths


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Network and configuration of its run.

    Attributes:
        config: Configuration of the run.
        widths: Widths of the network's layers.
        first: Recipe whose averaged weights it starts from; None for an encoder trained on
            ImageNet alone.
        photographs: Whether it also trains on photographs with measured depth, if given.
    """

    config: TrainConfig
    widths: Widths = SMALL
    first: str | None = None
    photographs: bool = True


def small_first(*, minutes: float | None = 100.0, steps: int | None = None) -> Recipe:
    """Narrower network, from which ``small`` starts.

    Small images come first: most of what is learned early does not need larger ones, and they are
    twice as fast. Photographs with measured depth come mostly in the later part; rendered scenes
    and outdoor scenes stay to the end so that they are not forgotten.

    Command::

        python -m lab.scenes --count 14000 --seed 1 --photos KODAK -o shards
        python -m lab.making small-first --shards shards --real NYU --encoder ENCODER.npz -o run

    Hardware and time: 100 minutes on one core that has AVX-512 with bfloat16, in which 111,000
    images are seen (26 a second, then 14); 6 GB of memory; rendering comes on top. On a faster core
    the same minutes see more images.

    Score on held-out frames at the end: NYU (60 frames) AbsRel 0.162, δ1 0.757, normals 26.6°;
    rendered (64) 0.176, 0.786, 20.4°. On 94 NYU test frames 0.154, 0.777, 31.8°. That run had
    neither the agreement loss nor a confidence yet; darkened frames were added at 45%.
    """
    config = TrainConfig(
        minutes=minutes,
        steps=steps,
        stages=(
            RecipeStage(until=0.15, areas=(24576,), real=0.2),
            RecipeStage(until=0.5, areas=(24576,), real=0.3),
            RecipeStage(until=1.0, areas=(49152,), real=0.4),
        ),
    )
    return Recipe(config=config, widths=NARROW)


def small(*, minutes: float | None = 110.0, steps: int | None = None) -> Recipe:
    """Embedded model ``rilievo/small``: a wider network that starts from ``small-first``.

    Command; ``small-first`` is run before it if it is not there yet::

        python -m lab.scenes --count 21600 --seed 1 --photos KODAK -o shards
        python -m lab.making small --shards shards --real NYU --encoder ENCODER.npz -o run

    Hardware and time: after ``small-first``, 110 minutes on one core that has AVX-512 with
    bfloat16, in which 97,000 images are seen, and a minute and a half for the confidence;
    rendering takes half an hour.

    Score on held-out frames at the end: NYU (60 frames) AbsRel 0.161, δ1 0.747, normals 25.6°;
    rendered (64) 0.158, 0.804, 18.7°. Scores on other data sets are in its card, ``rilievo models
    rilievo/small``. In that run the loss between depth and the network's own normals was added at
    74%, and one frame in eighty showed no scene. The run of ``small_rendered`` had such frames
    too, but not that loss.
    """
    config = TrainConfig(
        minutes=minutes,
        steps=steps,
        learning_rate=8e-4,
        average_decay=0.999,
        stages=(
            RecipeStage(until=0.25, areas=(24576,), real=0.3),
            RecipeStage(until=1.0, areas=(49152,), real=0.38),
        ),
        seed=3,
    )
    return Recipe(config=config, first="small-first")


def small_rendered(*, minutes: float | None = 62.0, steps: int | None = None) -> Recipe:
    """Network ``rilievo/small-rendered``: as wide as ``small``, without any measured depth.

    Command::

        python -m lab.making small-rendered --shards shards --encoder ENCODER.npz -o run-rendered

    Hardware and time: 62 minutes on such a core, in which 45,000 images are seen, while other work
    kept the machine busy.

    Score on held-out rendered frames (64) at the end: AbsRel 0.196, δ1 0.744, normals 21.9°.
    """
    config = TrainConfig(
        minutes=minutes,
        steps=steps,
        stages=(
            RecipeStage(until=0.55, areas=(24576,), real=0.0),
            RecipeStage(until=1.0, areas=(49152,), real=0.0),
        ),
        seed=4,
    )
    return Recipe(config=config, photographs=False)


def base(*, minutes: float | None = 362.0, steps: int | None = None) -> Recipe:
    """A teacher of the small ones, the layout of ``rilievo/base`` before 0.3: ResNet50 v2.

    Command::

        python -m lab.scenes --count 4000 --seed 22 --materials FOLDER -o shards/all
        python -m lab.scenes --count 2400 --seed 21 --kind near-views --materials FOLDER \
            -o shards/near
        python -m lab.scenes --count 1500 --seed 31 --kind furnished --models FOLDERS \
            -o shards/models
        python -m lab.making base --shards shards --real NYU --encoder FOLDER -o run-base

    Hardware and time: 362 minutes on one core that has AMX with bfloat16, in which 126,000 images
    are seen (11 a second, then 6). That run was continued twice with more minutes (122, 252, 362),
    the first time with 0.2 and 0.25 of the frames from NYU and longer at the larger size, so its
    learning rate fell three times.

    Score on held-out frames at the end: NYU (60 frames) AbsRel 0.157, δ1 0.754, normals 25.3°;
    rendered 0.166, 0.799, 18.3°.
    """
    config = TrainConfig(
        minutes=minutes,
        steps=steps,
        learning_rate=6e-4,
        encoder_factor=0.2,
        average_decay=0.999,
        outdoors=0.3,
        stages=(
            RecipeStage(until=0.7, areas=(24576,), real=0.3),
            RecipeStage(until=1.0, areas=(49152,), real=0.3),
        ),
        seed=7,
    )
    return Recipe(config=config, widths=BASE)


RECIPES: Mapping[str, Callable[..., Recipe]] = {
    "small-first": small_first,
    "small": small,
    "small-rendered": small_rendered,
    "base": base,
}


def find_recipe(name: str) -> Callable[..., Recipe]:
    """Return a recipe by its name, or raise ``OptionError``."""
    if name not in RECIPES:
        raise OptionError(f"no recipe '{name}'; {suggest(name, RECIPES)}")
    return RECIPES[name]
