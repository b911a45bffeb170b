"""Pairs of models over several benchmarks, compared by a bootstrap of scenes."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.evaluation.intervals import MIN_SCENES, ValueRange, scene_numbers
from rilievo.evaluation.metrics.metric import Better, Scenes
from rilievo.evaluation.summaries import SIGNIFICANCE_LEVEL, metric_value_range
from rilievo.evaluation.tables.comparison import PairOverSets

# The least p-value of a pair is one in as many.
DRAWS = 2000
_AT_ONCE = 100
_NONE = 1e-12

Errors = Mapping[str, Float64[np.ndarray, "scenes"]]


def errors_by_scene(
    values: Mapping[str, Sequence[float] | Values],
    better: Better,
    unit: str,
    scenes: Scenes,
    *,
    by_scene: bool,
) -> Errors | None:
    """Errors of each model summed by scene; of shares, what they lack to 1.

    None where there are fewer than three scenes, or numbers that are no errors.
    """
    groups = scene_numbers(scenes)
    if groups.max(initial=-1) + 1 < MIN_SCENES:
        return None
    if (
        metric_value_range(better, unit, np.concatenate([*values.values()]).tolist())
        is ValueRange.ANY
    ):
        return None
    sums = {
        name: np.bincount(groups, 1 - np.asarray(row) if better is Better.HIGHER else row)
        for name, row in values.items()
    }
    sizes = np.bincount(groups)
    return {name: errors / sizes for name, errors in sums.items()} if by_scene else sums


def draw_scene_counts(
    count: int, seed: str, draws: int = DRAWS
) -> Iterator[Float64[np.ndarray, "draws scenes"]]:
    """Counts of each scene in draws with replacement, in parts."""
    chance = np.random.default_rng(zlib.crc32(seed.encode()))
    for _ in range(draws // _AT_ONCE):
        yield chance.multinomial(count, np.full(count, 1 / count), _AT_ONCE).astype(np.float64)


def pairs_over_sets(sets: Mapping[str, Errors], draws: int = DRAWS) -> tuple[PairOverSets, ...]:
    """Compare every two models over all sets, the surest claims first; ``draws`` in hundreds."""
    names = [*next(iter(sets.values()))]
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return ()
    middle, variance = np.zeros((2, draws + 1, len(pairs)))
    for label, errors in sets.items():
        stacked = np.stack([errors[name] for name in names])
        ratio, square = _log_ratios(label, stacked, pairs, draws)
        middle += ratio / len(sets)
        variance += square / len(sets) ** 2
    centre, error = middle[0], np.sqrt(variance[0])
    farthest = _sizes_in_standard_errors(middle[1:] - centre, np.sqrt(variance[1:])).max(axis=1)
    reach = float(np.quantile(farthest, 1 - SIGNIFICANCE_LEVEL, method="higher"))
    away = _sizes_in_standard_errors(centre, error)
    compared = [
        _pair_over_sets(
            (names[one], names[other]),
            float(centre[at]),
            reach * float(error[at]) if error[at] > _NONE else 0.0,
            float(1 + np.count_nonzero(farthest >= away[at])) / (1 + draws),
        )
        for at, (one, other) in enumerate(pairs)
    ]
    return tuple(sorted(compared, key=lambda row: (row.p, row.ratio, row.first, row.second)))


def _pair_over_sets(names: tuple[str, str], log: float, half: float, p: float) -> PairOverSets:
    first, second = names if log <= 0 else names[::-1]
    low, middle, high = np.exp(np.clip([-abs(log) - half, -abs(log), half - abs(log)], -100, 100))
    ends = {"ratio": float(middle), "low": float(low), "high": float(high)}
    return PairOverSets(first=first, second=second, **ends, p=p if log else 1.0)


def _sizes_in_standard_errors(
    differences: Float64[np.ndarray, "*draws pairs"], errors: Float64[np.ndarray, "*draws pairs"]
) -> Float64[np.ndarray, "*draws pairs"]:
    """Absolute differences over errors; zero or infinity without errors."""
    sizes = np.abs(differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors > _NONE, sizes / errors, np.where(sizes > _NONE, np.inf, 0.0))


def _log_ratios(
    label: str,
    errors: Float64[np.ndarray, "models scenes"],
    pairs: Sequence[tuple[int, int]],
    draws: int,
) -> tuple[Float64[np.ndarray, "draws pairs"], Float64[np.ndarray, "draws pairs"]]:
    """Logarithms of ratios of sums and their squared standard errors: as they are, then drawn."""
    count = errors.shape[1]
    one, other = np.array(pairs).T
    products = errors[one] * errors[other]
    # A draw of scenes without any error has the least error there is.
    least = np.maximum(_NONE * errors.sum(axis=1).max(), np.finfo(np.float64).tiny)
    ratios, squares = [], []
    for weights in (np.ones((1, count)), *draw_scene_counts(count, label, draws)):
        sums = np.maximum(weights @ errors.T, least)
        spread = (weights @ (errors**2).T) / sums**2
        shared = (weights @ products.T) / (sums[:, one] * sums[:, other])
        ratios.append(np.log(sums[:, one] / sums[:, other]))
        squares.append(np.maximum(spread[:, one] + spread[:, other] - 2 * shared, 0))
    return np.concatenate(ratios), np.concatenate(squares) * count / (count - 1)
