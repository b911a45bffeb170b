"""Heights above the plane of a known rectangle by the depth of an instrument."""

from collections.abc import Callable

import numpy as np
import pytest

import rilievo
from rilievo.errors import CalibrationError
from rilievo.measure import height_above_plane
from rilievo.measure.measurements import Measurement, MeasurementOrigin
from support.grids import mostly_slow
from support.sheet_scenes import CAMERA, PHOTO, SIDES, SheetScene

HEIGHTS = [0.001, 0.002, 0.004, 0.008, 0.01, 0.02, 0.04, -0.004]
"""Heights of a block [m], many of them below the errors of depth."""


def prediction_of(
    scene: SheetScene,
    depth: np.ndarray | None = None,
    error: str | None = None,
    sheet: rilievo.KnownRectangle | None = None,
) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(
        PHOTO,
        scene.depth() if depth is None else depth,
        CAMERA,
        known=[sheet or scene.sheet],
        depth_error=error,
    )


def contains(measured: Measurement, true: float) -> bool:
    return measured.low <= true <= measured.high


@pytest.mark.parametrize(
    ("distance", "error", "height"),
    mostly_slow((0.6, 2.0), (None, "1%", "0.1%", "1mm"), HEIGHTS),
)
def test_exact_depth_gives_low_heights_and_not_zero(
    distance: float, error: str | None, height: float
) -> None:
    scene = SheetScene(51, distance, height, (0.06, 0.06))
    measured = height_above_plane(
        prediction_of(scene, error=error), scene.pixel(0.003, 0.004, height)
    )
    assert measured.value == pytest.approx(height, abs=1e-5 * distance)
    assert contains(measured, height)
    assert measured.high - measured.low < 0.03 * distance


@pytest.mark.parametrize(
    ("place", "sheets"),
    [
        ((0.25, 0.0), 3),
        *(
            pytest.param(each, 8, marks=pytest.mark.slow)
            for each in ((0.25, 0.0), (0.0, 0.0), (-0.25, 0.1), (0.0, 0.16))
        ),
    ],
)
def test_heights_do_not_follow_the_errors_of_corners_also_outside_of_the_sheet(
    place: tuple[float, float], sheets: int
) -> None:
    generator = np.random.default_rng(3)
    scene = SheetScene(45, 0.8, 0.05, (0.06, 0.06))
    scene.block_middle = place
    exact = np.array(scene.sheet.corners)
    for _ in range(sheets):
        corners = tuple(map(tuple, exact + generator.normal(0, 1, exact.shape)))
        sheet = rilievo.KnownRectangle(corners=corners, sides=SIDES)
        prediction = prediction_of(scene, error="0.5%", sheet=sheet)
        measured = height_above_plane(prediction, scene.pixel(*place, 0.05))
        assert measured.value == pytest.approx(0.05, abs=3e-4)
        assert contains(measured, 0.05)


