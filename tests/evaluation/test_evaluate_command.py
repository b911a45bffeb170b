"""``rilievo evaluate`` and ``rilievo benchmarks`` on the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.cli import main
from rilievo.data.datasets import DATASETS
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.benchmarks.metric_choice import TABLES
from rilievo.evaluation.evaluation_folder import run_folder
from rilievo.evaluation.metrics.metric import Better, Metric, Sums
from rilievo.evaluation.metrics.pairs import DepthPair
from rilievo.models import DEFAULT_MODEL
from support.tiny_dataset import write_tiny
from support.tiny_evaluation import TINY, run_tiny, write_predictions


def doubled(pair: DepthPair) -> Sums:
    """Twice the sum of |p - t| / t."""
    return np.array([2 * np.abs(pair.relative).sum()])


def test_a_dataset_a_metric_and_a_benchmark_are_one_line_each(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metric = Metric(
        name="doubled", label="Doubled", unit="", better=Better.LOWER, summary="", sums=doubled
    )
    mine = replace(BENCHMARKS["depth"], name="mine", dataset="tiny", metrics=("doubled", "abs_rel"))
    monkeypatch.setitem(DATASETS.own, "tiny", TINY)
    monkeypatch.setitem(TABLES[Task.DEPTH], "doubled", metric)
    monkeypatch.setitem(BENCHMARKS.own, "mine", mine)
    out = tmp_path / "out"
    assert main(["evaluate", "-b", "mine", "--root", str(root), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "rilievo/base (up_to_scale, after fitting a scale to each image) on mine" in printed
    assert "Doubled" in printed
    assert f"results in {out}" in printed
    found = json.loads((out / "evaluation.json").read_text())
    leading, other = found["summaries"]
    assert leading["value"] == pytest.approx(2 * other["value"])
    assert main(["benchmarks", "mine"]) == 0
    assert "doubled abs_rel" in capsys.readouterr().out


def test_the_command_tells_by_its_exit_code_that_images_are_missing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_predictions(root, tmp_path / "theirs")
    (tmp_path / "theirs" / "room0" / "000.npy").unlink()
    words = ["evaluate", "-b", "depth", "--dataset", TINY, "--root", str(root)]
    words += ["--predictions", str(tmp_path / "theirs"), "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "set --kind" in capsys.readouterr().err
    assert main([*words, "--kind", "metric"]) == 1
    printed = capsys.readouterr().out
    assert "theirs (metric, in metres as predicted, without alignment) on depth" in printed
    assert "5 of 6 images have a score" in printed
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["summaries"]
    labels = [each["label"] for each in found if f"\n{each['label']}" in printed]
    assert labels[0] == "AbsRel"
    # "SILog ×100" begins the labels of its kin.
    assert f"{len(found) - 5} more metrics" in printed
    assert printed.count(" of 6 images") == 2
    assert "warning: 1 of 6 images has no score: there is no prediction for" in printed
    assert main([*words, "--kind", "metric", "--limit", "1", "-o", str(tmp_path / "x")]) == 2
    assert main(["benchmarks"]) == 0
    assert "sunrgbd-article" in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_result(root: Path, tmp_path: Path) -> None:
    write_tiny(root, 12)
    words = [sys.executable, "-m", "rilievo", "evaluate", "-b", "depth", "--dataset", TINY]
    words += ["--root", str(root), "-o", str(tmp_path / "out")]
    paths = os.pathsep.join(map(str, [Path(__file__).parents[1], *sys.path]))
    environment = {**os.environ, "PYTHONPATH": paths}
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    predictions = tmp_path / "out" / "predictions"
    limit = time.monotonic() + 60
    while not list(predictions.rglob("*.npz")) and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in predictions.rglob("*.npz")}
    assert kept
    after = run_tiny(DEFAULT_MODEL, root, output=tmp_path / "out")
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    whole = run_tiny(DEFAULT_MODEL, root, output=tmp_path / "whole")
    assert after.scores == whole.scores
    assert len(after.scores) == 12


@pytest.mark.slow
def test_evaluating_foreign_predictions_loads_no_framework(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    code = (
        "import sys; from rilievo.cli import main; "
        f"main(['evaluate', '-b', 'depth', '--dataset', {TINY!r}, '--root', {str(root)!r}, "
        f"'--predictions', {str(tmp_path / 'theirs')!r}, '--kind', 'metric', "
        f"'-o', {str(tmp_path / 'out')!r}]); "
        "print([name for name in ('torch', 'transformers', 'onnxruntime') if name in sys.modules])"
    )
    paths = os.pathsep.join(map(str, [Path(__file__).parents[1], *sys.path]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


WALL = """
import numpy as np
import rilievo

@rilievo.model(kind="metric")
def wall(image):
    shape = np.asarray(image).shape[:2]
    return np.full(shape, {metres}, np.float32)
"""


def test_a_checkpoint_named_by_an_absolute_path_gives_the_folder_its_own_name(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(DATASETS.own, "tiny", TINY)
    monkeypatch.setitem(
        BENCHMARKS.own, "mine", replace(BENCHMARKS["depth"], name="mine", dataset="tiny")
    )
    monkeypatch.chdir(tmp_path)
    for name, metres in (("first", 2.0), ("second", 3.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wall.py").write_text(WALL.format(metres=metres))
    line = ["evaluate", "-b", "mine", "--root", str(root), "--limit", "2", "-m"]
    assert main([*line, str(tmp_path / "first/wall.py:wall")]) == 0
    folder = Path("runs/wall.py-wall-mine")
    printed = capsys.readouterr().out
    assert printed.startswith("wall.py:wall (metric")
    assert f"results in {folder}" in printed
    assert [*Path("runs").iterdir()] == [folder]
    before = (folder / "evaluation.json").read_bytes()
    assert main([*line, str(tmp_path / "second/wall.py:wall")]) == 2
    assert "another" in capsys.readouterr().err
    assert (folder / "evaluation.json").read_bytes() == before


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("/home/me/runs/probe", "probe-nyuv2"),
        ("/models/net.onnx", "net.onnx-nyuv2"),
        ("runs/probe", "runs-probe-nyuv2"),
        ("moge-2/small", "moge-2-small-nyuv2"),
        ("lab.models:floor", "lab.models-floor-nyuv2"),
    ],
)
def test_the_default_folder_has_the_name_of_the_model(model: str, folder: str) -> None:
    assert run_folder(None, model, "nyuv2") == Path("runs") / folder
    assert run_folder(Path("mine"), model, "nyuv2") == Path("mine")
