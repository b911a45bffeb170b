"""Cropped and resized photographs that kept the EXIF of the original."""

import math
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.records.sample import Photo
from support.exif_blocks import FILM, exif_block, scene

FULL_FRAME = math.hypot(36, 24)


def read(image: Image.Image, exif: bytes, **more: object) -> Photo:
    stream = BytesIO()
    image.save(stream, "JPEG", exif=exif, **more)
    return rilievo.read_photo(stream.getvalue())


def small(image: Image.Image) -> Image.Image:
    return image.resize((160, 120), Image.Resampling.BOX)


def check_used(photo: Photo, *, said: str | None) -> None:
    assert photo.camera is not None
    expected = FILM * math.hypot(*photo.shape) / FULL_FRAME
    assert photo.camera.focal == pytest.approx(expected)
    check_note(photo, said)


def check_not_used(photo: Photo, *, said: str) -> None:
    assert photo.camera is None
    check_note(photo, said)
    assert any("its EXIF focal length is not used" in note for note in photo.notes)
    assert any("pass fov" in note for note in photo.notes)


def check_note(photo: Photo, said: str | None) -> None:
    if said is None:
        assert photo.notes == ()
    else:
        assert any(said in note for note in photo.notes), photo.notes


def test_a_whole_photograph_needs_no_word() -> None:
    check_used(read(scene(), exif_block()), said=None)
    check_used(read(scene(), exif_block(thumbnail=small(scene()))), said=None)
    for orientation in (3, 6, 8):
        check_used(read(scene(), exif_block(orientation=orientation)), said=None)
    # A program that turned the pixels and left the size.
    check_used(read(scene().transpose(Image.Transpose.ROTATE_90), exif_block()), said=None)


@pytest.mark.parametrize("thumbnail", [None, small(scene())])
@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((100, 100, 900, 500), "EXIF gives 1200x900 pixels, and the image has 800x400"),
        ((0, 0, 900, 900), "with other proportions"),
        ((0, 0, 1200, 675), "with other proportions"),
        ((100, 0, 775, 900), "EXIF gives 1200x900"),
    ],
)
def test_a_crop_of_other_proportions_is_not_used(
    box: tuple[int, int, int, int], said: str, thumbnail: Image.Image | None
) -> None:
    photo = read(scene().crop(box), exif_block(thumbnail=thumbnail))
    assert photo.camera is None
    if thumbnail is None or "proportions" in said:
        check_not_used(photo, said=said)
    else:
        check_note(photo, "its EXIF focal length is not used")


@pytest.mark.parametrize("box", [(0, 0, 600, 450), (300, 200, 1100, 800), (500, 400, 900, 700)])
def test_a_crop_of_the_same_proportions_is_told_by_its_thumbnail(
    box: tuple[int, int, int, int],
) -> None:
    part = scene().crop(box)
    check_not_used(read(part, exif_block(thumbnail=small(scene()))), said="thumbnail")
    check_not_used(read(part, exif_block(stated=None, thumbnail=small(scene()))), said="thumbnail")
    # Without one it might be a smaller picture, which is said.
    check_used(read(part, exif_block()), said="EXIF gives 1200x900 pixels")


