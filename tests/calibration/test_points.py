"""Known points recover the scale and shift of a map, and slips among them stand out."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rilievo.alignment.fit import FitSpace, to_depth
from rilievo.calibration import points as points_module
from rilievo.calibration.points import calibrate
from rilievo.calibration.sizes import Along, KnownPoint, parse_known
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.records.depth_map import DepthKind
from support.known_ramps import AFFINE_KINDS, SIZE, depth_map, points, ramp

places = st.lists(
    st.tuples(st.integers(0, SIZE[1] - 1), st.integers(0, SIZE[0] - 1)),
    min_size=2,
    max_size=6,
    unique=True,
)


@given(scale=st.floats(0.01, 100), pixels=places)
@settings(deadline=None)
def test_a_scale_is_recovered_from_any_points(scale: float, pixels: list[tuple[int, int]]) -> None:
    true = scale * ramp().astype(float)
    result = calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), points(true, *pixels))
    assert result.fit.scale == pytest.approx(scale, rel=1e-6)
    assert result.depth.kind is DepthKind.METRIC
    np.testing.assert_allclose(result.depth.values, true, rtol=1e-5)
    assert all(abs(residual.relative) < 1e-6 for residual in result.residuals)
    assert result.warning is None


@given(scale=st.floats(0.1, 10), shift=st.floats(-0.09, 5), pixels=places)
@settings(deadline=None)
def test_a_scale_and_shift_are_recovered_in_depth(
    scale: float, shift: float, pixels: list[tuple[int, int]]
) -> None:
    assume(len({u for u, _ in pixels}) > 1)
    true = scale * ramp().astype(float) + shift
    result = calibrate(depth_map(ramp(), DepthKind.AFFINE), points(true, *pixels))
    assert result.fit.space is FitSpace.DEPTH
    np.testing.assert_allclose(result.depth.values, true, rtol=1e-4)


@given(scale=st.floats(0.1, 10), shift=st.floats(-0.09, 5), pixels=places)
@settings(deadline=None)
def test_a_scale_and_shift_are_recovered_in_inverse_depth(
    scale: float, shift: float, pixels: list[tuple[int, int]]
) -> None:
    assume(len({u for u, _ in pixels}) > 1)
    true = 1 / (scale * ramp().astype(float) + shift)
    result = calibrate(depth_map(ramp(), DepthKind.AFFINE_INVERSE), points(true, *pixels))
    assert result.fit.space is FitSpace.INVERSE
    np.testing.assert_allclose(result.depth.values, true, rtol=1e-4)


def test_one_point_worked_out_by_hand() -> None:
    """Three metres where the map says two: everything times one and a half."""
    result = calibrate(
        depth_map(np.full(SIZE, 2.0), DepthKind.UP_TO_SCALE), [KnownPoint(u=5, v=5, metres=3.0)]
    )
    assert result.fit.scale == pytest.approx(1.5)
    np.testing.assert_allclose(result.depth.values, 3.0)


def test_two_points_that_disagree_meet_in_the_geometric_mean() -> None:
    """Ratios 1 and 2.25 make 1.5; one is then too far, the other too near, and both named."""
    known = [KnownPoint(u=5, v=5, metres=1.0), KnownPoint(u=50, v=30, metres=2.25)]
    result = calibrate(depth_map(np.ones(SIZE), DepthKind.UP_TO_SCALE), known)
    assert result.fit.scale == pytest.approx(1.5)
    assert [residual.relative for residual in result.residuals] == pytest.approx([0.5, -1 / 3])
    assert [residual.metres for residual in result.residuals] == pytest.approx([0.5, -0.75])
    assert result.warning is not None
    assert "5,5,1 is suspicious" in result.warning
    assert "+50%" in result.warning
    assert "contradict each other by a factor of 2.25" in result.warning


def test_points_within_a_factor_of_one_and_a_half_are_not_said_to_contradict() -> None:
    known = [KnownPoint(u=5, v=5, metres=1.0), KnownPoint(u=50, v=30, metres=1.45)]
    result = calibrate(depth_map(np.ones(SIZE), DepthKind.UP_TO_SCALE), known)
    assert "contradict" not in (result.warning or "")


def test_points_that_contradict_each_other_are_refused() -> None:
    known = [
        KnownPoint(u=1, v=1, metres=1.0),
        KnownPoint(u=30, v=30, metres=1e6),
        KnownPoint(u=50, v=30, metres=1e-6),
    ]
    with pytest.raises(CalibrationError, match=r"factor of 1e\+12, above the limit of 3"):
        calibrate(depth_map(np.ones(SIZE), DepthKind.UP_TO_SCALE), known)


def test_the_most_of_five_points_or_more_decide() -> None:
    """A network that is wrong at some of the user's points does not refuse the others."""
    metres = [2.0, 2.1, 1.9, 2.0, 12.0]
    known = [KnownPoint(u=5 + 10 * i, v=5, metres=each) for i, each in enumerate(metres)]
    flat = depth_map(np.ones(SIZE), DepthKind.UP_TO_SCALE)
    result = calibrate(flat, known, smooth=False)
    assert result.fit.scale == pytest.approx(2.0)
    assert "contradict each other by a factor of 6" in result.warning
    assert "known point 45,5,12 is suspicious" in result.warning
    for fewer in (known[1:], [known[0], known[4]]):
        with pytest.raises(CalibrationError, match="above the limit of 3"):
            calibrate(flat, fewer, smooth=False)
    split = [
        KnownPoint(u=5 + 9 * i, v=5, metres=each) for i, each in enumerate((1, 1, 9, 81, 81, 81))
    ]
    with pytest.raises(CalibrationError, match="above the limit of 3"):
        calibrate(flat, split, smooth=False)


