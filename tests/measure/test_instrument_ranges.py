"""Ranges follow where depth comes from: a given map, a sensor and its gaps, or a network."""

import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure import angle, area, height
from rilievo.measure.measurements import MeasurementOrigin
from rilievo.options.camera_forms import camera_for_size, read_camera
from rilievo.records.instruments import DepthError, DepthSource, make_instrument, parse_depth_error
from support.fixed_depth import FixedDepth

SIZE = (240, 320)
K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
RAYS = np.stack([(U - 159.5) / 280, (V - 119.5) / 280, np.ones(SIZE)])
SLANTED = 2 / (1 - 0.4 * (U - 159.5) / 280)
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)


def given(depth: np.ndarray = SLANTED, camera: Any = K, **options: Any) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(PHOTO, depth, camera, **options)


def half_width(measured: rilievo.measure.Measurement) -> float:
    """Half of a range over its value."""
    return (measured.high - measured.low) / 2 / measured.value


def place(u: int, v: int, depth: np.ndarray = SLANTED) -> np.ndarray:
    return RAYS[:, v, u] * depth[v, u]


def test_a_given_distance_is_within_two_per_cent() -> None:
    measured = given(np.full(SIZE, 0.866)).distance(160, 120)
    assert measured.value == pytest.approx(0.866, rel=1e-4)
    assert measured.low == pytest.approx(0.866 / 1.02, rel=2e-3)
    assert measured.high == pytest.approx(0.866 * 1.02, rel=2e-3)
    assert measured.origin is MeasurementOrigin.DEPTH_MAP
    assert any("assumes" in remark and "depth_error=" in remark for remark in measured.remarks)


