"""Scores of a confidence: whether it finds the errors, and whether it is a probability.

Sparsification removes the least sure pixels step by step, and computes the error of the others.
AUSE is the area between its curve and that of removal by the error itself, AURG the area between
random removal and its curve (Ilg et al. 2018; steps and errors of Poggi et al. 2020).

The metrics of a probability take it as that of an error within a factor of 1.25, and log errors as
distributed by Laplace: with spread s, an error is below x with probability 1 - exp(-x / s).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rilievo.evaluation.metrics.metric import (
    Better,
    Curves,
    Metric,
    Sums,
    first_sum,
    metrics_by_name,
)
from rilievo.evaluation.metrics.pairs import DepthPair, NormalsPair

NEAR = 1.25
"""Factor within which depth counts as right; the confidence is the probability of that."""
BINS = 15
"""Number of bins of confidence, as Guo et al. 2017 take them."""
LEVEL = 0.9
"""Fraction of errors that should lie in the range that the confidence implies."""
_MAX_CONFIDENCE = 0.999
"""Largest confidence; 1 would make the likelihood of an error infinite. 0.001 is the smallest."""
_CURVES_SUMMARY = "area between the sparsification curves of"
_POGGI = " (Poggi et al. 2020)"
_probability_metric = partial(Metric, unit="", needs_confidence=True, needs_probability=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Pixels whose confidence lies above ``low`` and not above ``high``.

    ``evaluation.json`` has the same names.

    Attributes:
        said: Mean confidence.
        right: Fraction of pixels whose depth is right within a factor of 1.25.
    """

    low: float
    high: float
    pixels: int
    said: float
    right: float


def reliability_sums(pair: DepthPair) -> Sums:
    """Number of pixels, summed confidence and number of right pixels, by bin of confidence."""
    confidence = pair.valid_confidence
    # The first bin includes a confidence of 0.
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    is_right = (pair.depth_ratio < NEAR).astype(np.float64)
    pixel_counts = np.bincount(bins, minlength=BINS)
    confidence_sums = np.bincount(bins, confidence, BINS)
    right_counts = np.bincount(bins, is_right, BINS)
    return np.concatenate([pixel_counts, confidence_sums, right_counts]).astype(np.float64)


def reliability_bins(sums: Sums) -> tuple[Reliability, ...]:
    """Make the bins that are not empty, from ``reliability_sums`` of one or more images."""
    # Rows are bins; columns are the pixels, their summed confidence, and how many are right.
    sums_by_bin = sums.reshape(3, BINS).T
    return tuple(
        Reliability(
            low=index / BINS,
            high=(index + 1) / BINS,
            pixels=int(pixels),
            said=float(confidence_sum / pixels),
            right=float(right_count / pixels),
        )
        for index, (pixels, confidence_sum, right_count) in enumerate(sums_by_bin)
        if pixels
    )


def expected_calibration_error(sums: Sums, count: int) -> float:
    """Mean difference between the confidence of the bins and their fraction of right pixels.

    Each bin is weighted by its number of pixels, which cancels: n |right / n - confidence / n|.
    """
    _, confidence_sums, right_counts = sums.reshape(3, BINS)
    return float(np.abs(right_counts - confidence_sums).sum() / count)


ECE: Metric[DepthPair] = _probability_metric(
    name="ece",
    label="ECE",
    better=Better.LOWER,
    summary=(
        "mean |confidence - fraction of depths right within a factor of 1.25| over 15 bins of "
        "confidence (Guo et al. 2017, but a confidence of exactly 0 also counts)"
    ),
    sums=reliability_sums,
    finish=expected_calibration_error,
)


def count_in_range(pair: DepthPair) -> Sums:
    """Count pixels whose error lies in the range that should have ``LEVEL`` of them."""
    # The confidence c is 1 - exp(-ln 1.25 / s), so that s is -ln 1.25 / ln(1 - c). An error is
    # below -ln(0.1) s with probability 0.9. This is multiplied by -ln(1 - c), because a confidence
    # of 0 has an infinite range, and one of 1 has none.
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled_error = pair.abs_log_error * -np.log1p(-pair.valid_confidence)
    scaled_range = -np.log(1 - LEVEL) * np.log(NEAR)
    is_outside = scaled_error > scaled_range
    return np.array([float(pair.count - np.count_nonzero(is_outside))])


def coverage_gap(sums: Sums, count: int) -> float:
    """Fraction of pixels that ``count_in_range`` counts, minus ``LEVEL``."""
    return float(sums[0] / count) - LEVEL


