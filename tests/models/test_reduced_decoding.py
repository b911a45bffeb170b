"""JPEG files decoded at a half, a quarter or an eighth: size, camera, depth as of all pixels."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.io.photo import read_photo
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files, refined

SIZE = (900, 1200)
_ORIENTATION, _FOCAL_35MM, _EXIF_BLOCK = 0x0112, 0xA405, 0x8769


def save_jpeg(path: Path, picture: Image.Image, *, orientation: int = 1) -> Path:
    path.parent.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    exif.get_ifd(_EXIF_BLOCK)[_FOCAL_35MM] = 28
    picture.save(path, quality=92, exif=exif)
    return path


def coffee(size: tuple[int, int] = SIZE) -> Image.Image:
    skimage = pytest.importorskip("skimage")
    picture = Image.fromarray(skimage.data.coffee()).crop((10, 10, 590, 390))  # it has a frame
    return picture.resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_reduced_photograph_has_the_size_and_camera_of_the_whole(
    tmp_path: Path, orientation: int
) -> None:
    picture = Image.radial_gradient("L").resize(SIZE[::-1]).convert("RGB")
    path = save_jpeg(tmp_path / "photo.jpg", picture, orientation=orientation)
    whole = read_photo(path)
    reduced = read_photo(path, least_size=lambda shape: (shape[0] // 5, shape[1] // 5))
    assert whole.full_size is None
    assert reduced.shape == whole.shape == (SIZE if orientation == 1 else SIZE[::-1])
    assert reduced.pixels.shape[:2] == tuple(side // 4 for side in whole.shape)
    assert whole.camera is not None
    assert reduced.camera == whole.camera
    means = whole.pixels.reshape(whole.shape[0] // 4, 4, -1, 4, 3).mean(axis=(1, 3))
    assert np.abs(means - reduced.pixels).mean() < 1


def test_only_jpeg_files_are_reduced(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (400, 300)).save(path)
    photo = read_photo(path, least_size=lambda shape: (64, 64))
    assert photo.full_size is None
    assert photo.pixels.shape == (300, 400, 3)


def depth_of(path: Path, sharp: Literal["off", "on"], *save: str) -> np.ndarray:
    """Depth that a folder run writes, NaN where invalid."""
    output = path.with_name("results")
    options = PredictOptions(output=output, save=",".join(("npy", *save)), sharp=sharp)
    assert predict_files([path], options, show=False).done == 1
    return np.load(output / "photo.depth.npy")


@pytest.mark.parametrize(("sharp", "size"), [("off", SIZE), ("on", (1680, 2240))])
def test_depth_of_a_reduced_photograph_is_that_of_all_pixels(
    tmp_path: Path, sharp: Literal["off", "on"], size: tuple[int, int]
) -> None:
    path = save_jpeg(tmp_path / "photo.jpg", coffee(size))
    model = refined(rilievo.load_model(), flip=False, tile=None, sharp=sharp == "on", trim=True)
    assert read_photo(path, least_size=model.least_size).full_size == size
    true = rilievo.predict(path, sharp=sharp == "on").depth.values
    error = np.abs(depth_of(path, sharp) / true - 1)
    assert 0 < np.median(error) < 0.01
    assert np.percentile(error, 99) < 0.05


def test_a_photograph_with_a_border_and_one_that_is_saved_itself_are_decoded_whole(
    tmp_path: Path,
) -> None:
    picture = coffee()
    whole = save_jpeg(tmp_path / "photo.jpg", picture)
    true = rilievo.predict(whole, sharp=False).depth.values
    np.testing.assert_array_equal(depth_of(whole, "off", "panel"), true)
    panel = tmp_path / "results" / "photo.panel.png"
    before = panel.read_bytes()
    panel.write_bytes(b"broken")  # so that this run needs the whole photograph too
    np.testing.assert_array_equal(depth_of(whole, "off"), true)
    assert panel.read_bytes() == before
    picture.paste(0, (0, 0, SIZE[1], 61))
    picture.paste(0, (0, SIZE[0] - 50, SIZE[1], SIZE[0]))
    framed = save_jpeg(tmp_path / "framed" / "photo.jpg", picture)
    with pytest.warns(UserWarning, match="border"):
        depth = rilievo.predict(framed, sharp=False).depth
    assert not depth.valid[:60].any()
    found = depth_of(framed, "off")
    np.testing.assert_array_equal(np.isfinite(found), depth.valid)
    np.testing.assert_array_equal(found[depth.valid], depth.values[depth.valid])
