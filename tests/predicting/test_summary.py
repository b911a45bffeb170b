"""Summary at the end of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from rilievo.predicting.summary import Tally


@pytest.mark.parametrize(
    ("count", "last"), [(20, "note: look at 19"), (23, "note: ... and 3 more")]
)
def test_notes_beyond_twenty_are_counted(tmp_path: Path, count: int, last: str) -> None:
    tally = Tally(output=tmp_path, show=False)
    for index in range(count):
        tally.note(f"look at {index}")
    lines = str(tally.summary()).splitlines()
    assert [line.startswith("note: ") for line in lines] == [False] + [True] * min(count, 21)
    assert lines[-1] == last


def ended(tally: Tally, *, after: float, **known: object) -> str:
    return str(replace(tally.summary(), seconds=after, **known))


def test_slow_inputs_are_told_by_their_seconds_and_fast_ones_by_their_rate(tmp_path: Path) -> None:
    tally = Tally(output=tmp_path, show=False)
    tally.done(tmp_path / "a")
    tally.done(tmp_path / "b")
    assert "2 done in 130.2 s (65.1 s each)" in ended(tally, after=130.2)
    assert "2 done in 0.5 s (4.0 a second)" in ended(tally, after=0.5)
    assert f"results in {tmp_path}" in ended(tally, after=0.5)


def test_videos_say_their_frames_and_the_rate_of_those(tmp_path: Path) -> None:
    tally = Tally(output=tmp_path, show=False)
    tally.done(tmp_path / "clip", frames=72, seconds=120.0)
    assert "1 done in 130.2 s (72 frames, 0.6 a second), results" in ended(tally, after=130.2)
    tally.done(tmp_path / "photo")
    assert "2 done in 130.2 s (65.1 s each; 72 frames, 0.6 a second)" in ended(tally, after=130.2)


def test_the_only_input_says_where_its_files_are(tmp_path: Path) -> None:
    tally = Tally(output=tmp_path, show=False)
    tally.done(tmp_path / "cat")
    assert f"1 done in 0.5 s, results in {tmp_path / 'cat'}.*" in ended(tally, after=0.5)


def test_of_a_video_that_was_stopped_nothing_is_said_to_be_kept(tmp_path: Path) -> None:
    tally = Tally(output=tmp_path, show=False, interrupted=True)
    assert "anew" not in str(tally.summary())
    tally.begins_anew = Path("walk.mp4")
    assert "nothing of walk.mp4 is kept" in str(tally.summary())
