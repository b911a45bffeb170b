"""A run that is stopped: saved after the step in progress, a model, and resumed in words."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rilievo.errors import OutputError
from rilievo.io.files.commit import hold_lock_or_raise, lock_path
from rilievo.models import load_model
from rilievo.training.engine import loop
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_run import train_video
from support.video_runs import CPU, same, weights_of
from support.video_runs import clip_config as watched_config

GO_ON = replace(CPU, resume=True)


def clip_config(root: Path, **changes: object) -> VideoConfig:
    """A run that watches no other places: a change of theirs would end it before it is stopped."""
    config = watched_config(root, **changes)
    return replace(config, losses=replace(config.losses, replay=0.0))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """SIGTERM acts as in the command."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


@pytest.fixture(scope="module")
def whole(walls: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    train_video(clip_config(walls), run, CPU)
    return run


@pytest.fixture(scope="module")
def begun(walls: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("begun") / "run"
    train_video(clip_config(walls), run, replace(CPU, stop_at=1))
    return run


def in_step(
    monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None], *, before: bool = False
) -> None:
    """Do something within a step, counted from 1."""
    take = loop.TrainingLoop._take_step

    def disturbed(self: Any, batches: Any) -> Any:
        is_it = self._task.state.step + 1 == number
        if is_it and before:
            act()
        loss = take(self, batches)
        if is_it and not before:
            act()
        return loss

    monkeypatch.setattr(loop.TrainingLoop, "_take_step", disturbed)


def in_a_process(call: str) -> subprocess.CompletedProcess[str]:
    """Call a function of this module where no other test has loaded what handles signals."""
    return subprocess.run(
        [sys.executable, "-c", f"import test_video_stopped; test_video_stopped.{call}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def stop_in_step(clip: str, run: str, number: int) -> None:
    """Train until a signal comes in the fifth step, as the command does."""
    torch.set_num_threads(1)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        in_step(patch, 5, lambda: signal.raise_signal(number), before=True)
        with pytest.raises(KeyboardInterrupt) as stopped:
            train_video(clip_config(Path(clip)), Path(run), CPU)
    sys.stderr.write(f"{stopped.value}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_step_saves_it_and_the_run_goes_on_as_if_undisturbed(
    walls: Path,
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    run = tmp_path / "run"
    stopped = in_a_process(f"stop_in_step({str(walls)!r}, {str(run)!r}, {int(number)})")
    assert stopped.returncode == 0, stopped.stderr
    assert "stopped at step 5; resume continues from step 5" in stopped.stderr
    train_video(clip_config(walls), run, GO_ON)
    said = capsys.readouterr().err
    assert "resuming from the checkpoint of step 5" in said
    assert "scoring the start" not in said
    assert same(weights_of(run), weights_of(whole))
    assert (run / "validation.csv").read_text() == (whole / "validation.csv").read_text()


def stop_twice(clip: str, run: str) -> None:
    """Train until two signals come in the fifth step; the second one ends it there."""

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second signal was deferred too")

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        in_step(patch, 5, twice, before=True)
        with pytest.raises(KeyboardInterrupt):
            train_video(clip_config(Path(clip)), Path(run), CPU)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_a_second_signal_stops_at_once(walls: Path, tmp_path: Path) -> None:
    stopped = in_a_process(f"stop_twice({str(walls)!r}, {str(tmp_path / 'run')!r})")
    assert stopped.returncode == 0, stopped.stderr


@pytest.mark.parametrize(
    ("killed_in", "left"), [(1, 0), pytest.param(4, 2, marks=pytest.mark.slow)]
)
def test_a_killed_run_is_a_model_of_its_best_weights_so_far(
    walls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    killed_in: int,
    left: int,
) -> None:
    """The first validation is that of the start, the second comes after two steps."""

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        in_step(patch, killed_in, kill)
        with pytest.raises(Killed):
            train_video(clip_config(walls), run, CPU)
    assert same(weights_of(run), weights_of(run / "best"))
    assert load_model(run, device="cpu")(np.zeros((64, 96, 3), np.uint8)).depth is not None
    capsys.readouterr()
    assert train_video(clip_config(walls), run, replace(GO_ON, stop_at=left + 1)) is None
    assert f"resuming from the checkpoint of step {left}\n" in capsys.readouterr().err


def test_a_resume_without_a_checkpoint_says_that_it_starts_at_nothing(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_video(clip_config(walls), tmp_path / "run", replace(GO_ON, stop_at=1))
    assert "has no checkpoint to resume from: starting at step 0" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_is_written_when_a_minute_is_over(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    save = loop.save_checkpoint

    def counted(path: Path, state: Any, *more: Any, **options: Any) -> None:
        steps.append(state.step)
        save(path, state, *more, **options)

    monkeypatch.setattr(loop, "save_checkpoint", counted)
    monkeypatch.setattr(loop, "_MIN_TRAINING_PER_WRITING", 0)
    config = clip_config(walls, validations=1)
    train_video(config, tmp_path / "rarely", CPU)
    assert steps == [0, 6]
    steps.clear()
    monkeypatch.setattr(loop, "_MIN_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    train_video(config, tmp_path / "often", CPU)
    assert steps == [0, 1, 2, 3, 4, 5, 6]
    assert same(weights_of(tmp_path / "rarely"), weights_of(tmp_path / "often"))


def test_a_run_that_another_process_trains_is_refused_and_left_as_it_is(
    walls: Path, begun: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    before = (run / CHECKPOINT).read_bytes()
    with (
        hold_lock_or_raise(run / CHECKPOINT, "busy"),
        pytest.raises(OutputError, match="another process is training in this folder"),
    ):
        train_video(clip_config(walls), run, GO_ON)
    assert (run / CHECKPOINT).read_bytes() == before
    train_video(clip_config(walls), run, replace(GO_ON, stop_at=2))
    assert not lock_path(run / CHECKPOINT).exists()


def test_two_runs_in_one_folder_leave_one_run(walls: Path, whole: Path, tmp_path: Path) -> None:
    """The second one comes while the first one takes its third step."""
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:

        def second() -> None:
            with pytest.raises(OutputError, match="another process"):
                train_video(clip_config(walls), run, GO_ON)

        in_step(patch, 3, second)
        train_video(clip_config(walls), run, CPU)
    assert same(weights_of(run), weights_of(whole))


def test_a_damaged_copy_of_the_configuration_is_written_anew(
    walls: Path, begun: Path, tmp_path: Path
) -> None:
    """Zeros from its twelfth byte on, as a disk left it; the run's own is whole."""
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    whole = (run / "config.json").read_bytes()
    (run / "best/config.json").write_bytes(whole[:12] + bytes(len(whole) - 12))
    train_video(clip_config(walls), run, replace(GO_ON, stop_at=3))
    assert (run / "best/config.json").read_bytes() == whole
