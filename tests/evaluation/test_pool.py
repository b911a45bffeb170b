"""Processes that score, and what becomes of them."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.scoring.pool import score_all
from rilievo.evaluation.scoring.score import ScoreWithSums
from rilievo.evaluation.scoring.score_job import ScoreJob
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.records.depth_map import DepthKind, DepthMap
from support.stored_answers import NOBODY, stored

TESTS = Path(__file__).parents[1]


class Plane:
    """Depth that is the same everywhere, with the number of the process that read it last."""

    made_by = NOBODY
    kind = DepthKind.METRIC
    process = 0

    def read(self, id: str) -> StoredPrediction:
        self.process = os.getpid()
        depth = np.full((48, 64), 2, np.float32)
        return stored(depth=DepthMap(values=depth, kind=DepthKind.METRIC))


def test_one_process_is_the_callers_own_and_starts_no_other(root: Path) -> None:
    """A script without a main guard needs it: a process that is started imports the script anew."""
    dataset, plane = open_dataset("support.tiny_dataset:Tiny", root), Plane()
    job = ScoreJob(benchmark=BENCHMARKS["depth"], dataset=dataset, predictions=plane)
    children = multiprocessing.active_children()
    for id, scored in zip(dataset.ids, score_all(job.score, dataset.ids, processes=1), strict=True):
        assert isinstance(scored, ScoreWithSums)
        assert scored.score.id == id
        assert plane.process == os.getpid()
        assert multiprocessing.active_children() == children


def is_alive(number: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        os.kill(number, 0)
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux who is alive")
def test_processes_end_with_the_one_that_started_them(root: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    program = [sys.executable, str(TESTS / "support" / "slow_answers.py"), str(root), str(marks)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started = subprocess.Popen(program, env=environment, **quiet)
    end = time.monotonic() + 60
    while len(list(marks.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    numbers = [int(mark.name) for mark in marks.iterdir()]
    assert len(numbers) == 2
    assert all(map(is_alive, numbers))
    started.kill()
    started.wait()
    while any(map(is_alive, numbers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_alive, numbers))