COVERAGE_GAP: Metric[DepthPair] = _probability_metric(
    name="coverage90_gap",
    label="coverage - 0.9",
    better=Better.ZERO,
    summary=(
        "fraction of errors e within the 90% range of the Laplace distribution that the "
        "confidence implies, minus 0.9"
    ),
    sums=count_in_range,
    finish=coverage_gap,
)


def negative_log_likelihood(pair: DepthPair) -> Sums:
    """Sum over log errors, under Laplace's distribution [nats].

    Its density is exp(-|error| / s) / 2s. The spread s follows from the confidence.
    """
    confidence = np.clip(pair.valid_confidence, 1 - _MAX_CONFIDENCE, _MAX_CONFIDENCE)
    spread = -np.log(NEAR) / np.log1p(-confidence)
    negative_log_density = np.log(2 * spread) + pair.abs_log_error / spread
    return np.array([float(negative_log_density.sum())])


NLL: Metric[DepthPair] = _probability_metric(
    name="nll",
    label="NLL",
    better=Better.LOWER,
    summary=(
        "mean negative log-likelihood of ln(p/t) under the Laplace distribution that the "
        "confidence implies, in nats, with confidence clipped to 0.001 to 0.999"
    ),
    sums=negative_log_likelihood,
)


def area_under_risk_coverage(pair: DepthPair) -> Sums:
    """Mean AbsRel over all coverages of the surest pixels (Geifman, El-Yaniv 2017)."""
    doubt = -pair.valid_confidence
    surest_first = np.argsort(doubt, kind="stable")
    errors = np.abs(pair.relative)[surest_first]

    # Pixels of equal confidence count with their mean.
    _, group, sizes = np.unique(doubt[surest_first], return_inverse=True, return_counts=True)
    group_means = np.bincount(group, errors) / sizes
    risks = np.cumsum(group_means[group]) / np.arange(1, pair.count + 1)
    return np.array([float(risks.mean())])


AURC: Metric[DepthPair] = Metric(
    "aurc_abs_rel",
    "AURC AbsRel",
    "",
    Better.LOWER,
    "area under the risk-coverage curve, which is the mean AbsRel of the most confident "
    "pixels for each fraction of pixels kept (Geifman and El-Yaniv 2017)",
    area_under_risk_coverage,
    first_sum,
    pools=False,
    needs_confidence=True,
)


def _area_metrics(
    error: str,
    label: str,
    unit: str,
    error_name: str,
    removed_by: str = "error",
    source: str = _POGGI,
) -> tuple[Metric[Any], Metric[Any]]:
    """Make the metrics AUSE and AURG of an error, which is a key of ``sparsified``.

    ``error_name`` and ``removed_by`` are words for the summaries: the error, and the quantity by
    which the ideal curve removes pixels.
    """
    ause = (
        f"{_CURVES_SUMMARY} {error_name} for removal by confidence and for removal by the "
        f"{removed_by} itself{source}"
    )
    aurg = (
        f"{_CURVES_SUMMARY} {error_name} for random removal and for removal by confidence{source}"
    )

    area_metric = partial(Metric, unit=unit, finish=first_sum, pools=False, needs_confidence=True)
    return (
        area_metric(
            name=f"ause_{error}",
            label=f"AUSE {label}",
            better=Better.LOWER,
            summary=ause,
            sums=lambda pair: np.array([pair.sparsified[error].ause]),
        ),
        area_metric(
            name=f"aurg_{error}",
            label=f"AURG {label}",
            better=Better.HIGHER,
            summary=aurg,
            sums=lambda pair: np.array([pair.sparsified[error].aurg]),
        ),
    )


# A new metric is one function with its Metric, and one name below.
CERTAINTY_METRICS: Mapping[str, Metric[DepthPair]] = metrics_by_name(
    *_area_metrics("abs_rel", "AbsRel", "", "AbsRel"),
    *_area_metrics("rmse", "RMSE", "m", "RMSE"),
    *_area_metrics("delta1", "δ1", "", "1 - δ1"),
    *(AURC, NLL, ECE, COVERAGE_GAP),
)

NORMAL_CERTAINTY_METRICS: Mapping[str, Metric[NormalsPair]] = metrics_by_name(
    *_area_metrics("mean", "mean", "°", "the mean angle", removed_by="angle", source="")
)


def sparsification_curves(pair: DepthPair | NormalsPair) -> Curves:
    """Curves of the first error, AbsRel or the mean angle: by confidence, then by the error."""
    first = next(iter(pair.sparsified.values()))
    return np.stack([first.by_confidence, first.by_error])
