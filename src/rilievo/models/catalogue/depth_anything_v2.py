"""Depth Anything V2 (Yang et al. 2024): inverse depth up to scale and shift.

Input of the published graphs: ``pixel_values`` (n, 3, h, w), with ImageNet normalisation; the
shorter side is 518 pixels and both are multiples of 14, resized bicubically. Output:
``predicted_depth`` (n, h, w).
"""

from pathlib import Path

from rilievo.models.card import ModelCard
from rilievo.models.catalogue.pictures import IMAGENET_MEAN, IMAGENET_STD, PictureModel
from rilievo.models.engines import LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing

PREPARATION = Preparation(
    sizing=Sizing(rule=Rule.SHORTEST_EDGE, height=518, width=518, multiple=14),
    resampling=Resampling.BICUBIC,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
)


def open_model(
    path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str
) -> PictureModel:
    """Open a published file."""
    return PictureModel(path, options, card, PREPARATION, weights_sha256=weights_sha256)
