"""Pairs of models over several benchmarks, compared by a bootstrap of scenes.

Of every benchmark that all models have, two models' errors are divided by each other; the
logarithms of these ratios are averaged over the benchmarks, each counting the same. Chance is the
choice of scenes: those of every benchmark are drawn anew with replacement, the same ones for all
models, and each draw is measured in standard errors of its own, which keeps the promise of 95 %
with few scenes too (bootstrap-t: Efron 1981, "Nonparametric standard errors and confidence
intervals"; symmetric: Hall 1988). Intervals of all pairs hold together: their width follows from
the farthest pair of each draw (Westfall and Young 1993, "Resampling-Based Multiple Testing").
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from rilievo.evaluation.arrays import Scenes
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.results.intervals import FEWEST, LEVEL, Reach, grouped
from rilievo.evaluation.results.summaries import reach_of
from rilievo.frozen import frozen
from rilievo.shapes import Float64, Values

DRAWS = 2000
"""Draws of scenes; the least p-value of a pair is one in as many."""
_AT_ONCE = 100
_NONE = 1e-12


Errors = Mapping[str, Float64[np.ndarray, "scenes"]]
"""Errors of all models on one benchmark, summed by scene: smaller is better, none is negative."""


@frozen
class PairOverSets:
    """Two models over all benchmarks.

    Attributes:
        first: Model with the smaller mean error.
        second: The other one.
        ratio: Error of the first over that of the second, the geometric mean over the benchmarks.
        low: Lower end of the interval of the ratio; with 95 %, those of all pairs hold.
        high: Upper end.
        p: P-value that both are alike, corrected for all pairs.
    """

    first: str
    second: str
    ratio: float
    low: float
    high: float
    p: float

    @property
    def is_claimed(self) -> bool:
        """Whether the first is said to be better."""
        return self.p < LEVEL and self.high < 1


def errors_by_scene(
    values: Mapping[str, Sequence[float] | Values],
    better: Better,
    unit: str,
    scenes: Scenes,
    *,
    by_scene: bool,
) -> Errors | None:
    """Errors of each model summed by scene, from a metric's values on images.

    Args:
        values: Values of each model, one an image.
        better: Direction in which the metric improves; of shares, what they lack to 1 counts.
        unit: Unit of the metric, "" for none.
        scenes: Scene of each image; one without counts as its own scene.
        by_scene: Whether every scene counts the same, however many images it has.

    Returns:
        None where there are fewer than three scenes, or numbers that are no errors: negative ones,
        or other than shares where more is better.
    """
    groups = grouped(scenes)
    if groups.max(initial=-1) + 1 < FEWEST:
        return None
    if reach_of(better, unit, np.concatenate([*values.values()]).tolist()) is Reach.ANY:
        return None
    sums = {
        name: np.bincount(groups, 1 - np.asarray(row) if better is Better.HIGHER else row)
        for name, row in values.items()
    }
    sizes = np.bincount(groups)
    return {name: errors / sizes for name, errors in sums.items()} if by_scene else sums


def drawn_scenes(
    count: int, seed: str, draws: int = DRAWS
) -> Iterator[Float64[np.ndarray, "draws scenes"]]:
    """Counts of each scene in draws of as many scenes as there are, in parts."""
    chance = np.random.default_rng(zlib.crc32(seed.encode()))
    for _ in range(draws // _AT_ONCE):
        yield chance.multinomial(count, np.full(count, 1 / count), _AT_ONCE).astype(np.float64)


def pairs_over_sets(sets: Mapping[str, Errors], draws: int = DRAWS) -> tuple[PairOverSets, ...]:
    """Compare every two models over all sets, the surest claims first.

    Args:
        sets: Errors by the name of their benchmark, which tells its draws from those of others;
            at least three scenes each, as many for every model.
        draws: Number of draws, in hundreds.
    """
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
    farthest = _in_errors(middle[1:] - centre, np.sqrt(variance[1:])).max(axis=1)
    reach = float(np.quantile(farthest, 1 - LEVEL, method="higher"))
    away = _in_errors(centre, error)
    compared = [
        _pair(
            (names[one], names[other]),
            float(centre[at]),
            reach * float(error[at]) if error[at] > _NONE else 0.0,
            float(1 + np.count_nonzero(farthest >= away[at])) / (1 + draws),
        )
        for at, (one, other) in enumerate(pairs)
    ]
    return tuple(sorted(compared, key=lambda each: (each.p, each.ratio, each.first, each.second)))


def _pair(names: tuple[str, str], at: float, reach: float, p: float) -> PairOverSets:
    """A pair by the logarithm of its ratio, the better model first."""
    first, second = names if at <= 0 else names[::-1]
    low, middle, high = np.exp(np.clip([-abs(at) - reach, -abs(at), reach - abs(at)], -100, 100))
    ends = {"ratio": float(middle), "low": float(low), "high": float(high)}
    return PairOverSets(first=first, second=second, **ends, p=p if at else 1.0)


def _in_errors(
    differences: Float64[np.ndarray, "*draws pairs"], errors: Float64[np.ndarray, "*draws pairs"]
) -> Float64[np.ndarray, "*draws pairs"]:
    """Sizes of differences in standard errors; without any spread, none or as far as can be."""
    sizes = np.abs(differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors > _NONE, sizes / errors, np.where(sizes > _NONE, np.inf, 0.0))


def _log_ratios(
    label: str,
    errors: Float64[np.ndarray, "models scenes"],
    pairs: Sequence[tuple[int, int]],
    draws: int,
) -> tuple[Float64[np.ndarray, "draws pairs"], Float64[np.ndarray, "draws pairs"]]:
    """Logarithms of the ratios of two sums, and their squared standard errors, of each draw.

    The first row is of the scenes as they are.
    """
    count = errors.shape[1]
    one, other = np.array(pairs).T
    products = errors[one] * errors[other]
    # A draw of scenes without any error has the least error there is.
    least = np.maximum(_NONE * errors.sum(axis=1).max(), np.finfo(np.float64).tiny)
    ratios, squares = [], []
    for weights in (np.ones((1, count)), *drawn_scenes(count, label, draws)):
        sums = np.maximum(weights @ errors.T, least)
        spread = (weights @ (errors**2).T) / sums**2
        shared = (weights @ products.T) / (sums[:, one] * sums[:, other])
        ratios.append(np.log(sums[:, one] / sums[:, other]))
        squares.append(np.maximum(spread[:, one] + spread[:, other] - 2 * shared, 0))
    return np.concatenate(ratios), np.concatenate(squares) * count / (count - 1)
