"""Depth from which surfaces are made: anchored if it is affine, with normals computed from it."""

from typing import TypeVar

import numpy as np

from rilievo.alignment.anchor import anchored_depth
from rilievo.alignment.fit import Fit, FitSpace
from rilievo.arrays.shapes import Vectors
from rilievo.errors import InputError
from rilievo.errors.messages import Text
from rilievo.geometry.normals import normals_from_depth
from rilievo.records.prediction_record import Anchoring, PredictionRecord

AnyPrediction = TypeVar("AnyPrediction", bound=PredictionRecord)
_NORMALS_WINDOW = 5  # [px], side of the window in which a plane is fitted for a normal


def can_make_surface(prediction: PredictionRecord) -> bool:
    """Whether depth is not affine, or can be anchored; the embedded model may run to find out."""
    depth = prediction.depth_or_none
    if depth is None:
        return False
    if depth.is_depth:
        return True
    anchoring = prediction.anchoring
    return anchoring is not None and anchoring.refused is None


def anchor_prediction(prediction: AnyPrediction) -> AnyPrediction:
    """Convert affine depth to depth up to scale by its anchoring; other depth stays as it is.

    Raises:
        NoDepthError: If there is no depth.
        InputError: If the depth cannot be anchored.
    """
    depth = prediction.depth
    if depth.is_depth:
        return prediction
    fit = _anchoring_fit(require_anchoring(prediction))
    return with_normals(prediction.but(depth_or_none=anchored_depth(depth, fit)))


def require_anchoring(prediction: PredictionRecord) -> Anchoring:
    """Return the anchoring of affine depth; raise ``InputError`` if it has none or was refused."""
    anchoring = prediction.anchoring
    if anchoring is None:
        prediction.depth.depth()  # raises ``InputError`` for affine depth
    assert anchoring is not None, "depth of an affine kind was just refused"
    if anchoring.refused is not None:
        raise InputError(problem=Text(anchoring.refused))
    return anchoring


def _anchoring_fit(anchoring: Anchoring) -> Fit:
    """Fit from affine depth to depth up to scale, by an anchoring that was not refused."""
    assert anchoring.space is not None, "an anchoring that was not refused has a space"
    assert anchoring.scale is not None, "an anchoring that was not refused has a scale"
    assert anchoring.shift is not None, "an anchoring that was not refused has a shift"
    return Fit(
        space=FitSpace(anchoring.space),
        scale=anchoring.scale,
        shift=anchoring.shift,
        residual=anchoring.residual or 0.0,
        pixels=0,
    )


def with_normals(prediction: AnyPrediction) -> AnyPrediction:
    """Add the normals of the surface, unless the model predicted normals or no camera is known.

    They are computed when they are first read.
    """
    if prediction.has("normals") or prediction.camera is None:
        return prediction
    with_deferred_normals = prediction.but()
    with_deferred_normals.defer("normals", lambda: _surface_normals(prediction))
    return with_deferred_normals


def _surface_normals(prediction: PredictionRecord) -> Vectors:
    """Normals of the surface in the camera frame; NaN where there is no surface."""
    depth = prediction.depth
    normals, has_normal = normals_from_depth(
        depth.depth(), prediction.known_camera, depth.valid, window=_NORMALS_WINDOW
    )
    return np.where(has_normal, normals, np.float32(np.nan)).astype(np.float32)
