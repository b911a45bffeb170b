"""Cameras from EXIF blocks, computed by hand; implausible tags are ignored."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.photographs.exif import (
    ExifMetadata,
    camera_from_exif,
    heif_K,
)
from rilievo.io.photographs.photo import read_photo
from support.encoded_photographs import encode, exif

Rational = TiffImagePlugin.IFDRational
SENSOR = {
    "t0x920A": 5.0,
    "t0xA20E": 100.0,
    "t0xA20F": 100.0,
    "t0xA210": 3,
    "t0x0110": "Compact 1",
}
"""5 mm, and 100 pixels a centimetre of sensor: 50 pixels."""


def camera_of(size: tuple[int, int], orientation: int = 1, **block: object) -> Camera | None:
    image = Image.new("L", (size[1], size[0]))
    return read_photo(encode(image, "JPEG", exif=exif(orientation, **block))).camera


def test_a_35_mm_equivalent_goes_by_the_diagonal() -> None:
    """60 x 80 has a diagonal of 100 pixels, 35 mm film one of 43.2666 mm."""
    camera = camera_of((60, 80), t0xA405=28)
    assert camera is not None
    focal = 28 * 100 / math.sqrt(36**2 + 24**2)
    np.testing.assert_allclose(camera.K, [[focal, 0, 39.5], [0, focal, 29.5], [0, 0, 1]])
    assert camera.source is CameraSource.EXIF_35MM


def test_on_film_itself_the_equivalent_is_the_focal_length() -> None:
    """36 mm of film 360 pixels wide: ten pixels a millimetre."""
    camera = camera_of((240, 360), t0xA405=50)
    assert camera is not None
    assert math.isclose(camera.K[0, 0], 500.0)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_every_format_that_holds_exif_is_heard(format: str) -> None:
    data = encode(Image.new("RGB", (80, 60)), format, exif=exif(1, t0xA405=28))
    camera = read_photo(data).camera
    assert camera is not None
    assert camera.source is CameraSource.EXIF_35MM


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("block", [{"t0xA405": 28}, SENSOR])
def test_the_camera_is_that_of_the_upright_photograph(
    orientation: int, block: dict[str, object]
) -> None:
    turned = camera_of((60, 80), orientation, **block, t0xA002=80, t0xA003=60)
    stored = camera_of((60, 80), 1, **block, t0xA002=80, t0xA003=60)
    assert turned is not None
    assert stored is not None
    assert math.isclose(turned.K[0, 0], stored.K[0, 0])
    centre = [29.5, 39.5] if orientation >= 5 else [39.5, 29.5]
    np.testing.assert_allclose(turned.K[:2, 2], centre)


@pytest.mark.parametrize(
    ("unit", "pixels", "focal"),
    [(3, 100.0, 50.0), (2, 100.0, 50.0 / 2.54), (4, 20.0, 100.0), (None, 100.0, 50.0 / 2.54)],
)
def test_the_sensor_is_measured_in_its_unit(unit: int | None, pixels: float, focal: float) -> None:
    tags = SENSOR | {"t0xA210": unit, "t0xA20E": pixels, "t0xA20F": pixels}
    block = {key: value for key, value in tags.items() if value is not None}
    camera = camera_of((100, 150), **block)
    assert camera is not None
    assert math.isclose(camera.K[0, 0], focal)
    assert camera.source is CameraSource.EXIF_SENSOR


def test_a_resized_photograph_keeps_its_field_of_view() -> None:
    """The tags speak of the original, 300 wide; at half the size, half the focal length."""
    camera = camera_of((100, 150), **SENSOR, t0xA002=300, t0xA003=200)
    assert camera is not None
    assert math.isclose(camera.K[0, 0], 25.0)


def test_the_35_mm_equivalent_goes_before_the_sensor() -> None:
    # 22 mm of film are 50.8 pixels, and the sensor states 50.
    camera = camera_of((60, 80), t0xA405=22, **SENSOR)
    assert camera is not None
    assert camera.source is CameraSource.EXIF_35MM


def test_an_absurd_equivalent_leaves_the_sensor_to_speak() -> None:
    camera = camera_of((60, 80), t0xA405=60000, **SENSOR)
    assert camera is not None
    assert camera.source is CameraSource.EXIF_SENSOR


@pytest.mark.parametrize("block", [{"t0xA405": 28}, SENSOR])
def test_a_photograph_cropped_since_has_no_camera(block: dict[str, object]) -> None:
    assert camera_of((100, 100), **block, t0xA002=150, t0xA003=100) is None
    assert camera_of((100, 150), **block, t0xA002=150, t0xA003=100) is not None


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"t0xA405": 0},
        {"t0xA405": 65535},
        {"t0x920A": 5.0},
        SENSOR | {"t0x920A": Rational(5, 0)},
        SENSOR | {"t0x920A": Rational(0, 1)},
        SENSOR | {"t0x920A": 0.0001},
        SENSOR | {"t0x920A": 1e6},
        SENSOR | {"t0xA20E": Rational(0, 0)},
        SENSOR | {"t0xA20E": 0.0},
        SENSOR | {"t0xA20E": 500.0},
        SENSOR | {"t0xA210": 1},
        SENSOR | {"t0xA210": 77},
    ],
)
def test_tags_that_cannot_be_true_are_not_heard(block: dict[str, object]) -> None:
    assert camera_of((60, 80), **block) is None


numbers = st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False)


@settings(deadline=None)
@given(
    exif=st.builds(
        ExifMetadata,
        focal_35mm=numbers,
        focal_mm=numbers,
        sensor_pixels_x=numbers,
        sensor_pixels_y=numbers,
        sensor_unit_mm=numbers,
        original_width=numbers,
        original_height=numbers,
    ),
    size=st.tuples(st.integers(32, 20000), st.integers(32, 20000)),
)
@example(
    exif=ExifMetadata(
        focal_mm=1e-300, sensor_pixels_x=1.0, sensor_pixels_y=1.0, sensor_unit_mm=1e300
    ),
    size=(60, 80),
)
@example(
    exif=ExifMetadata(
        focal_mm=1e300, sensor_pixels_x=1e300, sensor_pixels_y=1e300, sensor_unit_mm=1.0
    ),
    size=(60, 80),
)
def test_no_numbers_make_the_camera_fail(exif: ExifMetadata, size: tuple[int, int]) -> None:
    camera = camera_from_exif(exif, size)
    if camera is not None:
        longer = max(size)
        assert 0.99 <= math.degrees(2 * math.atan(longer / 2 / camera.K[0, 0])) <= 170.1


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_is_no_reason_to_refuse_a_photograph(format: str) -> None:
    block = exif(6, t0xA405=28, t0x920A=5.0)
    random = np.random.default_rng(3)
    for _ in range(100):
        broken = bytearray(block)
        for place in random.integers(6, len(block), 8):
            broken[place] = random.integers(256)
        data = encode(Image.new("RGB", (80, 60)), format, exif=bytes(broken))
        assert sorted(read_photo(data).shape) == [60, 80]


@pytest.mark.parametrize("size", [(30, 20), (20, 30)])
def test_a_principal_point_of_a_heic_is_near_the_middle_alike_to_all_sides(
    size: tuple[int, int],
) -> None:
    image = Image.new("RGB", size)
    for away, is_near in ((2.9, True), (3.1, False)):
        for x, y in ((away, 0), (-away, 0), (0, away), (0, -away)):
            centre = {"principal_point_x": size[0] / 2 + x, "principal_point_y": size[1] / 2 + y}
            stated = {"focal_length_x": 40.0, "focal_length_y": 41.0, **centre}
            image.info["heif"] = {"camera_intrinsic_matrix": stated}
            K = heif_K(image)
            assert (K is not None) is is_near
            if K is not None:
                expected = [40, 41, (size[0] - 1) / 2 + x, (size[1] - 1) / 2 + y]
                np.testing.assert_allclose([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], expected)
