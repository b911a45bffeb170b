"""Training of a layout or a detail network by its recipe."""

import hashlib
from dataclasses import replace
from typing import Any

import torch

from lab.making.detail_learner import DetailLearner
from lab.making.detail_recipe import DetailConfig, detail
from lab.making.distil.distil_run import affordable, is_exported, prepare_process
from lab.making.distil.distil_task import check_folder
from lab.making.distil.frames.frame_batches import make_batch
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.efficientnet_lite import load_published_lite
from lab.making.lasting_recipe import LastingConfig
from lab.making.lasting_task import LastingTask, Learner
from lab.making.layout_learner import LayoutLearner
from lab.making.layout_network import LayoutNet, measure_levels
from lab.making.layout_recipe import LayoutConfig, layout
from lab.making.nyu_frames import NyuFrames
from lab.making.recipe_frames import RecipeFrames
from lab.making.recipe_options import DETAIL, LAYOUT, RecipeOptions
from rilievo.errors import OptionError
from rilievo.training.adapters.torch_model import torch_device
from rilievo.training.engine.loop import TrainingLoop, launch_fabric
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.networks.small import SMALL, SmallNet
from rilievo.training.networks.small_weights import fill_from_onnx

_PHOTOGRAPH_SIZES = {LAYOUT: (213, 280), DETAIL: (426, 560)}
"""Size at which measured photographs are kept [px]; they have 426×560 within their border."""
_MEASURED = 12


def train_lasting(options: RecipeOptions) -> None:
    """Train a network into the folder of the run, or go on with it."""
    prepare_process()
    recipe = {LAYOUT: layout, DETAIL: detail}[options.recipe]
    config = recipe(steps=options.steps)
    config = replace(
        config,
        threads=options.threads or config.threads,
        precision=options.precision or affordable(config.precision, torch_device(options.device)),
    )
    if options.recipe == LAYOUT and options.encoder is None:
        raise OptionError("layout starts from the folder of EfficientNet-Lite2: give --encoder")
    if options.recipe == DETAIL and (options.start is None or not is_exported(options.start)):
        raise OptionError("detail starts from an ONNX file of small: give --start")
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
    learner, run = learner_of(config, frames, options), options.output
    fabric = launch_fabric(options.device, precision=config.precision, allows_unused_weights=True)
    run.mkdir(parents=True, exist_ok=True)
    task = LastingTask(config, learner, frames, run, fabric)
    state = learner.network.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    fingerprint = hashlib.sha256(repr(shapes).encode()).hexdigest()
    engine = TrainingLoop(task, run, fabric=fabric, fingerprint=fingerprint)
    engine.train_to_end(tensorboard=options.tensorboard, stop_at=stop_at)
    return task


def learner_of(config: LastingConfig, frames: RecipeFrames, options: RecipeOptions) -> Learner[Any]:
    """Network with its losses, and with the weights that a new run starts from."""
    is_new = not (options.output / CHECKPOINT).exists()
    if isinstance(config, DetailConfig):
        detail_net = SmallNet(SMALL)
        if is_new:
            assert options.start is not None, "checked before"
            fill_from_onnx(detail_net, options.start)
        return DetailLearner(detail_net, config)
    assert isinstance(config, LayoutConfig), "there are two kinds"
    network = LayoutNet()
    if is_new:
        assert options.encoder is not None, "checked before"
        load_published_lite(network.encoder, options.encoder)
        pool = ShardPool(options.shards, outdoors=config.outdoors, holds_out=False)
        mix = replace(frames, rendered=pool).mix(config.stage, size=config.batch_size)
        batches = (make_batch(mix, seed=config.seed + 1, number=n) for n in range(_MEASURED))
        measure_levels(network, (each.image for each in batches))
    return LayoutLearner(network, config)
