"""Depth Pro (Bochkovskii et al. 2024): metres and the focal length of any photograph.

Input of the published graph: ``pixel_values`` (1, 3, 1536, 1536) in -1..1, resized bilinearly
without antialiasing. Outputs: ``predicted_depth`` (1, h, w) in metres for the focal length that it
sees, and that focal length, ``focallength_px``, in pixels of its 1536 wide input. Depth is
proportional to the focal length over the width, so a known focal length corrects it.
"""

from pathlib import Path

import numpy as np

from rilievo.errors import ModelError
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.pictures import DEPTH, PictureModel
from rilievo.models.engines import Arrays, LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing

_SIDE = 1536
_FOCAL = "focallength_px"
_HALF = (0.5, 0.5, 0.5)
PREPARATION = Preparation(
    sizing=Sizing(rule=Rule.FIXED, height=_SIDE, width=_SIDE),
    resampling=Resampling.BILINEAR_POINTS,
    mean=_HALF,
    std=_HALF,
)


class DepthProModel(PictureModel):
    """A Depth Pro graph in an ONNX file."""

    needs_focal = True

    def read(self, answers: Arrays, count: int) -> Arrays:
        """Read depth, for a focal length equal to the photograph's width, and the field of view."""
        depth = self.graph.maps(answers, DEPTH, count)
        focal = answers.get(_FOCAL)
        if focal is None or focal.size != count:
            raise ModelError(
                f"model '{self.card.name}': the network has no output '{_FOCAL}' of {count} numbers"
            )
        focal = focal.reshape(count)
        if not (np.isfinite(focal) & (focal > 0)).all():
            raise ModelError(
                f"model '{self.card.name}' returned a focal length of {focal.min():g} pixels"
            )
        fov = np.degrees(2 * np.arctan(_SIDE / 2 / focal)).astype(np.float32)
        return {"depth": depth / (focal / np.float32(_SIDE))[:, None, None], "fov": fov}


def open_model(
    path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str
) -> DepthProModel:
    """Open a published file."""
    return DepthProModel(path, options, card, PREPARATION, weights_sha256=weights_sha256)