@pytest.mark.parametrize("width", [600, 400, 2400])
def test_a_resized_photograph_keeps_its_field_of_view(width: int) -> None:
    resized = scene((width, width * 3 // 4))
    check_used(read(resized, exif_block(thumbnail=small(scene()))), said=None)
    check_used(read(resized, exif_block()), said="if it was cropped, pass fov")


def test_bars_of_a_thumbnail_are_no_part_of_it() -> None:
    wide = scene((1200, 800))
    barred = Image.new("RGB", (160, 120))
    barred.paste(wide.resize((160, 106), Image.Resampling.BOX), (0, 7))
    block = exif_block(stated=(1200, 800), thumbnail=barred)
    check_used(read(wide.resize((600, 400), Image.Resampling.BOX), block), said=None)
    check_not_used(read(wide.crop((0, 0, 600, 400)), block), said="thumbnail")


@pytest.mark.parametrize(
    ("size", "is_used"),
    [
        ((1200, 900), True),
        ((1200, 800), True),
        ((1280, 720), True),
        ((800, 800), True),
        ((1000, 640), False),
        ((900, 400), False),
        ((1200, 860), False),
    ],
)
def test_without_a_size_proportions_decide_and_it_is_said(
    size: tuple[int, int], is_used: bool
) -> None:
    photo = read(scene(size), exif_block(stated=None))
    if is_used:
        check_used(photo, said="EXIF gives no image size")
    else:
        check_not_used(photo, said="the proportions of a crop")


@pytest.mark.parametrize("text", [b'crs:HasCrop="True"', b"<crs:HasCrop>True</crs:HasCrop>"])
def test_xmp_that_states_a_crop_is_believed_whatever_the_size(text: bytes) -> None:
    """Lightroom writes the size of the crop into EXIF."""
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description ' + text + b"/></x:xmpmeta>"
    check_not_used(read(scene(), exif_block(), xmp=packet), said="XMP says that it was cropped")
    uncropped = packet.replace(b"True", b"False")
    check_used(read(scene(), exif_block(), xmp=uncropped), said=None)


def test_digital_zoom_is_said_and_the_sensor_is_not_used() -> None:
    check_used(read(scene(), exif_block(zoom=2.0)), said="a digital zoom of 2")
    check_used(read(scene(), exif_block(zoom=1.0)), said=None)
    assert read(scene(), exif_block(zoom=2.0, sensor=True)).camera is None
    by_sensor = read(scene(), exif_block(sensor=True))
    assert by_sensor.camera is not None
    assert by_sensor.camera.focal == pytest.approx(6 * 1200 / 17.3, rel=1e-4)


def test_exif_without_a_focal_length_needs_no_word() -> None:
    image, tags = scene((900, 400)), Image.Exif()
    tags[0x0112] = 1
    stream = BytesIO()
    image.save(stream, "JPEG", exif=tags)
    assert rilievo.read_photo(stream.getvalue()).notes == ()


def test_a_camera_of_the_user_leaves_no_doubt_about_exif() -> None:
    cropped = read(scene().crop((100, 100, 900, 500)), exif_block())
    assert with_camera(cropped, None, None).notes == cropped.notes
    assert with_camera(cropped, None, 60.0).notes == ()
    assert with_camera(cropped, SpelledLens(name="pinhole", numbers=(60.0,)), None).notes == ()


def test_a_lens_of_another_size_is_scaled_and_that_is_said() -> None:
    lens = SpelledLens(name="pinhole", numbers=(500.0, 500.0, 319.5, 179.5), size=(360, 640))
    photo = with_camera(read(scene((1280, 720)), b""), lens, None)
    assert photo.camera is not None
    np.testing.assert_allclose(photo.camera.K, [[1000, 0, 639.5], [0, 1000, 359.5], [0, 0, 1]])
    [note] = photo.notes
    assert "calibrated for 640x360 pixels and was scaled to 1280x720" in note
    assert with_camera(read(scene((640, 360)), b""), lens, None).notes == ()


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" {}</rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    "words",
    [
        'crs:HasCrop="True"/>',
        "crs:HasCrop='True'/>",
        'crs:HasCrop = "true"/>',
        "><crs:HasCrop>True</crs:HasCrop></rdf:Description>",
        'xmlns:darktable="http://darktable.sf.net/"><darktable:history><rdf:Seq><rdf:li '
        'darktable:num="9" darktable:operation="crop" darktable:enabled="1" '
        'darktable:modversion="1"/></rdf:Seq></darktable:history></rdf:Description>',
    ],
)
def test_a_crop_in_xmp_is_noticed_in_every_spelling(words: str) -> None:
    photo = read(scene(), exif_block(), xmp=XMP.format(words).encode())
    check_not_used(photo, said="XMP says that it was cropped")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_tags_in_the_first_directory_are_those_of_exif(kind: str) -> None:
    """As in TIFF/EP."""
    tags = Image.Exif()
    tags[0xA405], tags[0xA002], tags[0xA003] = FILM, 1200, 900
    for box, note in (((0, 0, 1200, 900), None), ((100, 100, 900, 500), "so it was cropped")):
        stream = BytesIO()
        scene().crop(box).save(stream, kind, exif=tags)
        photo = rilievo.read_photo(stream.getvalue())
        if note is None:
            check_used(photo, said=None)
        else:
            check_not_used(photo, said=note)


@pytest.mark.parametrize(
    ("named", "is_noted"),
    [
        # 28 mm on film are 971 px of 1200x900.
        (970.0, False),
        (800.0, False),
        (3000.0, True),
        (Camera(K=np.array([[300.0, 0, 599.5], [0, 300, 449.5], [0, 0, 1]])), True),
        (SpelledLens(name="pinhole", numbers=(20.0,)), True),
        (SpelledLens(name="fisheye", numbers=(180.0,)), False),
    ],
)
def test_a_focal_length_far_from_that_of_exif_is_noted(named: Any, is_noted: bool) -> None:
    photo = with_camera(read(scene(), exif_block()), named, None)
    assert any("but EXIF states 970.7 px" in note for note in photo.notes) == is_noted


TAGS = {
    "film": 0xA405,
    "focal": 0x920A,
    "width": 0xA002,
    "height": 0xA003,
    "x": 0xA20E,
    "y": 0xA20F,
    "unit": 0xA210,
    "lens": 0xA434,
}
FIRST_TAGS = {"make": 0x010F, "model": 0x0110, "software": 0x0131}
MILLIMETRE = 4
WIDE = (960, 640)
"""Width and height of a copy of a photograph of 5760x3840 pixels by a sensor of 36 x 24 mm."""


def photo_with(size: tuple[int, int] = WIDE, xmp: str = "", **tags: Any) -> Photo:
    """Photograph of a size whose EXIF has these tags, and its own size."""
    exif = Image.Exif()
    block = exif.get_ifd(0x8769)
    for name, value in {"width": size[0], "height": size[1], **tags}.items():
        if name in FIRST_TAGS:
            exif[FIRST_TAGS[name]] = value
        else:
            block[TAGS[name]] = value
    stream, more = BytesIO(), {"xmp": XMP.format(xmp).encode()} if xmp else {}
    scene(size).save(stream, "JPEG", exif=exif, **more)
    return rilievo.read_photo(stream.getvalue())


def sensor(pixels_per_mm: float) -> dict[str, float]:
    return {"x": pixels_per_mm, "y": pixels_per_mm, "unit": MILLIMETRE}


def focal_of(photo: Photo) -> float:
    assert photo.camera is not None
    return photo.camera.focal


# 35 mm of 36 are 933 px of 960; a copy made smaller by six keeps 160 pixels in a millimetre.
TRUE, STALE = sensor(960 / 36), sensor(160)


@pytest.mark.parametrize(
    "tags",
    [
        {"film": 35, "focal": 35, **STALE},
        {"film": 35, "focal": 35, **sensor(960 / 33)},
        {"film": 53, "focal": 35, **TRUE},
        {"film": 17, "focal": 35, **TRUE},
        {"film": 35, "focal": 35, "software": "Adobe Photoshop 25.0", **STALE},
        {"film": 35, "focal": 70},
        {"film": 4, "focal": 4.2},
    ],
    ids=str,
)
def test_focal_lengths_of_exif_that_contradict_each_other_are_not_used(tags: Any) -> None:
    photo = photo_with(**tags)
    assert photo.camera is None
    [note] = photo.notes
    assert "its EXIF focal length is not used: EXIF gives" in note
    assert "pass fov" in note


@pytest.mark.parametrize(
    "tags",
    [
        {"focal": 35, "make": "Canon", "model": "Canon EOS 5D Mark II", **STALE},
        {"focal": 35, "make": "Canon", "model": "Canon EOS R6", **sensor(1920 / 36)},
        {"focal": 35, "make": "NIKON CORPORATION", "model": "NIKON D850", **STALE},
        {"focal": 35, "software": "Adobe Photoshop Lightroom Classic 12.0 (Windows)", **STALE},
        {"focal": 35, "software": "GIMP 2.10.34", **sensor(1920 / 36)},
        {"focal": 35, **STALE},
        # 16 mm of sensor in 960 pixels, and inches that are called millimetres.
        {"focal": 35, **sensor(960 / 2.5)},
        {"focal": 35, **sensor(960 / 36 / 2.54)},
    ],
    ids=str,
)
def test_pixels_of_a_sensor_that_are_those_before_resizing_are_not_used(tags: Any) -> None:
    photo = photo_with(**tags)
    assert photo.camera is None
    [note] = photo.notes
    assert "unlikely for the sensor of this camera" in note


@pytest.mark.parametrize(
    ("tags", "focal"),
    [
        ({"film": 35, "focal": 35, **TRUE}, 933),
        # Canon states 37.1 mm.
        ({"focal": 35, "model": "Canon EOS 5D Mark II", **sensor(960 / 37.1)}, 905.7),
        ({"focal": 23, "model": "Canon EOS R7", **sensor(960 / 22.3)}, 990),
        ({"focal": 35, "software": "Adobe Photoshop Lightroom", **TRUE}, 933),
        ({"film": 27, "focal": 18, "model": "NIKON D7000", **sensor(960 / 23.6)}, 720),
        ({"focal": 6, "model": "Canon PowerShot A95", **sensor(960 / 7.2)}, 800),
        # The size of the original tells that it was resized.
        ({"film": 35, "focal": 35, "width": 5760, "height": 3840, **STALE}, 933),
    ],
    ids=str,
)
def test_focal_lengths_of_exif_that_agree_are_used(tags: Any, focal: float) -> None:
    photo = photo_with(**tags)
    assert focal_of(photo) == pytest.approx(focal, rel=0.01)
    assert all("resized copy" in note for note in photo.notes)
    assert bool(photo.notes) == ("width" in tags)


def test_an_export_that_is_stated_to_be_uncropped_keeps_its_equivalent() -> None:
    tags = {"film": 35, "focal": 35, "software": "Adobe Photoshop Lightroom", **STALE}
    photo = photo_with(xmp='crs:HasCrop="False"/>', **tags)
    assert focal_of(photo) == pytest.approx(933, rel=0.01)
    assert photo.notes == ()


@pytest.mark.parametrize(
    ("tags", "xmp"),
    [
        ({"film": 12, "lens": "8mm F3.5 Fisheye"}, ""),
        ({"film": 15, "lens": "EF15mm f/2.8 FISHEYE"}, ""),
        ({"film": 15, "make": "GoPro", "model": "HERO8 Black"}, ""),
        ({"film": 15}, 'aux:Lens="AF DX Fisheye-Nikkor 10.5mm f/2.8G ED"/>'),
        ({"lens": "SIGMA 4.5mm F2.8 Circular Fish-Eye"}, ""),
    ],
)
def test_a_fisheye_in_exif_is_said_with_what_to_give(tags: dict[str, Any], xmp: str) -> None:
    photo = photo_with(xmp=xmp, **tags)
    [note] = photo.notes
    assert "that may be a fisheye" in note
    if "film" in tags:
        degrees = math.degrees(960 / (tags["film"] * math.hypot(*WIDE) / FULL_FRAME))
        assert f"camera='fisheye:{degrees:.0f}'" in note
    assert with_camera(photo, SpelledLens(name="fisheye", numbers=(150.0,)), None).notes == ()
