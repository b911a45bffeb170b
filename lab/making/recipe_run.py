"""Training of an embedded model by the name of a recipe."""

from dataclasses import replace

from lab.making.distil.distil_run import (
    check_options,
    configured,
    is_exported,
    length_of,
    load_start,
    prepare_process,
    run_training,
    say_begins_anew,
    say_once,
    seeded_network,
)
from lab.making.distil.distil_task import check_folder
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.nyu_frames import NyuFrames
from lab.making.provenances import provenance_of
from lab.making.recipe_frames import RecipeFrames
from lab.making.recipe_options import RecipeOptions
from lab.making.recipes import Recipe, find_recipe
from lab.making.wider_start import start_from
from rilievo.errors import OptionError
from rilievo.io.files.names import printable
from rilievo.training.engine.run_folder import CHECKPOINT


def train_recipe(options: RecipeOptions) -> None:
    """Train a network by a recipe.

    A recipe that starts from another one runs that one first, in a folder of its own beside
    ``options.output``, unless ``options.start`` names the folder of such a run.
    """
    prepare_process()
    recipe, start = options.recipe, options.start
    chosen = _configured(find_recipe(recipe)(**length_of(options)), options)
    _check_uses(chosen, options)
    check_options(options)
    before = None
    if chosen.first is not None and start is None:
        start = options.output.with_name(f"{options.output.name}-{chosen.first}")
        before = replace(options, recipe=chosen.first, output=start, start=None, resume=True)
        check_folder(start, resume=True)
    if options.resume and not any(
        (each.output / CHECKPOINT).exists() for each in (options, before) if each is not None
    ):
        say_begins_anew(options)
    frames = RecipeFrames(
        rendered=ShardPool(options.shards, outdoors=chosen.config.outdoors),
        real=None if options.real is None else NyuFrames(options.real),
    )
    if before is not None:
        first = _configured(find_recipe(before.recipe)(), options)
        length = f"{first.config.minutes or 0:.0f} minutes"
        say_once(f"first {before.recipe}, for {length} in all, in {printable(before.output)}")
        _run(first, frames, before)
        say_once(f"now {recipe}, in {printable(options.output)}")
    _run(chosen, frames, replace(options, start=start))


def _configured(recipe: Recipe, options: RecipeOptions) -> Recipe:
    return replace(recipe, config=configured(recipe.config, options))


def _check_uses(recipe: Recipe, options: RecipeOptions) -> None:
    """Refuse what a recipe has no use for."""
    name, start = options.recipe, options.start
    if options.real is not None and not recipe.photographs:
        raise OptionError(f"recipe '{name}' learns from shards alone; leave --real out")
    if options.lessons is not None:
        raise OptionError(
            f"recipe '{name}' has no share for lessons; put them into the folder of --shards"
        )
    if start is not None and recipe.first is None and not is_exported(start):
        raise OptionError(
            f"recipe '{name}' starts from no run; leave --start out, or name an ONNX file of its "
            "network"
        )


def _run(recipe: Recipe, frames: RecipeFrames, options: RecipeOptions) -> None:
    config, name, start = recipe.config, options.recipe, options.start
    network = seeded_network(config, recipe.widths)
    if start is not None and not is_exported(start):
        start_from(network, start)
    else:
        load_start(network, config, frames, options, name=name)
    provenance = provenance_of(name, photographs=options.real is not None)
    run_training(network, config, frames, options, provenance=provenance, name=name)
