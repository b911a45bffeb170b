import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.clips import sequences
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequences import (
    Clip,
    FrameReader,
    OddSizeError,
    undistort_and_resize,
)
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import InputError, OutputError
from rilievo.io.videos import open_video
from rilievo.training.video.frames.frame_store import cache_files, open_store
from rilievo.training.video.frames.target_frames import frame_pyramid
from support.clips import Clip as Film
from support.clips import numbered, write_clip
from support.footage import view, write_frames

SIZE = (32, 64)


def sequence_of(root: Path, **said: object) -> Clip:
    data = VideoData(roots=(str(root),), fov=60.0, **said)  # pyright: ignore[reportArgumentType]
    [found] = list_sequences(data)
    return found


def shrunk(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((64, 32), Image.Resampling.LANCZOS))


def test_frames_are_those_of_the_files_shrunk_as_published(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "clip", [0, 3, 6], pattern="{}.jpg")
    sequence = sequence_of(tmp_path / "clip")
    kept = open_store(sequence, SIZE, tmp_path / "cache")
    for index, path in enumerate(paths):
        with Image.open(path) as image:
            expected = shrunk(image.convert("RGB"))
        np.testing.assert_array_equal(kept.frame(index), expected)


def test_mirroring_after_shrinking_is_mirroring_before_it() -> None:
    frame = view(7)
    before = undistort_and_resize(np.ascontiguousarray(frame[:, ::-1]), SIZE, None)
    np.testing.assert_array_equal(before, undistort_and_resize(frame, SIZE, None)[:, ::-1])
    for level, mirrored in zip(frame_pyramid(frame), frame_pyramid(frame[:, ::-1]), strict=True):
        np.testing.assert_array_equal(level[:, ::-1], mirrored)


def test_each_level_of_the_pyramid_is_made_from_the_one_before() -> None:
    image = Image.fromarray(view(0))
    half = image.resize((48, 32), Image.Resampling.LANCZOS)
    quarter = half.resize((24, 16), Image.Resampling.LANCZOS)
    levels = frame_pyramid(view(0))
    assert [level.shape for level in levels] == [(32, 48, 3), (16, 24, 3), (8, 12, 3)]
    np.testing.assert_array_equal(levels[0], half)
    np.testing.assert_array_equal(levels[1], quarter)


def test_a_second_run_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6])
    sequence = sequence_of(tmp_path / "clip")
    first = open_store(sequence, SIZE, tmp_path / "cache")
    monkeypatch.setattr(sequences, "read_frame", None)
    second = open_store(sequence, SIZE, tmp_path / "cache")
    np.testing.assert_array_equal(first.frame(2), second.frame(2))


def test_a_cache_that_was_left_half_done_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "clip", list(range(0, 60, 3)))
    sequence = sequence_of(tmp_path / "clip")
    whole = open_store(sequence, SIZE, tmp_path / "whole")
    read, asked = sequences.read_frame, []

    def dies(sequence: Clip, index: int, *more: object) -> np.ndarray:
        asked.append(index)
        if index == 11:
            raise KeyboardInterrupt
        return read(sequence, index, *more)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(sequences, "read_frame", dies)
    with pytest.raises(KeyboardInterrupt):
        open_store(sequence, SIZE, tmp_path / "cache")
    asked.clear()
    monkeypatch.setattr(
        sequences, "read_frame", lambda *given: (asked.append(given[1]), read(*given))[1]
    )
    found = open_store(sequence, SIZE, tmp_path / "cache")
    assert sorted(asked) == list(range(11, 20))
    for index in range(20):
        np.testing.assert_array_equal(found.frame(index), whole.frame(index))


def test_frames_that_nobody_needs_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "clip", list(range(0, 30, 3)))
    sequence = sequence_of(tmp_path / "clip")
    read, asked = sequences.read_frame, []
    monkeypatch.setattr(
        sequences, "read_frame", lambda *given: (asked.append(given[1]), read(*given))[1]
    )
    open_store(sequence, SIZE, tmp_path / "cache", wanted=[2, 7])
    assert sorted(asked) == [2, 7]
    asked.clear()
    found = open_store(sequence, SIZE, tmp_path / "cache", wanted=[2, 5])
    assert asked == [5]
    with Image.open(sequence.files[7]) as image:
        np.testing.assert_array_equal(found.frame(7), shrunk(image))