@pytest.mark.parametrize(
    "ends", [((60, 80), (260, 150)), ((30, 20), (30, 220)), ((9, 9), (300, 9))]
)
def test_lengths_of_exact_depth_are_right_with_a_range_of_about_two_per_cent(
    ends: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    measured = given().measure(*ends)
    true = float(np.linalg.norm(place(*ends[1]) - place(*ends[0])))
    assert measured.value == pytest.approx(true, rel=1e-3)
    assert 0.01 < half_width(measured) < 0.03


def test_an_area_of_exact_depth_has_twice_the_range_of_a_length() -> None:
    corners = [(60, 80), (260, 80), (260, 180), (60, 180)]
    measured = area(given(), corners)
    assert 0.02 < half_width(measured) < 0.06
    points = [place(*corner) for corner in corners]
    true = sum(
        np.linalg.norm(np.cross(points[at] - points[0], points[at + 1] - points[0])) / 2
        for at in (1, 2)
    )
    assert measured.value == pytest.approx(true, rel=1e-3)


def corner_of_room(yaw: float, column: float) -> np.ndarray:
    """Depth of two walls at right angles, which meet 4 m away at a column."""
    edge = np.array([4 * (column - 159.5) / 280, 0, 4])
    normals = (math.sin(yaw), 0, math.cos(yaw)), (-math.cos(yaw), 0, math.sin(yaw))
    with np.errstate(divide="ignore"):
        depths = [(normal @ edge) / np.tensordot(normal, RAYS, 1) for normal in np.array(normals)]
    return np.minimum(*(np.where(depth > 0, depth, np.inf) for depth in depths))


def with_noise(depth: np.ndarray, share: float) -> np.ndarray:
    return depth * (1 + share * np.random.default_rng(7).standard_normal(SIZE))


ACROSS = [(60, 60), (260, 60), (260, 180), (60, 180)]


@pytest.mark.parametrize("column", [85, 110, 200, 240])
@pytest.mark.parametrize("yaw", [0.4, 0.6, 1.0, 1.2])
@pytest.mark.parametrize("noise", [0, 0.01])
def test_an_area_across_a_corner_is_said_to_be_that_of_a_flat_polygon(
    column: float, yaw: float, noise: float
) -> None:
    measured = area(given(with_noise(corner_of_room(yaw, column), noise)), ACROSS)
    assert any("not flat" in remark for remark in measured.remarks)


@pytest.mark.parametrize("stated", [None, "0.1%", "1%"])
@pytest.mark.parametrize("noise", [0, 0.01])
@pytest.mark.parametrize(
    "corners", [ACROSS, [(10, 10), (310, 10), (300, 230)], [(90, 90), (110, 90), (110, 110)]]
)
def test_a_flat_wall_with_noise_is_flat(
    corners: list[tuple[int, int]], noise: float, stated: str | None
) -> None:
    for depth in (SLANTED, np.full(SIZE, 3.0), np.round(SLANTED * 40) / 40):
        measured = area(given(with_noise(depth, noise), depth_error=stated), corners)
        assert not any("not flat" in remark for remark in measured.remarks)


def test_objects_on_a_twentieth_of_a_wall_leave_it_flat() -> None:
    depth = SLANTED.copy()
    depth[100:135, 150:185] *= 0.8
    assert not any("not flat" in remark for remark in area(given(depth), ACROSS).remarks)


def test_the_network_s_walls_and_floors_in_a_photograph_are_flat() -> None:
    """They are bent by more than an instrument's, also if its error is stated."""
    photograph = Path(str(resources.files("rilievo.models") / "near_and_far/room.jpg"))
    predicted = rilievo.predict(photograph, known=[(190, 140, 2.0)], camera=200)
    stated = predicted.but(instrument=make_instrument(DepthSource.NETWORK, "0.1%"))
    for corners in (
        [(50, 12), (78, 12), (78, 38), (50, 38)],
        [(150, 110), (230, 110), (230, 170), (150, 170)],
        [(60, 100), (140, 105), (140, 125), (50, 120)],
    ):
        for prediction in (predicted, stated):
            remarks = area(prediction, corners).remarks
            assert not any("not flat" in remark for remark in remarks)


def test_the_bend_of_a_network_s_flat_surfaces_is_no_remark() -> None:
    bent = SLANTED * (1 + 0.04 * np.cos((U - 160) / 50))
    for stated in ("network", "1%"):
        measured = area(given(bent, depth_error=stated), ACROSS)
        is_said = any("not flat" in remark for remark in measured.remarks)
        assert is_said is (stated == "1%")


@pytest.mark.parametrize(
    ("stated", "expected"),
    [("0.1%", 0.001), ("5%", 0.05), ("20mm", 0.01), ("0.5%/m", 0.01), ("10mm+0.5%", 0.01)],
)
def test_a_stated_error_is_that_of_a_distance(stated: str, expected: float) -> None:
    measured = given(np.full(SIZE, 2.0), depth_error=stated).distance(159, 119)
    assert half_width(measured) == pytest.approx(expected, rel=0.05)
    assert measured.remarks == ()


def test_an_error_that_all_depths_share_moves_no_length_along_the_ray() -> None:
    floor = np.minimum(1.4 * 280 / np.maximum(V - 119.5, 1), 9)
    for stated, share in (("20mm", 0.3), ("1%", 1.0)):
        measured = given(floor, depth_error=stated).measure((160, 160), (160, 230))
        error = parse_depth_error(stated).relative_at(5.0)
        assert half_width(measured) > share * error / 3
    assert half_width(given(floor, depth_error="1%").measure((160, 160), (160, 230))) < 0.06


def test_without_a_camera_a_length_across_is_doubtful_and_a_distance_ahead_is_not() -> None:
    flat = np.full(SIZE, 2.0)
    assumed = given(flat, camera=None)
    across = assumed.measure((60, 120), (260, 120))
    assert half_width(across) > 0.3
    assert any("focal length is assumed" in remark for remark in across.remarks)
    assert half_width(assumed.distance(160, 120)) < 0.03
    ends = (60, 120), (260, 120)
    assert angle(assumed, *ends).high > angle(given(flat), *ends).high


@pytest.mark.parametrize("text", ["31mm", "31.5mm/36mm"])
def test_millimetres_of_the_user_are_no_more_exact_than_those_of_exif(text: str) -> None:
    named = read_camera(text)
    assert named is not None
    camera = camera_for_size(named, SIZE)
    by_exif = Camera(K=camera.K, source=CameraSource.EXIF_35MM)
    widths = [
        half_width(given(camera=each, depth_error="0.1%").measure((60, 40), (250, 60)))
        for each in (camera, by_exif)
    ]
    assert widths[0] == pytest.approx(widths[1])
    assert widths[0] > 0.02


def test_a_short_length_is_no_better_than_a_pixel() -> None:
    flat = given(np.full(SIZE, 2.0), depth_error="0.1%")
    short, long = flat.measure((150, 120), (160, 120)), flat.measure((60, 120), (260, 120))
    assert half_width(short) > 0.1
    assert half_width(long) < 0.015


def test_a_point_beside_an_edge_may_lie_on_either_side() -> None:
    step = np.where(U < 160, 1.0, 3.0)
    beside = given(step).distance(158, 120)
    assert beside.value == pytest.approx(1.0, rel=0.05)
    assert beside.high > 2.9
    assert half_width(given(step).distance(150, 120)) < 0.03


@pytest.mark.parametrize("end", [206, 212, 240, 300])
def test_a_line_around_the_corner_of_a_room_ends_on_the_second_wall(end: int) -> None:
    """The corner is at column 200, and lines that end soon behind it are nearly straight."""
    corner = 40.5 / 280 * 3
    walls = np.minimum(3.0, corner / np.maximum(RAYS[0], 1e-6))
    measured = given(walls).measure((20, 120), (end, 120))
    true = float(np.linalg.norm(place(end, 120, walls) - place(20, 120, walls)))
    assert measured.value == pytest.approx(true, rel=0.01)
    assert measured.low < true < measured.high


def test_heights_and_angles_follow_the_stated_error() -> None:
    room = np.minimum(1.5 * 280 / np.maximum(V - 119.5, 1e-3), 8.0)
    exact, rough = given(room, depth_error="0.2%"), given(room, depth_error="4%")
    for prediction, width in ((exact, 0.02), (rough, 0.2)):
        measured = height(prediction, (160, 60))
        true = 1.5 + (119.5 - 60) * 8 / 280
        assert measured.value == pytest.approx(true, rel=5e-3)
        assert measured.low < true < measured.high
        assert half_width(measured) < width
    right_angle = angle(exact, (160, 60), (160, 220))
    assert right_angle.value == pytest.approx(90, abs=0.5)
    assert right_angle.high - right_angle.low < 6
    assert angle(rough, (160, 60), (160, 220)).high > 100


@pytest.mark.parametrize("maps", [40, pytest.param(120, marks=pytest.mark.slow)])
def test_ranges_hold_the_truth_where_depth_errs_as_instruments_do(maps: int) -> None:
    """An error of the whole scale, a smooth one over the picture and noise of each pixel."""
    random, inside = np.random.default_rng(3), []
    for _ in range(maps):
        low = random.normal(0, 1, (4, 5))
        smooth = np.array(Image.fromarray(low).resize(SIZE[::-1], Image.Resampling.BICUBIC))
        error = 0.02 / 1.2816 * (0.95 * random.normal() + 0.3 * smooth)
        noise = random.normal(0, 0.004, SIZE)
        prediction = given(SLANTED * (1 + error + noise))
        ends = [(int(random.integers(20, 300)), int(random.integers(20, 220))) for _ in range(2)]
        if math.dist(*ends) < 40:
            continue
        clicked = [tuple(np.array(end) + random.normal(0, 1, 2)) for end in ends]
        measured = prediction.measure(*clicked)
        true = float(np.linalg.norm(place(*ends[1]) - place(*ends[0])))
        inside.append(measured.low <= true <= measured.high)
    assert 0.7 < np.mean(inside) < 0.97


@pytest.fixture(scope="module")
def sensed() -> rilievo.Prediction:
    """A sensor's slanted plane with a square gap, filled by a network that says a flat wall."""
    depth = SLANTED.copy()
    depth[60:180, 110:210] = 0
    return rilievo.predict(
        PHOTO, model=FixedDepth(np.full(SIZE, 1.0)), sparse=depth, camera=K, trim=False
    )


def test_measured_pixels_and_gaps_of_a_sensor_are_told_apart(sensed: rilievo.Prediction) -> None:
    measured, filled = sensed.distance(40, 40), sensed.distance(160, 120)
    assert measured.origin is MeasurementOrigin.SENSOR
    assert half_width(measured) == pytest.approx(0.02, rel=0.1)
    assert filled.origin is MeasurementOrigin.SENSOR_GAP
    assert half_width(filled) > 1.1 * half_width(measured)
    assert any("gap" in remark for remark in filled.remarks)
    across = sensed.measure((40, 120), (160, 120))
    assert across.origin is MeasurementOrigin.SENSOR_GAP
    assert half_width(across) > half_width(sensed.measure((40, 40), (280, 40)))


def test_the_camera_in_the_file_of_a_sensor_is_said_to_be_unused(tmp_path: Path) -> None:
    given().save(tmp_path / "depth", ["npz"])
    sparse = tmp_path / "depth.npz"
    model = FixedDepth(np.full(SIZE, 1.0))
    with pytest.warns(UserWarning, match=r"the camera in .*depth\.npz is not used"):
        prediction = rilievo.predict(PHOTO, model=model, sparse=sparse)
    [note] = [note for note in prediction.notes if "depth.npz is not used" in note]
    assert "depth.npz is not used; give camera=" in note
    named = rilievo.predict(PHOTO, model=model, sparse=sparse, camera=sparse)
    assert not any("depth.npz is not used" in note for note in named.notes)
    np.testing.assert_allclose(named.known_camera.K, K)


def test_no_pixel_of_a_sensor_is_a_known_distance(sensed: rilievo.Prediction) -> None:
    assert sensed.calibration is not None
    fitted_points = sensed.calibration.asked
    assert len(fitted_points) > 50
    for text in fitted_points[::20]:
        u, v, metres = map(float, text.split(","))
        measured = sensed.distance(u, v)
        assert measured.origin is MeasurementOrigin.SENSOR
        assert half_width(measured) > 0.015
        assert measured.low < metres * np.linalg.norm(RAYS[:, round(v), round(u)]) < measured.high


def test_a_sensor_takes_a_stated_error(sensed: rilievo.Prediction) -> None:
    stated = rilievo.predict(
        PHOTO,
        model=FixedDepth(np.full(SIZE, 1.0)),
        sparse=SLANTED,
        depth_error="0.5%",
        camera=K,
        trim=False,
    )
    assert half_width(stated.distance(40, 40)) == pytest.approx(0.005, rel=0.15)
    with pytest.raises(OptionError, match="sparse"):
        rilievo.predict(PHOTO, depth_error="1%")


def test_the_origin_survives_saving(sensed: rilievo.Prediction, tmp_path: Path) -> None:
    for name, prediction in (("map", given(depth_error="3mm+0.4%/m")), ("sensor", sensed)):
        prediction.save(tmp_path / name, ["npz", "png16"])
        again = rilievo.read_prediction(tmp_path / f"{name}.npz")
        assert again.instrument == prediction.instrument
        for point in ((40, 40), (160, 120)):
            assert again.distance(*point) == prediction.distance(*point)
    # Without the npz nothing says which pixels were measured.
    (tmp_path / "sensor.npz").unlink()
    [picture] = tmp_path.glob("sensor.*.png")
    again = rilievo.read_prediction(picture)
    assert again.instrument is not None
    assert again.instrument.source is DepthSource.SENSOR
    assert again.distance(40, 40).origin is MeasurementOrigin.SENSOR_GAP


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1%", DepthError(relative=0.01)),
        (" 0.5% ", DepthError(relative=0.005)),
        ("10mm", DepthError(absolute=0.01)),
        ("0.5in", DepthError(absolute=0.0127)),
        ("0.3%/m", DepthError(growth=0.003)),
        ("5mm + 0.5% + 0.1%/m", DepthError(relative=0.005, absolute=0.005, growth=0.001)),
    ],
)
def test_errors_are_read_as_people_write_them(text: str, error: DepthError) -> None:
    assert parse_depth_error(text) == error
    assert parse_depth_error(str(error)) == error


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0.01",
        "-1%",
        "0%",
        "100%",
        "nan%",
        "inf mm",
        "1%%",
        "1 apple",
        0.01,
        "1%+",
        "100%/m",
    ],
)
def test_what_is_no_error_is_refused(text: object) -> None:
    with pytest.raises(OptionError, match="depth_error"):
        parse_depth_error(text)


