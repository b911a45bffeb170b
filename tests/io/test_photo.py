"""Photographs of every kind come out upright, in sRGB, and as they look."""

import threading
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.io.photographs.photo import read_photo, read_rgb
from support.encoded_photographs import (
    FILES,
    P3_PRIMARIES,
    SIZE,
    encode,
    exif,
    heic,
    p3_profile,
    rgb,
    srgb_profile,
)


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_shows_the_same_photograph(kind: str) -> None:
    write, tolerance = FILES[kind]
    photo = read_photo(write())
    assert photo.shape == SIZE
    difference = np.abs(photo.pixels.astype(int) - np.asarray(rgb(), int))
    assert difference.mean() <= tolerance


@pytest.mark.parametrize(
    "kind", ["jpeg grey", "png grey 16", "tiff grey 16", "tiff float", "pgm 16"]
)
def test_grey_of_any_depth_is_grey_of_the_same_brightness(kind: str) -> None:
    pixels = read_photo(FILES[kind][0]()).pixels.astype(int)
    assert (pixels == pixels[..., :1]).all()
    difference = np.abs(pixels[..., 0] - np.asarray(rgb().convert("L"), int))
    assert difference.max() <= (12 if kind.startswith("jpeg") else 0)


def test_a_path_names_the_photo_and_its_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "holiday.txt"
    path.write_bytes(FILES["png"][0]())
    assert read_photo(path).name == str(path)
    assert read_photo(str(path)).shape == SIZE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_every_orientation_comes_out_as_pillow_turns_it(format: str, orientation: int) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(rgb(), format, exif=exif(orientation), **options)
    with Image.open(BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_photo(data).pixels, upright)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_the_picture_alone_is_that_of_the_photograph_or_as_it_is_stored(
    mode: str, orientation: int, tmp_path: Path
) -> None:
    path, stored = tmp_path / "photo.png", rgb().convert(mode)
    path.write_bytes(encode(stored, "PNG", exif=exif(orientation)))
    np.testing.assert_array_equal(np.asarray(read_rgb(path)), read_photo(path).pixels)
    as_stored = np.asarray(read_rgb(path, turn_upright=False))
    np.testing.assert_array_equal(as_stored, np.asarray(stored.convert("RGB")))


def test_orientation_six_worked_out_by_hand() -> None:
    """6: the first row is the right side, so the stored top left ends at the top right."""
    stored = np.zeros((40, 50, 3), np.uint8)
    stored[0, 0] = (255, 0, 0)
    pixels = read_photo(encode(Image.fromarray(stored), "PNG", exif=exif(6))).pixels
    assert pixels.shape == (50, 40, 3)
    assert pixels[0, -1].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", [0, 9, 77, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    pixels = read_photo(encode(rgb(), "PNG", exif=exif(orientation))).pixels
    np.testing.assert_array_equal(pixels, np.asarray(rgb()))


def test_a_turned_heic_comes_out_upright() -> None:
    upright = np.asarray(
        ImageOps.exif_transpose(Image.open(BytesIO(encode(rgb(), "PNG", exif=exif(6)))))
    )
    pixels = read_photo(heic(rgb(), exif(6))).pixels
    assert np.abs(pixels.astype(int) - upright).mean() < 8


def test_a_photograph_worked_on_in_strips_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(rgb().convert("RGBA"), "PNG", exif=exif(7))
    whole = read_photo(data).pixels
    monkeypatch.setattr("rilievo.io.photographs.pixels.STRIP_PIXELS", 1000)
    np.testing.assert_array_equal(read_photo(data).pixels, whole)


def test_the_full_range_of_16_bits_is_the_full_range_of_8() -> None:
    """257 k is level k exactly, and halves are rounded, not cut off."""
    values = np.zeros((32, 256), np.uint16) + np.arange(256, dtype=np.uint16) * 257
    values[1:, :] += np.where(np.arange(256) < 255, 129, 0).astype(np.uint16)
    pixels = read_photo(encode(Image.fromarray(values), "PNG")).pixels
    np.testing.assert_array_equal(pixels[0, :, 0], np.arange(256))
    np.testing.assert_array_equal(pixels[1, :, 0], np.minimum(np.arange(256) + 1, 255))


def test_colour_of_16_bits_is_right_to_one_level() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    for suffix in (".png", ".tiff"):
        written, data = cv2.imencode(suffix, deep[..., ::-1])
        assert written
        pixels = read_photo(data.tobytes()).pixels
        assert np.abs(pixels - deep / 257.0).max() <= 1.0


def test_alpha_that_is_kept_is_laid_over_white() -> None:
    """A quarter of opaque red over white: (255, 191.25, 191.25)."""
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:] = (255, 0, 0, 64)
    rgba[0] = (9, 9, 9, 0)
    for source in (encode(Image.fromarray(rgba), "PNG"), rgba):
        photo = read_photo(source, alpha="keep")
        assert photo.pixels[0, 0].tolist() == [255, 255, 255]
        assert photo.pixels[1, 0].tolist() == [255, 191, 191]


def test_a_transparent_colour_of_a_palette_that_is_kept_becomes_white() -> None:
    image = Image.new("P", (32, 32), 0)
    image.putpalette([200, 10, 10, 10, 200, 10])
    image.putpixel((5, 0), 1)
    pixels = read_photo(encode(image, "PNG", transparency=0), alpha="keep").pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 5].tolist() == [10, 200, 10]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBa", "L", "LA", "La", "1", "P", "PA", "CMYK"])
