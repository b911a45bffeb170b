"""Values that are continued over unknown points: bounded, and planes stay planes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.geometry.surfaces.extension import extend_smoothly


@given(seed=st.integers(0, 1000), height=st.integers(1, 20), width=st.integers(1, 20))
def test_known_values_stay_and_the_others_lie_between_them(
    seed: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, height, width)).astype(np.float32)
    known = rng.random((height, width)) > 0.7
    known.flat[rng.integers(known.size)] = True
    extended = extend_smoothly(values, known)
    np.testing.assert_array_equal(extended[:, known], values[:, known])
    for channel, known_values in zip(extended, values[:, known], strict=True):
        assert channel.min() >= known_values.min() - 1e-5
        assert channel.max() <= known_values.max() + 1e-5


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.1, 0.0), (0.03, -0.05)])
def test_a_plane_goes_on_over_a_hole(slope: tuple[float, float]) -> None:
    v, u = np.mgrid[:60, :80].astype(np.float32)
    plane = 3 + slope[0] * v + slope[1] * u
    known = ~((abs(v - 30) < 8) & (abs(u - 41) < 10))
    extended = extend_smoothly(np.where(known, plane, 99)[None].astype(np.float32), known)[0]
    change_across_hole = 16 * abs(slope[0]) + 20 * abs(slope[1])
    assert abs(extended - plane).max() <= 0.15 * change_across_hole + 1e-5


def test_without_a_known_value_all_are_zero() -> None:
    values = np.ones((1, 5, 7), np.float32)
    assert not extend_smoothly(values, np.zeros((5, 7), bool)).any()
