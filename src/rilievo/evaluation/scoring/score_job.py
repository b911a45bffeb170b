"""Everything that is needed to score the images of a benchmark, besides their ids.

Some benchmarks align all images of a scene at once, or compare a video frame with the next one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace, to_fit_space
from rilievo.alignment.ground_truth import AlignMethod
from rilievo.arrays.shapes import Float64, Values
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import CalibrationError, InputError, NoGroundTruthError, RilievoError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.records import Unscored, unscored_image
from rilievo.evaluation.scoring.comparable_depth import resize_for_benchmark
from rilievo.evaluation.scoring.placing import PlacedPrediction, read_placed
from rilievo.evaluation.scoring.regions import depth_mask, truth_size
from rilievo.evaluation.scoring.score import (
    ScoreWithSums,
    normal_angles,
    score_placed,
    score_stability,
)
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Truth

_SCENE_FIT_SPACES = {
    AlignMethod.SCALE_SHIFT: FitSpace.DEPTH,
    AlignMethod.INVERSE_SCALE_SHIFT: FitSpace.INVERSE,
}
"""Alignments that can be fitted to a whole scene, and the quantity in which they are linear."""
FitSums = Float64[np.ndarray, "5"]
"""Sums of 1, x, y, x² and x·y over pixels, from which y = scale · x + shift is fitted: x is the
prediction, and y the truth, in the space of the fit."""
_MIN_RELATIVE_SPREAD = 1e-12
"""Squared deviations over squares of a prediction, below which it counts as constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreJob:
    """Everything that the score of an image needs besides its id.

    Attributes:
        scene_fits: Alignment of each image's scene, by image; empty if images are aligned alone.
        next_frame: Next video frame of each image; empty if stability is not scored.
    """

    benchmark: Benchmark
    dataset: Dataset
    predictions: Predictions
    scene_fits: Mapping[str, Fit] = field(default_factory=dict)
    next_frame: Mapping[str, str] = field(default_factory=dict)

    def score(self, image_id: str) -> ScoreWithSums | Unscored:
        """Score one image, or say why it has no score."""
        try:
            return self._score_or_raise(image_id)
        except NoGroundTruthError as error:
            return unscored_image(image_id, self._explain_missing_truth(image_id, error))
        except (RilievoError, OSError) as error:
            return unscored_image(image_id, error)

    def _explain_missing_truth(self, image_id: str, error: NoGroundTruthError) -> RilievoError:
        """Add to an error which ground truth the user's own limits and masks left out."""
        notes = self.dataset.left_out_notes(image_id)
        return NoGroundTruthError("; ".join([str(error), *notes])) if notes else error

    def angles(self, ids: Iterable[str]) -> Iterator[Values]:
        """Yield the angles between predicted and true normals [°], image by image."""
        for image_id in ids:
            yield normal_angles(self.benchmark, self._read(image_id))

    def _score_or_raise(self, image_id: str) -> ScoreWithSums:
        """Score one image; an error says why it has no score."""
        placed, fit = self._read(image_id), self.scene_fits.get(image_id)
        if self.benchmark.task is not Task.STABILITY:
            return score_placed(self.benchmark, placed, fit)
        next_placed = self._read(self.next_frame[image_id])
        return score_stability(self.benchmark, placed, next_placed, fit)

    def _read(self, image_id: str) -> PlacedPrediction:
        return read_placed(self.benchmark, self.dataset, self.predictions, image_id)


def needs_scenes(benchmark: Benchmark) -> bool:
    """Whether the score of an image depends on other images of its scene."""
    return benchmark.fit_scene or benchmark.task is Task.STABILITY


def require_scene(truth: Truth, benchmark: Benchmark) -> str:
    """Return the name of an image's scene, or raise an InputError if the dataset names none."""
    if truth.scene is None:
        reason = "compares successive frames of a scene"
        if benchmark.fit_scene:
            reason = "fits one scale and shift to each scene"
        raise InputError(
            f"the dataset gives no scene or sequence for '{truth.id}', but the benchmark "
            f"'{benchmark.name}' {reason}"
        )
    return truth.scene


def make_score_job(
    benchmark: Benchmark, dataset: Dataset, predictions: Predictions, ids: Sequence[str]
) -> tuple[ScoreJob, list[str]]:
    """Make the job of a benchmark, with the alignments or the next frames of scenes if it has any.

    Returns:
        The job, and the ids to score. The last frame of a scene has no next one, and is not scored
        for stability.
    """
    job = ScoreJob(benchmark=benchmark, dataset=dataset, predictions=predictions)
    if not needs_scenes(benchmark):
        return job, list(ids)
    scene_by_id = _scene_by_id(benchmark, dataset, ids)
    scored_ids = list(ids)
    next_frame: dict[str, str] = {}
    if benchmark.task is Task.STABILITY:
        next_frame = _next_frames(scene_by_id)
        if not next_frame:
            raise InputError(
                "no scene has two frames, so no frame can be compared with the next one"
            )
        scored_ids = [image_id for image_id in ids if image_id in next_frame]
    scene_fits: dict[str, Fit] = {}
    if benchmark.fit_scene:
        scene_fits = _fit_scenes(benchmark, dataset, predictions, scene_by_id)
    return replace(job, scene_fits=scene_fits, next_frame=next_frame), scored_ids


