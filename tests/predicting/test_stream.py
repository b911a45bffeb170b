"""Frames of files, network streams and cameras, predicted as they come."""

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rilievo
from rilievo.io.videos.live_frames import _frames_with_steady_times, live_frames
from support.clips import Clip, number_of, write_clip
from support.static_host import hosted


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture
def address(clip: Path) -> Iterator[str]:
    with hosted(clip.parent) as address:
        yield f"{address}clip.mp4"


def test_every_frame_of_a_file_comes_once(clip: Path) -> None:
    assert [number_of(pixels) for pixels in live_frames(clip)] == list(range(30))


@pytest.mark.parametrize("odd", [Clip(), Clip(turned=90), Clip(pixel_aspect=Fraction(4, 3))])
def test_a_stream_gives_the_frames_of_the_file(clip: Path, address: str, odd: Clip) -> None:
    write_clip(clip, odd)
    for one, other in zip(live_frames(address), live_frames(clip), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_slow_reader_gets_the_newest_frame_and_the_last(clip: Path) -> None:
    seen = []
    for pixels in live_frames(clip, newest=True):
        seen.append(number_of(pixels))
        time.sleep(0.2)
    assert seen == sorted(set(seen))
    assert seen[-1] == 29
    assert len(seen) < 30


def test_who_leaves_early_ends_the_decoding(clip: Path) -> None:
    frames = live_frames(clip, newest=True)
    next(frames)
    frames.close()  # pyright: ignore[reportAttributeAccessIssue]
    end = time.monotonic() + 30
    while any(thread.name == "live" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_predictions_are_those_of_the_frames(clip: Path) -> None:
    model = rilievo.load_model("rilievo/small")
    frames = live_frames(clip)
    for prediction, _ in zip(rilievo.stream(clip, model=model), range(3), strict=False):
        alone = rilievo.predict(next(frames), model=model)
        np.testing.assert_array_equal(prediction.depth.values, alone.depth.values)


@pytest.mark.parametrize("newest", [False, True])
def test_what_cannot_be_opened_is_said_in_one_line(
    tmp_path: Path, closed_port: int, newest: bool
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 1000)
    address = f"http://127.0.0.1:{closed_port}/a.mp4"
    for source in (97, address, tmp_path / "none.mp4", tmp_path / "broken.mp4"):
        with pytest.raises(rilievo.InputError) as caught:
            list(live_frames(source, newest=newest))
        assert len(str(caught.value).splitlines()) == 1
        assert str(source) in str(caught.value)


def test_contradictions_are_refused_before_anything_is_opened() -> None:
    with pytest.raises(rilievo.OptionError, match="give only one"):
        rilievo.stream(0, model="rilievo/small", quality="fast")
    with pytest.raises(rilievo.OptionError, match="give only one"):
        rilievo.stream(0, camera=500, fov=60)


@pytest.mark.parametrize("fps", [7.5, 10, 100])
def test_fps_keeps_the_same_frames_of_a_stream_and_of_a_file(
    fps: float, clip: Path, address: str
) -> None:
    kept = [number_of(pixels) for pixels in live_frames(clip, fps=fps)]
    assert [number_of(pixels) for pixels in live_frames(address, fps=fps)] == kept
    assert len(kept) == min(30, math.ceil(fps))


def test_a_stream_whose_clock_begins_anew_keeps_its_rate() -> None:
    @dataclass
    class Frame:
        pts: int | None

    ticks = [9000, 9001, 9002, 0, 1, None, 7, 10**9, 10**9 + 1]
    frames: Any = map(Frame, ticks)
    times = [time for time, _ in _frames_with_steady_times(frames, 1, Fraction(600))]
    assert times == [1, 2, 3, 4, 5, 6, 7, 8, 9]
