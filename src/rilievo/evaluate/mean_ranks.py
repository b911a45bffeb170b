"""Ranks of models on a benchmark, and how far chance in the choice of images moves them."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from rilievo.evaluate.comparison import Comparison
from rilievo.evaluate.intervals import FEWEST, grouped, scene_count
from rilievo.metrics.metric import Better

DRAWS = 2000
"""Draws of images for the intervals of mean ranks."""
_AT_ONCE = 50


def ranks_of(comparison: Comparison) -> dict[str, float]:
    """Ranks by the numbers that are quoted in the first column, 1 for the best."""
    leading = comparison.columns[0]
    rows = comparison.runs
    values = np.array([row.cells[leading.metric].value for row in rows], np.float64)
    ranks = mean_ranks(_badness(values[None], leading.better))[0]
    return {row.name: float(rank) for row, rank in zip(rows, ranks, strict=True)}


def _badness(
    values: Float64[np.ndarray, "draws models"], better: Better
) -> Float64[np.ndarray, "draws models"]:
    """Numbers that are smaller where the metric is better."""
    if better is Better.ZERO:
        return np.abs(values)
    return -values if better is Better.HIGHER else values


def mean_ranks(values: Float64[np.ndarray, "draws models"]) -> Float64[np.ndarray, "draws models"]:
    """Ranks in each row from 1 for the smallest; equal values share the mean of their ranks."""
    below = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    return below + (equal + 1) / 2


def is_mean_of_images(comparison: Comparison) -> bool:
    """Whether the numbers in the first column are means over its images.

    Those of pooled benchmarks are not, nor are biases of both signs, of which the sizes are
    compared: drawing images anew would move another number than the one that is ranked.
    """
    column = comparison.columns[0]
    values = np.array([column.values[row.name] for row in comparison.runs], np.float64)
    quoted = np.array([row.cells[column.metric].value for row in comparison.runs], np.float64)
    if column.better is Better.ZERO:
        quoted = np.abs(quoted)
    return bool(values.size) and np.allclose(values.mean(axis=1), quoted, rtol=1e-6, atol=1e-12)


def drawn_ranks(
    comparison: Comparison, scenes: Sequence[str | None], seed: str
) -> Mapping[str, Float64[np.ndarray, "draws"]] | None:
    """Ranks in the first column over images drawn anew, the same ones for all models.

    Args:
        comparison: Comparison of runs on one benchmark.
        scenes: Scenes of the images of its first column; whole scenes are drawn where known.
        seed: Tells the draws of benchmarks apart.

    Returns:
        Ranks by model; None where there are fewer than three images or scenes, or where the
        numbers that are quoted are no means over images.
    """
    column = comparison.columns[0]
    count = scene_count(scenes)
    if count < FEWEST or not is_mean_of_images(comparison):
        return None
    groups = grouped(scenes)
    values = np.array([column.values[row.name] for row in comparison.runs])
    sums = np.stack([np.bincount(groups, each, count) for each in values], axis=1)
    sizes = np.bincount(groups, minlength=count)
    chance = np.random.default_rng(zlib.crc32(seed.encode()))
    parts = []
    # In parts, as a draw has a number for each image.
    for _ in range(DRAWS // _AT_ONCE):
        weights = chance.multinomial(count, np.full(count, 1 / count), _AT_ONCE).astype(np.float64)
        means = (weights @ sums) / (weights @ sizes)[:, None]
        parts.append(mean_ranks(_badness(means, column.better)))
    ranks = np.concatenate(parts)
    return {row.name: each for row, each in zip(comparison.runs, ranks.T, strict=True)}
