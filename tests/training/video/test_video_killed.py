"""A run that is killed ten times at moments drawn by chance ends as one that was left alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import killed_runs
from support.sliding_walls import write_walls
from support.video_runs import same, weights_of


@pytest.mark.slow
def test_ten_kills_leave_no_trace_in_the_weights_nor_in_the_tables(tmp_path: Path) -> None:
    walls, whole, cut = (tmp_path / name for name in ("walls", "whole", "cut"))
    write_walls(walls)
    command = [sys.executable, killed_runs.__file__, str(walls), str(whole), str(cut), "0"]
    path = os.pathsep.join(filter(None, sys.path))  # with the folder of ``support``
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 0
    assert same(weights_of(cut), weights_of(whole))
    assert same(weights_of(cut / "best"), weights_of(whole / "best"))
    tables = [(run / "validation.csv").read_text() for run in (cut, whole)]
    assert tables[0] == tables[1]
    left = {path.name for path in cut.iterdir()}
    assert left == {path.name for path in whole.iterdir()}
