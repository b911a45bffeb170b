"""Scores that need other images of a scene: one alignment for all, or the next video frame."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.alignment import AlignMethod
from rilievo.alignment.fit import Fit, FitSpace, abscissa
from rilievo.arrays.shapes import Float64
from rilievo.errors import CalibrationError, InputError, RilievoError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.scoring.comparable_depth import alignment_for_kind, resize_for_benchmark
from rilievo.evaluation.scoring.placing import place_prediction
from rilievo.evaluation.scoring.pool import ScoreJob
from rilievo.evaluation.scoring.regions import depth_mask, truth_in_view, truth_size
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Truth

_SCENE_FIT_SPACES = {
    AlignMethod.SCALE_SHIFT: FitSpace.DEPTH,
    AlignMethod.INVERSE_SCALE_SHIFT: FitSpace.INVERSE,
}
"""Alignments that can be fitted to a whole scene, and the quantity in which they are linear."""
_MIN_RELATIVE_SPREAD = 1e-12
"""Variation of a prediction, relative to its squares, below which it counts as constant."""


def needs_scenes(benchmark: Benchmark) -> bool:
    """Whether the score of an image depends on other images of its scene."""
    return benchmark.fit_scene or benchmark.task is Task.STABILITY


def require_scene(truth: Truth, benchmark: Benchmark) -> str:
    """Name of an image's scene.

    Raises:
        InputError: If the dataset names none.
    """
    if truth.scene is None:
        raise InputError(
            f"the dataset names no scene or sequence for '{truth.id}', and the benchmark "
            f"'{benchmark.name}' fits one scale and shift to each"
        )
    return truth.scene


def add_scenes(job: ScoreJob, ids: Sequence[str]) -> tuple[ScoreJob, list[str]]:
    """Add the alignments or the next frames of scenes to a job, and choose the ids to score.

    The last frame of a scene has no next one, and is not scored for stability.

    Raises:
        InputError: If the dataset names no scenes, or none has two frames.
    """
    benchmark = job.benchmark
    scene_by_id = _scene_by_id(job, ids)
    scored_ids = list(ids)
    next_frame: dict[str, str] = {}
    if benchmark.task is Task.STABILITY:
        next_frame = _next_frames(scene_by_id)
        if not next_frame:
            raise InputError("no scene has two frames, so none can be compared with the next one")
        scored_ids = [id for id in ids if id in next_frame]
    fits = _fit_by_scene(job, scene_by_id) if benchmark.fit_scene else {}
    job = replace(job, fits=fits, scenes=scene_by_id, next_frame=next_frame)
    return job, scored_ids


def _next_frames(scene_by_id: Mapping[str, str]) -> dict[str, str]:
    """The next frame of the same scene, by image id."""
    next_frame: dict[str, str] = {}
    previous_in_scene: dict[str, str] = {}
    for id, scene in scene_by_id.items():
        if scene in previous_in_scene:
            next_frame[previous_in_scene[scene]] = id
        previous_in_scene[scene] = id
    return next_frame


def _scene_by_id(job: ScoreJob, ids: Sequence[str]) -> dict[str, str]:
    scenes = {}
    for id in ids:
        try:
            truth = job.dataset.truth(id)
        except (RilievoError, OSError):
            continue  # reported when it is scored
        scenes[id] = require_scene(truth, job.benchmark)
    return scenes


@dataclass(frozen=True, slots=True, kw_only=True)
class _FitSums:
    """Sums over pixels from which a line y = scale · x + shift is fitted.

    Attributes:
        space: Quantity in which the fit is a line.
        sums: Sums of 1, x, y, x² and x·y.
    """

    space: FitSpace
    sums: Float64[np.ndarray, "5"]


def _fit_by_scene(job: ScoreJob, scene_by_id: Mapping[str, str]) -> dict[str, Fit]:
    """Alignment of each scene over all its images; images that cannot be read are left out."""
    sums_by_scene: defaultdict[str, Float64[np.ndarray, 5]] = defaultdict(lambda: np.zeros(5))
    space = FitSpace.DEPTH
    for id, scene in scene_by_id.items():
        try:
            image_sums = _image_fit_sums(job, id)
        except (RilievoError, OSError):
            continue
        space = image_sums.space
        sums_by_scene[scene] += image_sums.sums
    return {
        scene: _fit_line(scene, _FitSums(space=space, sums=sums))
        for scene, sums in sums_by_scene.items()
    }


def _image_fit_sums(job: ScoreJob, id: str) -> _FitSums:
    """Sums for the alignment of a scene, over the pixels of one image with prediction and truth."""
    benchmark = job.benchmark
    whole_truth = job.dataset.truth(id)
    prediction = place_prediction(benchmark, job.predictions.read(id), whole_truth).prediction
    truth = truth_in_view(benchmark, whole_truth)
    if prediction.depth_or_none is None or truth.depth is None:
        raise InputError("no depth")
    method = alignment_for_kind(benchmark, prediction.depth.kind)
    if method not in _SCENE_FIT_SPACES:
        raise InputError(f"the fit '{method}' is none of whole scenes")
    space = _SCENE_FIT_SPACES[AlignMethod(method)]

    mask = depth_mask(benchmark, truth)
    resized = resize_for_benchmark(benchmark, prediction.depth, truth_size(truth))
    both = mask & resized.valid
    x = abscissa(resized.values[both].astype(np.float64), resized.kind, space)
    y = abscissa(truth.depth[both].astype(np.float64), DepthKind.METRIC, space)
    return _FitSums(space=space, sums=np.array([x.size, x.sum(), y.sum(), x @ x, x @ y]))


def _fit_line(scene: str, fit_sums: _FitSums) -> Fit:
    """Least-squares line through all pixels of a scene.

    A constant prediction is put at the mean of the truth, as ``constant_fit`` does.
    """
    count, x, y, xx, xy = fit_sums.sums
    if not count:
        raise CalibrationError(f"no frame of the scene '{scene}' has pixels to fit to")
    variation = xx - x * x / count
    if variation > _MIN_RELATIVE_SPREAD * xx:
        scale = (xy - x * y / count) / variation
        if not scale > 0:
            raise CalibrationError(
                f"the best scale over the scene '{scene}' is {scale:.4g}, not positive: the "
                "prediction takes near for far; is its kind the right one?"
            )
    else:
        scale = 0.0
    shift = (y - scale * x) / count
    return Fit(
        space=fit_sums.space,
        scale=float(scale),
        shift=float(shift),
        residual=0.0,
        pixels=int(count),
    )
