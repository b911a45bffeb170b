"""Training of a layout or a detail network by its recipe."""

import hashlib
from dataclasses import replace
from typing import Any

import torch

from lab.making.detail_learner import DetailLearner
from lab.making.detail_recipe import DetailConfig, detail
from lab.making.distil.distil_run import affordable, is_exported, prepare_process
from lab.making.distil.distil_task import check_folder
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.lasting_recipe import LastingConfig
from lab.making.lasting_task import LastingTask, Learner
from lab.making.layout_learner import LayoutLearner
from lab.making.layout_network import LayoutNet
from lab.making.layout_recipe import LayoutConfig, layout
from lab.making.nyu_frames import NyuFrames
from lab.making.recipe_frames import RecipeFrames
from lab.making.recipe_options import DETAIL, LAYOUT, RecipeOptions
from rilievo.errors import OptionError
from rilievo.training.adapters.torch_model import find_device
from rilievo.training.engine.loop import Devices, Engine, make_fabric
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.networks.exported_weights import read_exported
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.widths import SMALL

_PHOTOGRAPH_SIZES = {LAYOUT: (213, 280), DETAIL: (426, 560)}
"""Size at which measured photographs are kept [px]; they have 426×560 within their border."""


def train_lasting(options: RecipeOptions) -> None:
    """Train a network into the folder of the run, or go on with it."""
    prepare_process()
    recipe = {LAYOUT: layout, DETAIL: detail}[options.recipe]
    config = recipe(steps=options.steps)
    config = replace(
        config,
        threads=options.threads or config.threads,
        precision=options.precision or affordable(config.precision, find_device(options.device)),
    )
    if options.start is None or not is_exported(options.start):
        start = {LAYOUT: "base or layout", DETAIL: "small"}[options.recipe]
        raise OptionError(f"{options.recipe} starts from an ONNX file of {start}: give --start")
    check_folder(options.output, resume=options.resume)
    train(config, frames_of(config, options), options)


def frames_of(config: LastingConfig, options: RecipeOptions) -> RecipeFrames:
    """Frames of a run, of which the rendered ones come in at its scans."""
    size = _PHOTOGRAPH_SIZES[options.recipe]
    return RecipeFrames(
        rendered=ShardPool(options.shards, outdoors=config.outdoors, names=(), holds_out=False),
        real=None if options.real is None else NyuFrames(options.real, size=size),
        lessons=None if options.lessons is None else ShardPool(options.lessons, holds_out=False),
    )


def train(
    config: LastingConfig,
    frames: RecipeFrames,
    options: RecipeOptions,
    *,
    stop_at: int | None = None,
) -> LastingTask:
    """Train the network that ``config`` describes; ``stop_at`` is a step to stop after."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    learner, run = learner_of(config, options), options.output
    fabric = make_fabric(Devices(device=options.device, precision=config.precision, partly=True))
    run.mkdir(parents=True, exist_ok=True)
    task = LastingTask(config, learner, frames, run, fabric)
    state = learner.network.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    fingerprint = hashlib.sha256(repr(shapes).encode()).hexdigest()
    engine = Engine(task, run, fabric=fabric, fingerprint=fingerprint)
    engine.go(tensorboard=options.tensorboard, stop_at=stop_at)
    return task


def learner_of(config: LastingConfig, options: RecipeOptions) -> Learner[Any]:
    """Network with its losses, and with the weights that a new run starts from."""
    start = None if (options.output / CHECKPOINT).exists() else options.start
    if isinstance(config, LayoutConfig):
        return LayoutLearner(LayoutNet(start), config)
    assert isinstance(config, DetailConfig), "there are two kinds"
    detail_net = SmallNet(SMALL)
    if start is not None:
        read_exported(detail_net, start)
    return DetailLearner(detail_net, config)
