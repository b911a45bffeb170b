"""Whole evaluations of a tiny dataset, in Python and on the command line."""

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

import rilievo
from rilievo.cli import main
from rilievo.datasets import DATASETS, open_dataset
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.evaluate.benchmark import benchmark_sha256
from rilievo.evaluate.benchmarks import BENCHMARKS
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.plan import make_plan
from rilievo.evaluate.pool import ScoreJob, score_all
from rilievo.evaluate.records import Evaluation, Unscored
from rilievo.evaluate.run import evaluate
from rilievo.evaluate.shown import Shown
from rilievo.evaluate.sources import find_predictions
from rilievo.evaluate.table import read_evaluation
from rilievo.metrics import depth as depth_metrics
from rilievo.metrics.metric import Better, Metric, Sums
from rilievo.metrics.pairs import DepthPair
from tiny_dataset import write_tiny
from tiny_networks import MakeNetwork

TINY = "tiny_dataset:Tiny"


@pytest.fixture(autouse=True)
def without_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take seconds to draw; the tests that look for the report draw them."""
    if "with_report" not in request.fixturenames:
        monkeypatch.setattr("rilievo.evaluate.folder.write_report", lambda *_: None)


@pytest.fixture
def with_report() -> None:
    """Asks for the report."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "data")
    return tmp_path / "data"


def run(model: str | None, root: Path, benchmark: str = "depth", **options: object) -> Evaluation:
    given = {"dataset": TINY, **options}
    return evaluate(model, benchmark, root, EvaluateOptions(**given), show=False)  # type: ignore[arg-type]


def write_predictions(root: Path, folder: Path, *, power: float = 1.0) -> None:
    """Depth with some error, of every image; ``power`` -1 makes it inverse depth."""
    for number, path in enumerate(sorted((root / "depth").rglob("*.npy"))):
        depth = np.load(path)
        depth = np.where(depth > 0, depth, 2) * (
            1 + 0.1 * np.sin(np.arange(depth.shape[1]) + number)
        )
        file = folder / path.relative_to(root / "depth")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, (depth**power).astype(np.float32))


def test_the_embedded_model_and_its_files_elsewhere_score_the_same(
    root: Path, tmp_path: Path
) -> None:
    ours = run("rilievo/small", root, output=tmp_path / "ours")
    assert len(ours.scores) == 6
    assert ours.unscored == ()
    assert (ours.kind, ours.alignment) == ("up_to_scale", "median")
    # The same numbers as another program would leave them.
    for file in (tmp_path / "ours" / "predictions").rglob("*.npz"):
        with np.load(file) as arrays:
            name = file.relative_to(tmp_path / "ours" / "predictions").with_suffix("").as_posix()
            (tmp_path / "theirs").mkdir(exist_ok=True)
            np.save(tmp_path / "theirs" / f"{name.replace('/', '_')}.npy", arrays["depth"])
    theirs = run(
        "theirs",
        root,
        predictions=tmp_path / "theirs",
        kind="up_to_scale",
        output=tmp_path / "again",
    )
    assert theirs.scores == ours.scores
    assert theirs.summaries == ours.summaries
    assert theirs.made_by.model == "theirs"
    kept = run(None, root, predictions=tmp_path / "ours", output=tmp_path / "kept")
    assert kept.summaries == ours.summaries
    assert kept.made_by == ours.made_by


