"""Picture metrics agree with plain formulas, signed, and with windows worked out by loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import InputError
from rilievo.evaluation.metrics import PICTURE_METRICS, PicturePair, measure, pooled, value

seeds = st.integers(0, 2**32 - 1)


def pictures(seed: int, shape: tuple[int, int] = (11, 13)) -> PicturePair:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 256, shape)
    predicted = np.clip(true + rng.integers(-40, 41, shape), 0, 255)
    return PicturePair(predicted=predicted.astype(np.uint8), true=true.astype(np.uint8))


def ssim_by_loops(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004 with C = (0.01 · 255)², (0.03 · 255)² unbiased moments, 7x7 windows."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    scores = []
    for v in range(a.shape[0] - 6):
        for u in range(a.shape[1] - 6):
            x, y = (z[v : v + 7, u : u + 7].astype(float).ravel() for z in (a, b))
            (xx, xy), (_, yy) = np.cov(x, y)
            mx, my = x.mean(), y.mean()
            top = (2 * mx * my + c1) * (2 * xy + c2)
            scores.append(top / ((mx * mx + my * my + c1) * (xx + yy + c2)))
    return float(np.mean(scores))


@given(seed=seeds)
def test_pictures_score_as_their_formulas_say(seed: int) -> None:
    p = pictures(seed)
    mse = np.mean(
        [(int(x) - int(y)) ** 2 for x, y in zip(p.true.flat, p.predicted.flat, strict=True)]
    )
    assert measure(PICTURE_METRICS, p) == pytest.approx(
        {
            "rmse": math.sqrt(mse),
            "psnr": 20 * math.log10(255) - 10 * math.log10(mse),
            "ssim": ssim_by_loops(p.true, p.predicted),
        },
        rel=1e-9,
    )


def test_bytes_do_not_wrap_round() -> None:
    """0 - 250 is -250, not 6; both ways."""
    dark, bright = np.zeros((8, 8), np.uint8), np.full((8, 8), 250, np.uint8)
    for p in (
        PicturePair(predicted=dark, true=bright),
        PicturePair(predicted=bright, true=dark),
    ):
        assert value(PICTURE_METRICS["rmse"], p) == pytest.approx(250.0)


def test_equal_pictures_score_best() -> None:
    true = pictures(0).true
    scores = measure(PICTURE_METRICS, PicturePair(predicted=true, true=true))
    assert scores == {"rmse": 0.0, "psnr": math.inf, "ssim": 1.0}


def test_the_error_of_many_pictures_pools() -> None:
    first, second = pictures(1), pictures(2)
    metric = PICTURE_METRICS["rmse"]
    whole = PicturePair(
        predicted=np.vstack([first.predicted, second.predicted]),
        true=np.vstack([first.true, second.true]),
    )
    sums = metric.sums(first) + metric.sums(second)
    assert pooled(metric, sums, whole.count) == pytest.approx(value(metric, whole), rel=1e-12)


def test_a_picture_smaller_than_the_window_is_refused() -> None:
    small = pictures(0, (6, 20))
    with pytest.raises(InputError, match=r"\(6, 20\) is smaller than the 7x7 window"):
        value(PICTURE_METRICS["ssim"], small)