@pytest.mark.parametrize("kind", AFFINE_KINDS)
def test_a_point_that_contradicts_a_line_is_refused_and_named(kind: DepthKind) -> None:
    straight = 0.5 * ramp().astype(float) + 0.3
    true = straight if kind is DepthKind.AFFINE else 1 / straight
    known = points(true, (2, 5), (30, 20), (50, 10))
    slip = KnownPoint(u=40, v=35, metres=float(4 * true[35, 40]))
    with pytest.raises(CalibrationError, match=r"40,35,.* differs most"):
        calibrate(depth_map(ramp(), kind), [*known, slip])


def test_a_slip_among_three_points_moves_no_scale_and_is_named() -> None:
    known = points(2 * ramp(), (5, 5), (30, 20))
    slip = KnownPoint(u=55, v=35, metres=float(5 * ramp()[35, 55]))
    result = calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), [*known, slip])
    assert result.fit.scale == pytest.approx(2.0, rel=1e-6)
    assert result.warning is not None
    assert result.warning.count("suspicious") == 1
    assert "known point 55,35," in result.warning


@pytest.mark.parametrize("kind", AFFINE_KINDS)
def test_a_slip_among_four_points_moves_no_line_and_is_named(kind: DepthKind) -> None:
    straight = 0.5 * ramp().astype(float) + 0.3
    true = straight if kind is DepthKind.AFFINE else 1 / straight
    known = points(true, (2, 5), (30, 20), (50, 10))
    slip = KnownPoint(u=40, v=35, metres=float(2.5 * true[35, 40]))
    result = calibrate(depth_map(ramp(), kind), [*known, slip])
    assert (result.fit.scale, result.fit.shift) == pytest.approx((0.5, 0.3), rel=1e-5)
    assert result.warning is not None
    assert result.warning.count("suspicious") == 1
    assert "40,35," in result.warning


