"""Our PNG files as other programs read them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rilievo.io.png import write_png


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    shape=st.sampled_from([((), np.uint8), ((3,), np.uint8), ((), np.uint16)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pillow_and_opencv_read_the_pixels_that_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    height: int,
    width: int,
    shape: tuple[tuple[int, ...], type],
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("png") / "picture"
    channels, kind = shape
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, np.iinfo(kind).max, (height, width, *channels), kind, endpoint=True)
    write_png(path, pixels, {})
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    theirs = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(theirs, pixels[..., ::-1] if channels else pixels)


def test_a_picture_of_many_bands_is_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 9, (301, 777, 3), np.uint8)
    write_png(tmp_path / "a.png", pixels, {})
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_palette_gives_the_colours_of_its_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    palette, levels = (
        rng.integers(0, 256, (256, 3), np.uint8),
        rng.integers(0, 256, (9, 7), np.uint8),
    )
    write_png(tmp_path / "a.png", levels, {}, palette=palette)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[levels])
    theirs = cv2.imread(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(theirs[..., ::-1], palette[levels])


def test_text_inside_is_read_before_the_pixels(tmp_path: Path) -> None:
    text = {"Software": "rilievo", "rilievo": '{"file": "Küche.jpg"}'}
    write_png(tmp_path / "a.png", np.zeros((2, 2), np.uint16), text)
    with Image.open(tmp_path / "a.png") as image:
        assert image.info == text


def test_views_that_are_not_contiguous_are_written_as_they_look(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint16).reshape(6, 10)[::-2, ::3]
    write_png(tmp_path / "a.png", pixels, {})
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
