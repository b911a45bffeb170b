"""Cameras beside depth at hand are checked and noted as those of predictions are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rilievo
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.fisheye import Fisheye
from support.exif_blocks import exif_block, scene
from support.round_pictures import round_picture

# What these tests look for among the notes is a warning as well.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SIZE = (480, 640)
PIXELS = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
DEPTH = np.full(SIZE, 2, np.float32)


def made(camera: Any = None, **options: Any) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(PIXELS, DEPTH, camera, **options)


FOLDING = Distorted(fx=400, fy=400, cx=319.5, cy=239.5, k=(-0.6, 0, 0, 0, 0, 0))
ROUND = Fisheye(fx=150, fy=150, cx=319.5, cy=239.5, k=(-0.2, 0, 0, 0))


@pytest.mark.parametrize(
    ("camera", "says"),
    [
        (rilievo.Camera(lens=FOLDING), "folds inside the picture"),
        ("opencv:400,400,319.5,239.5,-0.6,0,0,0", "folds inside the picture"),
        (rilievo.Camera(lens=ROUND), "folds inside the picture, 129 px"),
        ("900,900,700,240", r"principal point \(700, 240\) lies outside the 640x480"),
        ("pinhole:900,900,319.5,900@640x480", "lies outside the 640x480"),
    ],
)
def test_a_camera_that_cannot_be_that_of_the_photograph_is_refused(camera: Any, says: str) -> None:
    with pytest.raises(rilievo.InputError, match=says) as refused:
        made(camera)
    assert "\n" not in str(refused.value)


def test_numbers_of_a_text_are_separated_by_commas_or_spaces() -> None:
    for text in ("500 0 319.5 0 500 239.5 0 0 1", "500, 500, 319.5, 239.5"):
        assert made(text).known_camera.focal == 500


def test_depth_where_a_fisheye_sees_nothing_is_left_out_with_a_note() -> None:
    lens = Fisheye(fx=250, fy=250, cx=319.5, cy=239.5, k=(-0.15, 0, 0, 0))
    prediction = made(rilievo.Camera(lens=lens))
    v, u = np.mgrid[0:480, 0:640]
    away = np.hypot(u - 319.5, v - 239.5) / 250
    seen = away <= lens.farthest
    np.testing.assert_array_equal(prediction.depth.valid, seen)
    assert any(f"{100 - 100 * seen.mean():.3g}% of the depth" in n for n in prediction.notes)
    with pytest.raises(rilievo.CalibrationError, match="without depth"):
        prediction.measure((10, 10), (300, 200))


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ([0.8, 1.07, 0.5, 0.5], "fractions of the width"),
        ([[0.8, 0, 0.5], [0, 1.07, 0.5], [0, 0, 1]], "fractions of the width"),
        (24, "write 24mm"),
        ([500, 250, 319.5, 239.5], "500 px along rows and 250 px along columns"),
        ([1000, 1000, 520, 239.5], "far from the middle"),
        (
            rilievo.Camera(K=np.array([[9e4, 0, 319.5], [0, 9e4, 239.5], [0, 0, 1]])),
            "field of view is only 0.4 deg",
        ),
    ],
)
def test_numbers_that_are_hardly_pixels_are_noted(camera: Any, words: str) -> None:
    assert any(words in note for note in made(camera).notes)


def test_a_camera_in_a_file_brings_its_notes(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    matrix = [[1000, 0, 639.5], [0, 1000, 479.5], [0, 0, 1]]
    path.write_text(json.dumps({"K": matrix, "width": 1280, "height": 960}))
    prediction = made(path)
    assert prediction.camera.focal == 500
    assert any("calibrated for 1280x960" in note for note in prediction.notes)
    kitti = tmp_path / "calib.txt"
    line = "{}: {} 0 320 4 0 500 240 0 0 0 1 0\n"
    kitti.write_text(line.format("P0", 450) + line.format("P2", 500))
    assert any("rilievo uses P2" in note for note in made(str(kitti)).notes)


@pytest.mark.parametrize(("fov", "words"), [(1.04, "in radians, write 60"), (165, "fisheye:165")])
def test_an_angle_that_is_hardly_in_degrees_is_noted(fov: float, words: str) -> None:
    assert any(words in note for note in made(fov=fov).notes)
    assert not any("degrees" in note for note in made(fov=60).notes)


def test_notes_about_exif_go_where_a_camera_is_named(tmp_path: Path) -> None:
    path = tmp_path / "crop.jpg"
    scene().crop((100, 100, 740, 580)).save(path, exif=exif_block())
    cropped = rilievo.Prediction.from_depth(path, DEPTH)
    assert any("EXIF" in note for note in cropped.notes)
    named = rilievo.Prediction.from_depth(path, DEPTH, fov=60)
    assert not any("EXIF" in note for note in named.notes)


def test_a_focal_length_far_from_that_of_exif_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    scene().save(path, exif=exif_block())
    depth = np.full(rilievo.read_photo(path).shape, 2, np.float32)
    stated = rilievo.Prediction.from_depth(path, depth).known_camera.K
    # A depth file states its camera as a user does.
    np.savez(tmp_path / "twice.npz", depth=depth, K=stated * [[2], [2], [1]])
    np.savez(tmp_path / "same.npz", depth=depth, K=stated)
    for options, is_noted in (
        ({"camera": float(2 * stated[0, 0])}, True),
        ({"camera": float(stated[0, 0])}, False),
        ({"depth": tmp_path / "twice.npz"}, True),
        ({"depth": tmp_path / "same.npz"}, False),
    ):
        found = rilievo.Prediction.from_depth(path, **{"depth": depth, **options})
        assert any("but EXIF states" in note for note in found.notes) == is_noted


def test_a_panorama_that_is_not_named_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "round.png"
    path.write_bytes(round_picture())
    depth = np.full((256, 512), 2, np.float32)
    with pytest.warns(UserWarning, match="looks like a panorama; .* give camera='equirect'"):
        rilievo.Prediction.from_depth(path, depth)
    for options in ({"camera": "equirect"}, {"camera": "pinhole:90"}, {"fov": 90}):
        named = rilievo.Prediction.from_depth(path, depth, **options)
        assert not any("panorama" in note for note in named.notes)
    assert not any("panorama" in note for note in made().notes)