def test_a_length_is_no_error_of_depth_without_metres() -> None:
    with pytest.raises(OptionError, match="not in metres"):
        given(kind="up_to_scale", depth_error="10mm")
    relative = given(kind="up_to_scale", depth_error="1%").distance(40, 40)
    assert half_width(relative) == pytest.approx(0.01, rel=0.1)


def test_known_sizes_scale_a_map_without_metres_and_keep_its_range() -> None:
    true = float(np.linalg.norm(place(260, 80) - place(60, 80)))
    known = rilievo.KnownLength(u1=60, v1=80, u2=260, v2=80, metres=true)
    scaled = given(SLANTED / 7, kind="up_to_scale", known=[known])
    other = scaled.measure((60, 150), (200, 200))
    expected = float(np.linalg.norm(place(200, 200) - place(60, 150)))
    assert other.value == pytest.approx(expected, rel=2e-3)
    assert other.low < expected < other.high
    assert half_width(other) < 0.04
    assert other.origin is MeasurementOrigin.DEPTH_MAP


@pytest.mark.filterwarnings("ignore:known length .* contradict each other")
def test_a_known_size_that_contradicts_a_map_in_metres_is_said() -> None:
    true = float(np.linalg.norm(place(260, 80) - place(60, 80)))
    agreeing = given(known=[f"60,80,260,80,{true:.4f}"])
    assert not any("contradict" in note for note in agreeing.notes)
    contradicting = given(known=[f"60,80,260,80,{1.2 * true:.4f}"])
    assert any("contradict" in note for note in contradicting.notes)
    np.testing.assert_array_equal(contradicting.depth.values, agreeing.depth.values)