def test_changed_footage_or_another_size_gets_another_cache(tmp_path: Path) -> None:
    [first, *_] = write_frames(tmp_path / "clip", [0, 3, 6])
    sequence, folder = sequence_of(tmp_path / "clip"), tmp_path / "cache"
    before = cache_files(sequence, SIZE, folder).frames
    assert cache_files(sequence, (64, 64), folder).frames != before
    assert cache_files(sequence, SIZE, folder).frames == before
    Image.fromarray(view(50)).save(first)
    assert cache_files(sequence, SIZE, folder).frames != before
    store = open_store(sequence, SIZE, folder)
    np.testing.assert_array_equal(store.frame(0), undistort_and_resize(view(50), SIZE, None))


def test_a_broken_frame_is_known_and_remembered(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "clip", [0, 3, 6], pattern="{}.jpg")
    paths[1].write_bytes(paths[1].read_bytes()[:500])
    sequence = sequence_of(tmp_path / "clip")
    for _ in range(2):
        found = open_store(sequence, SIZE, tmp_path / "cache")
        assert list(found.broken) == [1]
        with pytest.raises(InputError, match=r"1\.jpg: .*truncated|1\.jpg: .*damaged"):
            found.frame(1)


def test_frames_of_two_sizes_are_refused_with_their_names(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "clip", [0, 3, 6])
    Image.fromarray(view(0)[:, :80]).save(paths[2])
    sequence = sequence_of(tmp_path / "clip")
    says = r"000002\.png: is 80x64, but 000000\.png and the other frames are 96x64"
    with pytest.raises(OddSizeError, match=says):
        open_store(sequence, SIZE, tmp_path / "cache")
    with pytest.raises(OddSizeError, match=says):
        FrameReader(sequence, SIZE).read(2)


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6])
    free = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(OutputError, match=r"cache of 3 frames of 64x32, but only .* is free"):
        open_store(sequence_of(tmp_path / "clip"), SIZE, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_goes_to_another_process_without_its_frames(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6])
    kept = open_store(sequence_of(tmp_path / "clip"), SIZE, tmp_path / "cache")
    expected = kept.frame(1)
    sent = pickle.dumps(kept)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).frame(1), expected)


def test_a_lens_is_taken_out_before_the_cache(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6])
    (tmp_path / "camera.yaml").write_text(
        "fx: 80\nfy: 80\ncx: 47.5\ncy: 31.5\ndistortion: [-0.3, 0, 0, 0]\n"
    )
    data = VideoData(roots=(str(tmp_path / "clip"),), camera_file=str(tmp_path / "camera.yaml"))
    [bent], straight = list_sequences(data), sequence_of(tmp_path / "clip")
    folder = tmp_path / "cache"
    assert cache_files(bent, SIZE, folder).frames != cache_files(straight, SIZE, folder).frames
    difference = open_store(bent, SIZE, folder).frame(0).astype(int) - undistort_and_resize(
        view(0), SIZE, None
    )
    # The middle stays where it is; towards the corners the lens moved things by pixels.
    assert np.abs(difference[14:18, 30:34]).mean() < 8
    assert np.abs(difference).mean() > 8


def test_a_video_is_decoded_once(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, Film(pictures=numbered(5)))
    sequence, told = sequence_of(path), []
    kept = open_store(
        sequence, SIZE, tmp_path / "cache", progress=lambda _, done, __: told.append(done)
    )
    assert kept.count == 5
    assert told == [1, 2, 3, 4, 5]
    again = open_store(sequence, SIZE, tmp_path / "cache", progress=lambda *_: told.append(-1))
    assert told[-1] == 5
    for index, frame in enumerate(open_video(path)):
        expected = undistort_and_resize(frame.photo.pixels, SIZE, None)
        np.testing.assert_array_equal(kept.frame(index), expected)
        np.testing.assert_array_equal(again.frame(index), expected)
