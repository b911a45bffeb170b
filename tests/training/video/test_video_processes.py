"""Two processes train as one that accumulates two batches."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rilievo.training.commands.train_video import parse_and_complete
from rilievo.training.video.video_run import train_video
from support.sliding_walls import write_walls
from support.video_runs import CPU, weights_of

OPTIONS = ["--size", "64,96", "--encoder", "timm/test_resnet", "--pose", "cnn", "--start"]
OPTIONS += ["scratch", "--batch-size", "1", "--steps", "3", "--learning-rate", "0.001"]
OPTIONS += ["--stride", "1", "--held-out", "0.2", "--device", "cpu", "--workers", "0"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(walls: Path, run: Path, rank: int, port: int) -> subprocess.Popen[str]:
    """One of two processes, as torchrun starts them."""
    command = [sys.executable, "-m", "rilievo", "train", "video", str(walls), "-o", str(run)]
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    told |= {"GROUP_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    told |= {"TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1}
    environment = os.environ | {name: str(value) for name, value in told.items()}
    return subprocess.Popen(
        [*command, *OPTIONS],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_learn_what_one_does_that_accumulates_two_batches(tmp_path: Path) -> None:
    """All but the running statistics of batches, which are those of the first process's."""
    walls, port = write_walls(tmp_path / "walls"), free_port()
    processes = [start(walls, tmp_path / "two", rank, port) for rank in range(2)]
    said = []
    for process in processes:
        answer, errors = process.communicate(timeout=300)
        # Three steps may teach nothing, which the first process says.
        assert process.returncode in (0, 1), errors
        said.append(answer)
    assert ["next: " in each for each in said] == [True, False]
    _, config = parse_and_complete([str(walls), "-o", "one", *OPTIONS])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    record = train_video(replace(config, accumulate=2), tmp_path / "one", CPU)
    torch.set_num_threads(threads)
    assert record is not None
    assert record.epochs == 1
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    learned = [name for name in one if "running" not in name and "num_batches" not in name]
    assert len(learned) > 50
    for name in learned:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=2e-6)
