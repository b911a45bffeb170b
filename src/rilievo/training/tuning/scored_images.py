"""Error of a model's depth on images with ground truth."""

from collections.abc import Sequence

import numpy as np

from rilievo.alignment.ground_truth import align
from rilievo.data.datasets.dataset import Dataset, evenly_spread
from rilievo.errors import CalibrationError, NoGroundTruthError
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.models.base import Model
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo, Truth
from rilievo.training.video.frames.targets import FramePlace

_MAX_IMAGES = 100
"""Images that are scored at most, so that scoring stays short beside training."""

Errors = tuple[float | None, ...]
"""AbsRel of each image; None for an image without ground truth."""


class ScoredImages:
    """Images of a dataset on which models are scored.

    If there are many, a part of them is scored, evenly spread. ``places`` has the scene of each
    scored image, and its index among all of them.
    """

    def __init__(self, dataset: Dataset, ids: Sequence[str]) -> None:
        self._dataset = dataset
        self.ids = evenly_spread(ids, _MAX_IMAGES)
        scenes = [dataset.scene(image_id) for image_id in self.ids]
        self.places = [
            FramePlace(sequence=scenes.index(scene), frame=ids.index(image_id))
            for image_id, scene in zip(self.ids, scenes, strict=True)
        ]

    def errors(self, model: Model) -> Errors:
        """Compute the AbsRel of a model on each image, after the alignment of its kind of depth.

        A prediction that cannot be aligned counts as the median of the true depth everywhere.
        """
        return tuple(self._compute_abs_rel(model, image_id) for image_id in self.ids)

    def _compute_abs_rel(self, model: Model, image_id: str) -> float | None:
        image = self._dataset.image(image_id)
        truth = self._dataset.truth(image_id)
        height, width = image.shape[:2]
        camera = self._dataset.wide_camera(image_id, (height, width))
        # Models see other lenses in perspective views only where the dataset says so.
        if camera is None and truth.camera and isinstance(truth.camera.lens, Pinhole):
            camera = truth.camera
        (prediction,) = model.predict_raw([Photo(pixels=image, camera=camera)])
        return _aligned_abs_rel(prediction.depth, truth)


def _aligned_abs_rel(predicted: DepthMap, truth: Truth) -> float | None:
    """AbsRel of a prediction after its alignment to the ground truth; None if there is none."""
    if truth.depth is None or truth.depth_valid is None:
        return None
    try:
        aligned = align(predicted, truth.depth, truth.depth_valid).depth
    except NoGroundTruthError:
        return None
    except CalibrationError:
        true_depth = truth.depth[truth.depth_valid].astype(np.float64)
        return float(np.mean(np.abs(np.median(true_depth) - true_depth) / true_depth))

    is_scored = aligned.valid & truth.depth_valid
    true_depth = truth.depth[is_scored].astype(np.float64)
    return float(np.mean(np.abs(aligned.values[is_scored] - true_depth) / true_depth))


def mean_error(errors: Errors) -> float:
    """Mean error of the images with ground truth; infinite if there is none."""
    known_errors = [error for error in errors if error is not None]
    return float(np.mean(known_errors)) if known_errors else float("inf")
