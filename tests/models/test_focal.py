"""Focal length and shift of point maps: exact on made ones, and as MoGe's program finds them."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from rilievo.models.catalogue.focal import fit_focal_shift, half_diagonal_grid

PARITY = Path(os.environ.get("RILIEVO_DATA", "")) / "../parity/moge2_postprocessing.npz"


def points_of(
    shape: tuple[int, int], focal: float, shift: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A point map whose z lacks ``shift``, and a mask with holes."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(1, 4, shape)
    xy = half_diagonal_grid(*shape) * (z / focal)[..., None]
    points = np.concatenate([xy, z[..., None] - shift], axis=-1)
    return points.astype(np.float32), rng.random(shape) > 0.3


@pytest.mark.parametrize("shape", [(96, 128), (200, 50), (17, 23)])
@pytest.mark.parametrize(("focal", "shift"), [(0.6, 0.3), (1.4, -0.5), (2.5, 0.0)])
def test_the_fit_finds_what_the_points_were_made_with(
    shape: tuple[int, int], focal: float, shift: float
) -> None:
    points, valid = points_of(shape, focal, shift)
    fit = fit_focal_shift(points, valid)
    assert fit.focal == pytest.approx(focal, rel=1e-5)
    assert fit.shift == pytest.approx(shift, abs=1e-5)


def test_a_known_focal_length_is_kept_and_the_shift_still_found() -> None:
    points, valid = points_of((64, 80), 1.2, 0.7)
    fit = fit_focal_shift(points, valid, focal=1.2)
    assert fit.focal == 1.2
    assert fit.shift == pytest.approx(0.7, abs=1e-5)


def test_pixels_that_are_not_valid_do_not_count() -> None:
    points, valid = points_of((64, 64), 0.8, 0.2)
    spoilt = np.where(valid[..., None], points, np.float32(1e6))
    assert fit_focal_shift(spoilt, valid) == fit_focal_shift(points, valid)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pixels_mean_a_focal_length_of_one(count: int) -> None:
    points, valid = points_of((64, 64), 0.8, 0.2)
    valid = np.zeros_like(valid)
    valid.flat[:count] = True
    fit = fit_focal_shift(points, valid)
    assert (fit.focal, fit.shift) == (1.0, 0.0)


def test_a_focal_length_in_pixels_is_the_pinhole_camera_s() -> None:
    points, valid = points_of((60, 80), 1.0, 0.1)
    focal = fit_focal_shift(points, valid).focal_px((60, 80))
    assert focal == pytest.approx(math.hypot(60, 80) / 2, rel=1e-5)


@pytest.mark.skipif(not PARITY.is_file(), reason="RILIEVO_DATA names no folder beside parity/")
@pytest.mark.parametrize("case", range(5))
def test_the_fit_agrees_with_the_official_program_and_its_residual_is_not_above(case: int) -> None:
    stored = np.load(PARITY)
    points, mask = stored[f"{case}.points"], stored[f"{case}.mask"] > 0.5
    height, width = mask.shape
    fov = float(stored[f"{case}.fov_x"])
    given = width / math.hypot(height, width) / math.tan(math.radians(fov) / 2)
    fit = fit_focal_shift(points, mask, focal=None if math.isnan(fov) else given)
    official = float(stored[f"{case}.focal"]), float(stored[f"{case}.shift"])
    depth = (points[..., 2] + fit.shift) * stored[f"{case}.metric_scale"]
    there = np.isfinite(stored[f"{case}.depth"]) & mask
    np.testing.assert_allclose(depth[there], stored[f"{case}.depth"][there], rtol=1e-3)
    assert fit.focal_px((height, width)) == pytest.approx(float(stored[f"{case}.fx_px"]), rel=1e-3)

    def residual(focal: float, shift: float) -> float:
        grid = np.ix_(np.arange(64) * height // 64, np.arange(64) * width // 64)
        xyz, uv = (
            points[grid][mask[grid]].astype(float),
            half_diagonal_grid(height, width)[grid][mask[grid]],
        )
        return float(((focal * xyz[:, :2] / (xyz[:, 2:] + shift) - uv) ** 2).sum())

    assert residual(fit.focal, fit.shift) <= residual(*official) * (1 + 1e-9)
