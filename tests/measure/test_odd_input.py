"""Odd outlines, masks, records and noise, each with the right answer or one clear line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import rilievo
from rilievo.errors import InputError, OptionError
from rilievo.measure.plane_support import measure_support
from rilievo.measure.quantities import area
from rilievo.predicting.regions.segmentations import segmentation_outline

K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
PHOTO = np.ascontiguousarray(data.astronaut()[:240, :320])
DEPTH = np.tile(np.linspace(2, 3, 320, dtype=np.float32), (240, 1))


def given(depth: np.ndarray | Path = DEPTH) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(PHOTO, depth, rilievo.Camera(K=K), depth_error="1%")


@pytest.mark.parametrize(
    "corners",
    [[(100, 100), (200, 100), (100, 100)], [(100, 100), (150, 100), (200, 100)]],
)
def test_an_outline_without_an_area_is_refused(corners: list[tuple[int, int]]) -> None:
    with pytest.raises(OptionError, match="lie on one line"):
        area(given(), corners)


def test_an_outline_of_very_many_corners_is_refused() -> None:
    turns = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    corners = [(160 + 60 * np.cos(turn), 120 + 60 * np.sin(turn)) for turn in turns]
    with pytest.raises(OptionError, match="at most 1,000 corners"):
        area(given(), corners)


@pytest.mark.parametrize(
    "outline",
    [
        {"size": [48, 64], "counts": 5},
        {"size": [48], "counts": [3]},
        {"size": [48, 64], "counts": [2**70]},
    ],
)
def test_run_lengths_that_are_none_get_a_line_of_ours(outline: dict) -> None:
    with pytest.raises(InputError, match="segmentation: "):
        segmentation_outline(outline)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.1])
def test_noise_along_the_ray_is_no_spread_of_a_plane(noise: float) -> None:
    random = np.random.default_rng(0)
    place = random.uniform(-0.08, 0.08, (2000, 2))
    points = np.column_stack([place, np.full(2000, 2.0)])
    normal = np.array([0.0, 0.0, -1.0])
    exact = measure_support(points, normal)
    points *= 1 + noise * random.standard_normal((2000, 1))
    noisy = measure_support(points, normal)
    for direction in ([1.0, 0, 0], [0, 1.0, 0]):
        spread = exact.inverse_spread(np.array(direction))
        assert noisy.inverse_spread(np.array(direction)) == pytest.approx(spread, rel=0.05)


def saved(folder: Path, *formats: str) -> Path:
    rilievo.save(given(), folder / "pic", [*formats])
    return folder / "pic"


def test_depth_that_was_compressed_anew_is_believed(tmp_path: Path) -> None:
    stem = saved(tmp_path, "png16", "normals")
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            image.load()
            copy = image.copy()
        copy.save(path, compress_level=1)
    # A warning is an error here.
    again = rilievo.read_prediction(stem)
    assert again.instrument is not None
    assert again.instrument.error.relative == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["sub/b.jpg", 300 * "a" + ".jpg", ".", ""])
def test_a_name_in_a_record_that_is_none_is_no_traceback(name: str, tmp_path: Path) -> None:
    saved(tmp_path, "npy")
    record = tmp_path / "pic.json"
    content = json.loads(record.read_text())
    content["source"]["file"] = name
    record.write_text(json.dumps(content))
    photo = tmp_path / "photo.png"
    Image.fromarray(PHOTO).save(photo)
    [depth] = tmp_path.glob("*.npy")
    try:
        prediction = rilievo.Prediction.from_depth(photo, depth, rilievo.Camera(K=K))
    except InputError:
        return
    assert not any("belong together" in note for note in prediction.notes)


def test_a_photograph_through_a_filter_is_not_another_one(tmp_path: Path) -> None:
    saved(tmp_path, "npz")
    [depth] = tmp_path.glob("*.npz")
    for colour in range(3):
        grey = np.repeat(PHOTO[..., [colour]], 3, axis=2)
        prediction = rilievo.Prediction.from_depth(grey, depth, rilievo.Camera(K=K))
        assert not any("belong together" in note for note in prediction.notes)
