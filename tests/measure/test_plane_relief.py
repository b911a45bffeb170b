"""Points inside a known rectangle that stand above its plane, in it or below it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, OptionError
from rilievo.measure import angle, area, height_above_plane
from rilievo.measure.measurements import Measurement, MeasurementOrigin
from support.fixed_depth import FixedDepth

HEIGHT, WIDTH, FOCAL = 480, 640, 600.0
CAMERA = rilievo.Camera(
    K=np.array([[FOCAL, 0, 319.5], [0, FOCAL, 239.5], [0, 0, 1]]), source="given"
)
PHOTO = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
SIDES = (0.297, 0.21)
TOOL = (0.14, 0.04)
"""Length and width [m] of the block on the sheet, along the sheet's long side."""


class Scene:
    """A sheet of A4 on a table with a block on it, or a hole of negative height below it."""

    def __init__(self, slant: float, distance: float, height: float) -> None:
        angle_of_view = math.radians(slant)
        self.slant, self.distance, self.height = slant, distance, height
        # Columns are the sheet's long side, its short side and its normal, towards the camera.
        self.axes = np.array(
            [
                [1, 0, 0],
                [0, math.cos(angle_of_view), math.sin(angle_of_view)],
                [0, math.sin(angle_of_view), -math.cos(angle_of_view)],
            ]
        ).T
        self.axes[:, 2] *= np.sign(-self.axes[2, 2])
        self.middle = np.array([0, 0, distance])

    def place(self, x: float, y: float, z: float = 0.0) -> np.ndarray:
        return self.middle + self.axes @ (x, y, z)

    def pixel(self, x: float, y: float, z: float = 0.0) -> tuple[float, float]:
        u, v = CAMERA.project(self.place(x, y, z))
        return float(u), float(v)

    @property
    def sheet(self) -> rilievo.KnownRectangle:
        a, b = SIDES[0] / 2, SIDES[1] / 2
        corners = tuple(self.pixel(x, y) for x, y in ((-a, -b), (a, -b), (a, b), (-a, b)))
        return rilievo.KnownRectangle(corners=corners, sides=SIDES)

    def depth(self) -> np.ndarray:
        """Exact depth: the nearer of the table and the block's top, which has no sides."""
        v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
        rays = CAMERA.rays(np.stack([u, v]))
        normal = self.axes[:, 2]
        table = (normal @ self.middle) / np.einsum("c,chw->hw", normal, rays)
        top_middle = self.place(0, 0, self.height)
        top = (normal @ top_middle) / np.einsum("c,chw->hw", normal, rays)
        from_middle = rays * top - top_middle[:, None, None]
        x, y = (np.einsum("c,chw->hw", self.axes[:, axis], from_middle) for axis in (0, 1))
        is_block = (np.abs(x) < TOOL[0] / 2) & (np.abs(y) < TOOL[1] / 2)
        return np.where(is_block, top, table)

    def by(self, source: str, **options: object) -> rilievo.Prediction:
        known = [self.sheet]
        if source == "depth map":
            return rilievo.Prediction.from_depth(
                PHOTO, self.depth(), CAMERA, known=known, **options
            )
        # A network has its own scale, and its depth is tilted a little.
        tilted = self.depth() * np.exp(0.05 * (np.arange(WIDTH) / WIDTH - 0.5)) / 3
        model = FixedDepth(self.depth() if source == "sensor" else tilted)
        if source == "sensor":
            return rilievo.predict(
                PHOTO, model=model, sparse=self.depth(), camera=CAMERA, trim=False
            )
        return rilievo.predict(PHOTO, model=model, known=known, camera=CAMERA, trim=False)

    def tool_ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Two points 100 mm apart on the top of the block."""
        return self.pixel(-0.05, 0, self.height), self.pixel(0.05, 0, self.height)


class Book(Scene):
    """A sheet that is the cover of a book, 60 mm above the table."""

    def depth(self) -> np.ndarray:
        table = Scene(self.slant, self.distance, 0.0)
        table.middle = table.middle - 0.06 * table.axes[:, 2]
        mask = Image.new("1", (WIDTH, HEIGHT))
        ImageDraw.Draw(mask).polygon(list(self.sheet.corners), fill=1)
        return np.where(np.array(mask), super().depth(), table.depth())


def half_width(measured: Measurement) -> float:
    return (measured.high - measured.low) / 2 / measured.value


SLANTS = [(0, 0.3), (0, 0.5), (25, 0.4), (45, 0.5), (60, 0.6)]
"""Slant of the view [degrees] and distance of the sheet [m]."""


@pytest.mark.parametrize(("slant", "distance"), SLANTS)
@pytest.mark.parametrize("height", [0.02, 0.04, 0.08, -0.03])
@pytest.mark.parametrize("source", ["network", "depth map"])
def test_a_tool_above_or_below_a_sheet_is_right_and_inside_its_range(
    slant: float, distance: float, height: float, source: str
) -> None:
    scene = Scene(slant, distance, height)
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
    scene = Scene(slant, distance, 0.05)
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
    scene = Scene(35, 0.45, 0.06)
    ends = scene.pixel(-0.12, 0.06), scene.pixel(0.05, 0, 0.06)
    true = math.sqrt(0.17**2 + 0.06**2 + 0.06**2)
    for source, within in (("network", 0.05), ("depth map", 0.01)):
        measured = scene.by(source).measure(*ends)
        assert measured.value == pytest.approx(true, rel=within)
        assert measured.low < true < measured.high


def test_an_area_and_a_distance_above_the_sheet() -> None:
    scene = Scene(30, 0.4, 0.05)
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
    scene = Scene(20, 0.5, 0.0)
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


def test_a_map_that_contradicts_the_rectangle_is_said() -> None:
    scene = Scene(20, 0.5, 0.0)
    wrong = rilievo.Prediction.from_depth(PHOTO, 1.3 * scene.depth(), CAMERA, known=[scene.sheet])
    assert any("contradict" in note for note in wrong.notes)
    right = rilievo.Prediction.from_depth(PHOTO, scene.depth(), CAMERA, known=[scene.sheet])
    assert not any("contradict" in note for note in right.notes)


def test_a_rectangle_gives_a_map_its_focal_length_also_where_its_middle_has_no_depth() -> None:
    scene = Scene(45, 0.45, 0.04)
    depth = scene.depth()
    depth[200:280, 300:340] = 0
    found = rilievo.Prediction.from_depth(PHOTO, depth, known=[scene.sheet])
    assert found.known_camera.focal == pytest.approx(FOCAL, rel=0.01)
    assert not any("field of view is assumed" in note for note in found.notes)
    assert any("not compared" in note for note in found.notes)
    measured = found.measure(*scene.tool_ends())
    assert measured.value == pytest.approx(0.1, rel=0.01)
    assert measured.low < 0.1 < measured.high


@pytest.mark.parametrize(("slant", "distance"), SLANTS[2:])
@pytest.mark.parametrize("height", [0.01, 0.05, 0.1])
def test_a_height_above_the_sheet_follows_from_its_foot(
    slant: float, distance: float, height: float
) -> None:
    scene = Scene(slant, distance, height)
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
    scene = Scene(30, 0.45, height)
    top = scene.pixel(0.01, 0, height)
    exact = height_above_plane(scene.by("depth map"), top)
    assert exact.value == pytest.approx(height, abs=1e-3)
    assert exact.low < height < exact.high
    assert exact.high - exact.low < 0.02
    network = height_above_plane(scene.by("network"), top)
    assert network.low < height < network.high
    assert any("foot" in remark for remark in network.remarks)


def test_a_height_that_cannot_be_known_is_refused() -> None:
    above = Scene(0, 0.4, 0.05)
    with pytest.raises(CalibrationError, match="straight down"):
        height_above_plane(above.by("network"), above.pixel(0, 0, 0.05), above.pixel(0.002, 0))
    plain = rilievo.Prediction.from_depth(PHOTO, above.depth(), CAMERA)
    with pytest.raises(OptionError, match="known_rectangle"):
        height_above_plane(plain, (320, 240), (320, 250))


def test_the_command_measures_heights_above_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = Scene(45, 0.5, 0.05)
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
