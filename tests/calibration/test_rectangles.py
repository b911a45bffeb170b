"""Known rectangles: pose, focal length and sizes in their planes, on random planes and cameras."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from lab.scenes.seen_rectangles import FARTHEST_VANISHING, SHAPE, SeenRectangle, seen_rectangles
from lab.studies.judge_rectangles import angle_off, length_errors
from rilievo.calibration.readings import rectangle_depth
from rilievo.calibration.rectangle_depth import RectangleSamples
from rilievo.calibration.rectangle_fit import MAX_FOCAL_DEVIATION, fit_rectangles
from rilievo.calibration.sizes import (
    NAMED_LENGTHS,
    NAMED_RECTANGLES,
    KnownRectangle,
    parse_known,
    parse_rectangle,
    parse_sides,
)
from rilievo.cli import main
from rilievo.errors import CalibrationError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource, assumed_camera
from rilievo.geometry.cameras.fisheye import equidistant_fisheye
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.measure import area, distance, length
from rilievo.measure.measurements import Quantity
from rilievo.measure.rectangle_plane import deviation_in_plane, quantity_in_plane
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.schema.typed_values import parse_metres
from support.fixed_depth import FixedDepth
from support.lens_boxes import turned

COUNT = 150
R, MIDDLE, FOCAL = turned(40, 25, 5), np.array([0.05, -0.02, 1.0]), 900.0
CAMERA = Camera(K=K_from_focal(FOCAL, FOCAL, SHAPE))
SIDES = np.array([0.297, 0.21])


def pixel(x: float, y: float, camera: Camera = CAMERA) -> tuple[float, float]:
    """Pixel of a place in the plane of the sheet [m], from its middle."""
    u, v = camera.project(R[:, :2] @ (x, y) + MIDDLE)
    return float(u), float(v)


def sheet(camera: Camera = CAMERA, first: int = 0, sides: str | tuple = "a4") -> KnownRectangle:
    """A sheet of A4, named from one of its corners."""
    w, h = SIDES / 2
    corners = [pixel(*at, camera) for at in ((-w, -h), (w, -h), (w, h), (-w, h))]
    return KnownRectangle(corners=tuple(corners[first:] + corners[:first]), sides=sides)


@pytest.fixture(scope="module")
def random_planes() -> list[tuple[SeenRectangle, rilievo.calibration.rectangle_fit.RectangleFit]]:
    return [
        (seen, fit_rectangles([seen.rectangle], seen.camera)) for seen in seen_rectangles(COUNT, 10)
    ]


def test_lengths_in_random_planes_are_within_one_per_cent(random_planes: list) -> None:
    errors = np.abs([error for pair in random_planes for error in length_errors(*pair)])
    assert errors.max() < 0.01
    assert np.median(errors) < 0.0015


def test_poses_of_random_planes_are_within_a_degree(random_planes: list) -> None:
    assert max(angle_off(*pair) for pair in random_planes) < 1
    for view, fit in random_planes:
        assert fit.poses[0].normal @ view.t < 0, "towards the camera"
        assert fit.poses[0].t == pytest.approx(view.t, rel=0.01, abs=0.005 * np.linalg.norm(view.t))
        assert (fit.focal_log_deviation, fit.camera) == (0, view.camera)


def test_an_unknown_focal_length_is_within_five_per_cent_where_vanishing_points_are_near() -> None:
    taken, errors, lengths = [], [], []
    for seen in seen_rectangles(COUNT, 11, distorted=False):
        fit = fit_rectangles([seen.rectangle], assumed_camera(SHAPE), SHAPE)
        lengths += length_errors(seen, fit)
        if seen.vanishing <= FARTHEST_VANISHING:
            taken.append(fit.focal_log_deviation <= MAX_FOCAL_DEVIATION)
            errors.append(abs(math.log(fit.camera.focal / seen.camera.focal)))
    assert len(taken) > 0.5 * COUNT
    assert np.mean(taken) >= 0.98
    assert np.mean(np.array(errors) < math.log(1.05)) >= 0.96
    assert np.array(errors)[taken].max() < math.log(1.08)
    assert np.quantile(np.abs(lengths), 0.98) < 0.01


@pytest.mark.slow
def test_ranges_hold_eight_in_ten_true_lengths() -> None:
    chance, inside = np.random.default_rng(0), []
    for seen in seen_rectangles(COUNT, 12, error=1.0, gaussian=True):
        fit = fit_rectangles([seen.rectangle], seen.camera)
        for places in seen.lines[:2]:
            pixels = seen.camera.project(places).T + chance.normal(0, 1, (2, 2))
            value = quantity_in_plane(Quantity.LENGTH, fit, 0, pixels)
            deviation = deviation_in_plane(Quantity.LENGTH, fit, 0, pixels)
            true = np.linalg.norm(places[:, 1] - places[:, 0])
            inside.append(abs(value - true) <= 1.2816 * deviation)
    assert np.mean(inside) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("off", "is_widened"), [(2.0, False), (6.0, True)], ids=["expected", "more than expected"]
)
def test_a_range_grows_with_corners_that_fit_worse_than_their_stated_error(
    off: float, is_widened: bool
) -> None:
    """A rectangle whose first corner is off, by some of its stated errors of 0.5 px."""
    exact = replace(sheet(), error=0.5)
    u, v = exact.corners[0]
    moved = replace(exact, corners=((u - 0.5 * off, v + 0.5 * off), *exact.corners[1:]))
    ends = np.array([pixel(-0.1, 0), pixel(0.1, 0)])
    exact_deviation, moved_deviation = (
        deviation_in_plane(Quantity.LENGTH, fit_rectangles([rectangle], CAMERA), 0, ends)
        for rectangle in (exact, moved)
    )
    assert (moved_deviation > 1.15 * exact_deviation) is is_widened


def test_exact_corners_give_the_exact_pose_whichever_is_named_first() -> None:
    for first in range(4):
        [pose] = fit_rectangles([sheet(first=first)], CAMERA).poses
        long, short = sorted(SIDES)[::-1]
        assert pose.rectangle.sides == ((long, short) if first % 2 == 0 else (short, long))
        assert pose.t == pytest.approx(MIDDLE, rel=1e-6)
        assert pose.normal == pytest.approx(-R[:, 2] * np.sign(R[2, 2]), abs=1e-6)


def test_the_pose_is_that_of_another_program() -> None:
    cv2 = pytest.importorskip("cv2")
    for seen in seen_rectangles(20, 13, distorted=False):
        w, h = np.array(seen.rectangle.lengths) / 2
        outline = np.array([(-w, -h, 0), (w, -h, 0), (w, h, 0), (-w, h, 0)])
        K = K_from_focal(seen.camera.focal, seen.camera.focal, SHAPE)
        corners = np.array(seen.rectangle.corners)
        _, turn, place = cv2.solvePnP(outline, corners, K, None, flags=cv2.SOLVEPNP_IPPE)
        turn, place = cv2.solvePnPRefineLM(outline, corners, K, None, turn, place)
        [pose] = fit_rectangles([seen.rectangle], Camera(K=K)).poses
        assert pose.t == pytest.approx(place.ravel(), rel=1e-4, abs=1e-5)
        assert np.abs(pose.R - cv2.Rodrigues(turn)[0]).max() < 1e-4


def test_sizes_in_the_plane_are_those_of_the_homography() -> None:
    """Four corners map to the plane by eight linear equations, without a camera."""
    corners = np.array(sheet().corners)
    w, h = SIDES / 2
    plane = np.array([(-w, -h), (w, -h), (w, h), (-w, h)])
    rows, values = [], []
    for (u, v), (x, y) in zip(corners, plane, strict=True):
        rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
        values += [x, y]
    H = np.append(np.linalg.solve(rows, values), 1).reshape(3, 3)
    ends = np.array([pixel(-0.3, 0.1), pixel(0.25, -0.2)])
    places = np.column_stack([ends, np.ones(2)]) @ H.T
    places = places[:, :2] / places[:, 2:]
    for camera, shape in ((CAMERA, None), (assumed_camera(SHAPE), SHAPE)):
        fit = fit_rectangles([sheet()], camera, shape)
        value = quantity_in_plane(Quantity.LENGTH, fit, 0, ends)
        assert value == pytest.approx(np.linalg.norm(places[1] - places[0]), rel=2e-3)
    assert np.linalg.norm(places[1] - places[0]) == pytest.approx(math.hypot(0.55, 0.3))


def test_a_fisheye_and_a_panorama_see_the_same_plane() -> None:
    camera = Camera(lens=equidistant_fisheye(SHAPE, 170))
    [pose] = fit_rectangles([sheet(camera)], camera).poses
    assert pose.t == pytest.approx(MIDDLE, rel=1e-5)
    u, v = pose.rectangle.middle
    far = rectangle_depth(sheet(camera), camera)
    assert far * camera.rays(np.array([u, v])) @ R[:, 2] == pytest.approx(MIDDLE @ R[:, 2])


@pytest.mark.parametrize("guess", [50.0, 200.0, 20_000.0])
def test_the_focal_length_does_not_depend_on_the_guess_that_it_replaces(guess: float) -> None:
    guessed = Camera(K=K_from_focal(guess, guess, SHAPE))
    for seen in seen_rectangles(8, 11, distorted=False):
        found = fit_rectangles([seen.rectangle], guessed, SHAPE)
        usual = fit_rectangles([seen.rectangle], assumed_camera(SHAPE), SHAPE)
        assert found.camera.focal == pytest.approx(usual.camera.focal, rel=1e-4)


def test_several_rectangles_share_a_focal_length() -> None:
    alone = fit_rectangles([sheet()], assumed_camera(SHAPE), SHAPE)
    card = [R[:, :2] @ at + (0.1, 0.1, 1.2) for at in ((0, 0), (0.5, 0), (0.5, 0.3), (0, 0.3))]
    other = KnownRectangle(
        corners=tuple(tuple(map(float, CAMERA.project(at))) for at in card), sides=(0.5, 0.3)
    )
    both = fit_rectangles([sheet(), other], assumed_camera(SHAPE), SHAPE)
    assert both.focal_log_deviation < 0.8 * alone.focal_log_deviation
    assert both.camera.focal == pytest.approx(FOCAL, rel=0.01)


def test_a_common_thing_that_may_be_seen_either_way_round_is_asked_for() -> None:
    # Its picture is a small square in the middle: slanted to the side or down by 45 degrees.
    middle = np.array([SHAPE[1] - 1, SHAPE[0] - 1]) / 2
    corners = middle + np.array([(-20, -20), (20, -20), (20, 20), (-20, 20)])
    square = KnownRectangle(corners=tuple(map(tuple, corners)), sides="a4")
    with pytest.raises(CalibrationError, match=r"either side .* 0\.297x0\.21 or 0\.21x0\.297"):
        fit_rectangles([square], CAMERA)


def test_corners_that_no_such_rectangle_has_are_refused() -> None:
    wrong = replace(sheet(), sides=(0.297, 0.6))
    with pytest.raises(
        CalibrationError, match=r"no rectangle of 0\.297 x 0\.6 m fits these corners"
    ) as refusal:
        fit_rectangles([wrong], CAMERA)
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def seen_plane() -> rilievo.Prediction:
    """A prediction of the sheet's plane, at a third of its depth and with an assumed camera."""
    v, u = np.mgrid[: SHAPE[0] : 4, : SHAPE[1] : 4]
    rays = CAMERA.rays(np.stack([u, v]).astype(float))
    depth = (R[:, 2] @ MIDDLE) / np.einsum("i,ihw->hw", R[:, 2], rays)
    depth = depth.repeat(4, axis=0).repeat(4, axis=1)
    photo = np.full((*SHAPE, 3), 128, np.uint8)
    return rilievo.predict(
        photo, model=FixedDepth((depth / 3).astype(np.float32)), known=[sheet()], trim=False
    )


