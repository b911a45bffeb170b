"""Training on video after a power cut: its files are there again, or ``rilievo verify`` tells."""

from dataclasses import replace
from pathlib import Path

import pytest

from rilievo.io.verification import verify
from rilievo.training.video.video_config import VideoRunOptions
from rilievo.training.video.video_run import train_video
from support.sliding_walls import write_walls
from support.video_runs import CPU, small_config

GO_ON = VideoRunOptions(device="cpu", resume=True)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walls(tmp_path_factory.mktemp("footage") / "walls")


@pytest.mark.slow
def test_logs_that_were_lost_come_back_and_a_picture_that_was_cut_is_told(
    walls: Path, tmp_path: Path
) -> None:
    run, config = tmp_path / "run", small_config(walls)
    assert train_video(config, run, replace(CPU, stop_at=3)) is None
    picture, log = run / "pictures/step-0000003.png", run / "validation.csv"
    before = log.read_text()
    assert before.count("\n") == 2
    log.unlink()
    whole = picture.read_bytes()
    picture.write_bytes(whole[:1000])
    assert train_video(config, run, GO_ON) is not None
    assert log.read_text().startswith(before)
    assert log.read_text().count("\n") == 3
    assert [Path(fault.file).name for fault in verify(run).faults] == [picture.name]
    picture.write_bytes(whole)
    assert verify(run).is_whole
