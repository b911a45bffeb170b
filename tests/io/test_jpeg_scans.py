"""JPEG files with more scans than programs write are refused before they are decoded."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL.JpegImagePlugin import JpegImageFile

from rilievo.cli import main
from rilievo.errors import InputError
from rilievo.io.photographs.jpeg_scans import MAX_SCANS
from rilievo.io.photographs.photo import header_size, read_photo
from support import photographs_with_depth
from support.photographs_with_depth import apple_jpeg, gdepth, segment, with_segments
from support.scan_bombs import empty_scans, scan_bomb

SIZE = (96, 64)
OF_PILLOW = 6
"""Scans that Pillow writes in a progressive file of one colour."""


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the JPEG pictures whose pixels were decoded."""
    sizes: list[tuple[int, int]] = []
    load = JpegImageFile.load

    def watched(image: JpegImageFile) -> object:
        sizes.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImageFile, "load", watched)
    return sizes


def test_a_file_of_many_scans_is_refused_in_a_line(
    tmp_path: Path, decoded: list[tuple[int, int]]
) -> None:
    path = tmp_path / "bomb.jpg"
    path.write_bytes(scan_bomb(5000))
    with pytest.raises(InputError) as caught:
        read_photo(path)
    line = str(caught.value)
    assert line == (
        f"{path}: this JPEG file has {5000 + OF_PILLOW} scans; expected at most {MAX_SCANS}: "
        "export it again as JPEG or PNG"
    )
    with pytest.raises(InputError, match="scans"):
        read_photo(path.read_bytes())
    with pytest.raises(InputError, match="scans"):
        header_size(BytesIO(path.read_bytes()), "bomb", max_pixels=10_000)
    assert decoded == []


def test_the_command_line_refuses_it_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "bomb.jpg").write_bytes(scan_bomb(500))
    (folder / "good.jpg").write_bytes(scan_bomb(0))
    status = main(["predict", str(folder), "-o", str(tmp_path / "out"), "-m", "rilievo/small"])
    assert status != 0
    said = capsys.readouterr()
    assert "500" not in said.out
    assert f"bomb.jpg: this JPEG file has {500 + OF_PILLOW} scans" in said.out + said.err
    assert (tmp_path / "out" / "good.json").exists()


def test_as_many_scans_as_programs_write_are_read() -> None:
    most = scan_bomb(MAX_SCANS - OF_PILLOW, level=90)
    np.testing.assert_array_equal(read_photo(most).pixels, 90)
    with pytest.raises(InputError, match=f"{MAX_SCANS + 1} scans"):
        read_photo(scan_bomb(MAX_SCANS - OF_PILLOW + 1))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda photo: photo + b"\xff\xda\0\2" * 30_000, id="a video after it"),
        pytest.param(
            lambda photo: with_segments(photo, segment(0xEA, b"\xff\xda" * 500)), id="a segment"
        ),
        pytest.param(lambda photo: photo + scan_bomb(500), id="another picture after it"),
    ],
)
def test_the_same_bytes_elsewhere_are_no_scans(write: Callable[[bytes], bytes]) -> None:
    np.testing.assert_array_equal(read_photo(write(scan_bomb(0, level=90))).pixels, 90)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(b"\xff\xd0\xff\xd3", id="markers without length"),
        pytest.param(b"\xff\xff\xff", id="padding"),
        pytest.param(b"\xff\x02\xff\xff", id="a reserved marker with a great length"),
        pytest.param(segment(0xFE, b"\xff\xd9"), id="an end in a comment"),
        pytest.param(segment(0xFE, b"") * 20_000, id="many empty comments"),
    ],
)
def test_scans_are_found_behind_odd_markers(before: bytes) -> None:
    photo = scan_bomb(0)
    hidden = photo[:-2] + before + empty_scans(500, SIZE) + photo[-2:]
    with pytest.raises(InputError, match="scans"):
        read_photo(hidden)


def test_a_count_that_meets_the_border_of_two_chunks_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for size in (13, 14, 15, 16):
        monkeypatch.setattr("rilievo.io.photographs.jpeg_scans._CHUNK_BYTES", size)
        with pytest.raises(InputError, match=f"{MAX_SCANS + 1} scans"):
            read_photo(scan_bomb(MAX_SCANS - OF_PILLOW + 1))


def test_pictures_of_depth_are_counted_too(
    monkeypatch: pytest.MonkeyPatch, decoded: list[tuple[int, int]]
) -> None:
    found = read_photo(gdepth(data=scan_bomb(500), extended=True)).own_depth
    assert found is not None
    assert found.broken
    assert "506 scans" in (found.unused or "")
    bomb, encode = scan_bomb(500), photographs_with_depth.encoded
    monkeypatch.setattr(
        photographs_with_depth,
        "encoded",
        lambda image, *given, **more: bomb if image.mode == "L" else encode(image, *given, **more),
    )
    photo = read_photo(apple_jpeg())
    found = photo.own_depth
    assert found is not None
    assert "506 scans" in (found.unused or "")
    assert SIZE not in decoded
