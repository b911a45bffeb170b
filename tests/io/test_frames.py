"""A folder of frames is gone through as a video is."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, OptionError
from rilievo.io.files.names import natural_sort_key
from rilievo.io.photographs.own_depth import read_own_depth
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.records.depth_map import OwnDepth
from support.photographs_with_depth import gdepth


def fill(folder: Path, names: list[str], size: tuple[int, int] = (64, 48)) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", size, (number * 10, 0, 0)).save(folder / name)
    return folder


def test_numbers_in_names_count_as_numbers(tmp_path: Path) -> None:
    names = ["f1.png", "f2.png", "f9.png", "f10.png", "f100.png"]
    folder = FrameFolder(fill(tmp_path / "frames", names), rate=Fraction(25))
    assert [int(frame.photo.pixels[0, 0, 0]) // 10 for frame in folder] == [0, 1, 2, 3, 4]
    assert [frame.ticks * folder.time_base for frame in folder] == [
        Fraction(number, 25) for number in range(5)
    ]
    assert folder.size == (48, 64)
    assert folder.frame_estimate == 5
    assert folder.fault is None
    assert not folder.has_audio


def test_natural_order_worked_out_by_hand() -> None:
    names = ["b1", "a10b2", "a2", "a10b10", "10", "9", "a"]
    assert sorted(names, key=natural_sort_key) == ["9", "10", "a", "a2", "a10b2", "a10b10", "b1"]


def test_broken_and_odd_frames_are_passed_over_and_named(tmp_path: Path) -> None:
    path = fill(tmp_path / "frames", [f"{number}.png" for number in range(6)])
    (path / "2.png").write_bytes(b"broken")
    Image.new("RGB", (80, 80)).save(path / "4.png")
    folder = FrameFolder(path)
    frames = list(folder)
    assert [frame.ticks for frame in frames] == [0, 1, 3, 5]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert folder.fault is not None
    assert folder.fault.startswith(
        f"{path}: 2 of 6 frames were skipped; the first: {path / '2.png'}"
    )
    assert len(folder.fault.splitlines()) == 1


def test_the_size_is_that_of_the_first_frame_that_can_be_read(tmp_path: Path) -> None:
    path = fill(tmp_path / "frames", ["0.png", "1.png"])
    (path / "0.png").write_bytes(b"")
    assert FrameFolder(path).size == (48, 64)


def test_other_files_hidden_files_and_folders_are_not_frames(tmp_path: Path) -> None:
    path = fill(tmp_path / "frames", ["0.png", ".hidden.png"])
    (path / "poses.txt").write_text("1 0 0")
    (path / "more.png.d").mkdir()
    assert len(list(FrameFolder(path))) == 1


def test_a_folder_without_a_readable_frame_is_refused_in_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="has no photographs"):
        FrameFolder(empty)
    (empty / "0.jpg").write_bytes(np.random.default_rng(0).bytes(100))
    with pytest.raises(InputError) as caught:
        FrameFolder(empty)
    assert str(caught.value).startswith(f"{empty}: none of its photographs can be read")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(InputError, match="cannot be listed"):
        FrameFolder(tmp_path / "missing")


def test_a_rate_is_positive(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="positive"):
        FrameFolder(fill(tmp_path / "frames", ["0.png"]), rate=Fraction(0))


@pytest.mark.parametrize(("own_depth", "times"), [(True, 1), (False, 0)])
def test_depth_in_files_is_read_once_and_of_the_first_frame_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_depth: bool, times: int
) -> None:
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / name).write_bytes(gdepth())
    decoded: list[object] = []

    def decode(*arguments: Any) -> OwnDepth | None:
        decoded.append(arguments)
        return read_own_depth(*arguments)

    monkeypatch.setattr("rilievo.io.photographs.own_depth.read_own_depth", decode)
    folder = FrameFolder(tmp_path, own_depth=own_depth)
    assert (folder.own_depth is not None) == own_depth
    for _ in range(2):
        assert [frame.photo.own_depth for frame in folder] == [None, None]
    assert len(decoded) == times
