"""Lines about a run: at once, then every few seconds, and none where nobody asked."""

import pytest

from rilievo.training.engine.progress import FrameProgress, Progress, first_and_last_notes


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Loss:
    """A number on a device, which has to be waited for."""

    def __init__(self) -> None:
        self.reads = 0

    def __float__(self) -> float:
        self.reads += 1
        return 0.25


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()


def test_a_line_comes_at_once_then_every_five_seconds_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock, loss = Clock(), Loss()
    with Progress(steps=40, first_step=0, images_per_step=8, shown=True, clock=clock) as progress:
        assert lines(capsys) == ["training: step 0 of 40, 8 images a step"]
        clock.now += 2
        progress.step(loss)
        assert lines(capsys) == ["step 1 of 40, loss 0.25, 4 images a second, 78 s left"]
        for _ in range(2):
            clock.now += 2
            progress.step(loss)
        assert lines(capsys) == []
        clock.now += 2
        progress.step(loss)
        assert lines(capsys) == ["step 4 of 40, loss 0.25, 4 images a second, 72 s left"]
        assert loss.reads == 2
        for _ in range(36):
            progress.step(loss)
        assert lines(capsys)[-1].startswith("step 40 of 40, loss 0.25")


def test_a_run_that_goes_on_counts_its_own_steps_for_the_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    progress = Progress(steps=1000, first_step=600, images_per_step=2, shown=True, clock=clock)
    clock.now += 60
    progress.step()
    _, line = lines(capsys)
    assert line == "step 601 of 1000, 0.0333 images a second, 6 h 39 min left"


def test_a_run_of_minutes_tells_its_share(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress(
        steps=None, first_step=7, images_per_step=2, shown=True, done=0.5, clock=clock
    )
    clock.now += 30
    progress.step(0.5, done=0.6)
    first, line = lines(capsys)
    assert "50%" in first
    assert line == "step 8 60%, loss 0.5, 0.0667 images a second, 2 min left"
    # A last step that takes longer than the time that was left.
    clock.now += 30
    progress.step(0.5, done=1.2)
    (line,) = lines(capsys)
    assert line == "step 9 100%, loss 0.5, 0.0667 images a second, 0 s left"


def test_a_process_that_is_not_to_speak_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(steps=1, first_step=0, images_per_step=1, shown=False) as progress:
        progress.print_line("note")
        progress.step(1.0)
    FrameProgress(shown=False)("clip", 1, 1)
    assert lines(capsys) == []


def test_long_decoding_is_told_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    decoding = FrameProgress(shown=True, clock=clock)
    for frame in range(1, 21):
        clock.now += 1
        decoding("clip.mp4", frame, 20)
    expected = [f"clip.mp4: {frame} of 20 frames" for frame in (5, 10, 15, 20)]
    assert lines(capsys) == expected


def test_the_first_and_the_last_of_many_notes_are_said() -> None:
    notes = tuple(map(str, range(20)))
    lines = first_and_last_notes(notes)
    assert (lines[:4], lines[5:]) == (notes[:4], notes[-4:])
    assert lines[4] == "... and 12 more notes; when the run ends, record.json lists all of them"
    assert first_and_last_notes(notes[:8]) == notes[:8]
