"""Weights that a run keeps, where the errors of its validations are given."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rilievo.training.video.frames.target_frames import VideoFrames
from rilievo.training.video.geometry_motion import GeometryMotion, HeldOutErrors
from rilievo.training.video.video_records import VideoRecord
from rilievo.training.video.video_run import train_video
from support.video_runs import CPU, clip_config, small_config


def run_with_errors(
    errors: list[float], walls: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> VideoRecord:
    """Train for six steps; errors are those of the start and of steps 2, 4 and 6."""
    given: Iterator[float] = iter(errors)

    def judge(geometry: GeometryMotion, frames: VideoFrames) -> HeldOutErrors:
        error, count = next(given), len(geometry.scored_places(frames))
        return HeldOutErrors(frames=frames, error=error, errors=(error,) * count)

    monkeypatch.setattr(GeometryMotion, "score_held_out", judge)
    record = train_video(clip_config(walls), run, CPU)
    assert record is not None
    assert next(given, None) is None
    return record


def test_a_run_that_errs_less_by_less_than_a_fiftieth_keeps_its_start(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run_with_errors([0.1, 0.0995, 0.0985, 0.099], walls, tmp_path / "run", monkeypatch)
    assert record.kept_start
    assert (record.best_step, record.best_error) == (0, 0.1)
    assert record.gain is not None
    assert record.gain.share == pytest.approx(0.015)


@pytest.mark.slow
def test_once_the_start_is_beaten_any_smaller_error_is_kept(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run_with_errors([0.1, 0.097, 0.0969, 0.0975], walls, tmp_path / "run", monkeypatch)
    assert not record.kept_start
    assert (record.best_step, record.best_error) == (4, 0.0969)
    assert record.gain is not None
    assert record.gain.share == pytest.approx(0.031)


def test_a_run_whose_minutes_are_over_at_once_takes_one_step(walls: Path, tmp_path: Path) -> None:
    """``stop_at`` ends a run that does not look at the clock."""
    config = replace(small_config(walls), minutes=1e-6, validations=1)
    record = train_video(config, tmp_path / "run", replace(CPU, stop_at=3))
    assert record is not None
    assert record.steps == 1
