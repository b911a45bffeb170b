"""Printed markers: the page has its true size, and pictures of it give depth and focal length."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.calibration.readings import rectangle_depth
from rilievo.calibration.rectangle_fit import MAX_FOCAL_DEVIATION, fit_rectangles
from rilievo.cli import main
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera, CameraSource, assumed_camera
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.predicting.metres.fitting import find_marker_squares
from rilievo.predicting.metres.printed_markers import (
    Marker,
    find_markers,
    known_squares_from_markers,
    write_marker_page,
)
from rilievo.records.sample import Photo
from support.fixed_depth import FixedDepth
from support.lens_boxes import turned
from support.predictions import prediction

cv2 = pytest.importorskip("cv2")
SIZE = (600, 800)
DOTS = 300 / 0.0254


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Image.Image:
    path = tmp_path_factory.mktemp("page") / "page.png"
    assert write_marker_page(path, side=0.06).ids == range(6)
    return Image.open(path).convert("L")


def seen(page: Image.Image, focal: float, rotation: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The page by a pinhole camera; ``middle`` [m] is where the middle of the sheet is."""
    K = K_from_focal(focal, focal, SIZE)
    to_metres = np.array([[1 / DOTS, 0, 0], [0, 1 / DOTS, 0], [0, 0, 1]])
    to_metres[:2, 2] = -page.width / 2 / DOTS, -page.height / 2 / DOTS
    H = K @ np.column_stack([rotation[:, 0], rotation[:, 1], middle]) @ to_metres
    grey = cv2.warpPerspective(
        cv2.GaussianBlur(np.asarray(page), (0, 0), 2), H, SIZE[::-1], borderValue=90
    )
    noise = np.random.default_rng(0).normal(0, 2, SIZE)
    noisy = np.clip(grey + noise, 0, 255).astype(np.uint8)
    return np.repeat(noisy[..., None], 3, axis=2)


def true_middles(rotation: np.ndarray, middle: np.ndarray) -> list[np.ndarray]:
    """Centres of the six markers: two columns and three rows of 60 mm, 20 mm apart, 15 mm from the
    edge.
    """
    middles = []
    for row in range(3):
        for column in range(2):
            x, y = 0.045 + 0.08 * column - 0.105, 0.045 + 0.08 * row - 0.1485
            middles.append(rotation @ (x, y, 0) + middle)
    return middles


