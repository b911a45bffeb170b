"""Files that are not photographs are refused with one line that names them and says what to do."""

import os
import socket
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError
from rilievo.io.files.limits import MIN_SIDE
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES, RAW_SUFFIXES
from support.encoded_photographs import FILES, FOLDER, encode, heic, rgb


def refusal(source: object, **options: int) -> str:
    """The one line of the refusal, which begins with the source's name."""
    with pytest.raises(InputError) as caught:
        read_photo(source, **options)  # pyright: ignore[reportArgumentType]
    line = str(caught.value)
    name = {bytes: "bytes", np.ndarray: "array"}.get(type(source), str(source))
    assert line.splitlines() == [line]
    assert line.startswith(f"{name}: ")
    return line


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing"),
        (b"<svg width='9'>", "an SVG drawing"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"404 not found\n", "text"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "a PostScript document"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(60), "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"II*\0\x10\0\0\0CR\2\0", "a raw photograph"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a raw photograph"),
        (b"FUJIFILMCCD-RAW 0201", "a raw photograph"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"PK\3\4", "a zip archive"),
        (b"PK\3\4" + bytes(22) + b"\x09\0\0\0depth.npy", "rilievo.read_prediction"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (bytes(range(128, 256)), "not in a supported image format"),
        (b"RIFF\0\0\0\0WAVE", "not in a supported image format"),
    ],
)
def test_other_files_are_called_by_their_name(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    assert expected in refusal(path)
    assert expected in refusal(content)


def test_what_is_not_there_is_not_there(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "x.jpg")
    assert "cannot be reached" in refusal(tmp_path / ("x" * 300))
    assert (
        "cannot be reached" in refusal(tmp_path / "file" / "x.jpg")
        if (tmp_path / "file").write_bytes(b"x")
        else None
    )


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    assert "is empty" in refusal(tmp_path / "x.jpg")
    assert "0 bytes" in refusal(b"")


def test_a_directory_a_pipe_a_socket_and_a_device_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "d.jpg").mkdir()
    os.mkfifo(tmp_path / "p.jpg")
    assert "a folder" in refusal(tmp_path / "d.jpg")
    assert "a pipe" in refusal(tmp_path / "p.jpg")
    assert "a device" in refusal("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.jpg"))
        assert "a socket" in refusal(tmp_path / "s.jpg")