@pytest.mark.parametrize("kind", AFFINE_KINDS)
def test_hardly_any_line_has_less_absolute_error_in_the_logarithm(kind: DepthKind) -> None:
    """Compared with a fine search over slopes and offsets, with errors of up to 25% in five
    points.
    """
    generator = np.random.default_rng(0)
    x = np.linspace(5, 55, 5).astype(int)
    y = (1.0 + 0.2 * ramp()[0, x]) * generator.uniform(0.8, 1.25, 5)
    metres = y if kind is DepthKind.AFFINE else 1 / y
    known = [KnownPoint(u=float(u), v=9.0, metres=float(m)) for u, m in zip(x, metres, strict=True)]
    fit = calibrate(depth_map(ramp(), kind), known).fit

    def error(scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
        line = scale[..., None] * ramp()[0, x] + shift[..., None]
        return np.abs(np.log(np.maximum(line, 1e-9) / y)).sum(-1)

    searched = error(*np.meshgrid(np.linspace(0.01, 1, 400), np.linspace(-1, 3, 400)))
    assert error(np.array(fit.scale), np.array(fit.shift)) <= 1.05 * searched.min()


def test_many_points_go_by_pairs_drawn_at_random_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    true = 1 / (0.5 * ramp().astype(float) + 0.3)
    pixels = [(u, v) for u in range(0, 60, 3) for v in range(0, 40, 8)]
    depth = depth_map(ramp(), DepthKind.AFFINE_INVERSE)
    monkeypatch.setattr(points_module, "MAX_PAIRS", 50)
    fit = calibrate(depth, points(true, *pixels)).fit
    assert (fit.scale, fit.shift) == pytest.approx((0.5, 0.3), rel=1e-4)
    assert fit.pixels == 100


def test_a_stray_pixel_under_the_point_does_not_count() -> None:
    values = np.full(SIZE, 2.0)
    values[10, 10] = 50.0
    result = calibrate(
        depth_map(values, DepthKind.UP_TO_SCALE), [KnownPoint(u=10, v=10, metres=4.0)]
    )
    assert result.fit.scale == pytest.approx(2.0)


def test_invalid_pixels_beside_the_point_do_not_count() -> None:
    values, valid = np.full(SIZE, 2.0), np.ones(SIZE, bool)
    valid[8:12, 8:12], values[8:12, 8:12] = False, 77.0
    valid[10, 10], values[10, 10] = True, 2.0
    result = calibrate(
        depth_map(values, DepthKind.UP_TO_SCALE, valid), [KnownPoint(u=10, v=10, metres=4.0)]
    )
    assert result.fit.scale == pytest.approx(2.0)


@pytest.mark.parametrize("u", [0, 1, 57, 59])
def test_at_the_border_a_slope_still_counts_as_its_middle(u: int) -> None:
    true = 2 * ramp().astype(float)
    fit = calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), points(true, (u, 0))).fit
    assert fit.scale == pytest.approx(2.0, rel=1e-6)


def test_a_distance_along_the_ray_is_longer_than_depth() -> None:
    """30 px right and 40 px down at focal length 120: the ray is 13/12 of the depth."""
    K = np.array([[120.0, 0, 10.0], [0, 120.0, 5.0], [0, 0, 1.0]])
    camera = Camera(K=K, source=CameraSource.GIVEN)
    known = [KnownPoint(u=40, v=45 - 10, metres=13.0, along=Along.RAY)]
    depth = depth_map(np.ones(SIZE), DepthKind.UP_TO_SCALE)
    expected = 13.0 / np.sqrt(1 + (30 / 120) ** 2 + (30 / 120) ** 2)
    assert calibrate(depth, known, camera=camera).fit.scale == pytest.approx(expected)
    with pytest.raises(CalibrationError, match="along its ray, so the camera must be known"):
        calibrate(depth, known)


def test_a_residual_is_along_what_was_measured() -> None:
    """At the second point, 45 degrees off the axis, the map is 10% too far."""
    K = np.array([[40.0, 0, 10.0], [0, 40.0, 5.0], [0, 0, 1.0]])
    camera, values = Camera(K=K, source=CameraSource.GIVEN), np.full(SIZE, 2.0)
    values[:, 40:] = 2.2
    known = [
        KnownPoint(u=10, v=5, metres=2.0),
        KnownPoint(u=50, v=5, metres=2.0 * np.sqrt(2), along=Along.RAY),
    ]
    result = calibrate(depth_map(values, DepthKind.METRIC), known, camera=camera, smooth=False)
    scale = result.fit.scale
    expected = [2.0 * (scale - 1), 2.0 * np.sqrt(2) * (1.1 * scale - 1)]
    assert [item.metres for item in result.residuals] == pytest.approx(expected)
    assert result.residuals[1].relative == pytest.approx(1.1 * scale - 1)