@pytest.mark.filterwarnings("ignore:known .* contradict each other")
@pytest.mark.parametrize("factor", [0.8, 1.1, 1.2])
def test_a_known_size_that_contradicts_the_map_is_measured_by_the_map(factor: float) -> None:
    true = float(np.linalg.norm(place(260, 80) - place(60, 80)))
    away = float(np.linalg.norm(place(160, 200)))
    known = [f"60,80,260,80,{factor * true:.4f}", f"160,200,{factor * SLANTED[200, 160]:.4f}"]
    found = given(known=known, depth_error="0.1%")
    for measured, exact in (
        (found.measure((60, 80), (260, 80)), true),
        (found.distance(160, 200), away),
    ):
        assert measured.value == pytest.approx(exact, rel=1e-3)
        assert measured.origin is MeasurementOrigin.DEPTH_MAP
        # Nobody knows which of them is right. By the depth, the error is on both sides.
        assert measured.low <= min(0.999 * exact, factor * exact) + 1e-4
        assert measured.high >= max(1.001 * exact, factor * exact) - 1e-4
        assert any("is known" in remark and "contradicts" in remark for remark in measured.remarks)


def test_a_known_size_that_agrees_with_the_map_is_known() -> None:
    true = float(np.linalg.norm(place(260, 80) - place(60, 80)))
    measured = given(known=[f"60,80,260,80,{1.005 * true:.4f}"]).measure((60, 80), (260, 80))
    assert measured.origin is MeasurementOrigin.KNOWN
    assert measured.value == pytest.approx(1.005 * true, rel=1e-3)
    assert measured.low == pytest.approx(true, rel=1e-3)
    assert not any("contradicts" in remark for remark in measured.remarks)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A photograph and its depth in millimetres."""
    photo, depth = tmp_path / "photo.png", tmp_path / "depth.png"
    Image.fromarray(PHOTO).save(photo)
    Image.fromarray(np.round(SLANTED * 1000).astype(np.uint16)).save(depth)
    return str(photo), str(depth)


def test_the_command_measures_on_a_depth_map(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    photo, depth = files
    words = ["measure", photo, "60,80", "260,150", "--depth", depth, "--unit", "0.001"]
    words += ["--camera", "280,280,159.5,119.5"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["value"] == pytest.approx(1.65095, rel=2e-3)
    assert told["origin"] == "depth map"
    assert told["instrument"]["is_assumed"] is True
    assert (told["high"] - told["low"]) / told["value"] < 0.06
    assert main([*words, "--depth-error", "0.1%", "--json"]) == 0
    stated = json.loads(capsys.readouterr().out)
    assert stated["high"] - stated["low"] < 0.6 * (told["high"] - told["low"])
    assert main([*words[:2], "--box", "60,80,260,150", *words[4:]]) == 0
    assert "distance" in capsys.readouterr().out


def test_the_command_measures_on_a_sensor(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    photo, depth = files
    words = ["measure", photo, "--distance", "40,40", "--sparse", depth, "--sparse-unit", "0.001"]
    words += ["--camera", "280,280,159.5,119.5", "--depth-error", "1%", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["origin"] == "sensor"
    assert (told["high"] - told["low"]) / told["value"] == pytest.approx(0.02, rel=0.2)
    folder = Path(photo).parent / "sensor"
    folder.mkdir()
    Path(depth).rename(folder / "photo.png")
    words[words.index(depth)] = str(folder)
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == told


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--unit", "0.001"], "--depth FILE"),
        (["--kind", "metric"], "--depth FILE"),
        (["--depth-error", "1%"], "--depth"),
        (["--depth", "DEPTH", "--sparse", "DEPTH"], "--sparse"),
        (["--depth", "DEPTH", "--model", "rilievo/small"], "--model"),
        (["--depth", "DEPTH", "--camera-height", "1.5"], "--camera-height"),
        (["--depth", "DEPTH", "--markers", "0.06"], "--markers"),
        (["--depth", "DEPTH", "--depth-error", "5"], "--depth-error"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    files: tuple[str, str], words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, depth = files
    words = [depth if word == "DEPTH" else word for word in words]
    assert main(["measure", photo, "60,80", "260,150", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert named in told.err.splitlines()[-1]


def test_the_sizes_of_a_box_follow_the_origin_of_depth(sensed: rilievo.Prediction) -> None:
    """A block 1 m wide and .8 m high before a wall."""
    is_block = (np.abs(RAYS[0] * 2) < 0.5) & (np.abs(RAYS[1] * 2) < 0.4)
    rows, columns = np.nonzero(is_block)
    box = (columns.min(), rows.min(), columns.max(), rows.max())
    thing = given(np.where(is_block, 2.0, 4.0)).measure_box(box)
    for measured, true in ((thing.width, 1.0), (thing.height, 0.8)):
        assert measured.value == pytest.approx(true, rel=0.02)
        assert measured.low < true < measured.high
        assert half_width(measured) < 0.06
        assert measured.origin is MeasurementOrigin.DEPTH_MAP
    assert thing.distance.origin is MeasurementOrigin.DEPTH_MAP
    assert any("assumes" in remark for remark in thing.remarks)
    assert sensed.measure_box((20, 20, 80, 220)).distance.origin is MeasurementOrigin.SENSOR
    assert sensed.measure_box((120, 70, 200, 170)).width.origin is MeasurementOrigin.SENSOR_GAP