def third_of_depth(K: np.ndarray, rotation: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """A third of the depth of the page's plane at every pixel."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    rays = np.linalg.solve(K, np.stack([u, v, np.ones_like(u)]).reshape(3, -1))
    depth = (rotation[:, 2] @ middle) / (rotation[:, 2] @ rays)
    return depth.reshape(SIZE).astype(np.float32) / 3


def points_of(markers: Sequence[Marker], camera: Camera, side: float) -> list[rilievo.KnownPoint]:
    """Depth where the diagonals of each marker cross."""
    return [
        rilievo.KnownPoint(
            u=square.middle[0], v=square.middle[1], metres=rectangle_depth(square, camera)
        )
        for square in known_squares_from_markers(markers, side)
    ]


def focal_of(markers: Sequence[Marker], shape: tuple[int, int]) -> float | None:
    """Focal length [px] that markers of any size show; None where they do not show it."""
    if not markers:
        return None
    fit = fit_rectangles(known_squares_from_markers(markers, 1.0), assumed_camera(shape), shape)
    return fit.camera.focal if fit.focal_log_deviation <= MAX_FOCAL_DEVIATION else None


def test_squares_on_the_page_have_the_side_that_was_asked_for(page: Image.Image) -> None:
    found = find_markers(np.repeat(np.asarray(page)[..., None], 3, axis=2))
    assert sorted(marker.id for marker in found) == [0, 1, 2, 3, 4, 5]
    for marker in found:
        assert marker.shortest_side / DOTS == pytest.approx(0.06, abs=0.0003)


def test_the_ruler_is_100_mm_long(page: Image.Image) -> None:
    foot = np.asarray(page)[round(0.25 * DOTS) :] < 128
    longest = 0
    for row in foot:
        ends = np.flatnonzero(np.diff(row, prepend=False, append=False))
        longest = max(longest, *(ends[1::2] - ends[::2]), 0)
    assert longest == pytest.approx(0.1 * DOTS, abs=6)


def test_a_second_page_has_other_markers(tmp_path: Path) -> None:
    assert write_marker_page(tmp_path / "page.png", first=100).ids == range(100, 106)
    with Image.open(tmp_path / "page.png") as second:
        found = find_markers(np.asarray(second.convert("RGB")))
    assert sorted(marker.id for marker in found) == list(range(100, 106))


@pytest.mark.parametrize("angles", [(0, 0, 0), (35, 20, 10), (-45, 10, -60)])
def test_depth_at_markers_is_that_of_the_scene(
    page: Image.Image, angles: tuple[float, float, float]
) -> None:
    rotation, middle = turned(*angles), np.array([0.02, -0.01, 0.6])
    pixels = seen(page, 900, rotation, middle)
    found = find_markers(pixels)
    assert len(found) == 6
    camera = Camera(K=K_from_focal(900, 900, SIZE))
    for marker, point in zip(found, points_of(found, camera, 0.06), strict=True):
        true = true_middles(rotation, middle)[marker.id]
        assert point.metres == pytest.approx(true[2], rel=0.01)
        u, v, _ = camera.K @ true / true[2]
        assert (point.u, point.v) == pytest.approx((u, v), abs=1)


@pytest.mark.parametrize("fov", [40, 70])
def test_slanted_markers_give_the_focal_length(page: Image.Image, fov: float) -> None:
    focal = SIZE[1] / 2 / math.tan(math.radians(fov) / 2)
    middle = np.array([0.0, 0.0, 0.5 * focal / 900])
    found = find_markers(seen(page, focal, turned(40, 25, 5), middle))
    assert focal_of(found, SIZE) == pytest.approx(focal, rel=0.04)


def test_markers_seen_head_on_do_not_tell_the_focal_length(page: Image.Image) -> None:
    found = find_markers(seen(page, 900, np.eye(3), np.array([0, 0, 0.6])))
    assert len(found) == 6
    assert focal_of(found, SIZE) is None
    assert focal_of((), SIZE) is None


def test_predictions_get_the_focal_length_and_the_metres_of_the_page(page: Image.Image) -> None:
    rotation, middle = turned(40, 25, 5), np.array([0, 0, 0.5])
    K = K_from_focal(900, 900, SIZE)
    model = FixedDepth(third_of_depth(K, rotation, middle))
    found = rilievo.predict(seen(page, 900, rotation, middle), model=model, markers=0.06)
    assert found.camera is not None
    assert found.camera.K[0, 0] == pytest.approx(900, rel=0.04)
    for true in true_middles(rotation, middle):
        u, v, _ = np.rint(K @ true / true[2]).astype(int)
        assert found.depth.depth()[v, u] == pytest.approx(true[2], rel=0.05)


@pytest.mark.parametrize("source", [CameraSource.VANISHING_POINTS, CameraSource.EXIF_35MM])
def test_markers_go_before_vanishing_points_and_behind_what_the_file_says(
    page: Image.Image, source: CameraSource
) -> None:
    pixels = seen(page, 900, turned(40, 25, 5), np.array([0, 0, 0.5]))
    sample = replace(
        prediction(values=np.ones(SIZE), holes=False),
        photo=Photo(pixels=pixels),
        camera=Camera(K=K_from_focal(500, 500, SIZE), source=source),
    )
    camera = find_marker_squares(sample, 0.06)[0].camera
    assert camera is not None
    if source is CameraSource.EXIF_35MM:
        assert (camera.source, camera.K[0, 0]) == (source, 500)
    else:
        assert camera.source is CameraSource.MARKERS
        assert camera.K[0, 0] == pytest.approx(900, rel=0.04)


def test_the_command_uses_the_page_and_says_so(
    page: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rotation, middle = turned(40, 25, 5), np.array([0, 0, 0.5])
    Image.fromarray(seen(page, 900, rotation, middle)).save(tmp_path / "page.png")
    words = ["measure", str(tmp_path / "page.png"), "200,300", "600,300", "--markers", "0.06"]
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr().out
    assert '"method": "markers"' in said
    assert '"camera": "markers"' in said
    Image.new("RGB", (320, 240), "grey").save(tmp_path / "page.png")
    assert main(words) == 2
    assert "no marker" in capsys.readouterr().err


def test_no_marker_is_said(page: Image.Image) -> None:
    with pytest.raises(CalibrationError, match="rilievo markers"):
        points_of((), Camera(K=np.eye(3)), 0.06)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["page.jpg"], ".pdf"),
        (["page.pdf", "--side", "0.5"], "does not fit"),
        (["page.pdf", "--side", "nan"], "--side"),
        (["page.pdf", "--paper", "a9"], "letter"),
        (["page.pdf", "--first", "600"], "--first"),
    ],
)
def test_pages_that_cannot_be_are_one_line(
    words: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["markers", str(tmp_path / words[0]), *words[1:]]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert named in said
    assert not list(tmp_path.iterdir())


def test_a_pdf_has_the_size_of_the_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["markers", str(tmp_path / "p.pdf"), "--paper", "letter", "--side", "0.17"]) == 0
    assert "markers 0 to 0" in capsys.readouterr().out
    content = (tmp_path / "p.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    box = content[content.index(b"/MediaBox") :].split(b"]")[0].split()[-2:]
    assert [float(each) for each in box] == pytest.approx([612, 792], abs=0.5)
