"""Devices of a run: one or several, on one machine or on those that torchrun joins."""

import os
from typing import Any

from rilievo.errors import MissingExtraError, OptionError
from rilievo.models.torch_model import find_device
from rilievo.train.video.config import VideoConfig, VideoRunOptions

_ARITHMETIC = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def make_fabric(config: VideoConfig, options: VideoRunOptions) -> Any:
    """Make and launch Lightning Fabric.

    Under torchrun this process is one of those that torchrun started, whatever the options say.

    Raises:
        MissingExtraError: If Fabric is not installed.
        OptionError: If there are no such devices, or they do not support the precision.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ModuleNotFoundError as error:
        raise MissingExtraError("training on video", "train") from error
    device = find_device(options.device)
    if config.precision == "fp16" and device.type == "cpu":
        raise OptionError("precision fp16 needs a GPU: choose bf16 or fp32")
    devices, nodes = _counts(options)
    several = devices * nodes > 1
    # Known poses leave weights of the pose network without a gradient, and depth at coarser scales
    # only leaves those of the finer scales without one.
    known = config.data.follow_poses and config.blueprint.pose.is_network
    partly = known or config.blueprint.scales[0] > 0
    on_gpu = device.type != "cpu"
    fabric = Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if on_gpu and not several else devices,
        num_nodes=nodes,
        strategy=DDPStrategy(find_unused_parameters=partly) if several else "auto",
        precision=_ARITHMETIC[config.precision],  # pyright: ignore[reportArgumentType]
    )
    fabric.launch()
    return fabric


def is_first_process() -> bool:
    """Whether this is the first of the processes that torchrun or Fabric started."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def _counts(options: VideoRunOptions) -> tuple[int, int]:
    """Return the number of devices of this machine and the number of machines."""
    local, world = os.environ.get("LOCAL_WORLD_SIZE"), os.environ.get("WORLD_SIZE")
    if local is None or world is None:
        return options.devices, options.nodes
    return int(local), int(world) // int(local)
