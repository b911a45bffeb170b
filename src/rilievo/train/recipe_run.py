"""Training of an embedded model by the name of a recipe."""

import os
from collections.abc import Mapping
from dataclasses import replace

import torch

from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.io.limits import printable
from rilievo.losses.supervised import own_loss
from rilievo.models.torch_model import find_device
from rilievo.networks.gluon import ResNet50V2, load_published, load_published_resnet
from rilievo.networks.small import SmallNet
from rilievo.pages.training import write_training_page
from rilievo.train.config import RecipeOptions
from rilievo.train.embedded_task import Frames, check_folder, first_batches, train
from rilievo.train.engine.folder import CHECKPOINT, STEPS, rows_of
from rilievo.train.engine.loop import is_first_process
from rilievo.train.export import provenance_of
from rilievo.train.frames import ShardPool
from rilievo.train.nyu_frames import NyuFrames
from rilievo.train.progress import say
from rilievo.train.recipes import Recipe, find_recipe
from rilievo.train.start import measure_statistics, read_exported, start_from


def train_recipe(options: RecipeOptions) -> None:
    """Train a network by a recipe.

    A recipe that starts from another one runs that one first, in a folder of its own beside
    ``options.output``, unless ``options.start`` names the folder of such a run.
    """
    # Batches of many shapes need more compiled kernels than the 1,024 that oneDNN keeps by default,
    # which then compiles them anew in every step. It reads this at its first kernel.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    recipe, start = options.recipe, options.start
    given = {"minutes": options.minutes, "steps": options.steps}
    chosen = find_recipe(recipe)(
        **given if any(each is not None for each in given.values()) else {}
    )
    chosen = _configured(chosen, options)
    if options.real is not None and not chosen.photographs:
        raise OptionError(f"recipe '{recipe}' learns from shards alone; leave --real out")
    if options.lessons is not None and not any(each.lessons for each in chosen.config.stages):
        raise OptionError(
            f"recipe '{recipe}' has no share for lessons; put them into the folder of --shards"
        )
    is_exported = start is not None and start.suffix == ".onnx"
    if start is not None and chosen.first is None and not is_exported:
        raise OptionError(
            f"recipe '{recipe}' starts from no run; leave --start out, or name an ONNX file of its "
            "network"
        )
    _check(options)
    before = None
    if chosen.first is not None and start is None:
        start = options.output.with_name(f"{options.output.name}-{chosen.first}")
        before = replace(options, recipe=chosen.first, output=start, start=None, resume=True)
        check_folder(start, resume=True)
    if options.resume and not any(
        (each.output / CHECKPOINT).exists() for each in (options, before) if each is not None
    ):
        _say(f"note: {printable(options.output)} has no checkpoint to go on from: begins anew")
    frames = Frames(
        rendered=ShardPool(options.shards, outdoors=chosen.config.outdoors),
        real=None if options.real is None else NyuFrames(options.real),
        lessons=None if options.lessons is None else ShardPool(options.lessons),
    )
    if before is not None:
        first = _configured(find_recipe(before.recipe)(), options)
        length = f"{first.config.minutes or 0:.0f} minutes"
        _say(f"first {before.recipe}, for {length} in all, in {printable(before.output)}")
        _run(first, frames, before)
        _say(f"now {recipe}, in {printable(options.output)}")
    _run(chosen, frames, replace(options, start=start))


def _check(options: RecipeOptions) -> None:
    """Check device, folder and start, before the frames, which take long to read."""
    find_device(options.device)
    if options.depth_loss is not None:
        own_loss(options.depth_loss)
    check_folder(options.output, resume=options.resume)
    if (start := options.start) is None:
        return
    is_exported = start.suffix == ".onnx"
    path = start if is_exported else start / CHECKPOINT
    if not path.is_file():
        kind = "ONNX file" if is_exported else "checkpoint of a run"
        raise InputError(f"{printable(path)}: no {kind} to start from: there is no such file")


def _configured(recipe: Recipe, options: RecipeOptions) -> Recipe:
    config = replace(
        recipe.config,
        threads=options.threads or recipe.config.threads,
        precision=options.precision or recipe.config.precision,
        depth_loss=options.depth_loss,
    )
    return replace(recipe, config=config)


def _say(text: str) -> None:
    if is_first_process():
        say(text)


def _run(recipe: Recipe, frames: Frames, options: RecipeOptions) -> None:
    config = recipe.config
    torch.manual_seed(config.seed)
    network, start = SmallNet(recipe.widths), options.start
    if start is not None and start.suffix == ".onnx":
        read_exported(network, start)
        measure_statistics(network, first_batches(config, frames))
    elif start is not None:
        start_from(network, start, takes=recipe.takes)
    elif options.encoder is not None:
        if isinstance(network.encoder, ResNet50V2):
            load_published_resnet(network.encoder, options.encoder)
        else:
            load_published(network.encoder, options.encoder)
    if start is None and options.encoder is None and not (options.output / CHECKPOINT).exists():
        _say(f"note: {options.recipe} starts from random weights: --encoder was not given")
    train(
        config,
        network,
        frames,
        options.output,
        resume=options.resume,
        provenance=provenance_of(options.recipe, photographs=options.real is not None),
        device=options.device,
        devices=options.devices,
        tensorboard=options.tensorboard,
    )
    if is_first_process() and (rows := rows_of(options.output, STEPS)):
        say(_page_line(options, rows[-1]))


def _page_line(options: RecipeOptions, last: Mapping[str, str]) -> str:
    """Write the page of a finished run, and tell where; the run is whole without its page."""
    try:
        page = write_training_page(
            options.output,
            kind=f"Training of {options.recipe}",
            verdict=f"The last loss is {float(last['loss']):.4g}.",
            counts=f"{int(last['step']):,} steps on {int(last['images']):,} images",
        )
    except MissingExtraError as missing:
        return f"note: {missing}"
    return f"page: {page}"
