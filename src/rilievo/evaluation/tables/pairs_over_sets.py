"""Compare pairs of models over several benchmarks, by a bootstrap of scenes."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.evaluation.intervals import MIN_SCENES, ValueRange, scene_numbers
from rilievo.evaluation.metrics.metric import Better, Scenes
from rilievo.evaluation.summaries import SIGNIFICANCE_LEVEL, metric_value_range
from rilievo.evaluation.tables.comparison import PairOverSets

DRAWS = 2000
"""Number of draws of the bootstrap; the least p-value of a pair is about one over it."""
_DRAWS_PER_BLOCK = 100
"""Draws that are computed at once, so that the memory stays small."""
_NEGLIGIBLE = 1e-12
"""Standard error, difference or relative error that counts as zero."""
_MAX_LOG_RATIO = 100
"""Largest logarithm of a ratio of errors that is written out."""

Errors = Mapping[str, Float64[np.ndarray, "scenes"]]
"""Error of each model by scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogRatios:
    """Logarithms of ratios of errors, as measured in the first row, then in each draw.

    Attributes:
        values: Logarithm of the error of a pair's first model over that of its second.
        variances: Squared standard error of each.
    """

    values: Float64[np.ndarray, "draws pairs"]
    variances: Float64[np.ndarray, "draws pairs"]


def pairs_over_sets(sets: Mapping[str, Errors], draws: int = DRAWS) -> tuple[PairOverSets, ...]:
    """Compare every two models over all datasets, the surest claims first.

    The ratio of errors is a geometric mean over the datasets. Intervals and p-values hold for all
    pairs together, by the largest studentised deviation of a draw (max-T).

    Args:
        sets: Errors by scene on each dataset, by its label, which is the seed of its draws.
        draws: Number of draws, a multiple of 100.
    """
    names = [*next(iter(sets.values()))]
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return ()
    mean, variance = np.zeros((2, draws + 1, len(pairs)))
    for label, errors in sets.items():
        errors_by_model = np.stack([errors[name] for name in names])
        ratios = _log_ratios(label, errors_by_model, pairs, draws)
        mean += ratios.values / len(sets)
        variance += ratios.variances / len(sets) ** 2

    measured, drawn = mean[0], mean[1:]
    measured_error, drawn_errors = np.sqrt(variance[0]), np.sqrt(variance[1:])
    largest_deviation = _in_standard_errors(drawn - measured, drawn_errors).max(axis=1)
    half_width = float(np.quantile(largest_deviation, 1 - SIGNIFICANCE_LEVEL, method="higher"))
    deviation_from_equal = _in_standard_errors(measured, measured_error)
    compared = []
    for index, (first, second) in enumerate(pairs):
        has_error = measured_error[index] > _NEGLIGIBLE
        more_extreme = np.count_nonzero(largest_deviation >= deviation_from_equal[index])
        compared.append(
            _pair_over_sets(
                (names[first], names[second]),
                log_ratio=float(measured[index]),
                half_width=half_width * float(measured_error[index]) if has_error else 0.0,
                p=float(1 + more_extreme) / (1 + draws),
            )
        )
    return tuple(sorted(compared, key=lambda pair: (pair.p, pair.ratio, pair.first, pair.second)))


def errors_by_scene(
    values: Mapping[str, Sequence[float] | Values],
    better: Better,
    unit: str,
    scenes: Scenes,
    *,
    by_scene: bool,
) -> Errors | None:
    """Errors of each model by scene, from its values for all images.

    They are sums over the images of a scene, or means with ``by_scene``. Of a share, the error is
    what it lacks to 1. None with fewer than three scenes, and for a metric that is no error.
    """
    scene_of_image = scene_numbers(scenes)
    if scene_of_image.max(initial=-1) + 1 < MIN_SCENES:
        return None
    all_values = np.concatenate([*values.values()]).tolist()
    if metric_value_range(better, unit, all_values) is ValueRange.ANY:
        return None
    errors = {}
    sizes = np.bincount(scene_of_image)
    for name, model_values in values.items():
        image_errors = 1 - np.asarray(model_values) if better is Better.HIGHER else model_values
        sums = np.bincount(scene_of_image, image_errors)
        errors[name] = sums / sizes if by_scene else sums
    return errors


def draw_scene_counts(
    count: int, seed: str, draws: int = DRAWS
) -> Iterator[Float64[np.ndarray, "draws scenes"]]:
    """Draw scenes with replacement, and yield how often each was drawn, 100 draws at a time."""
    chance = np.random.default_rng(zlib.crc32(seed.encode()))
    for _ in range(draws // _DRAWS_PER_BLOCK):
        probabilities = np.full(count, 1 / count)
        yield chance.multinomial(count, probabilities, _DRAWS_PER_BLOCK).astype(np.float64)


def _pair_over_sets(
    names: tuple[str, str], *, log_ratio: float, half_width: float, p: float
) -> PairOverSets:
    """Record of a pair, with the better model first; equal models have a p-value of 1."""
    better, worse = names if log_ratio <= 0 else names[::-1]
    log_values = [-abs(log_ratio) - half_width, -abs(log_ratio), half_width - abs(log_ratio)]
    low, ratio, high = np.exp(np.clip(log_values, -_MAX_LOG_RATIO, _MAX_LOG_RATIO))
    return PairOverSets(
        first=better,
        second=worse,
        ratio=float(ratio),
        low=float(low),
        high=float(high),
        p=p if log_ratio else 1.0,
    )


def _in_standard_errors(
    differences: Float64[np.ndarray, "*draws pairs"], errors: Float64[np.ndarray, "*draws pairs"]
) -> Float64[np.ndarray, "*draws pairs"]:
    """Absolute differences over standard errors; without an error, zero or infinity."""
    sizes = np.abs(differences)
    without_error = np.where(sizes > _NEGLIGIBLE, np.inf, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors > _NEGLIGIBLE, sizes / errors, without_error)


def _log_ratios(
    label: str,
    errors: Float64[np.ndarray, "models scenes"],
    pairs: Sequence[tuple[int, int]],
    draws: int,
) -> _LogRatios:
    """Logarithms of ratios of errors on one dataset, as measured and in each draw of scenes.

    The squared standard error is that of the logarithm of a ratio of sums (delta method).
    """
    count = errors.shape[1]
    first, second = np.array(pairs).T
    products = errors[first] * errors[second]
    # A draw of scenes without any error has the least error there is.
    least_sum = np.maximum(_NEGLIGIBLE * errors.sum(axis=1).max(), np.finfo(np.float64).tiny)
    log_ratios, variances = [], []
    for weights in (np.ones((1, count)), *draw_scene_counts(count, label, draws)):
        sums = np.maximum(weights @ errors.T, least_sum)
        variance = (weights @ (errors**2).T) / sums**2
        covariance = (weights @ products.T) / (sums[:, first] * sums[:, second])
        log_ratios.append(np.log(sums[:, first] / sums[:, second]))
        variances.append(np.maximum(variance[:, first] + variance[:, second] - 2 * covariance, 0))
    return _LogRatios(
        values=np.concatenate(log_ratios),
        variances=np.concatenate(variances) * count / (count - 1),
    )
