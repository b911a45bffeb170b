"""Ends of interrupted commands that the campaign takes for good or bad ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.torture.interruptions import End, Run, all_commands, end_of
from lab.torture.jobs import JOBS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("run", "usual", "end"),
    [
        (Run(code=130, text="3 done\nrilievo: stopped\n", seconds=9.0), 0, End.STOPPED),
        (Run(code=0, text="6 done\n", seconds=2.1), 0, End.OVER),
        (Run(code=0, text="6 done\n", seconds=9.0), 0, End.LOST),
        (Run(code=0, text="", seconds=2.1), None, End.CODE),
        (Run(code=None, text="", seconds=120.0), 0, End.HUNG),
        (Run(code=130, text="", seconds=2.1), 0, End.WORDS),
        (Run(code=130, text="rilievo: stopped\nrilievo: stopped\n", seconds=2.1), 0, End.WORDS),
        (Run(code=1, text="Traceback (most recent call last):\n", seconds=2.1), 0, End.TRACEBACK),
        (Run(code=130, text="Exception ignored in: x\nstopped", seconds=2.1), 0, End.TRACEBACK),
        (Run(code=2, text="rilievo: what is this?\n", seconds=2.1), 0, End.CODE),
        (Run(code=-2, text="", seconds=2.1), 0, End.CODE),
    ],
)
def test_an_end_is_of_one_kind(run: Run, usual: int | None, end: End) -> None:
    assert end_of(run, 2.0, usual) is end


def test_only_a_silent_command_stops_without_a_word() -> None:
    run = Run(code=130, text="", seconds=2.1)
    assert end_of(run, 2.0, None, is_silent=True) is End.STOPPED


def test_every_job_that_is_a_command_is_interrupted() -> None:
    names = [command.name for command in all_commands()]
    assert len({*names}) == len(names)
    assert {job.name for job in JOBS} <= {*names}


@pytest.mark.slow
def test_every_command_is_interrupted_once_and_stops(tmp_path: Path) -> None:
    tries = ("--interruptions", str(len(all_commands())), "--minutes", "20", "--workers", "1")
    ended = subprocess.run(
        [sys.executable, "-m", "lab.torture", "interruptions", *tries, "-o", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "not tried" not in ended.stdout