def test_white_is_white_in_every_mode(mode: str) -> None:
    white = Image.new("RGBA", (40, 33), (255, 255, 255, 255))
    image = white.convert("LA" if mode == "La" else "RGB" if mode in ("CMYK", "P") else mode)
    image = image.convert(mode)
    assert (read_photo(image).pixels == 255).all()


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "I", "F", "I;16", "I;16B"])
def test_black_is_black_in_the_rarer_modes(mode: str) -> None:
    black = {"YCbCr": (0, 128, 128), "HSV": (0, 0, 0), "LAB": (0, 128, 128)}.get(mode, 0)
    pixels = read_photo(Image.new(mode, (40, 33), black)).pixels
    assert pixels.max() <= 1


def test_adobe_inverted_cmyk_shows_its_colour() -> None:
    """Adobe's JPEG files hold 255 - ink; no ink is white and full cyan takes all red away."""
    image = Image.new("CMYK", (64, 40), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (32, 0, 64, 40))
    data = encode(image, "JPEG", quality=98)
    assert b"Adobe" in data
    pixels = read_photo(data).pixels
    np.testing.assert_allclose(pixels[20, 5], [255, 255, 255], atol=4)
    np.testing.assert_allclose(pixels[20, 60], [0, 255, 255], atol=4)


def test_ycck_shows_its_colour() -> None:
    """The same four planes, declared as YCCK: (Y, 128, 128) is grey in the inverted inks.

    libjpeg turns Y to 255 - Y, which is 255 - ink again, so the ink is Y in each of C, M and Y.
    """
    planes = (60, 128, 128, 255)
    image = Image.new("CMYK", (64, 40), tuple(255 - plane for plane in planes))
    data = encode(image, "JPEG", quality=98)
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    pixels = read_photo(data[:at] + b"\2" + data[at + 1 :]).pixels
    np.testing.assert_allclose(pixels[20, 30], 255 - 60, atol=4)


def test_display_p3_comes_out_in_srgb() -> None:
    """Compared with matrices: P3 to XYZ by its primaries, XYZ (D50) to sRGB, and both curves."""
    levels = np.array([[120, 60, 60], [60, 110, 70], [70, 80, 140], [128, 128, 128]], np.uint8)
    image = Image.fromarray(np.repeat(levels, 16, axis=0).reshape(1, 64, 3).repeat(32, axis=0))
    data = encode(image, "PNG", icc_profile=p3_profile())
    linear = np.where(
        levels / 255 <= 0.04045, levels / 255 / 12.92, ((levels / 255 + 0.055) / 1.055) ** 2.4
    )
    xyz = linear @ np.array(P3_PRIMARIES)
    to_srgb = np.array(
        [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540],
         [0.0719453, -0.2289914, 1.4052427]]
    )  # fmt: skip
    expected = xyz @ to_srgb.T
    expected = 255 * np.where(
        expected <= 0.0031308, 12.92 * expected, 1.055 * np.abs(expected) ** (1 / 2.4) - 0.055
    )
    pixels = read_photo(data).pixels[16, 8::16]
    np.testing.assert_allclose(pixels, expected, atol=1.5)
    assert np.abs(expected - levels).max() > 5


@pytest.mark.parametrize(
    "broken", [b"", b"x", bytes(200), srgb_profile()[:150], srgb_profile()[:-99]]
)
def test_a_broken_profile_leaves_the_colours_as_they_are(broken: bytes) -> None:
    data = encode(rgb(), "PNG", icc_profile=broken)
    np.testing.assert_array_equal(read_photo(data).pixels, np.asarray(rgb()))


def test_a_profile_of_another_kind_of_image_is_ignored() -> None:
    data = encode(rgb().convert("L"), "PNG", icc_profile=p3_profile())
    np.testing.assert_array_equal(read_photo(data).pixels[..., 0], np.asarray(rgb().convert("L")))


def test_arrays_are_taken_as_they_are() -> None:
    array = np.asarray(rgb()).copy()
    photo = read_photo(array)
    assert photo.pixels is array
    assert (photo.name, photo.camera) == ("array", None)
    grey = read_photo(array[..., 0]).pixels
    np.testing.assert_array_equal(grey, array[..., :1].repeat(3, axis=2))
    np.testing.assert_array_equal(read_photo(array[::2, ::-1]).pixels, array[::2, ::-1])


def test_a_pillow_image_is_turned_like_its_file_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    path.write_bytes(encode(rgb(), "JPEG", exif=exif(8, t0xA405=28)))
    from_file = read_photo(path)
    with Image.open(path) as image:
        photo = read_photo(image)
        assert image.size == (SIZE[1], SIZE[0])
    np.testing.assert_array_equal(photo.pixels, from_file.pixels)
    assert photo.name == str(path)
    assert photo.camera is not None
    assert photo.camera.source is CameraSource.EXIF_35MM


@pytest.mark.slow
def test_a_photograph_of_exactly_the_largest_size_is_read_without_a_warning() -> None:
    """Pillow on its own would warn; TIFF is the format of which it checks the size twice."""
    side = int(MAX_PIXELS**0.5)
    assert side * side == MAX_PIXELS
    data = encode(Image.new("1", (side, side), 1), "TIFF", compression="group4")
    pixels = read_photo(data).pixels
    assert pixels.shape == (side, side, 3)
    assert (pixels[:: side // 7] == 255).all()


def test_threads_share_pillows_limit_and_leave_it_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = ["tiff lzw", "webp", "jpeg", "gif", "tiff", "png"]
    data = {kind: FILES[kind][0]() for kind in kinds}
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    failures: list[BaseException] = []

    def work(kind: str) -> None:
        try:
            for _ in range(10):
                assert read_photo(data[kind]).shape == SIZE
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert Image.MAX_IMAGE_PIXELS == 1000
