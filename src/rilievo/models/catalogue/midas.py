"""MiDaS 2.1 small and DPT (Ranftl et al. 2020, 2021): inverse depth up to scale and shift.

The small graph takes (1, 3, 256, 256) with ImageNet normalisation, and returns (1, 256, 256). The
DPT graphs take ``pixel_values`` (n, 3, 384, 384) in -1..1 and return ``predicted_depth`` (n, 384,
384). Photographs are resized bicubically to the square, as transformers does.
"""

from pathlib import Path

from rilievo.models.card import ModelCard
from rilievo.models.catalogue.pictures import IMAGENET_MEAN, IMAGENET_STD, PictureModel
from rilievo.models.engines import LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing

_HALF = (0.5, 0.5, 0.5)
SMALL = Preparation(
    sizing=Sizing(rule=Rule.FIXED, height=256, width=256),
    resampling=Resampling.BICUBIC,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
)
DPT = Preparation(
    sizing=Sizing(rule=Rule.FIXED, height=384, width=384),
    resampling=Resampling.BICUBIC,
    mean=_HALF,
    std=_HALF,
)


def open_model(
    path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str
) -> PictureModel:
    """Open a published file."""
    preparation = DPT if card.name.startswith("dpt/") else SMALL
    return PictureModel(path, options, card, preparation, weights_sha256=weights_sha256)
