"""Circles of known size, such as coins, which photographs show as ellipses."""

import math

import numpy as np
import pytest

import rilievo
from rilievo.calibration.ellipses import Ellipse, circle_position, ellipse_through
from rilievo.calibration.points import calibrate
from rilievo.calibration.readings import circle_middle
from rilievo.calibration.sizes import KnownCircle, parse_circle, parse_known
from rilievo.errors import CalibrationError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.expected_errors import known_size_evidence
from rilievo.options.camera_forms import camera_for_size, read_camera
from rilievo.records.depth_map import DepthKind, DepthMap
from support.fixed_depth import FixedDepth

SIZE = (480, 640)
F = 560.0
CAMERA = Camera(K=np.array([[F, 0, 319.5], [0, F, 239.5], [0, 0, 1]]))
FISHEYE = camera_for_size(read_camera("fisheye:150"), SIZE)
BENT = camera_for_size(read_camera("opencv:560,560,319.5,239.5,-0.2,0.05,0.001,0"), SIZE)


def tilted(
    pixel: tuple[float, float], depth: float, tilt: float, turn: float, camera: Camera = CAMERA
) -> tuple[np.ndarray, np.ndarray]:
    """Middle of a circle and its normal, which leans by ``tilt`` degrees towards ``turn``."""
    middle = depth * camera.rays(np.array(pixel, np.float64))
    view = -middle / np.linalg.norm(middle)
    first = np.cross(view, (0, 1, 0))
    first /= np.linalg.norm(first)
    lean = math.cos(turn) * first + math.sin(turn) * np.cross(view, first)
    return middle, math.cos(math.radians(tilt)) * view + math.sin(math.radians(tilt)) * lean


def rim(
    middle: np.ndarray, normal: np.ndarray, diameter: float, count: int, camera: Camera = CAMERA
) -> list[tuple[float, float]]:
    """Pixels of points of the rim of a circle."""
    first = np.cross(normal, (1, 0, 0))
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    t = np.linspace(0, 2 * np.pi, count, endpoint=False) + 0.2
    offsets = first[:, None] * np.cos(t) + second[:, None] * np.sin(t)
    u, v = camera.project(middle[:, None] + diameter / 2 * offsets)
    return list(zip(u.tolist(), v.tolist(), strict=True))


