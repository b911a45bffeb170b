"""TIFF files whose tags announce more numbers than a picture needs are refused, and others read."""

import struct
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import TiffImagePlugin
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.cli import main
from rilievo.errors import InputError
from rilievo.io.numbers import read_numbers
from rilievo.io.photographs.photo import header_size, read_photo
from support.encoded_photographs import encode, rgb
from support.tiff_bytes import SIZES, Layout, tiff

MANY = 300_000
LAYOUTS = [Layout(order, big) for order in ("<", ">") for big in (False, True)]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Files that were given to Pillow."""
    given: list[object] = []
    start = TiffImageFile.__init__

    def watched(self: TiffImageFile, *arguments: object, **others: object) -> None:
        given.append(arguments)
        start(self, *arguments, **others)

    monkeypatch.setattr(TiffImageFile, "__init__", watched)
    return given


def bomb(layout: Layout, tag: int, kind: int, count: int, **others: object) -> bytes:
    """A picture of 64x64 in which one tag has so many entries, all zero, behind the picture."""
    return tiff(layout, {tag: (kind, count, b"")}, zeros=count * SIZES[kind], **others)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    ("tag", "kind", "words"),
    [
        (273, 4, "StripOffsets"),
        (279, 4, "StripByteCounts"),
        (273, 3, "StripOffsets"),
        (324, 4, "TileOffsets"),
        (325, 3, "TileByteCounts"),
        (258, 3, "numbers in the tags"),
        (330, 13, "numbers in the tags"),
        (320, 3, "numbers in the tags"),
        (282, 5, "numbers in the tags"),
        (65000, 12, "numbers in the tags"),
        (33723, 9, "numbers in the tags"),
    ],
)
def test_a_tag_of_more_entries_than_rows_is_refused_before_pillow_sees_it(
    layout: Layout, tag: int, kind: int, words: str, opened: list[object], tmp_path: Path
) -> None:
    content = bomb(layout, tag, kind, MANY)
    path = tmp_path / "sparse.tif"
    path.write_bytes(content)
    for read in (
        lambda: read_photo(path),
        lambda: read_photo(content),
        lambda: header_size(BytesIO(content), "sparse", max_pixels=10_000),
    ):
        with pytest.raises(InputError, match=words) as caught:
            read()
        assert "this TIFF file has 300,0" in str(caught.value)
        assert "export it again as JPEG or PNG" in str(caught.value)
    if not layout.is_big:
        with pytest.raises(InputError, match=words):
            read_numbers(path)
    assert opened == []


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("pointer", [34665, 34853, 40965])
def test_a_directory_inside_of_another_is_looked_at(layout: Layout, pointer: int) -> None:
    content = tiff(layout, {}, inner={pointer: {0x9000: (3, MANY, b"")}}, zeros=2 * MANY)
    with pytest.raises(InputError, match=r"300,0.. numbers in the tags"):
        read_photo(content)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_directory_of_thousands_of_tags_is_refused(layout: Layout) -> None:
    with pytest.raises(InputError, match=r"a directory of 5,0.. tags; expected at most 4,096"):
        read_photo(tiff(layout, {tag: (1, 1, b"\1") for tag in range(40_000, 45_000)}))


def test_big_endian_bigtiff_is_looked_at_as_pillow_reads_it() -> None:
    """Pillow takes it for a classic one, whose directory is named where BigTIFF has a constant."""
    classic = bomb(Layout(">", False), 273, 4, MANY)
    with pytest.raises(InputError, match="StripOffsets"):
        read_photo(b"MM\0+" + classic[4:])


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_directories_that_lead_into_each_other_end(layout: Layout) -> None:
    inside = {34665: (4, 1, layout.pack("I", layout.start + 4096))}
    content = tiff(layout, {}, inner={34665: inside}, loops=True)
    began = time.process_time()
    with suppress(InputError):  # Pillow does not read big-endian BigTIFF
        read_photo(content)
    assert time.process_time() - began < 1


def test_an_80_mb_hole_is_refused_by_the_command_line_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bomb(Layout("<", False), 273, 4, 0)
    count = 10_000_000
    content = content.replace(struct.pack("<HHI", 273, 4, 0), struct.pack("<HHI", 273, 4, count))
    path = tmp_path / "hole.tif"
    with path.open("wb") as file:
        file.write(content)
        file.truncate(len(content) + 4 * count)
    began = time.process_time()
    assert main(["predict", str(path), "-o", str(tmp_path / "out")]) == 1
    assert time.process_time() - began < 3
    said = capsys.readouterr()
    [line] = [each for each in (said.out + said.err).splitlines() if "hole.tif" in each]
    assert "10,000,000 entries in its tag StripOffsets; expected at most 64" in line


def test_numbers_without_end_in_an_exif_block_leave_the_photograph() -> None:
    block = tiff(Layout("<", False), {}, inner={34665: {0x9000: (3, MANY, b"")}}, zeros=2 * MANY)
    content = encode(rgb(), "PNG", exif=b"Exif\0\0" + block)
    assert read_photo(content).camera is None


HONEST: dict[str, Callable[[], bytes]] = {
    "lzw, one row a strip": lambda: strips(1, compression="tiff_lzw"),
    "plain, one row a strip": lambda: strips(1),
    "plain, several rows a strip": lambda: strips(7),
    "predictor": lambda: encode(rgb(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2}),
    "packbits": lambda: encode(rgb(), "TIFF", compression="packbits"),
    "profile and EXIF of megabytes": lambda: encode(
        rgb(), "TIFF", icc_profile=bytes(3_000_000), tiffinfo={700: bytes(4_000_000)}
    ),
    "palette": lambda: encode(rgb().quantize(200), "TIFF"),
    "big": lambda: encode(rgb(), "TIFF", big_tiff=True),
    "1 bit": lambda: encode(rgb().convert("1"), "TIFF", compression="group4"),
    "planar, one row a strip": lambda: planar(Layout("<", False)),
    "planar, other order": lambda: planar(Layout(">", False)),
    "planar, big": lambda: planar(Layout("<", True)),
    "tiled": lambda: tiled(Layout("<", False)),
    "tiled, wide": lambda: tiled(Layout(">", False), (32, 4096)),
    "numbers of another program": lambda: tiff(
        Layout("<", False), {33723: (4, 30_000, b"")}, zeros=120_000
    ),
}


def strips(rows: int, **options: object) -> bytes:
    before = TiffImagePlugin.STRIP_SIZE
    TiffImagePlugin.STRIP_SIZE = rows * 96 * 3
    try:
        return encode(rgb(), "TIFF", **options)
    finally:
        TiffImagePlugin.STRIP_SIZE = before


def planar(layout: Layout) -> bytes:
    """Three planes, each row of which is a strip."""
    pixels = np.asarray(rgb())
    height, width, _ = pixels.shape
    places = layout.start + width * np.arange(3 * height)
    return tiff(
        layout,
        {
            256: (4, 1, layout.pack("I", width)),
            257: (4, 1, layout.pack("I", height)),
            258: (3, 3, layout.pack("HHH", 8, 8, 8)),
            262: (3, 1, layout.pack("H", 2)),
            273: (4, 3 * height, layout.pack(f"{3 * height}I", *places)),
            277: (3, 1, layout.pack("H", 3)),
            278: (4, 1, layout.pack("I", 1)),
            279: (4, 3 * height, layout.pack(f"{3 * height}I", *[width] * (3 * height))),
            284: (3, 1, layout.pack("H", 2)),
        },
        data=pixels.transpose(2, 0, 1).tobytes(),
    )


def tiled(layout: Layout, size: tuple[int, int] = (64, 96)) -> bytes:
    """Grey tiles of 16x16, of which a wide picture has more than rows."""
    height, width = size
    count = height * width // 256
    values = np.arange(height * width, dtype=np.uint32).astype(np.uint8)
    places = layout.start + 256 * np.arange(count)
    return tiff(
        layout,
        {
            256: (4, 1, layout.pack("I", width)),
            257: (4, 1, layout.pack("I", height)),
            273: None,
            278: None,
            279: None,
            322: (4, 1, layout.pack("I", 16)),
            323: (4, 1, layout.pack("I", 16)),
            324: (4, count, layout.pack(f"{count}I", *places)),
            325: (4, count, layout.pack(f"{count}I", *[256] * count)),
        },
        data=values.tobytes(),
    )


@pytest.mark.parametrize("name", HONEST)
def test_honest_files_are_read_as_pillow_reads_them(name: str) -> None:
    content = HONEST[name]()
    image = TiffImageFile(BytesIO(content))
    np.testing.assert_array_equal(read_photo(content).pixels, np.asarray(image.convert("RGB")))
