"""Images that judge a model, and its errors on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.alignment.ground_truth import align
from rilievo.data.datasets import Dataset
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import CalibrationError, NoGroundTruthError, OptionError
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.models.base import Model
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo, Truth
from rilievo.training.probe.probe_config import DataChoice
from rilievo.training.video.frames.targets import FramePlace

_MOST = 100

# None without truth.
Errors = tuple[float | None, ...]


class Judge:
    """Images on which models are scored: all, or many, evenly spread."""

    def __init__(self, dataset: Dataset, ids: Sequence[str]) -> None:
        self._dataset, self.ids = dataset, evenly_spread(ids, _MOST)
        scenes = [dataset.scene(id) for id in self.ids]
        self.places = [
            FramePlace(sequence=scenes.index(scene), frame=ids.index(id))
            for id, scene in zip(self.ids, scenes, strict=True)
        ]

    def errors(self, model: Model) -> Errors:
        """Mean |predicted - true| / true of each image, after the alignment of its kind.

        Answers without a scale count as constants.
        """
        return tuple(self._abs_rel_of_image(model, id) for id in self.ids)

    def _abs_rel_of_image(self, model: Model, id: str) -> float | None:
        image, truth = self._dataset.image(id), self._dataset.truth(id)
        camera = self._dataset.wide_camera(id, (image.shape[0], image.shape[1]))
        # Models see other lenses in perspective views only where the dataset says so.
        if camera is None and truth.camera and isinstance(truth.camera.lens, Pinhole):
            camera = truth.camera
        (prediction,) = model.predict_raw([Photo(pixels=image, camera=camera)])
        return _aligned_abs_rel(prediction.depth, truth)


def mean_error(errors: Errors) -> float:
    """Mean of errors but None; infinite without any."""
    numbers = [error for error in errors if error is not None]
    return float(np.mean(numbers)) if numbers else float("inf")


def nan_for_none(errors: Errors) -> Sequence[float]:
    """Errors, with NaN for None."""
    return [float("nan") if error is None else error for error in errors]


def _aligned_abs_rel(predicted: DepthMap, truth: Truth) -> float | None:
    """AbsRel after alignment, else of the true median; None without truth."""
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


# One image in so many is kept out.
SHARE = 5

# One image in so many is left out between a scene's parts.
_GAP = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedImages:
    """Images to learn from, images that judge, and the number left out."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    gap: int


def divide_images(dataset: Dataset, data: DataChoice) -> DividedImages:
    """Divide the images of a dataset into those to learn from, and those that judge.

    The last scenes are kept out until they are a fifth. Of a single scene, or where ``held_out``
    states a number, the last images are, and some before them are left out.
    """
    ids = dataset.ids[: data.limit]
    scenes = [dataset.scene(id) for id in ids]
    count = data.held_out or max(1, round(len(ids) / SHARE))
    last = _last_scenes(scenes, count) if not data.held_out else frozenset()
    if last:
        training = tuple(id for id, scene in zip(ids, scenes, strict=True) if scene not in last)
        held_out = tuple(id for id, scene in zip(ids, scenes, strict=True) if scene in last)
        gap = 0
    else:
        gap = max(1, len(ids) // _GAP)
        training, held_out = ids[: max(len(ids) - count - gap, 0)], ids[-count:]
    if not training:
        raise OptionError(
            f"dataset '{data.dataset}': of {len(ids)} images {count} are kept out and {gap} beside "
            "them are left out, so none is left to learn from"
        )
    return DividedImages(training=training, held_out=held_out, gap=gap)


def _last_scenes(scenes: Sequence[str | None], count: int) -> frozenset[str | None]:
    """Last scenes with ``count`` images; none if over half."""
    order = [*dict.fromkeys(reversed(scenes))]
    chosen: set[str | None] = set()
    for scene in order[:-1]:
        chosen.add(scene)
        if sum(scene in chosen for scene in scenes) >= count:
            break
    most = len(scenes) / 2
    return frozenset(chosen if sum(scene in chosen for scene in scenes) <= most else ())