def test_a_rectangle_gives_the_focal_length_and_depth_elsewhere(
    seen_plane: rilievo.Prediction,
) -> None:
    assert seen_plane.camera is not None
    assert seen_plane.camera.source is CameraSource.RECTANGLE
    assert seen_plane.camera.focal == pytest.approx(FOCAL, rel=0.01)
    u, v = pixel(0.3, -0.2)
    true = (R[:, :2] @ (0.3, -0.2) + MIDDLE)[2]
    assert seen_plane.depth[round(v), round(u)] == pytest.approx(true, rel=0.02)
    calibration = seen_plane.calibration
    assert calibration is not None
    assert calibration.method == "known rectangles"
    [text] = calibration.asked
    found = parse_known(text)
    assert isinstance(found, KnownRectangle)
    assert found.sides == (0.297, 0.21)
    assert np.allclose(found.corners, sheet().corners)


def test_points_in_the_plane_are_measured_without_the_network(
    seen_plane: rilievo.Prediction,
) -> None:
    broken = seen_plane.but(
        depth_or_none=replace(seen_plane.depth, values=seen_plane.depth.values * np.float32(1.7))
    )
    a, b, c = pixel(-0.1, -0.1), pixel(0.1, -0.1), pixel(0.1, 0.05)
    far = pixel(0.4, 0.2)
    for prediction in (seen_plane, broken):
        inside = length(prediction, a, b)
        assert inside.value == pytest.approx(0.2, rel=2e-3)
        assert inside.low < 0.2 < inside.high < 0.24
        assert "without depth" in inside.remarks[0]
        forced = length(prediction, a, b, in_plane=True)
        assert forced.value == inside.value
        assert forced.low < 0.2 < forced.high < 0.21
        assert area(prediction, [a, b, c]).value == pytest.approx(0.015, rel=4e-3)
        assert distance(prediction, c).value == pytest.approx(
            np.linalg.norm(R[:, :2] @ (0.1, 0.05) + MIDDLE), rel=0.01
        )
        outside = prediction.measure(a, far, in_plane=True)
        assert outside.value == pytest.approx(math.hypot(0.5, 0.3), rel=4e-3)
        assert prediction.distance(*far, in_plane=True).value == pytest.approx(
            np.linalg.norm(R[:, :2] @ (0.4, 0.2) + MIDDLE), rel=0.01
        )
        assert "from the network" in length(prediction, a, far).remarks[-1]


