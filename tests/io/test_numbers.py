"""Numbers of foreign files come back as they were stored, or one line says why not."""

import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rilievo.errors import InputError
from rilievo.io.numbers import read_map, read_numbers


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(pixels: np.ndarray, *, filters: str = "0") -> bytes:
    """A PNG file by the specification, row by row, with the filters named in turn."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    bits = pixels.dtype.itemsize * 8
    step = channels * bits // 8
    raw = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    stride = width * step
    rows = bytearray()
    for y in range(height):
        kind = int(filters[y % len(filters)])
        row = raw[y * stride : (y + 1) * stride]
        above = raw[(y - 1) * stride : y * stride] if y else bytes(stride)
        rows.append(kind)
        for i in range(stride):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            guess = left + above[i] - corner
            nearest = min((left, above[i], corner), key=lambda value: abs(guess - value))
            subtract = (0, left, above[i], (left + above[i]) // 2, nearest)[kind]
            rows.append((row[i] - subtract) % 256)
    colour = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(pixels: np.ndarray, order: str) -> bytes:
    """A TIFF file of one strip, grey, in the byte order ``order``."""
    height, width = pixels.shape
    bits, sort = pixels.dtype.itemsize * 8, 3 if pixels.dtype.kind == "f" else 1
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    tags = ((256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8))
    tags += ((277, 1), (278, height), (279, len(data)), (339, sort))
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(data))
    return start + data + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@given(
    pixels=st.sampled_from([(5, 7), (5, 7, 3), (3, 4, 4)]).flatmap(
        lambda shape: st.one_of(arrays(np.uint8, shape), arrays(np.uint16, shape))
    ),
    filters=st.text("01234", min_size=1, max_size=5),
)
def test_png_of_8_and_16_bits_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray, filters: str
) -> None:
    path = written(tmp_path_factory.mktemp("png"), "a.png", png(pixels, filters=filters))
    found = read_numbers(path)
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_tiff_of_either_byte_order_comes_back_exactly(
    tmp_path: Path, order: str, kind: type
) -> None:
    pixels = np.linspace(0, 250, 6 * 9).reshape(6, 9).astype(kind)
    found = read_numbers(written(tmp_path, "a.tif", tiff(pixels, order)))
    assert found.dtype == kind
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize(("scale", "order"), [("-1.0", "<f4"), ("0.5", ">f4")])
def test_pfm_has_its_last_row_first(tmp_path: Path, scale: str, order: str) -> None:
    values = np.array([[1.5, np.inf, 3.0], [4.0, 5.0, -6.0]], np.float32)
    body = values[::-1].astype(order).tobytes()
    found = read_numbers(written(tmp_path, "a.pfm", f"Pf\n3 2\n{scale}\n".encode() + body))
    np.testing.assert_array_equal(found, values)


def test_pfm_of_colour_has_channels_last(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    body = values[::-1].astype("<f4").tobytes()
    found = read_numbers(written(tmp_path, "a.pfm", b"PF 2 2 -1\n" + body))
    np.testing.assert_array_equal(found, values)


def test_pgm_is_not_stretched_to_its_full_range(tmp_path: Path) -> None:
    content = b"P5\n# a comment\n3 1\n1000\n" + struct.pack(">3H", 0, 7, 1000)
    np.testing.assert_array_equal(read_numbers(written(tmp_path, "a.pgm", content)), [[0, 7, 1000]])


def test_a_mask_of_one_bit_is_zeros_and_ones(tmp_path: Path) -> None:
    row = b"\0" + bytes([0b10100000])
    header = struct.pack(">IIBBBBB", 4, 2, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 2)) + chunk(b"IEND", b"")
    found = read_numbers(written(tmp_path, "a.png", b"\x89PNG\r\n\x1a\n" + body))
    np.testing.assert_array_equal(found, [[1, 0, 1, 0]] * 2)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int32, bool])
def test_npy_of_any_type_is_read_and_axes_of_one_are_gone(tmp_path: Path, kind: type) -> None:
    values = (np.arange(12) % 5).reshape(3, 4, 1).astype(kind)
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_map(tmp_path / "a.npy"), values[..., 0])


def test_one_of_several_arrays_is_named(tmp_path: Path) -> None:
    near, far = np.ones((2, 3)), np.full((2, 3), 9.0)
    np.savez_compressed(tmp_path / "a.npz", near=near, far=far)
    np.testing.assert_array_equal(read_numbers(tmp_path / "a.npz", name="far"), far)
    with pytest.raises(InputError, match=r"several arrays: near, far; choose one"):
        read_numbers(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"no array 'fat'; did you mean 'far'"):
        read_numbers(tmp_path / "a.npz", name="fat")


@pytest.mark.slow
def test_an_exr_of_many_channels_is_refused_by_its_header(tmp_path: Path) -> None:
    """3.2 MB of 200 channels took 15 CPU seconds and 3.5 GB before it was refused."""
    OpenEXR = pytest.importorskip("OpenEXR")
    zeros = np.zeros((1000, 1000), np.float32)
    for count in (20, 140):
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        with OpenEXR.File(header, {f"c{index:03d}": zeros for index in range(count)}) as file:
            file.write(str(tmp_path / f"{count}.exr"))
    before = time.process_time()
    for name in (None, "c001"):
        with pytest.raises(InputError, match=r"its image of 140 channels unpacks to 560\.0 MB"):
            read_numbers(tmp_path / "140.exr", name=name)
    with pytest.raises(InputError, match="has several channels: c000, c001"):
        read_numbers(tmp_path / "20.exr")
    assert time.process_time() - before < 0.1
    np.testing.assert_array_equal(read_numbers(tmp_path / "20.exr", name="c001"), zeros)


def exr_with_windows(
    path: Path, values: np.ndarray, top_left: tuple[int, int], display: tuple[int, int, int, int]
) -> Path:
    """EXR of values whose first pixel lies at a place; display is top, left, height and width."""
    openexr = pytest.importorskip("OpenEXR")
    top, left = top_left
    height, width = values.shape
    first_row, first_column, rows, columns = display
    header = {
        "compression": openexr.ZIP_COMPRESSION,
        "type": openexr.scanlineimage,
        "dataWindow": (
            np.array([left, top], np.int32),
            np.array([left + width - 1, top + height - 1], np.int32),
        ),
        "displayWindow": (
            np.array([first_column, first_row], np.int32),
            np.array([first_column + columns - 1, first_row + rows - 1], np.int32),
        ),
    }
    openexr.File(header, {"Z": values}).write(str(path))
    return path


def test_an_exr_of_a_region_lies_in_its_picture_where_its_windows_say(tmp_path: Path) -> None:
    picture = np.arange(20 * 30, dtype=np.float32).reshape(20, 30)
    region = np.ascontiguousarray(picture[5:12, 8:20])
    read = read_map(exr_with_windows(tmp_path / "a.exr", region, (5, 8), (0, 0, 20, 30)))
    assert read.shape == (20, 30)
    np.testing.assert_array_equal(read[5:12, 8:20], region)
    assert np.isfinite(read).sum() == region.size
    # A picture need not begin at (0, 0).
    read = read_map(exr_with_windows(tmp_path / "b.exr", region, (105, 208), (100, 200, 20, 30)))
    np.testing.assert_array_equal(read[5:12, 8:20], region)
    whole = region.astype(np.uint32) + 1
    read = read_map(exr_with_windows(tmp_path / "c.exr", whole, (5, 8), (0, 0, 20, 30)))
    assert read.dtype == np.uint32
    assert np.count_nonzero(read) == whole.size


def test_overscan_of_an_exr_is_cut_off(tmp_path: Path) -> None:
    rendered = np.arange(26 * 40, dtype=np.float32).reshape(26, 40)
    read = read_map(exr_with_windows(tmp_path / "a.exr", rendered, (-3, -5), (0, 0, 20, 30)))
    np.testing.assert_array_equal(read, rendered[3:23, 5:35])
    read = read_map(exr_with_windows(tmp_path / "b.exr", rendered, (10, -5), (0, 0, 20, 30)))
    np.testing.assert_array_equal(read[10:], rendered[:10, 5:35])
    assert np.isnan(read[:10]).all()


def test_an_exr_whose_pixels_lie_outside_of_its_picture_is_refused(tmp_path: Path) -> None:
    values = np.ones((4, 4), np.float32)
    with pytest.raises(InputError, match="outside of its display window"):
        read_map(exr_with_windows(tmp_path / "a.exr", values, (20, 0), (0, 0, 20, 30)))


def test_an_exr_whose_header_is_no_utf8_is_refused(tmp_path: Path) -> None:
    """OpenEXR's InputFile ended the process at such a name, or ends it with a SystemError."""
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Z": np.ones((5, 6), np.float32)}) as file:
        file.write(str(tmp_path / "z.exr"))
    content = (tmp_path / "z.exr").read_bytes()
    for name, broken in (
        (b"lineOrder", b"lineOrd\x80r"),
        (b"displayWindow", b"d\xffsplayWindow"),
        (b"\x00Z\x00", b"\x00\xda\x00"),  # the channel
    ):
        assert name in content
        path = written(tmp_path, "broken.exr", content.replace(name, broken))
        with pytest.raises(InputError, match=r"broken\.exr"):
            read_map(path)


