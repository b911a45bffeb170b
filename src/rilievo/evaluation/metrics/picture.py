"""Comparison of depth maps as 8-bit pictures, as published."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rilievo.errors import InputError, explain_missing_extra
from rilievo.evaluation.metrics.metric import (
    Better,
    Metric,
    Sums,
    first_sum,
    metrics_by_name,
    root_mean,
)
from rilievo.evaluation.metrics.pairs import PicturePair

_SSIM_WINDOW = 7
"""Side of the window over which scikit-image computes SSIM [px]."""
_LEVEL_RANGE = 255
"""Difference of the largest and the smallest grey level."""


def squared_grey_error(pair: PicturePair) -> Sums:
    """Sum of squared differences of the grey levels."""
    mean_squared_error = _skimage_metrics().mean_squared_error(pair.true, pair.predicted)
    return np.array([mean_squared_error * pair.count])


def psnr(pair: PicturePair) -> Sums:
    """Peak signal-to-noise ratio [dB]; infinite where the pictures are equal."""
    with np.errstate(divide="ignore"):
        ratio = _skimage_metrics().peak_signal_noise_ratio(
            pair.true, pair.predicted, data_range=_LEVEL_RANGE
        )
    return np.array([ratio], dtype=np.float64)


def ssim(pair: PicturePair) -> Sums:
    """Structural similarity over windows of 7x7 pixels (Wang et al. 2004)."""
    if min(pair.true.shape) < _SSIM_WINDOW:
        raise InputError(
            f"a picture of shape {pair.true.shape} is smaller than the 7x7 window of SSIM: leave "
            "the metric 'ssim' out"
        )
    similarity = _skimage_metrics().structural_similarity(
        pair.true, pair.predicted, data_range=_LEVEL_RANGE
    )
    return np.array([similarity], dtype=np.float64)


def _skimage_metrics() -> Any:
    with explain_missing_extra("comparing pictures", "evaluate"):
        from skimage import metrics
    return metrics


_RMSE = "root mean squared difference of grey levels from 0 to 255"
_PSNR = "peak signal-to-noise ratio of grey levels from 0 to 255 (scikit-image)"
_SSIM = "structural similarity of grey levels from 0 to 255 in windows of 7x7 pixels (scikit-image)"

# A new metric is one function above and one line here.
PICTURE_METRICS: Mapping[str, Metric[PicturePair]] = metrics_by_name(
    Metric("rmse", "RMSE", "", Better.LOWER, _RMSE, squared_grey_error, root_mean),
    Metric("psnr", "PSNR", "dB", Better.HIGHER, _PSNR, psnr, first_sum, pools=False),
    Metric("ssim", "SSIM", "", Better.HIGHER, _SSIM, ssim, first_sum, pools=False),
)