def test_points_in_no_plane_are_one_line(seen_plane: rilievo.Prediction) -> None:
    plain = replace(seen_plane, calibration=None)
    with pytest.raises(OptionError, match="needs a known rectangle"):
        plain.measure((1, 1), (9, 9), in_plane=True)
    steep = R[:, 2] / np.linalg.norm(R[:, 2])
    u, v = CAMERA.project(np.array([-1.0, 0, 0.05]) if steep[0] > 0 else np.array([1.0, 0, 0.05]))
    assert not 0 <= u < SHAPE[1], "the horizon of this plane is outside of the picture"
    with pytest.raises(CalibrationError, match="outside the image"):
        seen_plane.measure((float(u), float(v)), (9, 9), in_plane=True)


def test_points_are_measured_in_the_rectangle_around_them() -> None:
    """A door with a card before its corner, whose middle is nearer to points on the door."""
    door = sheet(sides=(0.297, 0.21))
    tilted = turned(-20, 40, 0)
    card = [
        tilted[:, :2] @ at + 0.95 * MIDDLE for at in ((0, 0), (0.03, 0), (0.03, 0.02), (0, 0.02))
    ]
    small = KnownRectangle(
        corners=tuple(tuple(map(float, CAMERA.project(at))) for at in card), sides=(0.03, 0.02)
    )
    a, b = pixel(-0.05, 0.02), pixel(0.08, 0.03)
    middle = np.mean([a, b], axis=0)
    assert math.dist(small.middle, middle) < math.dist(door.middle, middle)
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rays = CAMERA.rays(np.stack([u, v]).astype(float))
    depth = (R[:, 2] @ MIDDLE) / np.einsum("i,ihw->hw", R[:, 2], rays)
    photo = np.full((*SHAPE, 3), 128, np.uint8)
    prediction = rilievo.predict(
        photo,
        model=FixedDepth(depth.astype(np.float32)),
        known=[door, small],
        camera=CAMERA,
        trim=False,
    )
    for in_plane in (False, True):
        measured = length(prediction, a, b, in_plane=in_plane)
        assert "without depth" in measured.remarks[0]
        assert measured.value == pytest.approx(math.hypot(0.13, 0.01), rel=4e-3)


