"""Errors of a model on whole photographs, as ``predict`` answers them."""

from collections.abc import Sequence

import numpy as np

from rilievo.alignment.aligned import align
from rilievo.data.datasets.base import Dataset, spread
from rilievo.errors import CalibrationError, NoGroundTruthError
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.models.base import Model
from rilievo.training.video.frames.targets import FramePlace
from rilievo.types import DepthMap, Photo, Truth

_MOST = 100
"""Most images of a set that are scored."""
Errors = tuple[float | None, ...]
"""Error of each image; None where it has no truth."""


class Judge:
    """Images of a dataset on which models are scored.

    Attributes:
        ids: Images that are scored: all, or many of them, evenly spread.
        places: Scene and number of each, by which intervals are drawn.
    """

    def __init__(self, dataset: Dataset, ids: Sequence[str]) -> None:
        self._dataset, self.ids = dataset, spread(ids, _MOST)
        scenes = [dataset.scene(id) for id in self.ids]
        self.places = [
            FramePlace(sequence=scenes.index(scene), frame=ids.index(id))
            for id, scene in zip(self.ids, scenes, strict=True)
        ]

    def errors(self, model: Model) -> Errors:
        """Error of each image.

        Depth counts by its mean |predicted - true| / true, after the alignment that its kind needs;
        an answer from which no scale follows counts as a constant.
        """
        return tuple(self._error(model, id) for id in self.ids)

    def _error(self, model: Model, id: str) -> float | None:
        image, truth = self._dataset.image(id), self._dataset.truth(id)
        camera = self._dataset.wide_camera(id, (image.shape[0], image.shape[1]))
        # Models see other lenses in perspective views only where the dataset says so.
        if camera is None and truth.camera and isinstance(truth.camera.lens, Pinhole):
            camera = truth.camera
        (prediction,) = model.predict_raw([Photo(pixels=image, camera=camera)])
        return _abs_rel(prediction.depth, truth)


def mean_error(errors: Errors) -> float:
    """Mean over the images that have an error; infinite where none has."""
    numbers = [error for error in errors if error is not None]
    return float(np.mean(numbers)) if numbers else float("inf")


def numbers_of(errors: Errors) -> Sequence[float]:
    """Errors with NaN in place of None."""
    return [float("nan") if error is None else error for error in errors]


def _abs_rel(predicted: DepthMap, truth: Truth) -> float | None:
    if truth.depth is None or truth.depth_valid is None:
        return None
    try:
        depth = align(predicted, truth.depth, truth.depth_valid).depth
    except NoGroundTruthError:
        return None
    except CalibrationError:
        true = truth.depth[truth.depth_valid].astype(np.float64)
        return float(np.mean(np.abs(np.median(true) - true) / true))
    counted = depth.valid & truth.depth_valid
    true = truth.depth[counted].astype(np.float64)
    return float(np.mean(np.abs(depth.values[counted] - true) / true))
