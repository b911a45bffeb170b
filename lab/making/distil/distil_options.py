"""Options of ``python -m lab.making distil``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.schema.fields import option


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilOptions:
    """Options of training a small network on another model's answers."""

    shards: Annotated[Path, option(metavar="FOLDER")]
    """Folder of a teacher's shards, or of such folders; shards added during the run are used
    too."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")]
    """Folder of the run."""
    encoder: Annotated[Path | None, option(metavar="FILE")] = None
    """ImageNet weights of MobileNetV2 (.npz, Gluon's names) to start from."""
    start: Annotated[Path | None, option(metavar="FILE")] = None
    """ONNX file of the same network to start from: that of rilievo/small, or the small.onnx
    of a run."""
    minutes: float | None = None
    """Minutes of training, 30 by default."""
    steps: Annotated[int | None, option(metavar="N")] = None
    """Number of steps, in place of minutes."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    precision: str | None = None
    """Precision of the network: fp32, bf16, or fp16 on a GPU; by default bf16 where the processor
    has it, or on a GPU."""
    depth_loss: Annotated[str | None, option(metavar="MODULE:NAME")] = None
    """Depth loss of your own, package.module:NAME or file.py:NAME, in place of the usual one."""
    threads: Annotated[int | None, option(metavar="N")] = None
    """Number of torch threads; 1 by default."""
    tensorboard: bool = False
    """Write events for TensorBoard beside the CSV."""
    resume: bool = False
    """Continue the run in the folder."""
