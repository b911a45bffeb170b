"""The cache of decoded frames after a power cut: what was lost is decoded again, or is told."""

import os
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequences import Clip
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import OutputError
from rilievo.io.verification import verify
from rilievo.training.video.frames import frame_store as cache_module
from rilievo.training.video.frames.frame_store import cache_files, open_store
from support.clips import Clip as Film
from support.clips import numbered, write_clip
from support.footage import write_frames

SIZE = (32, 64)


def sequence_of(root: Path) -> Clip:
    [found] = list_sequences(VideoData(roots=(str(root),), fov=60.0))
    return found


def test_frames_that_were_cut_short_are_decoded_again(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6])
    sequence, folder = sequence_of(tmp_path / "clip"), tmp_path / "cache"
    whole = [open_store(sequence, SIZE, folder).frame(index).copy() for index in range(3)]
    path = cache_files(sequence, SIZE, folder).frames
    os.truncate(path, path.stat().st_size - 1)
    [fault] = verify(folder).faults
    assert fault.file == str(path)
    found = open_store(sequence, SIZE, folder)
    for index in range(3):
        np.testing.assert_array_equal(found.frame(index), whole[index])


def test_a_video_that_was_cut_short_is_decoded_again(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Film(pictures=numbered(3)))
    sequence, folder = sequence_of(tmp_path / "clip.mp4"), tmp_path / "cache"
    before = open_store(sequence, SIZE, folder)
    last = before.frame(2).copy()
    size = before.path.stat().st_size
    for length in (size - 1, size + 1):
        os.truncate(before.path, length)
        np.testing.assert_array_equal(open_store(sequence, SIZE, folder).frame(2), last)
        assert before.path.stat().st_size == size


def test_frames_that_a_power_cut_left_as_zeros_are_decoded_again(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6])
    sequence, folder = sequence_of(tmp_path / "clip"), tmp_path / "cache"
    before = open_store(sequence, SIZE, folder, wanted=[0, 1])
    with before.path.open("r+b") as file:
        file.write(bytes(SIZE[0] * SIZE[1] * 3))
    [fault] = verify(folder).faults
    assert "frame 0 differs" in fault.what
    # A cut that takes bytes that were written comes before the description of the cache.
    cache_files(sequence, SIZE, folder).description_path.unlink()
    found = open_store(sequence, SIZE, folder)
    expected = open_store(sequence, SIZE, tmp_path / "whole")
    for index in range(3):
        np.testing.assert_array_equal(found.frame(index), expected.frame(index))
    assert verify(folder).is_whole


def test_records_are_written_after_their_frames_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6])
    sequence, folder = sequence_of(tmp_path / "clip"), tmp_path / "cache"
    calls: list[str] = []
    sync, write = os.fsync, cache_module._write_at

    def name(file: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{file}")).suffix

    def synced(file: int) -> None:
        calls.append(f"sync{name(file)}")
        sync(file)

    def written(file: FileIO, data: bytes, offset: int) -> None:
        calls.append(f"write{name(file.fileno())}")
        write(file, data, offset)

    monkeypatch.setattr(cache_module, "_FRAMES_PER_SYNC", 2)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(cache_module, "_write_at", written)
    open_store(sequence, SIZE, folder)
    group = ["write.frames"] * 2 + ["sync.frames"] + ["write.sums"] * 2
    last = ["write.frames", "sync.frames", "write.sums", "sync.sums"]
    assert [call for call in calls if call.endswith((".frames", ".sums"))] == [*group, *last]


def test_a_description_that_a_power_cut_took_is_written_again(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [0, 3])
    sequence, folder = sequence_of(tmp_path / "clip"), tmp_path / "cache"
    open_store(sequence, SIZE, folder)
    about = cache_files(sequence, SIZE, folder).description_path
    before = about.read_bytes()
    about.unlink()
    open_store(sequence, SIZE, folder)
    assert about.read_bytes() == before


@pytest.mark.parametrize("ending", [".frames", ".sums", ".json"])
def test_a_link_in_the_place_of_a_file_is_not_written_through(tmp_path: Path, ending: str) -> None:
    write_frames(tmp_path / "clip", [0, 3])
    sequence, folder = sequence_of(tmp_path / "clip"), tmp_path / "cache"
    path = cache_files(sequence, SIZE, folder).frames.with_suffix(ending)
    folder.mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    path.symlink_to(tmp_path / "mine.txt")
    with pytest.raises(OutputError, match="is not a regular file: move or delete it"):
        open_store(sequence, SIZE, folder)
    assert (tmp_path / "mine.txt").read_text() == "mine"
