"""Options of ``python -m lab.making``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.making.distil.distil_options import DistilOptions
from rilievo.schema.fields import option

LAYOUT, DETAIL = LASTING = "layout", "detail"
"""Recipes of two networks that answer together, which train at a constant rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeOptions(DistilOptions):
    """Options of training an embedded model."""

    recipe: Annotated[str, option(positional=True, metavar="RECIPE")]
    """Recipe: small, small-rendered, base, layout, detail, or small-first, which small starts
    from."""
    shards: Annotated[Path, option(metavar="FOLDER")]
    """Folder of rendered shards, or of such folders; shards added during the run are used too."""
    real: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of NYU Depth V2's labelled frames; without it only rendered frames are used."""
    lessons: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Folder of photographs with a teacher's depth, of which layout has a share."""
    encoder: Annotated[Path | None, option(metavar="FILE|FOLDER")] = None
    """ImageNet weights of MobileNetV2 (.npz, Gluon's names) to start from; for base the folder of
    ResNet50 v2's, for layout that of EfficientNet-Lite2's."""
    start: Annotated[Path | None, option(metavar="RUN|FILE")] = None
    """Folder of the run to start from, for a recipe that starts from another; or, for any, an ONNX
    file of the same network, such as the small.onnx of a run."""
    minutes: float | None = None
    """Minutes of training, if not the recipe's; a run before it keeps its own."""
    precision: str | None = None
    """Precision of the network: fp32, bf16, or fp16 on a GPU; by default bf16 where the processor
    has it, or on a GPU."""
    depth_loss: Annotated[str | None, option(metavar="MODULE:NAME")] = None
    """Depth loss of your own, package.module:NAME or file.py:NAME, in place of the recipe's."""
    threads: Annotated[int | None, option(metavar="N")] = None
    """Number of torch threads, if not the recipe's."""
