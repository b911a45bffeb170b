"""``--fps`` keeps the frames of a video that are nearest in time, with their own times."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.errors.messages import Note
from rilievo.io.videos.video import VideoReader, nearest_in_time
from support.clips import Clip, number_of, numbered, write_clip


def kept(path: Path, fps: Fraction) -> tuple[list[int], list[float], VideoReader]:
    """Numbers and times [s] of the frames that are kept of a ``numbered`` clip."""
    reader = VideoReader(path, fps=fps)
    frames = list(reader)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    numbers = [number_of(frame.photo.pixels) for frame in frames]
    return numbers, [float(frame.ticks * reader.time_base) for frame in frames], reader


@settings(deadline=None)
@given(
    gaps=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    start=st.integers(-50, 5000),
    spacing=st.fractions(min_value=Fraction(1, 2), max_value=1000, max_denominator=97),
)
def test_frames_are_those_nearest_to_even_times(
    gaps: list[int], start: int, spacing: Fraction
) -> None:
    times = [start + int(each) for each in np.cumsum([0, *gaps])]
    last = times[-1] + Fraction(10, 2)
    goals = [start + k * spacing for k in range(math.ceil((last - start) / spacing))]
    nearest = {min(range(len(times)), key=lambda i: (abs(times[i] - goal), i)) for goal in goals}
    found = list(nearest_in_time(zip(times, range(len(times)), strict=True), spacing, 10))
    assert [number for _, number in found] == sorted(nearest)
    assert all(times[number] == ticks for ticks, number in found)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("fps", "numbers"),
    [
        (Fraction(5), [0, 6, 12, 18, 24]),
        (Fraction(10), list(range(0, 30, 3))),
        (Fraction(1), [0]),
        (Fraction(1, 10), [0]),
        (Fraction(15), list(range(0, 30, 2))),
        (Fraction(25, 2), [0, 2, 5, 7, 10, 12, 14, 17, 19, 22, 24, 26, 29]),
    ],
)
def test_a_second_keeps_so_many_frames(
    tmp_path: Path, suffix: str, fps: Fraction, numbers: list[int]
) -> None:
    found, times, reader = kept(write_clip(tmp_path / f"clip{suffix}"), fps)
    assert found == numbers
    assert times == pytest.approx([number / 30 for number in numbers], abs=1e-3)
    assert reader.rate == fps
    assert reader.frame_estimate == pytest.approx(len(numbers), abs=1)
    assert (reader.notes, reader.fault) == ((), None)


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(2997, 100), Fraction(60), Fraction(1000)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_rate_that_the_video_does_not_exceed_keeps_all_and_says_so(
    tmp_path: Path, suffix: str, fps: Fraction
) -> None:
    numbers, _, reader = kept(write_clip(tmp_path / f"clip{suffix}"), fps)
    assert numbers == list(range(30))
    [note] = reader.notes
    problem = f"{float(fps):g} keeps all frames, because the video has 30 frames per second"
    assert note == Note(problem, option="fps")
    assert float(reader.rate) == pytest.approx(30, abs=0.01)


def test_of_a_variable_rate_the_fast_seconds_are_thinned_and_the_slow_are_whole(
    tmp_path: Path,
) -> None:
    fast, slow = range(0, 1000, 50), range(1000, 5000, 500)
    clip = Clip(pictures=numbered(28), ticks=[*fast, *slow], time_base=Fraction(1, 1000))
    numbers, times, reader = kept(write_clip(tmp_path / "clip.mkv", clip), Fraction(4))
    assert numbers == [0, 5, 10, 15, *range(20, 28)]
    assert times == pytest.approx([0, 0.25, 0.5, 0.75, *(tick / 1000 for tick in slow)])
    assert reader.notes == ()


@pytest.mark.parametrize("turned", [90, 270])
def test_frames_that_are_kept_come_upright(tmp_path: Path, turned: int) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(12), turned=turned))
    whole = {frame.ticks: frame.photo.pixels for frame in VideoReader(path)}
    frames = list(VideoReader(path, fps=Fraction(10)))
    assert len(frames) == 4
    for frame in frames:
        np.testing.assert_array_equal(frame.photo.pixels, whole[frame.ticks])
