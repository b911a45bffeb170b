"""Measures of outlines, on bodies with a known outline."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from judge_outlines import outline_roughness, outline_width


def disc(teeth: float) -> np.ndarray:
    """Depth of a disc at 1 m before a wall at 4 m; its radius varies by ``teeth`` [px]."""
    rows, columns = np.mgrid[:480, :480]
    from_centre = np.hypot(rows - 240, columns - 240)
    angle = np.arctan2(rows - 240, columns - 240)
    radius = 150 + teeth * np.sin(118 * angle)  # a tooth every 8 px
    return np.where(from_centre < radius, 1.0, 4.0)


def test_a_smooth_outline_is_as_long_after_smoothing() -> None:
    assert outline_roughness(disc(0)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("teeth", "least"), [(2, 1.2), (4, 1.6)])
def test_teeth_make_an_outline_longer(teeth: float, least: float) -> None:
    assert outline_roughness(disc(teeth)) > least


def test_a_slope_has_no_outline() -> None:
    slope = np.broadcast_to(np.linspace(1, 4, 480), (480, 480))
    assert np.isnan(outline_roughness(slope.copy()))


def test_a_blurred_outline_is_wide() -> None:
    sharp = disc(0)
    blurred = 1 / (sum(1 / np.roll(sharp, shift, axis=1) for shift in range(-20, 21)) / 41)
    assert outline_width(sharp) < 1 < outline_width(blurred)
