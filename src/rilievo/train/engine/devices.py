"""Devices of a run: one or several, on one machine or on those that torchrun joins."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rilievo.errors import OptionError, needing
from rilievo.models.torch_model import find_device

_MIXED: Mapping[str, Literal["bf16-mixed", "16-mixed"]] = {
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """Devices and arithmetic of a run.

    Attributes:
        device: Device: auto, cpu, cuda or cuda:N.
        count: Processes on this machine, one per device; torchrun sets it by itself.
        nodes: Number of machines.
        precision: Arithmetic of the networks: fp32, bf16, or fp16 on a GPU.
        partly: Whether some weights may get no gradient in a step.
    """

    device: str = "auto"
    count: int = 1
    nodes: int = 1
    precision: str = "fp32"
    partly: bool = False


def make_fabric(chosen: Devices) -> Any:
    """Make and launch Lightning Fabric.

    Under torchrun this process is one of those that torchrun started, whatever the options say.

    Raises:
        MissingExtraError: If Fabric is not installed.
        OptionError: If there are no such devices, or they do not support the precision.
    """
    with needing("training", "train"):
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.precision import MixedPrecision
        from lightning_fabric.strategies.ddp import DDPStrategy

    class Mixed(MixedPrecision):
        """Autocast that leaves batches as they are: truth keeps its precision."""

        def convert_input(self, data: Any) -> Any:
            return data

    device = find_device(chosen.device)
    if chosen.precision == "fp16" and device.type == "cpu":
        raise OptionError("precision fp16 needs a GPU: choose bf16 or fp32")
    count, nodes = chosen.count, chosen.nodes
    local, world = os.environ.get("LOCAL_WORLD_SIZE"), os.environ.get("WORLD_SIZE")
    if local is not None and world is not None:
        count, nodes = int(local), int(world) // int(local)
    several = count * nodes > 1
    mixed = _MIXED.get(chosen.precision)
    on_gpu = device.type != "cpu"
    fabric = Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if on_gpu and not several else count,
        num_nodes=nodes,
        strategy=DDPStrategy(find_unused_parameters=chosen.partly) if several else "auto",
        plugins=[] if mixed is None else [Mixed(mixed, device.type)],
    )
    fabric.launch()
    return fabric


def is_first_process() -> bool:
    """Whether this is the first of the processes that torchrun or Fabric started."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
