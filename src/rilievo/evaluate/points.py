"""Scores of points in space and of fields of view: what a model believes of its camera counts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from rilievo.alignment.lines import PointFit, fit_points
from rilievo.alignment.subsample import nearest_valid
from rilievo.depth_map import DepthKind
from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.evaluate.answers import Answer
from rilievo.evaluate.benchmark import Benchmark
from rilievo.evaluate.metres import check_answered, method_for
from rilievo.evaluate.notes import notes_on_pixels
from rilievo.evaluate.records import Score
from rilievo.evaluate.regions import depth_mask
from rilievo.evaluate.resampling import depth_at
from rilievo.geometry.intrinsics import resize_K, unproject
from rilievo.metrics.point_maps import FieldOfViewPair, PointsPair
from rilievo.types import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A pair to be scored, and what there is to be said of it.

    Attributes:
        pair: Prediction and truth.
        facts: Record of the image, without values of metrics.
    """

    pair: PointsPair | FieldOfViewPair
    facts: Score


def points_pair(benchmark: Benchmark, answer: Answer, truth: Truth) -> Paired:
    """Predicted points, fitted to the true ones as the benchmark does.

    Raises:
        RilievoError: If the image has no score.
    """
    raw, valid, kind = _predicted(benchmark, answer, truth)
    fit = point_fit_for(benchmark, kind)
    if fit is PointFit.POINT_SHIFT and not truth.is_metric:
        raise InputError("the true depth has no unit, and the benchmark takes points in metres")
    if truth.camera is None:
        raise InputError("the dataset has no camera, so it has no true points")
    mask = depth_mask(benchmark, truth)
    if not mask.any():
        raise NoGroundTruthError("no pixel has true depth that counts")
    both = mask & valid
    unanswered = check_answered(benchmark, mask, both)
    assert truth.depth is not None
    depth = np.where(both, truth.depth, np.float32(0)).astype(np.float64)
    true = np.asarray(unproject(depth, truth.camera.K))
    raw = np.where(both, raw, 0.0)
    chosen = nearest_valid(both)
    x, y = (each.reshape(3, -1)[:, chosen.places] for each in (raw, true))
    weights = chosen.times / np.sqrt(np.square(y).sum(axis=0))
    fitted = fit_points(x, y, weights, fit)
    predicted = fitted.scale * raw + fitted.shift[:, None, None]
    pair = PointsPair(predicted=predicted, true=true, valid=both, raw=raw, objects=truth.objects)
    assert truth.depth_valid is not None
    facts = Score(
        id=truth.id,
        values={},
        pixels=pair.count,
        true_share=float(truth.depth_valid.mean()),
        scale=None if fit is PointFit.POINT_SHIFT else fitted.scale,
        unanswered=unanswered,
        notes=tuple(notes_on_pixels(benchmark, pair.count, unanswered)),
        scene=truth.scene,
    )
    return Paired(pair=pair, facts=facts)


def point_fit_for(benchmark: Benchmark, kind: DepthKind) -> PointFit:
    """The fit that the benchmark makes for points of this kind.

    Raises:
        OptionError: If it takes none of this kind.
    """
    fit = method_for(benchmark, kind)
    if fit not in list(PointFit):
        raise OptionError(f"the benchmark '{benchmark.name}' fits points by '{fit}'")
    return PointFit(fit)


def camera_pair(answer: Answer, truth: Truth) -> Paired:
    """Predicted and true horizontal field of view.

    Raises:
        InputError: If either is not known.
    """
    if answer.K is None or answer.size is None:
        raise InputError("the prediction has no camera of its own")
    if truth.camera is None:
        raise InputError("the dataset has no camera for this image")
    array = truth.depth if truth.depth is not None else truth.normals
    if array is None:
        raise InputError(f"sample {truth.id}: has neither true depth nor true normals")
    pair = FieldOfViewPair(
        predicted=_field_of_view(answer.K, answer.size[1]),
        true=_field_of_view(truth.camera.K, array.shape[-1]),
    )
    facts = Score(id=truth.id, values={}, pixels=1, true_share=1.0, scene=truth.scene)
    return Paired(pair=pair, facts=facts)


def _field_of_view(K: Float64[np.ndarray, "3 3"], width: int) -> float:
    return float(np.degrees(2 * np.arctan(0.5 * width / K[0, 0])))


def _predicted(
    benchmark: Benchmark, answer: Answer, truth: Truth
) -> tuple[Float64[np.ndarray, "3 h w"], Bool[np.ndarray, "h w"], DepthKind]:
    """Predicted points at the truth's size, where there are any, and their kind."""
    assert truth.depth is not None or truth.normals is not None
    height, width = depth_mask(benchmark, truth).shape
    if answer.points is not None:
        points = answer.points
        if points.valid.shape != (height, width):
            raise InputError(
                f"the predicted points are {points.valid.shape[0]} x {points.valid.shape[1]}, "
                f"the truth {height} x {width}: points are not resized, give them at that size"
            )
        return points.values.astype(np.float64), points.valid, points.kind
    if answer.depth is None or answer.K is None:
        raise InputError(
            "the prediction has no points, and not both depth and a camera of its own to make them"
        )
    depth = depth_at(answer.depth, (height, width), benchmark.interpolation)
    K = resize_K(answer.K, size=answer.depth.shape, new_size=(height, width))
    values = np.where(depth.valid, depth.values, np.float32(1)).astype(np.float64)
    return np.asarray(unproject(values, K)), depth.valid, depth.kind
