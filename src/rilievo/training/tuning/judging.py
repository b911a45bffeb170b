"""Errors of a model on whole photographs, as ``predict`` answers them."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from rilievo.alignment.aligned import align
from rilievo.data.datasets.base import Dataset
from rilievo.errors import CalibrationError, NoGroundTruthError
from rilievo.models.base import Model
from rilievo.prediction import Prediction
from rilievo.training.tuning.kept_out import JudgedImages
from rilievo.types import Photo, Truth

ABS_REL, ANGLE = "AbsRel", "angle"
"""Errors by which models are judged: of depth, or of normals alone [degrees]."""
Window = tuple[int, int, int, int]


class Judge:
    """Images with truth, read once, on which models are scored.

    Attributes:
        images: Images that are scored.
    """

    def __init__(self, dataset: Dataset, images: JudgedImages, window: Window | None) -> None:
        """Prepare; ``window`` is the part of each image that counts: top, bottom, left, right."""
        self.images, self._dataset, self._window = images, dataset, window
        self._sample = cache(self._read)

    def errors(self, model: Model) -> tuple[float, ...]:
        """Error of each image; NaN where it has no truth, or no scale follows from the answer.

        Depth counts by its mean |predicted - true| / true, after the alignment that its kind needs.
        """
        return tuple(self._error(model, id) for id in self.images.ids)

    def _error(self, model: Model, id: str) -> float:
        photo, truth = self._sample(id)
        (prediction,) = model.predict_raw([photo])
        return _angle(prediction, truth) if model.kind is None else _abs_rel(prediction, truth)

    def _read(self, id: str) -> tuple[Photo, Truth]:
        image, truth = self._dataset.image(id), self._dataset.truth(id)
        if self._window is None:
            return Photo(pixels=image, camera=truth.camera), truth
        top, bottom, left, right = self._window
        rows, columns = slice(top, bottom), slice(left, right)
        cut = Truth(
            id=id,
            depth=None if truth.depth is None else truth.depth[rows, columns],
            depth_valid=None if truth.depth_valid is None else truth.depth_valid[rows, columns],
            normals=None if truth.normals is None else truth.normals[:, rows, columns],
            normals_valid=None
            if truth.normals_valid is None
            else truth.normals_valid[rows, columns],
        )
        return Photo(pixels=np.ascontiguousarray(image[rows, columns])), cut


def mean_error(errors: Sequence[float]) -> float:
    """Mean over the images that have an error; infinite where none has."""
    known = [error for error in errors if np.isfinite(error)]
    return float(np.mean(known)) if known else float("inf")


def _abs_rel(prediction: Prediction, truth: Truth) -> float:
    predicted = prediction.depth_or_none
    if predicted is None or truth.depth is None or truth.depth_valid is None:
        return float("nan")
    try:
        depth = align(predicted, truth.depth, truth.depth_valid).depth
    except (CalibrationError, NoGroundTruthError):
        return float("nan")
    counted = depth.valid & truth.depth_valid
    true = truth.depth[counted].astype(np.float64)
    return float(np.mean(np.abs(depth.values[counted] - true) / true))


def _angle(prediction: Prediction, truth: Truth) -> float:
    """Mean angle between predicted and true normals [degrees]."""
    predicted, true, valid = prediction.normals, truth.normals, truth.normals_valid
    if predicted is None or true is None or valid is None or not valid.any():
        return float("nan")
    cosine = np.einsum("chw,chw->hw", predicted, true)[valid]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())
