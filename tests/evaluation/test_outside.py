"""Benchmarks, datasets and metrics in the folder that the command is run in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rilievo.data.datasets import find_dataset
from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.benchmarks.metric_choice import find_metric

MODULE = """
from dataclasses import replace

from rilievo.data.datasets.sets.rendered import Rendered
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.metrics.depth import DEPTH_METRICS

X = replace(BENCHMARKS["depth"], name="of-our-lab", metrics=("my_bench:CLOSE",))
CLOSE = replace(DEPTH_METRICS["abs_rel"], name="close")


class Ours(Rendered):
    pass
"""


def test_the_command_finds_modules_in_the_folder_that_it_is_run_in(tmp_path: Path) -> None:
    """The module path is empty, as for the console script, which has only its own folder."""
    (tmp_path / "my_bench.py").write_text(MODULE)
    code = (
        "import sys; sys.path = [each for each in sys.path if each not in ('', sys.argv[1])]; "
        "from rilievo.cli import main; raise SystemExit(main(['benchmarks', 'my_bench:X']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "of-our-lab" in done.stdout


def test_all_three_are_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_bench.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    try:
        assert find_benchmark("my_bench:X").name == "of-our-lab"
        assert find_dataset("my_bench:Ours").card.name
        assert find_metric(Task.DEPTH, "my_bench:CLOSE").name == "close"
    finally:
        sys.modules.pop("my_bench", None)


@pytest.mark.parametrize(
    "find", [find_benchmark, find_dataset, lambda name: find_metric(Task.DEPTH, name)]
)
def test_a_module_that_is_nowhere_says_where_it_was_looked_for(
    find: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(find)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError) as caught:
        find("no_such_bench:X")
    assert "No module named 'no_such_bench'" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
