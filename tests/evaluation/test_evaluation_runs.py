"""Whole evaluations of a tiny dataset: what they compute, write and keep."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import benchmark_sha256
from rilievo.evaluation.evaluation_folder import read_evaluation
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import PredictionCache
from rilievo.evaluation.predictions.sources import find_predictions
from rilievo.evaluation.records import Unscored
from rilievo.evaluation.scoring.pool import score_all
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.scoring.score_job import ScoreJob
from rilievo.evaluation.selection import select_images
from support.tiny_evaluation import TINY, run_tiny, write_predictions


@pytest.mark.slow
def test_the_embedded_model_and_its_files_elsewhere_score_the_same(
    root: Path, tmp_path: Path
) -> None:
    ours = run_tiny("rilievo/small", root, output=tmp_path / "ours")
    assert len(ours.scores) == 6
    assert ours.unscored == ()
    assert (ours.kind, ours.alignment) == ("up_to_scale", "median")
    # The same numbers as another program would leave them.
    for file in (tmp_path / "ours" / "predictions").rglob("*.npz"):
        with np.load(file) as arrays:
            name = file.relative_to(tmp_path / "ours" / "predictions").with_suffix("").as_posix()
            (tmp_path / "theirs").mkdir(exist_ok=True)
            np.save(tmp_path / "theirs" / f"{name.replace('/', '_')}.npy", arrays["depth"])
    theirs = run_tiny(
        "theirs",
        root,
        predictions=tmp_path / "theirs",
        kind="up_to_scale",
        output=tmp_path / "again",
    )
    assert theirs.scores == ours.scores
    assert theirs.summaries == ours.summaries
    assert theirs.made_by.model == "theirs"
    kept = run_tiny(None, root, predictions=tmp_path / "ours", output=tmp_path / "kept")
    assert kept.summaries == ours.summaries
    assert kept.made_by == ours.made_by


@pytest.mark.usefixtures("with_report")
def test_everything_that_is_promised_is_written(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    found = run_tiny("rilievo/small", root, output=folder)
    assert read_evaluation(folder) == found
    for name in ("per_image.csv", "report.html"):
        assert (folder / name).stat().st_size > 100
    assert (folder / "per_image.csv").read_text().count("\n") == 7
    assert found.benchmark_sha256 == benchmark_sha256(
        replace(BENCHMARKS["depth"], dataset=TINY, split="test", variant="default")
    )
    assert (found.data.found, found.data.asked, found.data.official) == (6, 6, 6)
    assert found.command.startswith("rilievo evaluate --model rilievo/small --benchmark depth")
    assert "--dataset support.tiny_dataset:Tiny" in found.command
    assert sum(each.pixels for each in found.ranges) == found.summaries[0].pixels


@pytest.mark.slow
def test_a_second_run_predicts_nothing_anew(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    first = run_tiny("rilievo/small", root, output=folder)
    broken = folder / "predictions" / "room0" / "000.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    (folder / "predictions" / "room1" / "001.npz").unlink()
    written = []
    real = PredictionCache.write

    def counted(self: PredictionCache, id: str, *given: object) -> None:
        written.append(id)
        real(self, id, *given)

    monkeypatch.setattr(PredictionCache, "write", counted)
    second = run_tiny("rilievo/small", root, output=folder)
    assert sorted(written) == ["room0/000", "room1/001"]
    assert second.summaries == first.summaries
    assert second.warnings == (
        "rilievo predicted 1 image again, because the cached predictions were damaged",
    )


def test_names_that_are_no_unicode_are_evaluated(tmp_path: Path, root: Path) -> None:
    for file in [*root.rglob("000.npy")]:
        file.rename(file.with_name("two\nlines \udcff.npy"))
    found = run_tiny("rilievo/small", root, output=tmp_path / "out", limit=2)
    assert [score.id for score in found.scores] == ["room0/002", "room0/004"]
    found = run_tiny("rilievo/small", root, output=tmp_path / "out")
    assert "room0/two\nlines \udcff" in {score.id for score in found.scores}
    assert read_evaluation(tmp_path / "out") == found


def test_alignment_in_the_users_way_is_another_benchmark(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs", power=-1)
    write_predictions(root, tmp_path / "deep", power=2)
    plain = {"predictions": tmp_path / "theirs", "kind": "affine_inverse"}
    one = run_tiny(None, root, output=tmp_path / "one", **plain)
    assert (one.benchmark, one.alignment) == ("depth", "inverse_scale_shift")
    up_to_scale = {"predictions": tmp_path / "deep", "kind": "up_to_scale"}
    other = run_tiny(None, root, output=tmp_path / "two", align="log", **up_to_scale)
    assert (other.benchmark, other.alignment) == ("depth+log", "log")
    assert one.benchmark_sha256 != other.benchmark_sha256


def test_normals_are_pooled_with_their_exact_median(root: Path, tmp_path: Path) -> None:
    evaluation = run_tiny("rilievo/small", root, benchmark="normals", output=tmp_path / "out")
    shown = ReportPictures(
        benchmark=BENCHMARKS["normals"],
        dataset=open_dataset(TINY, root),
        predictions=find_predictions(
            None,
            select_images(BENCHMARKS["normals"], root, EvaluateOptions(dataset=TINY)),
            EvaluateOptions(predictions=tmp_path / "out"),
        ),
    )
    angles = []
    for score in evaluation.scores:
        mine, truth = shown.normals(score.id), shown.truth(score.id)
        assert mine is not None
        assert truth.normals is not None
        cosine = (mine.astype(np.float64) * truth.normals).sum(axis=0)
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1)))[truth.normals_valid])
    by_name = {summary.metric: summary for summary in evaluation.summaries}
    everything = np.concatenate(angles)
    assert by_name["median"].value == pytest.approx(np.median(everything), abs=1e-4)
    assert by_name["mean"].value == pytest.approx(everything.mean(), abs=1e-4)
    assert evaluation.kind is None


def test_pictures_of_a_report_are_what_was_scored(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    options = EvaluateOptions(dataset=TINY, predictions=tmp_path / "theirs", kind="up_to_scale")
    selection = select_images(BENCHMARKS["depth"], root, options)
    predictions = find_predictions(None, selection, options)
    shown = ReportPictures(
        benchmark=selection.benchmark, dataset=selection.dataset, predictions=predictions
    )
    found = evaluate(None, "depth", root, replace(options, output=tmp_path / "out"), show=False)
    for score in found.scores:
        depth, truth = shown.depth(score.id), shown.truth(score.id)
        assert depth is not None
        assert truth.depth is not None
        mask = truth.depth_valid
        error = np.abs(depth.depth()[mask] - truth.depth[mask]) / truth.depth[mask]
        assert error.mean() == pytest.approx(score.values["abs_rel"], rel=1e-4)
        assert shown.photo(score.id).shape == (48, 64, 3)


def test_files_of_another_program_have_the_name_that_the_user_gives(
    root: Path, tmp_path: Path
) -> None:
    write_predictions(root, tmp_path / "theirs")
    options = EvaluateOptions(dataset=TINY, predictions=tmp_path / "theirs", kind="metric")
    selection = select_images(BENCHMARKS["depth"], root, options)
    own, other = (
        find_predictions(label, selection, options).made_by for label in (None, "lab/depth-2")
    )
    assert other.model == "lab/depth-2"
    assert own.model not in ("", None, other.model)
    assert replace(other, model=own.model) == own


def test_processes_score_as_one_does(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    options = EvaluateOptions(dataset=TINY, predictions=tmp_path / "theirs", kind="metric")
    selection = select_images(BENCHMARKS["depth"], root, options)
    predictions = find_predictions(None, selection, options)
    job = ScoreJob(
        benchmark=selection.benchmark, dataset=selection.dataset, predictions=predictions
    )
    # Ids may come more than once here; what matters is that all come back, in order.
    ids = [*selection.ids * 25, "nowhere"]
    alone = list(score_all(job.score, ids, processes=1))
    together = list(score_all(job.score, ids, processes=2))
    assert len(alone) == len(together) == len(ids)
    for one, other in zip(alone[:-1], together[:-1], strict=True):
        assert not isinstance(one, Unscored)
        assert not isinstance(other, Unscored)
        assert one.score == other.score
    assert isinstance(together[-1], Unscored)


def test_the_package_is_its_own_verb(root: Path, tmp_path: Path) -> None:
    options = rilievo.EvaluateOptions(dataset=TINY, output=tmp_path / "out", limit=2)
    found = rilievo.evaluate("rilievo/small", "depth", root, options, show=False)
    assert len(found.scores) == 2
    import rilievo.evaluation.records as records

    assert isinstance(found, records.Evaluation)


def test_kept_predictions_are_on_the_disk_before_the_evaluation_says_they_were_scored(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool]] = []

    def synced(folder: Path) -> None:
        kept = len(list(folder.rglob("*.npz")))
        seen.append((kept, (folder.parent / "evaluation.json").exists()))

    monkeypatch.setattr("rilievo.evaluation.evaluation_folder.sync_tree", synced)
    run_tiny("rilievo/small", root, output=tmp_path / "out")
    assert seen == [(6, False)]
