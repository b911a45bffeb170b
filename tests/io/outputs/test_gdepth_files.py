"""The photograph with depth inside, read by a parser of JPEG segments that is written here."""

import base64
import re
import struct
import warnings
from hashlib import md5
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import rilievo
import rilievo.errors
from rilievo.cli import main
from rilievo.geometry.cameras.fisheye import Fisheye
from rilievo.io.numbers import read_numbers
from rilievo.io.photographs.photo import read_photo
from rilievo.records.depth_map import DepthKind

GDEPTH = "{http://ns.google.com/photos/1.0/depthmap/}"
STANDARD, EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
SIZE = (120, 160)
LARGE = (480, 640)
FOCAL = 0.9
"""Focal length in widths of the picture."""


def scene(size: tuple[int, int] = SIZE) -> np.ndarray:
    """A floor that goes away from 1 to 6 m, with a noise that PNG cannot shorten."""
    rows = np.linspace(1, 0, size[0])[:, None] * np.ones(size[1])
    noise = np.random.default_rng(3).normal(0, 0.01, size)
    return (1 + 5 * rows) * (1 + noise)


def prediction_of(depth: np.ndarray, **options: object) -> rilievo.Prediction:
    photo = np.random.default_rng(0).integers(0, 255, (*depth.shape, 3), np.uint8)
    return rilievo.Prediction.from_depth(
        photo, depth.astype(np.float32), FOCAL * depth.shape[1], **options
    )


def saved(prediction: rilievo.Prediction, path: Path) -> Path:
    prediction.save(path)
    return path


def segments(content: bytes) -> list[tuple[int, bytes]]:
    """Markers and contents of the segments of a JPEG file before its picture."""
    assert content[:2] == b"\xff\xd8"
    found, position = [], 2
    while content[position + 1] != 0xDA:
        assert content[position] == 0xFF
        [length] = struct.unpack_from(">H", content, position + 2)
        assert length >= 2
        found.append((content[position + 1], content[position + 4 : position + 2 + length]))
        position += 2 + length
    return found


def properties_of(content: bytes) -> dict[str, str]:
    """Properties of GDepth in the main packet and in the extended one, which is checked."""
    app1 = [body for marker, body in segments(content) if marker == 0xE1]
    [main_packet] = [body[len(STANDARD) :] for body in app1 if body.startswith(STANDARD)]
    parts = [body[len(EXTENSION) :] for body in app1 if body.startswith(EXTENSION)]
    text = main_packet.decode()
    guid = re.search(r'xmpNote:HasExtendedXMP="([0-9A-F]{32})"', text)
    packets = [re.sub(r"<\?xpacket.*?\?>", "", text)]
    assert bool(parts) == (guid is not None)
    if guid is not None:
        whole = b""
        for part in parts:
            own_guid, (length, offset) = part[:32], struct.unpack(">LL", part[32:40])
            assert own_guid.decode() == guid[1]
            assert offset == len(whole)
            whole += part[40:]
        assert len(whole) == length
        assert md5(whole).hexdigest().upper() == guid[1]
        packets.append(whole.decode())
    properties = {}
    for packet in packets:
        for element in ElementTree.fromstring(packet).iter():
            for name, value in element.attrib.items():
                if name.startswith(GDEPTH):
                    properties[name.removeprefix(GDEPTH)] = value
    return properties


def depth_of(properties: dict[str, str]) -> np.ndarray:
    """Depth by the formula of the format, RangeInverse."""
    assert properties["Format"] == "RangeInverse"
    near, far = float(properties["Near"]), float(properties["Far"])
    picture = Image.open(BytesIO(base64.b64decode(properties["Data"])))
    assert picture.format == "PNG"
    fraction = np.asarray(picture).astype(float) / 65535
    return far * near / (far - fraction * (far - near))


