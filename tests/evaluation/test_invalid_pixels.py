"""Pixels that count but have no prediction: left out, refused or charged; and scores of few."""

import csv
import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Invalid,
    benchmark_settings,
    benchmark_sha256,
)
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.scoring.score import score
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.pages.pictures import depth_panel
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.scenes_to_score import depth_of, guess, scene, scored
from support.stored_answers import stored
from support.tiny_evaluation import run_tiny, write_predictions

HOLE = (slice(200, 230), slice(100, 160))


def holed(kind: DepthKind, truth: Truth) -> DepthMap:
    predicted = guess(truth, kind)
    valid = np.ones(predicted.shape, bool)
    valid[HOLE] = False
    return DepthMap(values=predicted.values, kind=kind, valid=valid)


def with_rule(name: str, invalid: Invalid) -> Benchmark:
    return replace(BENCHMARKS[name], invalid=invalid)


@pytest.mark.parametrize(
    ("name", "far"), [("nyuv2-eigen", 10.0), ("sunrgbd", 10.0), ("depth", None)]
)
def test_far_charges_the_clip_the_cap_or_the_farthest_truth(name: str, far: float | None) -> None:
    truth = scene(far=7.5)
    predicted = holed(DepthKind.UP_TO_SCALE, truth)
    less = scored(with_rule(name, Invalid.SKIP), predicted, truth).score
    found = scored(with_rule(name, Invalid.FAR), predicted, truth).score
    # By hand: medians of the answered pixels, then every pixel that counts.
    counts = depth_of(truth) > 1e-3
    if name == "nyuv2-eigen":
        inside = np.zeros_like(counts)
        inside[45:471, 41:601] = True
        counts &= inside
    answered = counts & predicted.valid
    t, x = depth_of(truth).astype(np.float64), predicted.values.astype(np.float64)
    p = x * np.median(t[answered]) / np.median(x[answered])
    if name == "nyuv2-eigen":
        p = np.clip(p, 1e-3, 10)
    p[counts & ~answered] = t[counts].max() if far is None else far
    expected = np.mean(np.abs(p[counts] - t[counts]) / t[counts])
    assert found.values["abs_rel"] == pytest.approx(expected, rel=1e-6)
    assert found.values["abs_rel"] > less.values["abs_rel"]
    assert found.pixels == counts.sum() == less.pixels + less.unanswered
    assert found.unanswered == less.unanswered == (counts & ~answered).sum()
    assert any("as if the largest depth were predicted" in note for note in found.notes)
    assert any("rilievo does not score" in note for note in less.notes)


def test_refuse_gives_no_score_and_asks_nothing_where_truth_does_not_count() -> None:
    truth = scene(far=9.0)
    predicted = holed(DepthKind.METRIC, truth)
    refusing = with_rule("nyuv2-eigen", Invalid.REFUSE)
    with pytest.raises(InputError, match=r"no value at \d+ of the \d+ scored pixels; invalid"):
        scored(refusing, predicted, truth)
    valid = np.array(truth.depth_valid)
    valid[HOLE] = False
    hidden = replace(truth, depth_valid=valid)
    found = scored(refusing, predicted, hidden).score
    assert found.unanswered == 0
    assert found.notes == scored("nyuv2-eigen", predicted, hidden).score.notes


def test_normals_without_direction_are_left_out_or_refused() -> None:
    shape = (480, 640)
    true = np.zeros((3, *shape), np.float32)
    true[2] = -1
    predicted = true + np.float32(0.1)
    predicted[:, 100:110, 100:120] = 0
    predicted[:, 300, 300] = np.nan
    truth = Truth(id="a", normals=true, normals_valid=np.ones(shape, bool))
    found = score(BENCHMARKS["normals"], stored(normals=predicted), truth).score
    assert found.unanswered == 201
    assert found.pixels == 480 * 640 - 201
    refusing = with_rule("normals", Invalid.REFUSE)
    with pytest.raises(InputError, match="no value at 201 of the 307200 scored pixels"):
        score(refusing, stored(normals=predicted), truth)


def test_the_rule_is_a_setting_and_its_default_keeps_older_hashes() -> None:
    hashes = {benchmark_sha256(with_rule("diode", each)) for each in Invalid}
    assert len(hashes) == 3
    assert "invalid" not in benchmark_settings(BENCHMARKS["diode"])
    assert benchmark_settings(with_rule("diode", Invalid.FAR))["invalid"] == "far"


def test_a_prediction_with_infinity_where_nothing_is_true_scores(
    root: Path, tmp_path: Path
) -> None:
    """MoGe's files have infinity outside their mask, usually in the sky."""
    theirs = tmp_path / "theirs"
    write_predictions(root, theirs)
    given = {"predictions": theirs, "kind": "metric"}
    before = run_tiny(None, root, output=tmp_path / "before", **given)
    for path in theirs.rglob("*.npy"):
        true = np.load(root / "depth" / path.relative_to(theirs))
        numbers = np.load(path)
        numbers[true <= 0] = np.inf
        np.save(path, numbers)
    after = run_tiny(None, root, output=tmp_path / "after", invalid="refuse", **given)
    assert [each.values for each in after.scores] == [each.values for each in before.scores]
    assert after.benchmark == "depth+invalid-refuse"
    assert "--invalid refuse" in after.command


