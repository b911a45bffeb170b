"""Known lengths bring depth of every kind to metres, alone and with known points."""

import numpy as np
import pytest

from rilievo.calibration.points import calibrate
from rilievo.calibration.sizes import NAMED_LENGTHS, KnownLength, KnownPoint, parse_known
from rilievo.errors import CalibrationError
from rilievo.records.depth_map import DepthKind, DepthMap
from support.sloping_plane import CAMERA, SIZE, length_on, map_of, place_on, plane_depth

NEAR, FAR = ((30, 100), (110, 105)), ((60, 12), (130, 20))


def known(ends: tuple[tuple[int, int], tuple[int, int]], factor: float = 1.0) -> KnownLength:
    (u1, v1), (u2, v2) = ends
    return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=factor * length_on(*ends))


@pytest.mark.parametrize("kind", [DepthKind.UP_TO_SCALE, DepthKind.METRIC])
def test_one_length_gives_the_scale(kind: DepthKind) -> None:
    found = calibrate(map_of(plane_depth(), kind), [known(NEAR)], camera=CAMERA)
    np.testing.assert_allclose(found.depth.values, plane_depth(), rtol=1e-5)
    assert found.depth.kind is DepthKind.METRIC
    assert found.residuals[0].relative == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
@pytest.mark.parametrize("shift", [-0.05, 0.0, 0.3])
def test_two_lengths_give_scale_and_shift(kind: DepthKind, shift: float) -> None:
    depth = map_of(plane_depth(), kind, shift=shift)
    found = calibrate(depth, [known(NEAR), known(FAR)], camera=CAMERA)
    np.testing.assert_allclose(found.depth.values, plane_depth(), rtol=2e-3)


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
def test_a_length_and_a_point_give_scale_and_shift(kind: DepthKind) -> None:
    point = KnownPoint(u=70, v=15, metres=float(place_on(70, 15)[2]))
    found = calibrate(map_of(plane_depth(), kind), [known(NEAR), point], camera=CAMERA)
    np.testing.assert_allclose(found.depth.values, plane_depth(), rtol=2e-3)
    assert [type(each.known) for each in found.residuals] == [KnownLength, KnownPoint]


def test_a_slip_among_three_lengths_moves_no_scale_and_is_named() -> None:
    slip = known(((20, 60), (140, 60)), 1.45)
    depth = map_of(plane_depth(), DepthKind.UP_TO_SCALE)
    found = calibrate(depth, [known(NEAR), slip, known(FAR)], camera=CAMERA)
    np.testing.assert_allclose(found.depth.values, plane_depth(), rtol=1e-5)
    assert found.warning is not None
    assert str(slip) in found.warning


def test_lengths_that_contradict_each_other_are_refused() -> None:
    depth = map_of(plane_depth(), DepthKind.UP_TO_SCALE)
    with pytest.raises(CalibrationError, match="factor of 4"):
        calibrate(depth, [known(NEAR), known(FAR, 4)], camera=CAMERA)


def test_ends_on_the_border_of_a_thing_are_read_off_its_surface() -> None:
    """A sheet before a wall, its ends clicked where depth is the wall's already."""
    depth = np.full(SIZE, 4.0)
    depth[40:80, 50:110] = 2.0
    sheet = KnownLength(u1=48, v1=60, u2=111, v2=60, metres=63 * 2.0 / 140)
    found = calibrate(map_of(depth, DepthKind.UP_TO_SCALE), [sheet], camera=CAMERA)
    assert found.fit.scale == pytest.approx(2.5, rel=1e-6)


def test_a_length_across_a_gap_is_read_at_its_ends() -> None:
    depth = np.full(SIZE, 6.0)
    depth[:, :50] = 2.0
    depth[:, 110:] = 3.0
    ends = KnownLength(u1=20, v1=60, u2=140, v2=60, metres=1.0)
    true = [np.array([(u - 79.5) / 140 * z, 0.5 / 140 * z, z]) for u, z in ((20, 2), (140, 3))]
    found = calibrate(map_of(depth, DepthKind.UP_TO_SCALE), [ends], camera=CAMERA)
    assert found.fit.scale == pytest.approx(2.5 / np.linalg.norm(true[0] - true[1]), rel=1e-6)


def test_lengths_at_one_depth_determine_no_shift() -> None:
    depth = DepthMap(
        values=np.full(SIZE, 0.7, np.float32)
        + np.linspace(0, 1, SIZE[0], dtype=np.float32)[:, None],
        kind=DepthKind.AFFINE_INVERSE,
    )
    lengths = [
        KnownLength(u1=20, v1=60, u2=90, v2=60, metres=1.0),
        KnownLength(u1=30, v1=60, u2=130, v2=60, metres=100 / 70),
    ]
    with pytest.raises(CalibrationError, match="the same depth"):
        calibrate(depth, lengths, camera=CAMERA)


@pytest.mark.parametrize(
    ("text", "said"),
    [("10,10,170,20,1", "outside the image"), ("10,-3,100,20,1", "its first end lies outside")],
)
def test_an_end_outside_is_refused(text: str, said: str) -> None:
    depth = map_of(plane_depth(), DepthKind.UP_TO_SCALE)
    with pytest.raises(CalibrationError, match=said):
        calibrate(depth, [parse_known(text)], camera=CAMERA)


def test_a_length_without_a_camera_is_refused() -> None:
    with pytest.raises(CalibrationError, match="requires a known camera"):
        calibrate(map_of(plane_depth(), DepthKind.UP_TO_SCALE), [known(NEAR)])


def test_an_end_without_depth_is_refused() -> None:
    values = plane_depth().astype(np.float32)
    valid = np.ones(SIZE, bool)
    valid[90:] = False
    depth = DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=valid)
    with pytest.raises(CalibrationError, match="without depth"):
        calibrate(depth, [known(NEAR)], camera=CAMERA)


def test_usual_things_stand_for_their_length() -> None:
    length = parse_known("1,2,30,40,A4")
    assert isinstance(length, KnownLength)
    assert length.metres == NAMED_LENGTHS["a4"] == 0.297
    assert parse_known(str(length)) == length
    # ISO 216: the sides of a sheet are as 1 to the root of 2, within its rounding to millimetres.
    for sheet in ("a4", "a3"):
        sides = NAMED_LENGTHS[sheet] / NAMED_LENGTHS[f"{sheet}-short"]
        assert sides == pytest.approx(np.sqrt(2), abs=4e-3)
