"""Pictures of 16 bits that use few of their levels are refused or stretched, never in silence."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError
from rilievo.io.photographs.photo import read_photo
from support.tiff_bytes import Layout, tiff

LEAST = 4096
WIDTH = 50


def ramp(low: int, high: int) -> np.ndarray:
    """Levels of which the 1st and the 99th percentile are these."""
    middle = np.linspace(low, high, 96 * 20).round()
    return np.concatenate([[low] * 40, middle, [high] * 40]).astype(np.uint16).reshape(40, WIDTH)


def pgm(values: np.ndarray) -> bytes:
    height, width = values.shape
    return b"P5 %d %d 65535\n" % (width, height) + values.astype(">u2").tobytes()


def by_opencv(suffix: str) -> Callable[[np.ndarray], bytes]:
    return lambda values: cv2.imencode(suffix, values)[1].tobytes()


def tiff_of(order: str, is_big: bool = False) -> Callable[[np.ndarray], bytes]:
    def made(values: np.ndarray) -> bytes:
        layout, (height, width) = Layout(order, is_big), values.shape
        return tiff(
            layout,
            {
                256: (4, 1, layout.pack("I", width)),
                257: (4, 1, layout.pack("I", height)),
                258: (3, 1, layout.pack("H", 16)),
                278: (4, 1, layout.pack("I", height)),
                279: (4, 1, layout.pack("I", 2 * width * height)),
            },
            data=values.astype(order + "u2").tobytes(),
        )

    return made


FORMS: dict[str, Callable[[np.ndarray], object]] = {
    "PNG": by_opencv(".png"),
    "TIFF, LZW": by_opencv(".tiff"),
    "TIFF, little-endian": tiff_of("<"),
    "TIFF, big-endian": tiff_of(">"),
    "BigTIFF": tiff_of("<", True),
    "PGM": pgm,
    "array": lambda values: values,
    "array of one channel": lambda values: values[..., None],
    "Pillow, I;16": Image.fromarray,
    "Pillow, I": lambda values: Image.fromarray(values.astype(np.int32)),
    "Pillow, I;16B": lambda values: Image.fromarray(values.astype(np.int32)).convert("I;16B"),
}
SPANS = [
    (0, 255),
    (0, 1023),
    (0, 4095),
    (300, 301),
    (29002, 29508),
    (29002, 33097),
    (61440, 65535),
    (65535, 65535),
    (17, 17),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("low", "high"), SPANS)
def test_a_narrow_span_is_refused_at_any_offset(form: str, low: int, high: int) -> None:
    with pytest.raises(InputError) as caught:
        read_photo(FORMS[form](ramp(low, high)))
    said = str(caught.value)
    assert (
        f"its 16-bit values span only {high - low} of 65535 levels (from {low} to {high}, " in said
    )
    assert f"expected at least {LEAST}; read it with stretch=True, or scale it" in said


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("low", "high"), [(0, 4096), (29002, 33098), (61439, 65535), (0, 65535)])
def test_a_wide_span_is_read_as_before(form: str, low: int, high: int) -> None:
    values = ramp(low, high)
    photo = read_photo(FORMS[form](values))
    np.testing.assert_array_equal(photo.pixels[..., 1], np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("low", "high"), [(0, 1023), (29002, 29508), (65000, 65535), (500, 50000)])
def test_stretch_makes_the_span_black_to_white_and_says_so(form: str, low: int, high: int) -> None:
    values = ramp(low, high)
    values[0, 0], values[-1, -1] = max(low - 9, 0), min(high + 9, 65535)  # beyond both ends
    photo = read_photo(FORMS[form](values), stretch=True)
    share = (values.astype(float) - low) / (high - low)
    expected = 255 * share.clip(0, 1)
    assert np.abs(photo.pixels - expected[..., None]).max() <= 0.51
    assert len(np.unique(photo.pixels)) > 200
    assert photo.notes == (
        f"its values from {low} to {high} of 65535 were stretched to the range from black to white",
    )


def test_stretch_of_one_level_is_black_and_told() -> None:
    photo = read_photo(np.full((40, 50), 700, np.uint16), stretch=True)
    assert not photo.pixels.any()
    assert any("700 to 700" in note for note in photo.notes)
    assert any("little contrast" in note for note in photo.notes)


def test_a_few_bright_pixels_do_not_widen_the_span() -> None:
    values = ramp(29002, 29508)
    values[::20, ::10] = 65535
    with pytest.raises(InputError, match="span only 50"):
        read_photo(values)


@pytest.mark.parametrize("form", FORMS)
def test_black_is_read_and_noted(form: str) -> None:
    photo = read_photo(FORMS[form](ramp(0, 0)))
    assert not photo.pixels.any()
    assert "little contrast" in photo.notes[0]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_colour_of_16_bits_is_refused_too_and_cannot_be_stretched(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), np.stack([ramp(29002, 29508)] * 3, axis=2))
    for stretch in (False, True):
        with pytest.raises(InputError, match="expected at least 4096; scale it to the full"):
            read_photo(path, stretch=stretch)
    assert cv2.imwrite(str(path), np.stack([ramp(0, n) for n in (100, 9000, 300)], axis=2))
    assert read_photo(path).pixels.max() == 35


@pytest.mark.parametrize("order", ["little", "big"])
def test_values_that_no_16_bits_hold_are_not_stretched(order: str) -> None:
    image = Image.fromarray(np.full((40, 50), 70000, np.int32))
    for stretch in (False, True):
        with pytest.raises(InputError, match="has values such as 70000"):
            read_photo(image, stretch=stretch)


@pytest.mark.parametrize("level", [0, 90, 255])
@pytest.mark.parametrize("spread", [0, 7, 14])
def test_8_bits_of_little_contrast_are_noted_and_read(level: int, spread: int) -> None:
    values = np.clip(level + spread * (np.arange(40 * 50) % 2), 0, 255).astype(np.uint8)
    photo = read_photo(values.reshape(40, 50))
    np.testing.assert_array_equal(photo.pixels[..., 0], values.reshape(40, 50))
    [note] = photo.notes
    assert note.startswith("the image has little contrast (")
    buffer = BytesIO()
    Image.fromarray(photo.pixels).save(buffer, "PNG")
    assert read_photo(buffer.getvalue()).notes == photo.notes


def test_8_bits_of_some_contrast_and_colour_alone_are_not_noted() -> None:
    values = (100 + 17 * (np.arange(40 * 50) % 2)).astype(np.uint8).reshape(40, 50)
    assert read_photo(values).notes == ()
    assert read_photo(np.full((40, 50, 3), (10, 60, 200), np.uint8)).notes == ()


def test_stretch_has_no_effect_on_8_bits_and_says_so() -> None:
    values = np.arange(40 * 50).astype(np.uint8).reshape(40, 50)
    photo = read_photo(values, stretch=True)
    np.testing.assert_array_equal(photo.pixels, read_photo(values).pixels)
    assert photo.notes == ("the image is not 16-bit grey, so stretch=True had no effect",)
