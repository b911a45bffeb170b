"""Compare pairs of models over several benchmarks, by a bootstrap of scenes."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.evaluation.intervals import MIN_SCENES, ValueRange, scene_indices
from rilievo.evaluation.metrics.metric import Better, Scenes
from rilievo.evaluation.summaries import SIGNIFICANCE_LEVEL, metric_value_range
from rilievo.evaluation.tables.comparison import PairOverSets

DRAWS = 2000
"""Number of draws of the bootstrap; the least p-value of a pair is about one over it."""
_DRAWS_PER_BLOCK = 100
"""Draws that are computed at once, so that the memory stays small."""
_NEGLIGIBLE = 1e-12
"""Standard error or difference of log ratios, or relative error, that counts as zero."""
_MAX_LOG_RATIO = 100
"""Largest logarithm of a ratio of errors that is written out."""

Errors = Mapping[str, Float64[np.ndarray, "scenes"]]
"""Error of each model by scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogRatios:
    """Log ratios of the errors of each pair's models: as measured in row 0, then in each draw.

    Attributes:
        values: ln(error of the pair's first model / error of its second model).
        variances: Squared standard error of each value.
    """

    values: Float64[np.ndarray, "draws pairs"]
    variances: Float64[np.ndarray, "draws pairs"]


def pairs_over_sets(sets: Mapping[str, Errors], draws: int = DRAWS) -> tuple[PairOverSets, ...]:
    """Compare every two models over all datasets, the smallest p-value first.

    The ratio of errors is a geometric mean over the datasets. Intervals and p-values hold for all
    pairs together, by the largest studentised deviation of a draw (max-T, Westfall and Young 1993).

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
        log_ratios = _log_ratios(label, errors_by_model, pairs, draws)
        mean += log_ratios.values / len(sets)
        variance += log_ratios.variances / len(sets) ** 2

    measured, drawn = mean[0], mean[1:]
    measured_error, drawn_errors = np.sqrt(variance[0]), np.sqrt(variance[1:])
    largest_deviation = _abs_z_scores(drawn - measured, drawn_errors).max(axis=1)
    half_width = float(np.quantile(largest_deviation, 1 - SIGNIFICANCE_LEVEL, method="higher"))
    deviation_from_equal = _abs_z_scores(measured, measured_error)
    compared = []
    for pair_index, (first, second) in enumerate(pairs):
        standard_error = float(measured_error[pair_index])
        more_extreme = np.count_nonzero(largest_deviation >= deviation_from_equal[pair_index])
        compared.append(
            _pair_over_sets(
                (names[first], names[second]),
                log_ratio=float(measured[pair_index]),
                half_width=half_width * standard_error if standard_error > _NEGLIGIBLE else 0.0,
                p=float(1 + more_extreme) / (1 + draws),
            )
        )
    return tuple(sorted(compared, key=lambda pair: (pair.p, pair.ratio, pair.better, pair.worse)))


def errors_by_scene(
    values: Mapping[str, Sequence[float] | Values],
    better: Better,
    unit: str,
    scenes: Scenes,
    *,
    by_scene: bool,
) -> Errors | None:
    """Errors of each model by scene, from its values for all images.

    They are sums over the images of a scene, or means with ``by_scene``. The error of a fraction
    that should be large, such as δ1, is 1 - fraction.

    Returns:
        None with fewer than three scenes, and for a metric that is not an error.
    """
    scene_index = scene_indices(scenes)
    if scene_index.max(initial=-1) + 1 < MIN_SCENES:
        return None
    all_values = np.concatenate([*values.values()]).tolist()
    if metric_value_range(better, unit, all_values) is ValueRange.ANY:
        return None
    errors = {}
    scene_sizes = np.bincount(scene_index)
    for name, model_values in values.items():
        image_errors = 1 - np.asarray(model_values) if better is Better.HIGHER else model_values
        sums = np.bincount(scene_index, image_errors)
        errors[name] = sums / scene_sizes if by_scene else sums
    return errors


def draw_scene_counts(
    num_scenes: int, seed: str, draws: int = DRAWS
) -> Iterator[Float64[np.ndarray, "draws scenes"]]:
    """Draw scenes with replacement, and yield how often each was drawn, 100 draws at a time."""
    generator = np.random.default_rng(zlib.crc32(seed.encode()))
    for _ in range(draws // _DRAWS_PER_BLOCK):
        probabilities = np.full(num_scenes, 1 / num_scenes)
        yield generator.multinomial(num_scenes, probabilities, _DRAWS_PER_BLOCK).astype(np.float64)


def _pair_over_sets(
    names: tuple[str, str], *, log_ratio: float, half_width: float, p: float
) -> PairOverSets:
    """Comparison of two models, the better one first; equal models have a p-value of 1.

    ``log_ratio`` is ln(error of the first name / error of the second), and ``half_width`` that of
    its interval.
    """
    better, worse = names if log_ratio <= 0 else names[::-1]
    log_gain = -abs(log_ratio)
    log_values = [log_gain - half_width, log_gain, log_gain + half_width]
    low, ratio, high = np.exp(np.clip(log_values, -_MAX_LOG_RATIO, _MAX_LOG_RATIO))
    return PairOverSets(
        better=better,
        worse=worse,
        ratio=float(ratio),
        low=float(low),
        high=float(high),
        p=p if log_ratio else 1.0,
    )


def _abs_z_scores(
    differences: Float64[np.ndarray, "*draws pairs"],
    standard_errors: Float64[np.ndarray, "*draws pairs"],
) -> Float64[np.ndarray, "*draws pairs"]:
    """Absolute differences divided by their standard errors.

    If a standard error is zero, this is infinite, or zero if the difference is zero too.
    """
    abs_differences = np.abs(differences)
    if_error_is_zero = np.where(abs_differences > _NEGLIGIBLE, np.inf, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            standard_errors > _NEGLIGIBLE, abs_differences / standard_errors, if_error_is_zero
        )


def _log_ratios(
    label: str,
    errors: Float64[np.ndarray, "models scenes"],
    pairs: Sequence[tuple[int, int]],
    draws: int,
) -> _LogRatios:
    """Log ratios of errors on one dataset, as measured and in each draw of scenes.

    By the delta method, the variance of ln(X / Y) for sums X and Y over n scenes is
    n / (n - 1) · (sum x² / X² + sum y² / Y² - 2 sum xy / XY).
    """
    num_scenes = errors.shape[1]
    x_models, y_models = np.array(pairs).T
    products = errors[x_models] * errors[y_models]
    # A draw without any error gets a tiny one, so that its logarithm is finite.
    min_sum = np.maximum(_NEGLIGIBLE * errors.sum(axis=1).max(), np.finfo(np.float64).tiny)
    log_ratios, variances = [], []
    for scene_counts in (np.ones((1, num_scenes)), *draw_scene_counts(num_scenes, label, draws)):
        sums = np.maximum(scene_counts @ errors.T, min_sum)
        x_sums, y_sums = sums[:, x_models], sums[:, y_models]
        squares = (scene_counts @ (errors**2).T) / sums**2
        covariance = (scene_counts @ products.T) / (x_sums * y_sums)
        variance = squares[:, x_models] + squares[:, y_models] - 2 * covariance
        log_ratios.append(np.log(x_sums / y_sums))
        variances.append(np.maximum(variance, 0))  # rounding can make it negative
    return _LogRatios(
        values=np.concatenate(log_ratios),
        variances=np.concatenate(variances) * num_scenes / (num_scenes - 1),
    )
