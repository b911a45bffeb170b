"""Scores of whole scenes: one fit for all images, or neighbouring frames."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rilievo.alignment import AlignMethod
from rilievo.alignment.fit import Fit, FitSpace, abscissa
from rilievo.arrays.shapes import Float64
from rilievo.errors import CalibrationError, InputError, RilievoError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.scoring.metres import alignment_for_kind, resize_for_benchmark
from rilievo.evaluation.scoring.placing import place_prediction
from rilievo.evaluation.scoring.pool import ScoreJob
from rilievo.evaluation.scoring.regions import depth_mask, truth_in_view, truth_size
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Truth

_SPACES = {
    AlignMethod.SCALE_SHIFT: FitSpace.DEPTH,
    AlignMethod.INVERSE_SCALE_SHIFT: FitSpace.INVERSE,
}


def needs_scenes(benchmark: Benchmark) -> bool:
    """Whether an image's score takes other images of its scene."""
    return benchmark.fit_scene or benchmark.task is Task.STABILITY


def require_scene(truth: Truth, benchmark: Benchmark) -> str:
    """Name of the scene."""
    if truth.scene is None:
        raise InputError(
            f"the dataset names no scene or sequence for '{truth.id}', and the benchmark "
            f"'{benchmark.name}' fits one scale and shift to each"
        )
    return truth.scene


def add_scenes(job: ScoreJob, ids: Sequence[str]) -> tuple[ScoreJob, list[str]]:
    """Job with fits or next frames of scenes, and ids to score."""
    benchmark, scenes = job.benchmark, _scene_by_id(job, ids)
    following: dict[str, str] = {}
    if benchmark.task is Task.STABILITY:
        last: dict[str, str] = {}
        for id in scenes:
            if scenes[id] in last:
                following[last[scenes[id]]] = id
            last[scenes[id]] = id
        if not following:
            raise InputError("no scene has two frames, so none can be compared with the next one")
    fits = _fit_by_scene(job, scenes) if benchmark.fit_scene else {}
    whole = replace(job, fits=fits, scenes=scenes, following=following)
    return whole, [id for id in ids if benchmark.task is not Task.STABILITY or id in following]


def _scene_by_id(job: ScoreJob, ids: Sequence[str]) -> dict[str, str]:
    scenes = {}
    for id in ids:
        try:
            truth = job.dataset.truth(id)
        except (RilievoError, OSError):
            continue  # told when its turn to be scored comes
        scenes[id] = require_scene(truth, job.benchmark)
    return scenes


def _fit_by_scene(job: ScoreJob, scenes: Mapping[str, str]) -> dict[str, Fit]:
    moments: defaultdict[str, Float64[np.ndarray, 5]] = defaultdict(lambda: np.zeros(5))
    space = FitSpace.DEPTH
    for id, scene in scenes.items():
        try:
            frame_moments = _fit_moments(job, id)
        except (RilievoError, OSError):
            continue
        space, sums = frame_moments
        moments[scene] += sums
    return {scene: _fit_from_moments(scene, space, sums) for scene, sums in moments.items()}


def _fit_moments(job: ScoreJob, id: str) -> tuple[FitSpace, Float64[np.ndarray, "5"]]:
    """Sums 1, x, y, x², xy over an image's pixels."""
    benchmark = job.benchmark
    whole = job.dataset.truth(id)
    prediction = place_prediction(benchmark, job.predictions.read(id), whole).prediction
    truth = truth_in_view(benchmark, whole)
    if prediction.depth_or_none is None or truth.depth is None:
        raise InputError("no depth")
    method = alignment_for_kind(benchmark, prediction.depth.kind)
    if method not in _SPACES:
        raise InputError(f"the fit '{method}' is none of whole scenes")
    space = _SPACES[AlignMethod(method)]
    mask = depth_mask(benchmark, truth)
    resized = resize_for_benchmark(benchmark, prediction.depth, truth_size(truth))
    both = mask & resized.valid
    x = abscissa(resized.values[both].astype(np.float64), resized.kind, space)
    y = abscissa(truth.depth[both].astype(np.float64), DepthKind.METRIC, space)
    return space, np.array([x.size, x.sum(), y.sum(), x @ x, x @ y])


def _fit_from_moments(scene: str, space: FitSpace, moments: Float64[np.ndarray, "5"]) -> Fit:
    count, x, y, xx, xy = moments
    if not count:
        raise CalibrationError(f"no frame of the scene '{scene}' has pixels to fit to")
    spread = xx - x * x / count
    # A constant prediction is put at the mean of the truth, as ``constant_fit`` does.
    is_constant = not spread > 1e-12 * xx
    scale = 0.0 if is_constant else (xy - x * y / count) / spread
    if not (is_constant or scale > 0):
        raise CalibrationError(
            f"the best scale over the scene '{scene}' is {scale:.4g}, not positive: the "
            "prediction takes near for far; is its kind the right one?"
        )
    shift = (y - scale * x) / count
    return Fit(space=space, scale=float(scale), shift=float(shift), residual=0.0, pixels=int(count))
