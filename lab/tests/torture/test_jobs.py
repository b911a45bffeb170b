"""Each job of the campaign runs to its end, so that there is something to kill and to compare."""

import os
import time
from pathlib import Path

import pytest

from lab.torture.jobs import JOBS, Job
from lab.torture.runs import ROOT, undisturbed
from lab.torture.settings import Settings

_LONGEST = 900.0
_WORDS = ("predict", "evaluate", "probe", "train video", "probe sweep", "surface", "mcp", "export")


def test_every_long_command_has_a_job() -> None:
    names = [job.name for job in JOBS]
    assert [word for word in _WORDS if not any(word in name for name in names)] == []


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_makes_the_folder_of_its_input(job: Job, tmp_path: Path) -> None:
    job.prepare(tmp_path / "campaign" / "in")
    assert (tmp_path / "campaign" / "in").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_ends_well_and_leaves_files(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT / "src", ROOT))))
    settings = Settings(
        end=time.monotonic() + _LONGEST,
        seed=1,
        inputs=0,
        kills=0,
        cuts=0,
        workers=1,
        only=(),
        output=tmp_path / "runs",
        work=tmp_path,
    )
    whole = undisturbed(job, settings)
    assert whole is not None, "it has not ended in time"
    assert whole.fault == ""
    assert whole.files