def test_channels_of_exr_are_read_alone_or_as_colour(tmp_path: Path) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    colour = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    with OpenEXR.File(header, {"RGB": colour}) as file:
        file.write(str(tmp_path / "colour.exr"))
    np.testing.assert_array_equal(read_numbers(tmp_path / "colour.exr"), colour)
    green = read_map(tmp_path / "colour.exr", name="G")
    np.testing.assert_array_equal(green, colour[..., 1])
    with OpenEXR.File(header, {"Z": colour[..., 0].copy()}) as file:
        file.write(str(tmp_path / "z.exr"))
    np.testing.assert_array_equal(read_map(tmp_path / "z.exr"), colour[..., 0])
    written(tmp_path, "cut.exr", (tmp_path / "z.exr").read_bytes()[:-9])
    with pytest.raises(InputError, match=r"cut\.exr: this EXR file is truncated"):
        read_map(tmp_path / "cut.exr")


GREY = np.random.default_rng(1).integers(0, 65536, (40, 50), np.uint16)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("format", ["png", "tif", "npy", "npz", "pfm", "pgm"])
def test_a_file_cut_short_is_one_line(tmp_path: Path, format: str, share: float) -> None:
    path = tmp_path / f"a.{format}"
    match format:
        case "png":
            path.write_bytes(png(GREY, filters="2"))
        case "tif":
            path.write_bytes(tiff(GREY, "<"))
        case "npy":
            np.save(path, GREY)
        case "npz":
            np.savez(path, GREY)
        case "pfm":
            path.write_bytes(b"Pf\n50 40\n-1\n" + GREY.astype("<f4").tobytes())
        case _:
            path.write_bytes(b"P5 50 40 65535\n" + GREY.astype(">u2").tobytes())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError) as caught:
        read_numbers(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", np.array([[1, "x"]], dtype=object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match="truncated, damaged or of an unsupported kind"):
            read_numbers(tmp_path / name)


def test_what_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_numbers(tmp_path / "none.png")
    with pytest.raises(
        InputError, match=r"not contain an array of numbers; supported formats are PNG"
    ):
        read_numbers(written(tmp_path, "a.png", b"GIF89a a GIF file"))
    np.save(tmp_path / "text.npy", np.array([["a", "b"]]))
    with pytest.raises(InputError, match="expected integers or floating-point"):
        read_numbers(tmp_path / "text.npy")
    np.save(tmp_path / "line.npy", np.arange(5.0))
    with pytest.raises(InputError, match=r"shape \(5,\); expected \(height, width\)"):
        read_numbers(tmp_path / "line.npy")
    with pytest.raises(InputError, match="expected one value per pixel"):
        read_map(written(tmp_path, "rgb.png", png(np.zeros((4, 4, 3), np.uint8))))


def test_a_palette_is_refused_since_its_numbers_are_colours(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"PLTE", bytes(6))
    body += chunk(b"IDAT", zlib.compress(b"\0\0\1")) + chunk(b"IEND", b"")
    with pytest.raises(InputError, match="stores its pixels as 'P'"):
        read_numbers(written(tmp_path, "a.png", b"\x89PNG\r\n\x1a\n" + body))


def test_an_array_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("depth.npy", b"\x93NUMPY\1\0")
    whole = bytearray(path.read_bytes())
    # The uncompressed size in the directory at the end of the file.
    place = whole.index(b"PK\x01\x02") + 24
    whole[place : place + 4] = struct.pack("<I", 3 * 2**30)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"unpacks to 3221\.2 MB"):
        read_numbers(path)
