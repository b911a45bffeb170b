"""Each job of the campaign starts, so that there is something to kill and to cut the power of."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab.torture.jobs import JOBS, Job

_LONGEST = 900.0
_REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_makes_the_folder_of_its_input(job: Job, tmp_path: Path) -> None:
    job.prepare(tmp_path / "campaign" / "in")
    assert (tmp_path / "campaign" / "in").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_writes_its_first_file(job: Job, tmp_path: Path) -> None:
    job.prepare(tmp_path / "in")
    said = tmp_path / "said.txt"
    paths = (_REPOSITORY / "src", _REPOSITORY)
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "RILIEVO_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    with said.open("wb") as errors:
        process = subprocess.Popen(
            job.command(tmp_path / "in", tmp_path / "out"),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | environment,
            cwd=_REPOSITORY,
            start_new_session=True,
        )
    end = time.monotonic() + _LONGEST
    while process.poll() is None and time.monotonic() < end and not _has_file(tmp_path / "out"):
        time.sleep(0.05)
    is_under_way = process.poll() is None
    if is_under_way:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert is_under_way or process.returncode == 0, said.read_text()[-2000:]
    assert _has_file(tmp_path / "out"), said.read_text()[-2000:]


def _has_file(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))
