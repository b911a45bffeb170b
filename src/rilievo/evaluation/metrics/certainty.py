"""Worth of a confidence: does it find the errors, and is it a probability?

AUSE is the area between the curves of the confidence and of an oracle, AURG that to random removal
(Ilg et al. 2018; steps and errors of Poggi et al. 2020).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rilievo.evaluation.metrics.metric import Better, Curves, Metric, Sums, metrics_by_name, whole
from rilievo.evaluation.metrics.pairs import DepthPair, NormalsPair

NEAR = 1.25

# As Guo et al. 2017 take them.
BINS = 15

LEVEL = 0.9
_CURVES = "area between the sparsification curves of"
_POGGI = " (Poggi et al. 2020)"
_GAIN = "what removal by confidence gains over random removal, in"
# At 1 the likelihood of an error would be infinite.
_SUREST = 0.999
_calibration = partial(Metric, unit="", needs_confidence=True, needs_probability=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Pixels whose confidence lies above ``low`` and not above ``high``.

    Attributes:
        said: Mean confidence.
        right: Share whose depth is right.
    """

    low: float
    high: float
    pixels: int
    said: float
    right: float


def reliability_sums(pair: DepthPair) -> Sums:
    """Pixels, summed confidence and right pixels, by bin of confidence."""
    place = np.clip(np.ceil(pair.c * BINS).astype(np.int64) - 1, 0, BINS - 1)
    parts = (None, pair.c, (pair.factor < NEAR).astype(np.float64))
    return np.concatenate([np.bincount(place, part, BINS) for part in parts]).astype(np.float64)


def reliability_bins(sums: Sums) -> tuple[Reliability, ...]:
    """Bins with pixels, from sums over images."""
    return tuple(
        Reliability(
            low=index / BINS,
            high=(index + 1) / BINS,
            pixels=int(pixels),
            said=float(confidence / pixels),
            right=float(right / pixels),
        )
        for index, (pixels, confidence, right) in enumerate(sums.reshape(3, BINS).T)
        if pixels
    )


def expected_calibration_error(sums: Sums, count: int) -> float:
    """Mean distance of bins' confidence from their share of right pixels."""
    _, confidence, right = sums.reshape(3, BINS)
    return float(np.abs(right - confidence).sum() / count)


def count_in_range(pair: DepthPair) -> Sums:
    """Count pixels whose error lies in the range that should hold ``LEVEL`` of them."""
    # Under Laplace's distribution with spread s, a log error lies within ln 1.25 with probability
    # 1 - exp(-ln 1.25 / s), which is the confidence, and within -ln 0.1 s with one of 0.9.
    # Multiplied out, as a confidence of 0 has no end of its range, and one of 1 no range at all.
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = pair.log_factor * -np.log1p(-pair.c)
    outside = reach > -np.log(1 - LEVEL) * np.log(NEAR)
    return np.array([float(pair.count - np.count_nonzero(outside))])


def coverage_gap(sums: Sums, count: int) -> float:
    """Share of pixels in that range, less ``LEVEL``."""
    return float(sums[0] / count) - LEVEL


def negative_log_likelihood(pair: DepthPair) -> Sums:
    """Sum over log errors, under Laplace's distribution [nats]."""
    spread = -np.log(NEAR) / np.log1p(-np.clip(pair.c, 1 - _SUREST, _SUREST))
    return np.array([float((np.log(2 * spread) + pair.log_factor / spread).sum())])


def area_under_risk_coverage(pair: DepthPair) -> Sums:
    """Mean AbsRel over all coverages of the surest pixels (Geifman, El-Yaniv 2017)."""
    # Pixels that are equally sure count with their mean.
    order = np.argsort(-pair.c, kind="stable")
    _, group, sizes = np.unique(-pair.c[order], return_inverse=True, return_counts=True)
    means = np.bincount(group, np.abs(pair.relative)[order]) / sizes
    risks = np.cumsum(means[group]) / np.arange(1, pair.count + 1)
    return np.array([float(risks.mean())])


def _area_metric_sums(kind: str, error: str) -> Callable[[DepthPair | NormalsPair], Sums]:
    """Sums that are "ause" or "aurg" of an error."""
    return lambda pair: np.array([getattr(pair.sparsified[error], kind)])


def _area_metrics(
    error: str, label: str, unit: str, words: str, itself: str = "error", source: str = _POGGI
) -> Iterator[Metric[Any]]:
    """AUSE, then AURG of one error."""
    ause = f"{_CURVES} {words} by confidence and by the {itself} itself{source}"
    aurg = f"{_GAIN} {words}{source}"
    return (
        Metric(
            f"{kind}_{error}",
            f"{kind.upper()} {label}",
            unit,
            better,
            summary,
            _area_metric_sums(kind, error),
            whole,
            pools=False,
            needs_confidence=True,
        )
        for kind, better, summary in (("ause", Better.LOWER, ause), ("aurg", Better.HIGHER, aurg))
    )


# A new metric is one function and one line below.
CERTAINTY_METRICS: Mapping[str, Metric[DepthPair]] = metrics_by_name(
    *_area_metrics("abs_rel", "AbsRel", "", "AbsRel"),
    *_area_metrics("rmse", "RMSE", "m", "RMSE"),
    *_area_metrics("delta1", "δ1", "", "1 - δ1"),
    Metric(
        "aurc_abs_rel",
        "AURC AbsRel",
        "",
        Better.LOWER,
        "area under the risk-coverage curve: AbsRel of the surest pixels, mean over all shares of "
        "them (Geifman and El-Yaniv 2017)",
        area_under_risk_coverage,
        whole,
        pools=False,
        needs_confidence=True,
    ),
    _calibration(
        name="nll",
        label="NLL",
        better=Better.LOWER,
        summary="mean negative log-likelihood of ln(p/t) under the Laplace distribution that the "
        "confidence implies (nats; confidence cut to 0.001 to 0.999)",
        sums=negative_log_likelihood,
    ),
    _calibration(
        name="ece",
        label="ECE",
        better=Better.LOWER,
        summary="mean |confidence - share right within 1.25| over 15 bins of confidence (Guo et "
        "al. 2017, whose first bin leaves out a confidence of exactly 0; here it counts)",
        sums=reliability_sums,
        finish=expected_calibration_error,
    ),
    _calibration(
        name="coverage90_gap",
        label="coverage - 0.9",
        better=Better.ZERO,
        summary="share of errors e inside the 90 % range that the confidence implies (Laplace), "
        "less 0.9",
        sums=count_in_range,
        finish=coverage_gap,
    ),
)

NORMAL_CERTAINTY_METRICS: Mapping[str, Metric[NormalsPair]] = metrics_by_name(
    *_area_metrics("mean", "mean", "°", "the mean angle", itself="angle", source="")
)


def sparsification_curves(pair: DepthPair | NormalsPair) -> Curves:
    """Leading error by share removed: by confidence, then by the error."""
    leading = next(iter(pair.sparsified.values()))
    return np.stack([leading.by_confidence, leading.by_error])
