"""Options of ``python -m lab.making outlines``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.arrays.shapes import Size
from rilievo.schema.fields import option


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineOptions:
    """Options of training an outline head on the frozen features of ``rilievo/base``."""

    shards: Annotated[Path, option(metavar="FOLDER")]
    """Folder of rendered shards, or of such folders; shards added during the run are used too."""
    start: Annotated[Path, option(metavar="FILE")]
    """ONNX file of the model, or the archive of lab.making.outline_frozen."""
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")]
    """Folder of the run."""
    pick: bool = False
    """Train a picking on the layout's own map too."""
    init: Annotated[Path | None, option(metavar="FILE")] = None
    """Weights of a head to begin with, as a run writes them."""
    photos: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of photographs to lay faintly over frames, or of NYU Depth V2's labelled frames, of
    which the training ones are taken; without it, other frames."""
    measured: float = 0.0
    """Share of frames that are NYU Depth V2's, whose depth stays as it is away from its steps."""
    plain: float = 0.0
    """Share of rendered frames without faults of cameras, whose depth is not melted."""
    seconds: float = 420.0
    """Seconds of training."""
    every: float = 30.0
    """Seconds between two checkpoints."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    batch: int = 8
    """Frames a step."""
    reuse: int = 1
    """Steps for which a frame is used; with 2 or more, frames as the networks see them are kept
    in memory, as a step without them takes a fraction of the time on a CPU."""
    size: Annotated[Size | None, option(metavar="HEIGHT,WIDTH")] = None
    """Size of frames, in multiples of 64 px; by default that of the model."""
    held_out: int = 16
    """Frames of the first shard that are measured on and not trained on."""
    rate: float = 1.5e-3
    """Rate of learning."""
    fray: float = 1.0
    """Weight of ragged outlines."""
    facets: float = 1.0
    """Weight of facets on smooth surfaces."""
    still: float = 1.0
    """Weight of changes of depth far from steps."""
    layout: float = 0.3
    """Weight of the layout's own loss, with a picking."""
    seed: int = 0
    """Seed of all that is random."""
    resume: bool = False
    """Continue the run in the folder."""