def test_broken_links_say_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").symlink_to(tmp_path / "gone.jpg")
    assert "gone.jpg" in refusal(tmp_path / "x.jpg")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "cannot be reached" in refusal(tmp_path / "a")


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read all, so the refusal of the system is played."""
    path = tmp_path / "x.jpg"
    path.write_bytes(FILES["jpeg"][0]())

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "Permission denied" in refusal(path)


def test_names_with_control_characters_stay_on_one_line(tmp_path: Path) -> None:
    for name in ("new\nline.jpg", "bell\a\x1b[31m.jpg", os.fsdecode(b"\xff\xfe.jpg")):
        (tmp_path / name).write_bytes(b"%PDF")
        for source in (tmp_path / name, tmp_path / name / "inside", tmp_path / f"no{name}"):
            with pytest.raises(InputError) as caught:
                read_photo(source)
            assert str(caught.value).isprintable()
    with pytest.raises(InputError, match=r"cannot be reached \(.*embedded null "):
        read_photo("a\0b.jpg")


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_short_is_refused_or_has_lost_nothing(kind: str) -> None:
    data = FILES[kind][0]()
    whole = read_photo(data).pixels
    random = np.random.default_rng(0)
    kept = 0
    for end in {*random.integers(1, len(data), 12).tolist(), len(data) - 1, len(data) // 2}:
        try:
            pixels = read_photo(data[:end]).pixels
        except InputError:
            continue
        np.testing.assert_array_equal(pixels, whole)
        kept += 1
    assert kept < 12


def test_a_file_cut_short_is_said_to_be_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(FILES["jpeg"][0]()[:-500])
    assert "JPEG file is truncated; download it again" in refusal(path)


def patched(data: bytes, at: int, form: str, *numbers: int) -> bytes:
    content = struct.pack(form, *numbers)
    return data[:at] + content + data[at + len(content) :]


def png_bomb() -> bytes:
    data = patched(encode(rgb(), "PNG"), 16, ">II", 60000, 50000)
    return patched(data, 29, ">I", zlib.crc32(data[12:29]))


def tiff_bomb() -> bytes:
    data = encode(rgb(), "TIFF")
    for tag, length in ((256, 60000), (257, 50000)):
        at = data.index(struct.pack("<HHI", tag, 4, 1))
        data = patched(data, at + 8, "<I", length)
    return data


# Small files whose headers promise 60,000 x 50,000 pixels.
BOMBS: Mapping[str, Callable[[], bytes]] = {
    "png": png_bomb,
    "jpeg": lambda: patched(
        (data := encode(rgb(), "JPEG")), data.index(b"\xff\xc0") + 5, ">HH", 50000, 60000
    ),
    "bmp": lambda: patched(encode(rgb(), "BMP"), 18, "<ii", 60000, 50000),
    "gif": lambda: patched(encode(rgb(), "GIF"), 6, "<HH", 60000, 50000),
    "ppm": lambda: b"P6 60000 50000 255\n" + bytes(1000),
    "tiff": tiff_bomb,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_by_its_header(kind: str) -> None:
    data = BOMBS[kind]()
    tracemalloc.start()
    line = refusal(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6, "3,000 million pixels were unpacked"
    assert "60000 x 50000 pixels (3000.0 million), above the limit of 104.9 million" in line


def test_a_webp_bomb_is_refused_by_its_header() -> None:
    """16,384 x 16,384 is what the format can hold; Pillow before 13 refuses it by itself."""
    data = FILES["webp lossless alpha"][0]()
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + b"\xff\x3f\0\xff\x3f\0"
    body = b"WEBP" + extended + data[12:]
    line = refusal(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert "limit" in line or "could not create decoder object" in line


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff lzw", "webp", "heic", "avif"])
def test_the_limits_are_inclusive_and_named(kind: str) -> None:
    data = FILES[kind][0]()
    assert read_photo(data, max_pixels=72 * 96).shape == (72, 96)
    line = refusal(data, max_pixels=72 * 96 - 1)
    assert "96 x 72 pixels" in line


@pytest.mark.parametrize("size", [(1, 1), (31, 200), (200, 31)])
def test_too_small_is_refused_and_the_smallest_is_not(size: tuple[int, int]) -> None:
    small = np.zeros((*size, 3), np.uint8)
    for source in (small, encode(Image.fromarray(small), "PNG")):
        line = refusal(source)
        assert f"{size[1]} x {size[0]} pixels" in line
        assert f"at least {MIN_SIDE}" in line
    with pytest.raises(InputError, match="at least 32"):
        read_photo(Image.fromarray(small))
    assert read_photo(np.zeros((32, 32, 3), np.uint8)).shape == (32, 32)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((40, 40, 3), 255.0), "outside 0 to 1"),
        (np.full((40, 40, 3), -0.1, np.float32), "outside 0 to 1"),
        (np.zeros((40, 40, 3), np.uint16), "divide by 257"),
        (np.zeros((40, 40), bool), "multiply by 255"),
        (np.zeros((40, 40, 3), np.int64), "convert to uint8"),
        (np.zeros((3, 40, 40), np.uint8), "move the channels last"),
        (np.zeros((40, 40, 2), np.uint8), "(height, width, 3)"),
        (np.zeros((1, 40, 40, 3), np.uint8), "(height, width, 3)"),
        (np.zeros(40, np.uint8), "(height, width, 3)"),
        (np.zeros((), np.uint8), "(height, width, 3)"),
        (np.zeros((0, 40, 3), np.uint8), "at least 32"),
    ],
)
def test_arrays_that_are_no_picture_say_what_to_do(array: np.ndarray, expected: str) -> None:
    assert expected in refusal(array)


@pytest.mark.parametrize(
    "values",
    [np.full((40, 40), 1.5), np.full((40, 40), -0.1), np.full((40, 40), np.nan)],
)
def test_floats_outside_of_0_to_1_are_refused_not_clamped(values: np.ndarray) -> None:
    assert "between 0 and 1;" in refusal(encode(Image.fromarray(values.astype(np.float32)), "TIFF"))


@pytest.mark.parametrize("value", [-1, 65536, 2**31 - 1])
def test_integers_of_32_bits_beyond_16_are_refused_not_clamped(value: int) -> None:
    values = np.full((40, 40), value, np.int32)
    assert "between 0 and 65535;" in refusal(encode(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("suffix", [".dng", ".NEF", ".cr2", ".arw"])
def test_a_raw_file_is_not_taken_for_its_thumbnail(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(encode(rgb(), "TIFF"))
    assert "raw photograph" in refusal(path)
    path.write_bytes(encode(rgb(), "JPEG"))
    assert read_photo(path).shape == (72, 96)


@pytest.mark.parametrize("tags", [{0xC612: b"\1\4\0\0"}, {0x00FE: 1}])
def test_a_raw_file_with_the_suffix_of_tiff_is_known_by_its_tags(tags: dict[int, object]) -> None:
    assert "raw photograph" in refusal(encode(rgb(), "TIFF", tiffinfo=tags))


def test_a_heic_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(rgb())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install 'rilievo[formats]'" in refusal(data)


def test_a_picture_without_pixels_is_said_to_have_none() -> None:
    data = bytearray(encode(rgb(), "PNG"))
    data[16:24] = bytes(8)  # width and height
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    assert "its pixels are of an unknown kind, or it has none" in refusal(bytes(data))


def test_a_closed_pillow_image_is_refused() -> None:
    with Image.open(FOLDER / "coffee.png") as image:
        pass
    image.close()
    with pytest.raises(InputError, match=r"coffee\.png: .*; download it again"):
        read_photo(image)


def test_a_pillow_image_with_senseless_notes_is_refused() -> None:
    image = rgb()
    image.info["transparency"] = "everything"
    with pytest.raises(InputError, match="image: this image is damaged or of an unsupported kind"):
        read_photo(image)


def test_a_file_too_large_to_be_read_as_a_whole_is_refused(tmp_path: Path) -> None:
    """A sparse file, which takes no room on the disk."""
    path = tmp_path / "x.webp"
    path.write_bytes(FILES["webp"][0]())
    os.truncate(path, 2**30 + 1)
    assert "at most 1 GiB" in refusal(path)


def test_suffixes_of_photographs_and_of_raw_files_are_apart() -> None:
    assert not PHOTO_SUFFIXES & RAW_SUFFIXES
