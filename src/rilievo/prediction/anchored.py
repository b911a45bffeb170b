"""Depth for surfaces: its own, or anchored."""

from typing import TypeVar

import numpy as np

from rilievo.alignment import Fit, FitSpace
from rilievo.alignment.anchor import anchored_depth
from rilievo.errors import InputError
from rilievo.geometry.normals import normals_from_depth
from rilievo.messages import template
from rilievo.prediction_record import Anchoring, PredictionRecord
from rilievo.shapes import Vectors

AnyPrediction = TypeVar("AnyPrediction", bound=PredictionRecord)
_WINDOW = 5


def anchored(prediction: AnyPrediction) -> AnyPrediction:
    """Prediction with depth and normals for surfaces."""
    depth = prediction.depth
    if depth.is_depth:
        return prediction
    anchoring = checked_anchoring(prediction)
    return with_normals(prediction.but(depth_or_none=anchored_depth(depth, fit_of(anchoring))))


def with_normals(prediction: AnyPrediction) -> AnyPrediction:
    """Give a prediction normals of its surface, on demand."""
    if prediction.has("normals") or prediction.camera is None:
        return prediction
    made = prediction.but()
    made.defer("normals", lambda: _surface_normals(prediction))
    return made


def checked_anchoring(prediction: PredictionRecord) -> Anchoring:
    """Anchoring of affine depth.

    Raises:
        InputError: If there is none.
    """
    anchoring = prediction.anchoring
    if anchoring is not None and anchoring.refused is not None:
        raise InputError(problem=template(anchoring.refused))
    if anchoring is None:
        prediction.depth.depth()
    assert anchoring is not None, "depth of an affine kind was just refused"
    return anchoring


def fit_of(anchoring: Anchoring) -> Fit:
    """Fit of an anchoring that was not refused."""
    assert anchoring.space is not None, "it was not refused"
    assert anchoring.scale is not None, "it was not refused"
    assert anchoring.shift is not None, "it was not refused"
    return Fit(
        space=FitSpace(anchoring.space),
        scale=anchoring.scale,
        shift=anchoring.shift,
        residual=anchoring.residual or 0.0,
        pixels=0,
    )


def can_be_anchored(prediction: PredictionRecord) -> bool:
    """Whether surfaces can be made of its depth."""
    depth = prediction.depth_or_none
    if depth is None or depth.is_depth:
        return depth is not None
    anchoring = prediction.anchoring
    return anchoring is not None and anchoring.refused is None


def _surface_normals(prediction: PredictionRecord) -> Vectors:
    """Normals of depth; NaN where there is none."""
    depth = prediction.depth
    normals, mask = normals_from_depth(
        depth.depth(), prediction.known_camera, depth.valid, window=_WINDOW
    )
    return np.where(mask, normals, np.float32(np.nan)).astype(np.float32)