def test_reports_and_tables_count_what_has_no_prediction(root: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    write_predictions(root, theirs)
    first = sorted(theirs.rglob("*.npy"))[0]
    numbers = np.load(first)
    numbers[:10] = np.nan
    np.save(first, numbers)
    given = {"predictions": theirs, "kind": "metric"}
    found = run_tiny(None, root, output=tmp_path / "out", invalid="far", **given)
    lost = found.scores[0].unanswered
    assert lost == int((np.load(root / "depth" / first.relative_to(theirs))[:10] > 0).sum()) > 0
    [warning] = [each for each in found.warnings if "has no value" in each]
    assert warning.startswith(
        f"in 1 image, rilievo scores {lost:,} of {found.summaries[0].pixels:,} pixels"
    )
    assert "as if the largest depth were predicted" in warning
    with (tmp_path / "out" / "per_image.csv").open() as file:
        assert [int(row["unanswered"]) for row in csv.DictReader(file)] == [lost, 0, 0, 0, 0, 0]
    with pytest.raises(OptionError, match="invalid far only applies to depth"):
        run_tiny(None, root, benchmark="normals", predictions=theirs, invalid="far")


def test_pictures_show_what_was_charged() -> None:
    truth = scene(far=9.0)
    predicted = holed(DepthKind.METRIC, truth)

    answers = Mock(Predictions)
    answers.kind, answers.made_by = DepthKind.METRIC, None
    answers.read.return_value = stored(depth=predicted)
    dataset = Mock(Dataset)
    dataset.truth.return_value = truth
    rule = with_rule("nyuv2-eigen", Invalid.FAR)
    shown = ReportPictures(benchmark=rule, dataset=dataset, predictions=answers)
    depth = shown.depth("a")
    assert depth is not None
    charged = np.asarray(shown.truth("a").depth_valid)[HOLE]
    assert charged.any()
    assert depth.valid[HOLE][charged].all()
    assert (depth.values[HOLE][charged] == 10).all()


def test_pictures_show_normals_of_unit_length_and_zero_where_there_is_no_direction() -> None:
    true = np.zeros((3, 480, 640), np.float32)
    true[2] = -1
    predicted = true * np.float32(0.5)
    predicted[(slice(None), *HOLE)] = 0

    answers, dataset = Mock(Predictions), Mock(Dataset)
    answers.kind, answers.made_by = None, None
    answers.read.return_value = stored(normals=predicted)
    dataset.truth.return_value = Truth(
        id="a", normals=true, normals_valid=np.ones((480, 640), bool)
    )
    shown = ReportPictures(
        benchmark=BENCHMARKS["normals"], dataset=dataset, predictions=answers
    ).normals("a")
    expected = true.copy()
    expected[(slice(None), *HOLE)] = 0
    np.testing.assert_array_equal(shown, expected)


def test_a_score_that_rests_on_one_pixel_says_so(root: Path, tmp_path: Path) -> None:
    path = root / "depth" / "room0" / "000.npy"
    depth = np.zeros_like(np.load(path))
    depth[20, 30] = 2.0
    np.save(path, depth)
    found = run_tiny("rilievo/small", root, output=tmp_path / "out")
    assert found.scores[0].pixels == 1
    assert any("only 1 pixel, which is fewer than 100" in note for note in found.scores[0].notes)
    assert any(
        each.startswith("the scores of 1 image are based on fewer than 100")
        for each in found.warnings
    )


def test_images_below_a_benchmarks_least_number_of_pixels_have_no_score() -> None:
    few = np.zeros((375, 1242), bool)
    few[300, 600:609] = True
    few_truth = Truth(id="a", depth=np.full((375, 1242), 9.0, np.float32), depth_valid=few)
    predicted = DepthMap(values=np.full((375, 1242), 8.0, np.float32), kind=DepthKind.METRIC)
    with pytest.raises(NoGroundTruthError, match=r"ground truth to score is 9, .* fewer than 10"):
        scored("kitti-dav2", predicted, few_truth)


def test_astronomic_depths_make_no_noise() -> None:
    depth = np.full((480, 640), 1e38, np.float32)
    truth = Truth(id="a", depth=depth, depth_valid=np.ones((480, 640), bool))
    predicted = DepthMap(values=depth * np.float32(1.5), kind=DepthKind.METRIC)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scored("depth", predicted, truth).score
        depth_panel("depth", predicted)
    assert found.values["abs_rel"] == pytest.approx(0.5)