def _next_frames(scene_by_id: Mapping[str, str]) -> dict[str, str]:
    """Next frame of the same scene, by image id; ids are in the order of the frames."""
    next_frame: dict[str, str] = {}
    previous_in_scene: dict[str, str] = {}
    for image_id, scene in scene_by_id.items():
        if scene in previous_in_scene:
            next_frame[previous_in_scene[scene]] = image_id
        previous_in_scene[scene] = image_id
    return next_frame


def _scene_by_id(benchmark: Benchmark, dataset: Dataset, ids: Sequence[str]) -> dict[str, str]:
    """Scene of each image, without the images whose truth cannot be read."""
    scenes = {}
    for image_id in ids:
        try:
            truth = dataset.truth(image_id)
        except (RilievoError, OSError):
            continue  # reported when it is scored
        scenes[image_id] = require_scene(truth, benchmark)
    return scenes


def _fit_scenes(
    benchmark: Benchmark,
    dataset: Dataset,
    predictions: Predictions,
    scene_by_id: Mapping[str, str],
) -> dict[str, Fit]:
    """Align each scene over all its images that can be read; return the fit of each image.

    There is none if the benchmark has no alignment for the predictions that fits a whole scene.
    """
    kind = predictions.kind
    method = None if kind is None else benchmark.alignment.get(kind)
    if method not in _SCENE_FIT_SPACES:
        return {}
    space = _SCENE_FIT_SPACES[AlignMethod(method)]
    sums_by_scene: defaultdict[str, FitSums] = defaultdict(lambda: np.zeros(5))
    for image_id, scene in scene_by_id.items():
        try:
            placed = read_placed(benchmark, dataset, predictions, image_id)
            image_sums = _image_fit_sums(benchmark, placed, space)
        except (RilievoError, OSError):
            continue  # reported when the image is scored
        sums_by_scene[scene] += image_sums
    fit_by_scene = {scene: _fit_scene(scene, space, sums) for scene, sums in sums_by_scene.items()}
    return {
        image_id: fit_by_scene[scene]
        for image_id, scene in scene_by_id.items()
        if scene in fit_by_scene
    }


def _image_fit_sums(benchmark: Benchmark, placed: PlacedPrediction, space: FitSpace) -> FitSums:
    """Sums for the alignment of a scene, over the pixels of one image with prediction and truth."""
    true_depth = placed.truth.depth
    if placed.prediction.depth_or_none is None or true_depth is None:
        raise InputError(
            "the prediction or the ground truth has no depth, so they cannot be aligned"
        )
    resized = resize_for_benchmark(benchmark, placed.prediction.depth, truth_size(placed.truth))
    both_valid = depth_mask(benchmark, placed.truth) & resized.valid
    x = to_fit_space(resized.values[both_valid].astype(np.float64), resized.kind, space)
    y = to_fit_space(true_depth[both_valid].astype(np.float64), DepthKind.METRIC, space)
    return np.array([x.size, x.sum(), y.sum(), x @ x, x @ y])


def _fit_scene(scene: str, space: FitSpace, sums: FitSums) -> Fit:
    """Least-squares fit of a scene; raises CalibrationError if its scale is not positive.

    The scale is the covariance of prediction and truth over the variance of the prediction. A
    constant prediction is put at the mean of the truth, as ``constant_fit`` does.
    """
    count, x_sum, y_sum, xx_sum, xy_sum = sums
    if not count:
        raise CalibrationError(
            f"no pixel in the scene '{scene}' has both a prediction and ground truth, so the scene "
            "has no fit"
        )
    x_deviations = xx_sum - x_sum * x_sum / count
    if x_deviations > _MIN_RELATIVE_SPREAD * xx_sum:
        scale = (xy_sum - x_sum * y_sum / count) / x_deviations
        if not scale > 0:
            raise CalibrationError(
                f"the best scale over the scene '{scene}' is {scale:.4g}, which is not positive: "
                "the prediction swaps near and far; check its kind"
            )
    else:
        scale = 0.0
    shift = (y_sum - scale * x_sum) / count
    return Fit(
        space=space,
        scale=float(scale),
        shift=float(shift),
        residual=0.0,
        pixels=int(count),
    )
