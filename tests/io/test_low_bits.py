"""Images of 16 bits that use only the low ones are refused, not predicted from black."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError
from rilievo.io.photographs.photo import read_photo


def ramp(highest: int) -> np.ndarray:
    return np.linspace(0, highest, 40 * 50).round().astype(np.uint16).reshape(40, 50)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(
    ("highest", "bits"), [(255, 8), (1023, 10), (4095, 12), (300, 10), (2000, 12)]
)
def test_data_of_few_bits_in_16_is_refused_in_one_line(
    tmp_path: Path, suffix: str, colour: bool, highest: int, bits: int
) -> None:
    path = tmp_path / f"deep{suffix}"
    values = ramp(highest)
    assert cv2.imwrite(str(path), np.stack([values] * 3, axis=2) if colour else values)
    with pytest.raises(InputError) as caught:
        read_photo(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: its values reach only ")
    assert f"of 65535: looks like {bits}-bit data; scale it" in said
    # Of colour only the upper byte is known.
    assert f"only {highest if not colour else highest | 255} of" in said


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("colour", [False, True])
def test_a_dark_photograph_of_16_bits_is_read(tmp_path: Path, suffix: str, colour: bool) -> None:
    path = tmp_path / f"dark{suffix}"
    values = ramp(4096)
    assert cv2.imwrite(str(path), np.stack([values] * 3, axis=2) if colour else values)
    assert read_photo(path).pixels.max() == 16


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B"])
def test_pillow_images_of_few_bits_are_refused_too(mode: str) -> None:
    image = Image.fromarray(ramp(4095).astype(np.int32)).convert(mode)
    with pytest.raises(InputError, match=r"its values reach only 4095 of 65535: .* 12-bit data"):
        read_photo(image)


def test_the_brightest_row_decides_wherever_it_is() -> None:
    values = np.zeros((3000, 2000), np.uint16)
    values[-1] = 65535
    assert read_photo(Image.fromarray(values)).pixels[-1].min() == 255


def test_a_black_photograph_of_8_bits_is_read() -> None:
    buffer = BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "PNG")
    assert not read_photo(buffer.getvalue()).pixels.any()
