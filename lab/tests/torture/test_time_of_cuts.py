"""Work that the end of the campaign interrupts is no loss."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lab.torture.cuts import _Work
from lab.torture.jobs import Job
from lab.torture.settings import Settings

SLEEPS = Job(
    name="sleep",
    prepare=lambda folder: folder.mkdir(),
    command=lambda _, output: (
        *(sys.executable, "-m", "timeit", "-n", "1", "-r", "1"),
        "import time; time.sleep(60)",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.4, 2.3])
def test_work_that_runs_out_of_time_is_not_lost(seconds: float, tmp_path: Path) -> None:
    settings = Settings(
        end=0.0,
        seed=1,
        inputs=0,
        kills=0,
        cuts=1,
        workers=1,
        only=(),
        output=tmp_path / "runs",
        work=tmp_path,
    )
    settings = replace(settings, end=time.monotonic() + seconds)
    work = _Work(SLEEPS, 1, settings, crude=True)
    work.attempt()
    work.close()
    assert work.tally.lost == []
    assert work.tally.cuts == 0
