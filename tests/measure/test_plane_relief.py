"""Points inside a known rectangle that stand above its plane, in it or below it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, OptionError
from rilievo.measure import angle, area, height_above_plane
from rilievo.measure.measurements import Measurement, MeasurementOrigin
from support.grids import mostly_slow
from support.sheet_scenes import CAMERA, FOCAL, PHOTO, SIDES, SLANTS, Book, SheetScene


def half_width(measured: Measurement) -> float:
    return (measured.high - measured.low) / 2 / measured.value


@pytest.mark.parametrize(
    ("view", "height", "source"),
    mostly_slow(SLANTS, (0.02, 0.04, 0.08, -0.03), ["network", "depth map"]),
)
def test_a_tool_above_or_below_a_sheet_is_right_and_inside_its_range(
    view: tuple[float, float], height: float, source: str
) -> None:
    scene = SheetScene(*view, height)
    measured = scene.by(source).measure(*scene.tool_ends())
    within = 0.1 if source == "network" else 0.01
    assert measured.value == pytest.approx(0.1, rel=within)
    assert measured.low < 0.1 < measured.high
    forced = scene.by(source).measure(*scene.tool_ends(), in_plane=True)
    assert half_width(forced) < 0.02
    if abs(height) >= 0.04:
        assert any("plane" in remark for remark in measured.remarks)
        assert abs(forced.value / 0.1 - 1) > 0.05


@pytest.mark.parametrize(("slant", "distance"), SLANTS)
@pytest.mark.parametrize("source", ["network", "depth map"])
def test_points_in_the_plane_have_the_value_of_the_corners(
    slant: float, distance: float, source: str
) -> None:
    scene = SheetScene(slant, distance, 0.05)
    ends = scene.pixel(-0.12, 0.06), scene.pixel(0.1, 0.08)
    true = math.hypot(0.22, 0.02)
    measured = scene.by(source).measure(*ends)
    assert measured.origin is MeasurementOrigin.RECTANGLE
    assert measured.value == pytest.approx(true, rel=1e-3)
    assert measured.low < true < measured.high
    if source == "network":
        assert half_width(measured) > 0.05
        assert any("in_plane" in remark for remark in measured.remarks)
    else:
        assert half_width(measured) < 0.025


def test_a_length_from_the_sheet_to_the_top_is_one_in_space() -> None:
    scene = SheetScene(35, 0.45, 0.06)
    ends = scene.pixel(-0.12, 0.06), scene.pixel(0.05, 0, 0.06)
    true = math.sqrt(0.17**2 + 0.06**2 + 0.06**2)
    for source, within in (("network", 0.05), ("depth map", 0.01)):
        measured = scene.by(source).measure(*ends)
        assert measured.value == pytest.approx(true, rel=within)
        assert measured.low < true < measured.high


def test_an_area_and_a_distance_above_the_sheet() -> None:
    scene = SheetScene(30, 0.4, 0.05)
    corners = [scene.pixel(x, y, 0.05) for x, y in ((-0.05, -0.01), (0.05, -0.01), (0.05, 0.01))]
    for source, within in (("network", 0.08), ("depth map", 0.02)):
        prediction = scene.by(source)
        measured = area(prediction, corners)
        assert measured.value == pytest.approx(0.001, rel=within)
        assert measured.low < 0.001 < measured.high
        away = prediction.distance(*scene.pixel(0.02, 0, 0.05))
        true = float(np.linalg.norm(scene.place(0.02, 0, 0.05)))
        assert away.value == pytest.approx(true, rel=0.03)
        assert away.low < true < away.high
    assert angle(scene.by("depth map"), corners[0], scene.pixel(0.1, 0.08)).low < 1


def test_an_end_on_the_border_counts_as_inside_and_one_beyond_does_not() -> None:
    scene = SheetScene(20, 0.5, 0.0)
    border = scene.pixel(-SIDES[0] / 2, 0), scene.pixel(SIDES[0] / 2, 0)
    measured = scene.by("network").measure(*border)
    assert measured.value == pytest.approx(SIDES[0], rel=1e-3)
    assert measured.origin is MeasurementOrigin.RECTANGLE
    beyond = scene.pixel(-0.1, 0), scene.pixel(0.2, 0)
    measured = scene.by("network").measure(*beyond)
    assert measured.origin is MeasurementOrigin.NETWORK
    assert "in_plane" in measured.remarks[-1]


@pytest.mark.parametrize("source", ["network", "depth map"])
@pytest.mark.parametrize("slant", [0, 30, 55])
def test_the_corners_of_a_thick_book_lie_in_its_plane(source: str, slant: float) -> None:
    book = Book(slant, 0.5, 0.0)
    prediction = book.by(source)
    for ends, true in ((book.sheet.corners[:2], SIDES[0]), (book.sheet.corners[1:3], SIDES[1])):
        measured = prediction.measure(*ends)
        assert measured.origin is MeasurementOrigin.RECTANGLE
        assert measured.value == pytest.approx(true, rel=1e-3)


@pytest.mark.filterwarnings("ignore:known rectangle .* contradict each other")
def test_a_map_that_contradicts_the_rectangle_is_said() -> None:
    scene = SheetScene(20, 0.5, 0.0)
    wrong = rilievo.Prediction.from_depth(PHOTO, 1.3 * scene.depth(), CAMERA, known=[scene.sheet])
    [note] = [note for note in wrong.notes if "contradict" in note]
    # A length in the plane is that of the rectangle, whatever the depth map says.
    ends = (scene.pixel(-0.1, 0), scene.pixel(0.1, 0))
    assert wrong.measure(*ends, in_plane=True).value == pytest.approx(0.2, rel=1e-2)
    assert "except in the plane" in note
    right = rilievo.Prediction.from_depth(PHOTO, scene.depth(), CAMERA, known=[scene.sheet])
    assert not any("contradict" in note for note in right.notes)


def test_a_rectangle_gives_a_map_its_focal_length_also_where_its_middle_has_no_depth() -> None:
    scene = SheetScene(45, 0.45, 0.04)
    depth = scene.depth()
    depth[200:280, 300:340] = 0
    found = rilievo.Prediction.from_depth(PHOTO, depth, known=[scene.sheet])
    assert found.known_camera.focal == pytest.approx(FOCAL, rel=0.01)
    assert not any("field of view is assumed" in note for note in found.notes)
    assert not any("not compared" in note or "contradict" in note for note in found.notes)
    measured = found.measure(*scene.tool_ends())
    assert measured.value == pytest.approx(0.1, rel=0.01)
    assert measured.low < 0.1 < measured.high


@pytest.mark.parametrize(("view", "height"), mostly_slow(SLANTS[2:], (0.01, 0.05, 0.1)))
def test_a_height_above_the_sheet_follows_from_its_foot(
    view: tuple[float, float], height: float
) -> None:
    scene = SheetScene(*view, height)
    for x, y in ((0, 0), (-0.08, 0.05)):
        top, foot = scene.pixel(x, y, height), scene.pixel(x, y)
        measured = height_above_plane(scene.by("network"), top, foot)
        assert measured.value == pytest.approx(height, abs=1e-4)
        assert measured.low < height < measured.high
        assert measured.high - measured.low < 0.01
        assert measured.origin is MeasurementOrigin.RECTANGLE
        assert len(measured.remarks) == 1
    leaning = height_above_plane(scene.by("network"), scene.pixel(0.1, 0, height), foot)
    assert any("straight above" in remark for remark in leaning.remarks)


@pytest.mark.parametrize("height", [0.03, 0.08, -0.03])
def test_a_height_above_the_sheet_follows_from_depth(height: float) -> None:
    scene = SheetScene(30, 0.45, height)
    top = scene.pixel(0.01, 0, height)
    exact = height_above_plane(scene.by("depth map"), top)
    assert exact.value == pytest.approx(height, abs=1e-3)
    assert exact.low < height < exact.high
    assert exact.high - exact.low < 0.02
    network = height_above_plane(scene.by("network"), top)
    assert network.low < height < network.high
    assert any("foot" in remark for remark in network.remarks)


def test_a_height_that_cannot_be_known_is_refused() -> None:
    above = SheetScene(0, 0.4, 0.05)
    with pytest.raises(CalibrationError, match="straight at the plane"):
        height_above_plane(above.by("network"), above.pixel(0, 0, 0.05), above.pixel(0.002, 0))
    plain = rilievo.Prediction.from_depth(PHOTO, above.depth(), CAMERA)
    with pytest.raises(OptionError, match="known_rectangle"):
        height_above_plane(plain, (320, 240), (320, 250))


def test_the_command_measures_heights_above_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = SheetScene(45, 0.5, 0.05)
    photo, depth = tmp_path / "desk.png", tmp_path / "z.npy"
    Image.fromarray(PHOTO).save(photo)
    np.save(depth, scene.depth())
    top, foot = ("{:.2f},{:.2f}".format(*scene.pixel(0, 0, z)) for z in (0.05, 0))
    words = ["measure", str(photo), "--height-above-plane", top, "--known-rectangle"]
    words += [str(scene.sheet), "--camera", f"{FOCAL},{FOCAL},319.5,239.5"]
    for more in ([foot], ["--depth", str(depth)]):
        assert main([*words, *more, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["what"] == "height above the plane"
        assert told["value"] == pytest.approx(0.05, abs=1e-3)
    assert main([*words, foot, foot]) == 2
    assert "foot" in capsys.readouterr().err
    assert main([*words[:4], foot]) == 2
    assert "--known-rectangle" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--height-above-plane", "320,200", "320,240"],
        ["--height", "320,200"],
        ["--angle", "320,200", "320,240"],
    ],
)
def test_in_plane_is_refused_where_it_has_no_effect(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = SheetScene(45, 0.5, 0.0)
    photo, depth = tmp_path / "desk.png", tmp_path / "z.npy"
    Image.fromarray(PHOTO).save(photo)
    np.save(depth, scene.depth())
    call = ["measure", str(photo), *words, "--known-rectangle", str(scene.sheet)]
    call += ["--depth", str(depth), "--camera", f"{FOCAL},{FOCAL},319.5,239.5", "--in-plane"]
    assert main(call) == 2
    assert "--in-plane" in capsys.readouterr().err


def test_the_command_says_a_guess_of_the_camera_once_and_no_metres_of_depth_without_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = SheetScene(45, 0.5, 0.0)
    photo, depth = tmp_path / "desk.png", tmp_path / "z.npy"
    Image.fromarray(PHOTO).save(photo)
    np.save(depth, scene.depth())
    call = ["measure", str(photo), "10,10", "50,50", "--depth", str(depth)]
    assert main(call) == 0
    assert capsys.readouterr().err.count("assumed") == 1
    known = ["--known", "10,10,0.5", "--kind", "up_to_scale"]
    assert main([*call, *known]) == 0
    said = capsys.readouterr().err
    assert "no unit" in said
    assert "as metres" not in said