def test_rectangles_are_fitted_once_for_all_boxes_and_sides(
    seen_plane: rilievo.Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[KnownRectangle] = []

    def counted(rectangle: KnownRectangle, camera: Camera) -> float:
        fits.append(rectangle)
        return rectangle_depth(rectangle, camera)

    monkeypatch.setattr("rilievo.measure.known_sizes.rectangle_depth", counted)
    extents = RegionMeasurer(seen_plane)
    for left in range(40, 440, 40):
        extents.measure((left, 40, left + 30, 80))
    assert len(fits) == 1
    area(seen_plane, [(40, 40), (200, 40), (200, 120), (120, 160), (40, 120)])
    assert len(fits) == 2


def test_an_area_of_points_on_a_line_is_one_line(seen_plane: rilievo.Prediction) -> None:
    a, b, c = ((150.0 + each, 100.0 + each) for each in (0, 10, 20))
    for corners in ([a, b, c], [a, b, b], [a, a, a]):
        with pytest.raises(OptionError, match="on one line"):
            area(seen_plane, corners, in_plane=True)


def test_the_command_measures_in_the_plane(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "desk.png"
    Image.new("RGB", SHAPE[::-1], "grey").save(photo)
    ends = ["{:.2f},{:.2f}".format(*pixel(*at)) for at in ((-0.3, 0.1), (0.25, -0.2))]
    words = ["measure", str(photo), *ends, "--known-rectangle", str(sheet()), "--in-plane"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["value"] == pytest.approx(math.hypot(0.55, 0.3), rel=2e-3)
    assert "without depth" in told["remarks"][0]
    assert told["camera"] == "rectangle"
    assert main([*words[:4], "--in-plane", "--known", "300,300,2"]) == 2
    assert "--known-rectangle" in capsys.readouterr().err
    outside = str(replace(sheet(), corners=((-9, 5), (400, 5), (400, 300), (-9, 300))))
    assert main([*words[:5], outside]) == 2
    assert "corner 1 lies outside" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("2.35", 2.35),
        ("30cm", 0.3),
        ("29.7 cm", 0.297),
        ("12in", 0.3048),
        ('12"', 0.3048),
        ("5'11\"", 1.8034),
        ("5' 11.5", 1.8161),
        ("6ft", 1.8288),
        ("5ft 11in", 1.8034),
        ("1e3mm", 1.0),
        ("2 M", 2.0),
        (".5km", 500.0),
    ],
)
def test_lengths_are_read_with_their_units(text: str, metres: float) -> None:
    assert parse_metres(text) == pytest.approx(metres, rel=1e-12)
    known = parse_known(f"1,2,30,40,{text}")
    assert isinstance(known, rilievo.KnownLength)
    assert known.metres == parse_metres(text)


def test_units_are_taken_by_every_option_of_metres(tmp_path: Path) -> None:
    from rilievo.options.known_sizes import KnownSizes

    assert KnownSizes(known=("1,2,7ft",)).known_sizes[0] == parse_known("1,2,2.1336")
    assert KnownSizes(camera_height="150cm").camera_height == 1.5  # pyrefly: ignore
    assert KnownSizes(markers="60mm").markers == 0.06  # pyrefly: ignore
    with pytest.raises(OptionError, match="camera_height"):
        KnownSizes(camera_height="150 apples")  # pyrefly: ignore
    assert main(["markers", str(tmp_path / "page.pdf"), "--side", "6 apples"]) == 2


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("90cm x 2.1m", (0.9, 2.1)),
        ("90 x 210cm", (0.9, 2.1)),
        ("0.9x2.1", (0.9, 2.1)),
        ("3'×6'8\"", (0.9144, 2.032)),
        ("a4", "a4"),
        ("Letter", "letter"),
    ],
)
def test_sides_are_read_with_their_units(text: str, sides: tuple[float, float] | str) -> None:
    found = parse_rectangle(f"0,0,90,0,90,50,0,50,{text}")
    assert found.sides == sides
    assert parse_rectangle(str(found)) == found
    assert parse_known(str(replace(found, error=0.25))) == replace(found, error=0.25)