@pytest.mark.parametrize("size", [SIZE, LARGE])
def test_an_independent_parser_finds_the_depth_and_the_photograph(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """A small map fits in one segment; a larger one needs an extended packet."""
    depth = scene(size)
    prediction = prediction_of(depth)
    path = saved(prediction, tmp_path / "a.gdepth.jpg")
    content = path.read_bytes()
    properties = properties_of(content)
    assert (properties["Units"], properties["MeasureType"]) == ("m", "OpticalAxis")
    assert (properties["ImageWidth"], properties["ImageHeight"]) == (str(size[1]), str(size[0]))
    np.testing.assert_allclose(depth_of(properties), depth, rtol=1e-4)
    part_count = sum(body.startswith(EXTENSION) for _, body in segments(content))
    assert (part_count > 0) == (size == LARGE)
    with Image.open(path) as image:
        shown = np.asarray(image.convert("RGB")).astype(float)
    assert prediction.photo is not None
    assert np.abs(shown - prediction.photo.pixels).mean() < 6


def test_the_depth_of_a_sensor_comes_back_as_the_photographs_own_depth(tmp_path: Path) -> None:
    depth = scene()
    path = saved(prediction_of(depth), tmp_path / "a.gdepth.jpg")
    photo = read_photo(path)
    assert photo.own_depth is not None
    assert photo.own_depth.metres is not None
    np.testing.assert_allclose(photo.own_depth.metres, depth, rtol=1e-4)
    assert photo.camera is not None
    assert photo.camera.focal == pytest.approx(FOCAL * SIZE[1], rel=0.03)


def test_pixels_without_depth_have_no_confidence(tmp_path: Path) -> None:
    depth = scene()
    depth[:30] = 0
    path = saved(prediction_of(depth), tmp_path / "a.gdepth.jpg")
    confidence = base64.b64decode(properties_of(path.read_bytes())["Confidence"])
    codes = np.asarray(Image.open(BytesIO(confidence)))
    assert (codes[:30] == 0).all()
    assert (codes[30:] > 0).all()
    metres = read_numbers(path)
    assert (metres[:30] == 0).all()
    np.testing.assert_allclose(metres[30:], depth[30:], rtol=1e-4)


def test_a_large_map_is_reduced_and_lies_in_its_place(tmp_path: Path) -> None:
    depth = np.full((1200, 1600), 2.0)
    depth[:, 800:] = 4.0
    path = saved(prediction_of(depth), tmp_path / "a.gdepth.jpg")
    stored = depth_of(properties_of(path.read_bytes()))
    assert stored.size <= 1_001_000
    assert stored.shape[1] / stored.shape[0] == pytest.approx(4 / 3, rel=1e-2)
    np.testing.assert_allclose(stored[:, : stored.shape[1] // 2], 2, rtol=1e-4)
    np.testing.assert_allclose(stored[:, -(stored.shape[1] // 2) :], 4, rtol=1e-4)


def test_depth_of_a_network_is_no_measurement_but_a_depth_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    prediction = rilievo.predict(tmp_path / "a.png", known=[(60, 40, 2.5)], fov=60)
    path = saved(prediction, tmp_path / "out.gdepth.jpg")
    own_depth = read_photo(path).own_depth
    assert own_depth is not None
    assert own_depth.metres is None
    assert "network" in (own_depth.unused or "")
    (tmp_path / "out.json").unlink(missing_ok=True)
    command = ["measure", str(tmp_path / "a.png"), "20,20", "90,70", "--depth", str(path)]
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    assert '"origin": "network"' in printed.out
    by_file = rilievo.Prediction.from_depth(tmp_path / "a.png", path)
    np.testing.assert_allclose(by_file.depth.values, prediction.depth.values, rtol=1e-4)


def test_depth_without_a_scale_has_no_unit(tmp_path: Path) -> None:
    prediction = prediction_of(scene(), kind="up_to_scale")
    path = saved(prediction, tmp_path / "a.gdepth.jpg")
    assert "Units" not in properties_of(path.read_bytes())
    back = rilievo.Prediction.from_depth(np.zeros((*SIZE, 3), np.uint8), path)
    assert back.depth.kind is DepthKind.UP_TO_SCALE


def test_a_flat_map_and_distances_along_the_ray_are_valid(tmp_path: Path) -> None:
    path = saved(prediction_of(np.full(SIZE, 2.5)), tmp_path / "a.gdepth.jpg")
    properties = properties_of(path.read_bytes())
    assert float(properties["Near"]) < float(properties["Far"])
    np.testing.assert_allclose(depth_of(properties), 2.5, rtol=1e-4)
    fisheye = rilievo.Camera(lens=Fisheye(fx=60, fy=60, cx=79.5, cy=59.5))
    photo = np.zeros((*SIZE, 3), np.uint8)
    depth = np.full(SIZE, 2.5, np.float32)
    by_ray = rilievo.Prediction.from_depth(photo, depth, fisheye, kind="distance")
    path = saved(by_ray, tmp_path / "b.gdepth.jpg")
    assert properties_of(path.read_bytes())["MeasureType"] == "OpticRay"


def test_a_broken_file_is_refused_in_one_line(tmp_path: Path) -> None:
    """Bytes of the segments are lost or replaced, and readers refuse the file or read it."""
    path = saved(prediction_of(scene()), tmp_path / "a.gdepth.jpg")
    content = path.read_bytes()
    generator = np.random.default_rng(5)
    messages: list[str] = []
    read_count = 0
    for attempt in range(60):
        start = int(generator.integers(2, 60_000))
        broken = bytearray(content)
        if attempt % 2:
            del broken[start : start + int(generator.integers(1, 3000))]
        else:
            broken[start : start + 20] = generator.bytes(20)
        path.write_bytes(broken)
        for read in (rilievo.read_prediction, read_numbers):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    read(path)
                read_count += 1
            except rilievo.errors.InputError as error:
                messages.append(str(error))
    assert read_count > 0
    assert messages
    assert all(len(message.splitlines()) == 1 for message in messages)


def test_a_jpeg_without_depth_is_no_depth_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "plain.jpg"
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(picture)
    assert main(["measure", str(picture), "1,1", "9,9", "--depth", str(picture)]) == 2
    error = capsys.readouterr().err
    assert "does not contain a depth map" in error
    assert error.count("\n") == 1


def test_a_map_is_read_at_the_size_of_a_large_photograph(tmp_path: Path) -> None:
    depth = scene((900, 1200))
    path = saved(prediction_of(depth), tmp_path / "a.gdepth.jpg")
    read = read_numbers(path)
    assert read.shape == depth.shape
    np.testing.assert_allclose(np.median(read / depth), 1, rtol=0.005)
    photo = tmp_path / "photo.jpg"
    Image.open(path).save(photo)
    line = ["measure", str(photo), "100,800", "1100,800", "--depth", str(path), "--json"]
    assert main([*line, "--depth-error", "1%"]) == 0
