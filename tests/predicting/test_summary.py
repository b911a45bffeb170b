"""Summary at the end of a run."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rilievo.errors.messages import spell_flag
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


def test_nothing_of_a_stopped_video_is_said_to_be_kept(tmp_path: Path) -> None:
    tally = Tally(output=tmp_path, show=False, interrupted=True)
    assert "anew" not in str(tally.summary())
    tally.begins_anew = Path("walk.mp4")
    last_line = str(tally.summary()).splitlines()[-1]
    assert "starts walk.mp4 again" in last_line
    assert "unfinished results are not kept" in last_line
    assert "resumes" not in str(tally.summary())


def test_a_stopped_run_that_replaces_results_resumes_without_its_option(tmp_path: Path) -> None:
    tally = Tally(output=tmp_path, show=False, interrupted=True, overwrites=True)
    assert "the same command without overwrite resumes here" in str(tally.summary())
    by_command = tally.summary().worded(spell_flag)
    assert "the same command without --overwrite resumes here" in by_command


def test_failures_of_several_inputs_are_written_once_and_that_of_one_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several, one = Tally(output=tmp_path), Tally(output=tmp_path, total=1)
    several.done(tmp_path / "a")
    several.failed("b.jpg: is text")
    one.failed("b.jpg: is text")
    assert capsys.readouterr().err == "rilievo: b.jpg: is text\n"
    assert "1 failed (see above)" in str(several.summary())
    assert "b.jpg" not in str(several.summary())
    assert "failed: b.jpg: is text" in str(one.summary())
    assert several.summary().failures == ("b.jpg: is text",)


@pytest.mark.parametrize("is_bar", [False, True])
def test_the_time_that_is_left_is_told_without_the_first_input(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_bar: bool,
) -> None:
    # Whole seconds, so that sums of them are exact.
    start = float(round(time.perf_counter()))
    clock = [start]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_bar)
    with Tally(output=tmp_path, total=100) as tally:
        for now in (60.0, *(60.0 + 2.0 * count for count in range(1, 20))):
            clock[0] = start + now
            tally.done(tmp_path / "a")
    said = capsys.readouterr().err.replace("\r", "\n").splitlines()
    # Of 100 inputs, 20 took 60 + 19 x 2 s: the 80 others take 160 s.
    if is_bar:
        assert "02:40 left" in said[-1]
    else:
        assert said == [
            "rilievo: 1 of 100",
            "rilievo: 17 of 100, 0.5 a second, 166 s left",
        ]