@pytest.mark.usefixtures("with_report")
def test_everything_that_is_promised_is_written(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    found = run("rilievo/small", root, output=folder)
    assert read_evaluation(folder) == found
    for name in ("per_image.csv", "per_image.parquet", "report.html"):
        assert (folder / name).stat().st_size > 100
    assert (folder / "per_image.csv").read_text().count("\n") == 7
    assert found.benchmark_sha256 == benchmark_sha256(
        replace(BENCHMARKS["depth"], dataset=TINY, split="test", variant="default")
    )
    assert (found.data.found, found.data.asked, found.data.official) == (6, 6, 6)
    assert found.command.startswith("rilievo evaluate --model rilievo/small --benchmark depth")
    assert "--dataset tiny_dataset:Tiny" in found.command
    assert sum(each.pixels for each in found.ranges) == found.summaries[0].pixels


def test_a_second_run_predicts_nothing_anew(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    first = run("rilievo/small", root, output=folder)
    broken = folder / "predictions" / "room0" / "000.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    (folder / "predictions" / "room1" / "001.npz").unlink()
    read = []
    real = rilievo.open_dataset(TINY, root).__class__.image

    def counted(self: object, id: str) -> np.ndarray:
        read.append(id)
        return real(self, id)  # type: ignore[arg-type]

    monkeypatch.setattr("tiny_dataset.Tiny.image", counted)
    second = run("rilievo/small", root, output=folder)
    assert sorted(read) == ["room0/000", "room1/001"]
    assert second.summaries == first.summaries
    assert second.warnings == ("1 kept predictions were broken and made anew",)


def test_a_folder_of_another_model_is_refused(
    root: Path, tmp_path: Path, make_network: MakeNetwork
) -> None:
    folder = tmp_path / "out"
    run("rilievo/small", root, output=folder)
    before = (folder / "evaluation.json").read_bytes()
    with pytest.raises(OutputError, match="holds the results of another model, 'rilievo/small'"):
        run(str(make_network()), root, output=folder)
    (folder / "evaluation.json").unlink()
    for name in ("per_image.csv", "per_image.parquet"):
        (folder / name).unlink()
    with pytest.raises(OptionError, match=r"made otherwise \(model: rilievo/small, not test/bri"):
        run(str(make_network()), root, output=folder)
    (folder / "evaluation.json").write_bytes(before)
    with pytest.raises(OutputError, match="holds the results of the benchmark 'depth' with other"):
        run("rilievo/small", root, output=folder, align="log")


def test_files_of_others_are_never_replaced(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.html").write_text("mine")
    with pytest.raises(OutputError, match=r"has a report\.html that is not ours"):
        run("rilievo/small", root, output=folder)
    assert (folder / "report.html").read_text() == "mine"
    (folder / "report.html").unlink()
    (folder / "evaluation.json").write_text("{}")
    with pytest.raises(OutputError, match="choose another output folder"):
        run("rilievo/small", root, output=folder)


def test_every_image_without_a_score_has_its_reason(root: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    write_predictions(root, theirs)
    faults = {
        "room0/000": np.full((48, 64), np.nan, np.float32),
        "room0/002": np.full((48, 64), -1.0, np.float32),
        "room1/001": np.ones((48, 48), np.float32),
    }
    for id, array in faults.items():
        np.save(theirs / f"{id}.npy", array)
    (theirs / "room1" / "003.npy").unlink()
    np.save(theirs / "stray.npy", np.ones((4, 4)))
    (root / "depth" / "room0" / "004.npy").write_bytes(b"broken")
    found = run(None, root, predictions=theirs, kind="metric", output=tmp_path / "out")
    assert [score.id for score in found.scores] == ["room1/005"]
    reasons = {each.id: each.reason for each in found.unscored}
    assert len(reasons) == 5
    for id, words in {
        "room0/000": "NaN or infinite at 3072 of 3072 pixels",
        "room0/002": "zero or negative at 3072 of 3072",
        "room0/004": "broken",
        "room1/001": "other proportions",
        "room1/003": "no file of it in",
    }.items():
        assert words in reasons[id]
        assert "\n" not in reasons[id]
    assert any(line.endswith("stray.npy") for line in found.warnings)
    assert "1 of 6 images have no prediction" in found.warnings
    assert any(line.startswith("1 of 6 images have a score") for line in found.warnings)
    assert read_evaluation(tmp_path / "out") == found


def test_an_image_whose_truth_is_missing_is_listed(root: Path, tmp_path: Path) -> None:
    (root / "depth" / "room0" / "002.npy").unlink()
    found = run("rilievo/small", root, output=tmp_path / "out")
    assert found.unscored == (Unscored(id="room0/002", reason="depth/room0/002.npy is missing"),)
    assert (found.data.found, found.data.asked) == (5, 6)
    assert "papers score 6 images of this split; 5 were found" in found.warnings


def test_a_broken_photograph_is_listed_and_the_others_are_scored(
    root: Path, tmp_path: Path
) -> None:
    (root / "image" / "room0" / "000.npy").write_bytes(b"no picture")
    found = run("rilievo/small", root, output=tmp_path / "out")
    assert [each.id for each in found.unscored] == ["room0/000"]
    assert len(found.scores) == 5


def test_when_nothing_can_be_scored_the_first_reason_is_said(root: Path, tmp_path: Path) -> None:
    for path in (root / "depth").rglob("*.npy"):
        np.save(path, np.zeros((48, 64), np.float32))
    with pytest.raises(InputError, match="none of the 6 images could be scored; the first, room0"):
        run("rilievo/small", root, output=tmp_path / "out")


def test_alignment_in_the_users_way_is_another_benchmark(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs", power=-1)
    write_predictions(root, tmp_path / "deep", power=2)
    plain = {"predictions": tmp_path / "theirs", "kind": "affine_inverse"}
    one = run(None, root, output=tmp_path / "one", **plain)
    assert (one.benchmark, one.alignment) == ("depth", "inverse_scale_shift")
    up_to_scale = {"predictions": tmp_path / "deep", "kind": "up_to_scale"}
    other = run(None, root, output=tmp_path / "two", align="log", **up_to_scale)
    assert (other.benchmark, other.alignment) == ("depth+log", "log")
    assert one.benchmark_sha256 != other.benchmark_sha256


def test_normals_are_pooled_with_their_exact_median(root: Path, tmp_path: Path) -> None:
    found = run("rilievo/small", root, benchmark="normals", output=tmp_path / "out")
    shown = Shown(
        benchmark=BENCHMARKS["normals"],
        dataset=open_dataset(TINY, root),
        answers=find_predictions(
            None,
            make_plan(BENCHMARKS["normals"], root, EvaluateOptions(dataset=TINY)),
            EvaluateOptions(predictions=tmp_path / "out"),
        ).answers,
    )
    angles = []
    for score in found.scores:
        mine, truth = shown.normals(score.id), shown.truth(score.id)
        assert mine is not None
        assert truth.normals is not None
        cosine = (mine.astype(np.float64) * truth.normals).sum(axis=0)
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1)))[truth.normals_valid])
    by_name = {each.metric: each for each in found.summaries}
    everything = np.concatenate(angles)
    assert by_name["median"].value == pytest.approx(np.median(everything), abs=1e-4)
    assert by_name["mean"].value == pytest.approx(everything.mean(), abs=1e-4)
    assert found.kind is None


def test_pictures_of_a_report_are_what_was_scored(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    options = EvaluateOptions(dataset=TINY, predictions=tmp_path / "theirs", kind="up_to_scale")
    plan = make_plan(BENCHMARKS["depth"], root, options)
    answers = find_predictions(None, plan, options).answers
    shown = Shown(benchmark=plan.benchmark, dataset=plan.dataset, answers=answers)
    found = evaluate(None, "depth", root, replace(options, output=tmp_path / "out"), show=False)
    for score in found.scores:
        depth, truth = shown.depth(score.id), shown.truth(score.id)
        assert depth is not None
        assert truth.depth is not None
        mask = truth.depth_valid
        error = np.abs(depth.depth()[mask] - truth.depth[mask]) / truth.depth[mask]
        assert error.mean() == pytest.approx(score.values["abs_rel"], rel=1e-4)
        assert shown.photo(score.id).shape == (48, 64, 3)


def test_processes_score_as_one_does(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    options = EvaluateOptions(dataset=TINY, predictions=tmp_path / "theirs", kind="metric")
    plan = make_plan(BENCHMARKS["depth"], root, options)
    answers = find_predictions(None, plan, options).answers
    job = ScoreJob(benchmark=plan.benchmark, dataset=plan.dataset, answers=answers)
    # Ids may come more than once here; what matters is that all come back, in order.
    ids = [*plan.ids * 25, "nowhere"]
    alone = list(score_all(job, ids, workers=1))
    together = list(score_all(job, ids, workers=2))
    assert len(alone) == len(together) == len(ids)
    for one, other in zip(alone[:-1], together[:-1], strict=True):
        assert not isinstance(one, Unscored)
        assert not isinstance(other, Unscored)
        assert one.score == other.score
    assert isinstance(together[-1], Unscored)


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
    monkeypatch.setitem(DATASETS, "tiny", TINY)  # type: ignore[arg-type]
    monkeypatch.setitem(depth_metrics.DEPTH_METRICS, "doubled", metric)  # type: ignore[arg-type]
    monkeypatch.setitem(BENCHMARKS, "mine", mine)  # type: ignore[arg-type]
    out = tmp_path / "out"
    assert main(["evaluate", "-b", "mine", "--root", str(root), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "rilievo/small (up_to_scale, aligned by median) on mine: tiny, split test" in printed
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
    assert "say --kind" in capsys.readouterr().err
    assert main([*words, "--kind", "metric"]) == 1
    printed = capsys.readouterr().out
    assert "theirs (metric, aligned by none) on depth" in printed
    assert "5 of 6 images have a score" in printed
    assert "no score: room0/000: no file of it" in printed
    assert main([*words, "--kind", "metric", "--limit", "1", "-o", str(tmp_path / "x")]) == 2
    assert main(["benchmarks"]) == 0
    assert "sunrgbd-article" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "metric"}, "--kind and --scale say what --predictions are"),
        ({"limit": 0}, "--limit is 1 or more, got 0"),
        ({"workers": -1}, "--workers is 1 or more"),
        ({"align": "medain"}, "--align has no 'medain'; did you mean 'median'"),
        ({"kind": "disparity", "predictions": Path("p")}, "--kind has no 'disparity'; known"),
        ({"scale": float("nan"), "predictions": Path("p")}, "--scale is a positive number"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        EvaluateOptions(**options)  # type: ignore[arg-type]


def test_what_does_not_go_together_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'depth' fits any dataset: say which with --dataset"):
        run("rilievo/small", root, dataset=None)
    with pytest.raises(OptionError, match="is on the dataset 'nyuv2', not on 'tiny_dataset:Tiny'"):
        run("rilievo/small", root, benchmark="nyuv2-eigen")
    with pytest.raises(OptionError, match="'normals' aligns nothing; leave --align out"):
        run("rilievo/small", root, benchmark="normals", align="log")
    with pytest.raises(OptionError, match="give a model to predict with, or a folder"):
        run(None, root)
    with pytest.raises(OptionError, match="has no split 'tset'; did you mean 'test'"):
        run("rilievo/small", root, split="tset")
    run("rilievo/small", root, output=tmp_path / "out")
    with pytest.raises(OptionError, match="holds depth alone, but the benchmark 'normals' scores"):
        run(None, root, benchmark="normals", predictions=tmp_path / "out")
    with pytest.raises(OptionError, match="says itself what it holds"):
        run(None, root, predictions=tmp_path / "out", kind="metric")


def test_the_package_is_its_own_verb(root: Path, tmp_path: Path) -> None:
    options = rilievo.EvaluateOptions(dataset=TINY, output=tmp_path / "out", limit=2)
    found = rilievo.evaluate("rilievo/small", "depth", root, options, show=False)
    assert len(found.scores) == 2
    import rilievo.evaluate.records as records

    assert isinstance(found, records.Evaluation)


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
    after = run("rilievo/small", root, output=tmp_path / "out")
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    whole = run("rilievo/small", root, output=tmp_path / "whole")
    assert after.scores == whole.scores
    assert len(after.scores) == 12


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