def plane_depth(camera: Camera = CAMERA, *, middle: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Depth map of the plane on which a circle lies."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    rays = camera.rays(np.stack([u, v]))
    return float(normal @ middle) / np.tensordot(normal, rays, 1)


@pytest.mark.parametrize("camera", [CAMERA, FISHEYE, BENT], ids=["pinhole", "fisheye", "bent"])
@pytest.mark.parametrize("tilt", [0, 15, 30, 45, 60])
def test_the_depth_of_a_circle_follows_at_every_slant(tilt: float, camera: Camera) -> None:
    rng = np.random.default_rng(int(tilt))
    for turn in rng.uniform(0, 2 * np.pi, 8):
        depth, diameter = rng.uniform(0.3, 2), rng.uniform(0.02, 0.08)
        pixel = tuple(rng.uniform((150, 120), (490, 360)).tolist())
        middle, normal = tilted(pixel, depth, tilt, turn, camera)
        ellipse = ellipse_through(rim(middle, normal, diameter, 40, camera))
        assert ellipse is not None
        position = circle_position(ellipse, diameter, camera)
        assert position is not None
        # The ray of this point meets the true plane in it.
        direction = position.middle / np.linalg.norm(position.middle)
        expected = direction * float(normal @ middle) / float(normal @ direction)
        tolerance = 1e-8 if camera is CAMERA else 2e-3  # Other lenses show no exact ellipse.
        np.testing.assert_allclose(position.middle, expected, rtol=0, atol=tolerance * depth)
        assert position.slant == pytest.approx(tilt, abs=5)
        # It is the middle of the circle, but for the perspective inside of it.
        assert np.linalg.norm(position.middle) == pytest.approx(np.linalg.norm(middle), rel=0.03)


@pytest.mark.parametrize("tilt", [0, 30, 60])
def test_a_drawn_coin_scales_depth(tilt: float) -> None:
    """A coin as a mask of pixels, whose outline is clicked by a few pixels of its border."""
    middle, normal = tilted((350, 250), 0.6, tilt, 0.7)
    depth = plane_depth(middle=middle, normal=normal)
    v, u = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    points = depth * np.stack([(u - 319.5) / F, (v - 239.5) / F, np.ones_like(u)])
    coin = np.linalg.norm(points - middle[:, None, None], axis=0) < 0.06
    inner = coin[1:-1, 1:-1] & coin[:-2, 1:-1] & coin[2:, 1:-1] & coin[1:-1, :-2] & coin[1:-1, 2:]
    border = coin.copy()
    border[1:-1, 1:-1] &= ~inner
    rows, columns = np.nonzero(border)
    chosen = np.linspace(0, len(rows) - 1, 14).astype(int)
    clicks = ",".join(f"{columns[i]},{rows[i]}" for i in chosen)
    relative = DepthMap(
        values=(np.clip(depth, 0.1, 9) / 3).astype(np.float32), kind=DepthKind.UP_TO_SCALE
    )
    circle = parse_known(f"{clicks},12cm")
    fitted = calibrate(relative, [circle], camera=CAMERA)
    # Centres of border pixels lie half a pixel inside of the rim, of about 110 pixels.
    assert fitted.fit.scale == pytest.approx(3, rel=0.015)


def test_the_mean_of_both_axes_would_be_wrong() -> None:
    middle, normal = tilted((320, 240), 1.0, 60, math.pi / 2)
    ellipse = ellipse_through(rim(middle, normal, 0.03, 12))
    assert ellipse is not None
    assert F * 0.03 / ellipse.long_axis == pytest.approx(1, rel=1e-3)
    mean_diameter = (ellipse.long_axis + ellipse.short_axis) / 2
    assert F * 0.03 / mean_diameter == pytest.approx(4 / 3, rel=1e-2)


def test_every_form_of_a_circle_is_read() -> None:
    points = rim(*tilted((300, 200), 0.5, 40, 1.0), 0.05, 7)
    text = ",".join(f"{u},{v}" for u, v in points)
    by_points = parse_circle(f"{text},50mm")
    assert parse_known(f"{text},5cm") == by_points
    assert parse_known(str(by_points)) == by_points
    ellipse = by_points.ellipse
    assert max(ellipse.rim_distances(points)) < 1e-3
    # OpenCV's ``fitEllipse`` gives the axes in any order.
    axes = f"{ellipse.short_axis},{ellipse.long_axis},{ellipse.angle - 90}"
    swapped = parse_circle(f"{ellipse.u},{ellipse.v},{axes},0.05")
    assert swapped.ellipse.long_axis == ellipse.long_axis
    assert swapped.ellipse.angle == pytest.approx(ellipse.angle)
    box = parse_circle("300,100,360,140,1-euro")
    assert (box.u, box.v, box.width, box.height, box.metres) == (330, 120, 60, 40, 0.02325)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3,23mm", "found 4 values"),
        ("1,2,3,4,5,6,7,8,23mm", "found 9 values"),
        ("1,2,3,4,x,23mm", "all but the last must be numbers"),
        ("1,2,3,nan,23mm", "finite"),
        ("300,100,360,140,1-euros", "did you mean '1-euro'"),
        ("300,100,360,140,0", "diameter must be between"),
        ("300,100,302,101,1-euro", "at least 4 pixels long"),
        ("0.1,0.1,0.3,0.3,1-euro", "not in fractions"),
        ("300,100,400,102,1-euro", "50 times as long as wide"),
        ("0,0,10,10,20,20,30,30,40,40,1-euro", "do not lie on an ellipse"),
        ("5,5,5,5,5,5,5,5,5,5,1-euro", "do not lie on an ellipse"),
        ("0,0,90,0,90,90,0,90,45,0,45,44,1-euro", "do not lie on an ellipse"),
    ],
)
def test_what_is_no_circle_is_refused(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as refusal:
        parse_circle(text)
    assert "\n" not in str(refusal.value)


def test_a_circle_that_a_camera_cannot_see_is_refused() -> None:
    circle = KnownCircle(u=320, v=240, width=1200, height=1100, metres=0.1)
    with pytest.raises(CalibrationError, match="no circle in the view of this camera"):
        circle_middle(circle, FISHEYE)


def predicted(*known: KnownCircle | str, depth: np.ndarray) -> rilievo.Prediction:
    photo = np.zeros((*SIZE, 3), np.uint8)
    model = FixedDepth(depth)
    return rilievo.predict(photo, model=model, camera=CAMERA, known=[*known], trim=False)


def test_predictions_become_metric_and_say_so() -> None:
    middle, normal = tilted((350, 250), 0.6, 50, 0.7)
    depth = plane_depth(middle=middle, normal=normal)
    points = rim(middle, normal, 0.02575, 8)
    text = ",".join(f"{u:.1f},{v:.1f}" for u, v in points) + ",2-euro"
    prediction = predicted(text, depth=depth / depth.mean())
    assert prediction.calibration is not None
    assert prediction.calibration.method == "known circles"
    np.testing.assert_allclose(prediction.depth.values, depth, rtol=0.01)
    distance = prediction.distance(350, 250)
    assert distance.low < np.linalg.norm(middle) < distance.high
    assert "known circles" in prediction.notes[-1]


def test_ranges_contain_the_error_of_placing_a_small_coin() -> None:
    small = KnownCircle(u=320, v=240, width=5, height=5, metres=0.005)
    large = KnownCircle(u=320, v=240, width=200, height=200, metres=0.2)
    expected = {small: math.log1p(1.2816 * math.sqrt(2) / 5)}
    expected[large] = math.log1p(1.2816 * math.sqrt(2) / 200)
    for circle, error in expected.items():
        evidence = known_size_evidence(predicted(circle, depth=np.ones(SIZE)))
        assert evidence.log_error == pytest.approx(error)
    # Another size beside the coin gives the scale as well.
    both = predicted(small, "100,100,0.56", depth=np.ones(SIZE))
    assert known_size_evidence(both).log_error == 0


def test_depth_of_an_instrument_is_compared_with_a_circle() -> None:
    photo = np.zeros((*SIZE, 3), np.uint8)
    depth = np.full(SIZE, 0.5, np.float32)
    right = KnownCircle(u=320, v=240, width=112, height=112, metres=0.1)
    wrong = KnownCircle(u=320, v=240, width=112, height=112, metres=0.2)

    def notes(circle: KnownCircle) -> str:
        return " ".join(
            rilievo.Prediction.from_depth(photo, depth, CAMERA, unit=1.0, known=[circle]).notes
        )

    assert "contradict" not in notes(right)
    with pytest.warns(UserWarning, match="middle of the circle is 0.5 m"):
        assert "contradict" in notes(wrong)


def test_the_ellipse_through_many_points_is_theirs() -> None:
    true = Ellipse(u=100.0, v=80.0, long_axis=60.0, short_axis=25.0, angle=-35.0)
    found = ellipse_through(true.rim(30).T.tolist())
    assert found is not None
    for name in Ellipse.__slots__:
        assert getattr(found, name) == pytest.approx(getattr(true, name), abs=1e-6)