def same_scale(depth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return depth * (1 + 0.0078 * generator.standard_normal())


def noise_of_pixels(depth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return depth * (1 + 0.0078 * generator.standard_normal(depth.shape))


def ripples(depth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Errors that neighbouring pixels have in common, as those of depth cameras."""
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    phase = generator.uniform(0, 2 * np.pi, 2)
    return depth * (1 + 0.003 * np.sin(u / 40 + phase[0]) * np.sin(v / 30 + phase[1]))


@pytest.mark.parametrize(
    ("height", "disturb", "scenes"),
    [
        (0.01, same_scale, 6),
        *(
            pytest.param(height, disturb, 20, marks=pytest.mark.slow)
            for height in (0.0, 0.01, 0.06)
            for disturb in (same_scale, noise_of_pixels, ripples)
        ),
    ],
)
def test_eight_in_ten_ranges_hold_the_height_if_depth_errs_as_stated(
    height: float,
    disturb: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    scenes: int,
) -> None:
    generator = np.random.default_rng(5)
    inside = []
    for _ in range(scenes):
        slant, distance = generator.uniform(20, 60), generator.uniform(0.5, 1.2)
        scene = SheetScene(slant, distance, height, (0.07, 0.07))
        prediction = prediction_of(scene, disturb(scene.depth(), generator), "1%")
        measured = height_above_plane(prediction, scene.pixel(0.005, 0, height))
        inside.append(contains(measured, height))
        assert abs(measured.value - height) < 0.012 * distance
    assert np.mean(inside) >= 0.8


@pytest.mark.parametrize("offset", [-0.002, 0.0, 0.002])
@pytest.mark.parametrize("across", [0.006, 0.012])
def test_a_rod_beside_the_outline_has_its_own_height(across: float, offset: float) -> None:
    scene = SheetScene(51, 0.64, 0.03, (across, 0.15))
    scene.block_middle = (0.141, 0.0)
    prediction = prediction_of(scene, error="0.5%")
    measured = height_above_plane(prediction, scene.pixel(0.141 + offset, 0, 0.03))
    assert contains(measured, 0.03)
    if offset == 0:
        assert measured.value == pytest.approx(0.03, abs=1e-4)
    ends = [scene.pixel(0.141, y, 0.03) for y in (-0.05, 0.05)]
    length = prediction.measure(*ends)
    assert length.origin is MeasurementOrigin.DEPTH_MAP
    assert length.value == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("spelling", ["equirect", "fisheye:180"])
def test_wide_lenses_have_the_same_heights_and_lengths(spelling: str) -> None:
    size = (400, 800) if spelling == "equirect" else (600, 600)
    photo = np.full((*size, 3), 90, np.uint8)
    camera = rilievo.Prediction.from_depth(photo, np.ones(size), spelling).known_camera
    scene = SheetScene(55, 0.9, 0.06, (0.1, 0.1))

    def pixel(x: float, y: float, z: float = 0.0) -> tuple[float, float]:
        u, v = camera.project(scene.place(x, y, z))
        return float(u), float(v)

    corners = tuple(pixel(x, y) for x, y in ((-0.3, -0.2), (0.3, -0.2), (0.3, 0.2), (-0.3, 0.2)))
    sheet = rilievo.KnownRectangle(corners=corners, sides=(0.6, 0.4))
    prediction = rilievo.Prediction.from_depth(
        photo, scene.distances(camera, size), camera, known=[sheet], depth_error="0.5%"
    )
    assert not any("contradict" in note for note in prediction.notes)
    measured = height_above_plane(prediction, pixel(0, 0, 0.06))
    assert measured.value == pytest.approx(0.06, abs=1e-4)
    ends = pixel(-0.2, 0.1), pixel(0.2, -0.1)
    length = prediction.measure(*ends)
    assert length.origin is MeasurementOrigin.RECTANGLE
    assert contains(length, float(np.hypot(0.4, 0.2)))


def test_a_rectangle_over_what_is_no_plane_is_said_and_has_a_wide_range() -> None:
    scene = SheetScene(30, 1.0, 0.0)
    v, u = np.mgrid[: PHOTO.shape[0], : PHOTO.shape[1]]
    rough = scene.depth() * (1 + 0.05 * np.sign(np.sin(u / 15) * np.sin(v / 15)))
    measured = height_above_plane(prediction_of(scene, rough), scene.pixel(0.02, 0.01))
    assert any("deviates from a plane" in remark for remark in measured.remarks)
    assert measured.high - measured.low > 0.05
    flat = height_above_plane(prediction_of(scene), scene.pixel(0.02, 0.01))
    assert not any("deviates from a plane" in remark for remark in flat.remarks)


def test_an_object_that_hides_most_of_the_sheet_widens_the_range() -> None:
    scene = SheetScene(40, 0.6, 0.08, (0.26, 0.17))
    measured = height_above_plane(prediction_of(scene, error="0.5%"), scene.pixel(0, 0, 0.08))
    assert contains(measured, 0.08)


def test_a_guessed_focal_length_widens_the_range_of_a_height() -> None:
    scene = SheetScene(45, 0.6, 0.05)
    found = rilievo.Prediction.from_depth(PHOTO, scene.depth(), known=[scene.sheet])
    guessed = height_above_plane(found, scene.pixel(0, 0, 0.05))
    given = height_above_plane(prediction_of(scene), scene.pixel(0, 0, 0.05))
    assert guessed.high - guessed.low > given.high - given.low
    assert contains(guessed, 0.05)


@pytest.mark.filterwarnings("ignore:a known size is not compared with the depth map")
def test_a_point_without_depth_is_refused() -> None:
    scene = SheetScene(45, 0.6, 0.05)
    depth = scene.depth()
    u, v = map(round, scene.pixel(0, 0, 0.05))
    depth[v - 5 : v + 6, u - 5 : u + 6] = 0
    with pytest.raises(CalibrationError, match="without depth"):
        height_above_plane(prediction_of(scene, depth), (u, v))
    empty = np.zeros_like(depth)
    empty[:20, :20] = 1
    with pytest.raises(CalibrationError, match="too little depth"):
        height_above_plane(prediction_of(scene, empty), (5.0, 5.0))


def test_a_height_that_rounds_to_zero_has_no_minus() -> None:
    scene = SheetScene(45, 0.6, 0.04)
    measured = height_above_plane(prediction_of(scene), scene.pixel(0.1, 0.08))
    assert abs(measured.value) < 1e-5
    assert measured.text.startswith("0.000 m (-0.00")