def test_metres_are_scaled_again_and_that_is_said() -> None:
    result = calibrate(depth_map(ramp(), DepthKind.METRIC), points(1.25 * ramp(), (5, 5)))
    assert result.warning == "the model's own metric depth was multiplied by 1.25"


def test_pixels_that_the_shift_takes_below_zero_become_invalid_and_are_counted() -> None:
    """Depth is x - 2, so of 60 columns from 1 to 5 the first 15 end at zero or below."""
    true = ramp().astype(float) - 2
    result = calibrate(depth_map(ramp(), DepthKind.AFFINE), points(true, (30, 5), (50, 5)))
    below = int((true <= 0).sum())
    assert below == 15 * SIZE[0]
    assert result.lost == below
    np.testing.assert_array_equal(result.depth.valid, true > 0)
    assert result.warning is not None
    assert f"{below} of 2400 pixels without a positive depth" in result.warning


def test_pixels_beyond_infinity_become_invalid_and_are_counted() -> None:
    inverse = ramp().astype(float) - 2
    result = calibrate(
        depth_map(ramp(), DepthKind.AFFINE_INVERSE), points(1 / inverse, (30, 5), (50, 5))
    )
    assert result.lost == 15 * SIZE[0]
    assert result.depth.values[result.depth.valid].min() > 0
    assert np.isnan(result.depth.values[~result.depth.valid]).all()


def test_the_fit_serves_the_next_frame() -> None:
    fit = calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), points(3 * ramp(), (5, 5))).fit
    following = depth_map(ramp(2.0, 4.0), DepthKind.UP_TO_SCALE)
    np.testing.assert_allclose(to_depth(following, fit), 3 * ramp(2.0, 4.0), rtol=1e-6)


@pytest.mark.parametrize(("u", "v"), [(-0.4, 5), (59.4, 5), (5, 39.4)])
def test_a_point_on_the_outer_half_of_a_border_pixel_is_inside(u: float, v: float) -> None:
    known = [KnownPoint(u=u, v=v, metres=1.0)]
    assert calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), known).fit.scale > 0


@pytest.mark.parametrize("kind", AFFINE_KINDS)
def test_known_points_always_keep_a_positive_depth(kind: DepthKind) -> None:
    """Three points agree on a line that is below zero at the fourth, so it is not taken."""
    line = ramp().astype(float) - 2
    true = line if kind is DepthKind.AFFINE else 1 / line
    metres = 0.05 if kind is DepthKind.AFFINE else 20.0
    known = [*points(true, (30, 5), (40, 10), (50, 5)), KnownPoint(u=2, v=5, metres=metres)]
    result = calibrate(depth_map(ramp(), kind), known)
    assert result.depth.valid[5, 2]
    assert max(abs(residual.relative) for residual in result.residuals) < 0.3


@pytest.mark.parametrize("text", ["320,240,2.5", "320.25,240,2.5", "3,4,0.1,ray"])
def test_a_point_is_read_as_it_is_written(text: str) -> None:
    assert str(parse_known(text)) == text


def test_spaces_and_the_axis_may_be_written_out() -> None:
    assert parse_known(" 1 , 2 , 3 , axis ") == KnownPoint(u=1, v=2, metres=3)


@pytest.mark.parametrize(("factor", "is_noted"), [(1.1, False), (1.3, True), (1 / 1.3, True)])
def test_two_sizes_that_differ_as_a_wrong_one_would_have_a_note(
    factor: float, is_noted: bool
) -> None:
    """A network may err by as much, so the note says that either is possible."""
    first, second = points(ramp(), (5, 5), (50, 30))
    wrong = replace(second, metres=factor * second.metres)
    warning = calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), [first, wrong]).warning
    assert (warning is not None and "so can a wrong size" in warning) == is_noted