def test_common_lengths_are_sides_of_common_rectangles() -> None:
    for name, (long, short) in NAMED_RECTANGLES.items():
        assert (NAMED_LENGTHS[name], NAMED_LENGTHS[f"{name}-short"]) == (long, short)
        assert long > short
    assert parse_sides("euro-pallet") == "euro-pallet"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("10,10,100,100,100,10,10,100,a4", "its sides cross"),
        ("1,1,5,5,9,9,1,9,a4", "corners 1, 2 and 3 lie on one line"),
        ("0,0,100,0,40,30,0,100,a4", "corner 3 lies inside the triangle of the other three"),
        ("5,5,5,5,5,5,5,5,a4", "two of its corners coincide"),
        ("1,1,90,1,90,90,1,90,a7", "did you mean 'a5'"),
        ("1,1,90,1,90,90,1,90,5x", "not two lengths"),
        ("1,1,90,1,90,90,1,90,x5cm", "not two lengths"),
        ("1,1,90,1,90,90,1,90,0x1", "sides must be between"),
        ("1,1,90,1,90,90,1,90,1x1,0px", "positive number of pixels"),
        ("1,1,90,1,90,90,1,90,1x1,zpx", "error of a corner"),
        ("1,1,90,1,90,90,1,inf,1x1", "columns and rows"),
        ("1,1,90,1,90,90,1,a,1x1", "the first eight must be numbers"),
        ("1,1,2,a4", "found 4 values"),
    ],
)
def test_rectangles_that_cannot_be_are_one_line(text: str, named: str) -> None:
    with pytest.raises(OptionError, match=named) as refusal:
        parse_rectangle(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("sides", ["90cm x 2.1m", ("90cm", "2.1m"), (0.9, 2.1)])
def test_python_takes_sides_as_the_command_line_does(sides: Any) -> None:
    corners = ((10, 9), (60, 9), (60, 80), (10, 80))
    assert KnownRectangle(corners=corners, sides=sides).lengths == (0.9, 2.1)


@pytest.mark.parametrize("facts", [{"sides": 0.3}, {"sides": ("x", 1)}, {"corners": "abc"}])
def test_what_is_no_rectangle_in_python_is_one_line(facts: dict[str, Any]) -> None:
    square = ((10, 9), (60, 9), (60, 80), (10, 80))
    with pytest.raises(OptionError, match="known rectangle: "):
        KnownRectangle(**{"corners": square, "sides": "a4"} | facts)


def test_noise_is_what_eight_in_ten_stay_below_whatever_an_object_adds() -> None:
    generator = np.random.default_rng(0)
    count = 20_000
    samples = RectangleSamples(
        pixels=np.zeros((count, 2)),
        plane_depths=np.ones(count),
        values=np.ones(count),
        sample_weights=generator.uniform(0.5, 1.5, count),
        shape=SHAPE,
    )
    misfits = np.abs(generator.laplace(0, 0.01, count))
    noise = samples.noise(misfits)
    assert noise == pytest.approx(samples.weighted_quantile(misfits, 0.8), rel=0.03)
    assert samples.weighted_fraction(misfits <= noise) == pytest.approx(0.8, abs=0.01)
    misfits[: count // 20] += 1  # an object on the rectangle
    assert samples.noise(misfits) == pytest.approx(noise, rel=0.15)
