"""Means, pooled numbers and intervals of many images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Averaging, Benchmark
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Summary, Unscored
from rilievo.evaluation.scoring.score import ScoreWithSums, score
from rilievo.evaluation.selection import select_images
from rilievo.evaluation.summaries import (
    ScoreAccumulator,
    evaluation_remarks,
    scene_remark,
    unscored_remark,
)
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.stored_answers import stored
from support.tiny_dataset import write_tiny
from support.tiny_evaluation import TINY

PLAIN = replace(BENCHMARKS["depth"], metrics=("abs_rel", "rmse", "delta1", "silog"))
POOLED = replace(PLAIN, averaging=Averaging.POOLED)


def image(number: int) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted depth; later images are worse and have more pixels."""
    chance = np.random.default_rng(number)
    true = chance.uniform(1, 5, (20, 20 + number)).astype(np.float32)
    error = np.exp(chance.normal(0, 0.05 + number / 50, true.shape))
    return true, (true * error).astype(np.float32)


def scored(benchmark: Benchmark, number: int) -> ScoreWithSums:
    true, predicted = image(number)
    truth = Truth(id=f"{number}", depth=true, depth_valid=true > 0)
    depth = DepthMap(values=predicted, kind=DepthKind.METRIC)
    return score(benchmark, stored(depth=depth), truth)


def summaries(benchmark: Benchmark, count: int) -> dict[str, Summary]:
    tallied = ScoreAccumulator(benchmark=benchmark)
    for number in range(count):
        tallied.add(scored(benchmark, number))
    return {each.metric: each for each in tallied.summaries({})}


def test_per_image_and_pooled_numbers_are_both_there() -> None:
    found = summaries(PLAIN, 10)
    images = [tuple(each.astype(np.float64) for each in image(number)) for number in range(10)]
    by_image = [np.sqrt(np.mean((p - t) ** 2)) for t, p in images]
    t = np.concatenate([true.ravel() for true, _ in images])
    p = np.concatenate([predicted.ravel() for _, predicted in images])
    rmse = found["rmse"]
    assert rmse.value == rmse.per_image == pytest.approx(np.mean(by_image), rel=1e-9)
    assert rmse.pooled == pytest.approx(np.sqrt(np.mean((p - t) ** 2)), rel=1e-9)
    assert rmse.median == pytest.approx(np.median(by_image), rel=1e-9)
    assert rmse.pooled != pytest.approx(rmse.per_image, rel=1e-3)
    e = np.log(p) - np.log(t)
    assert found["silog"].pooled == pytest.approx(100 * e.std(), rel=1e-9)
    assert (rmse.images, rmse.pixels) == (10, t.size)


def test_the_benchmark_says_which_is_quoted() -> None:
    found = summaries(POOLED, 10)["rmse"]
    assert found.value == found.pooled != found.per_image


@pytest.mark.parametrize("benchmark", [PLAIN, POOLED])
def test_intervals_are_those_of_leaving_out_one_image_after_the_other(
    benchmark: Benchmark,
) -> None:
    found = summaries(benchmark, 12)["rmse"]
    images = [tuple(each.astype(np.float64) for each in image(number)) for number in range(12)]

    def rmse(numbers: list[int]) -> float:
        squares = [((p - t) ** 2).ravel() for t, p in (images[number] for number in numbers)]
        if benchmark is POOLED:
            return float(np.sqrt(np.concatenate(squares).mean()))
        return float(np.mean([np.sqrt(each.mean()) for each in squares]))

    everyone = list(range(12))
    without = np.array([rmse([each for each in everyone if each != out]) for out in everyone])
    error = np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
    factor = np.exp(scipy.stats.t.ppf(0.975, 11) * error / rmse(everyone))
    assert found.value == pytest.approx(rmse(everyone), rel=1e-9)
    assert found.low == pytest.approx(found.value / factor, rel=1e-4)
    assert found.high == pytest.approx(found.value * factor, rel=1e-4)


def test_frames_of_one_scene_have_no_interval() -> None:
    tallied = ScoreAccumulator(benchmark=PLAIN)
    for number in range(8):
        each = scored(PLAIN, number)
        tallied.add(replace(each, score=replace(each.score, scene="kitchen/seq-01")))
    assert {(each.low, each.high) for each in tallied.summaries({})} == {(None, None)}


def test_the_same_scores_have_the_same_interval() -> None:
    assert summaries(PLAIN, 8) == summaries(PLAIN, 8)


def test_one_image_has_no_interval() -> None:
    found = summaries(PLAIN, 1)["abs_rel"]
    assert (found.low, found.high) == (None, None)
    assert found.value == found.per_image == found.median == pytest.approx(found.pooled)


def test_equal_images_have_an_interval_of_no_width() -> None:
    tallied = ScoreAccumulator(benchmark=PLAIN)
    for _ in range(5):
        tallied.add(scored(PLAIN, 3))
    found = tallied.summaries({})[0]
    assert (found.low, found.high) == (pytest.approx(found.value), pytest.approx(found.value))


def test_an_error_of_zero_keeps_the_interval_above_zero() -> None:
    """One perfect image of four: the line through zero would reach below it."""
    tallied = ScoreAccumulator(benchmark=PLAIN)
    for number in range(4):
        true, predicted = image(number)
        truth = Truth(id=f"{number}", depth=true, depth_valid=true > 0)
        depth = DepthMap(values=predicted if number else true, kind=DepthKind.METRIC)
        tallied.add(score(PLAIN, stored(depth=depth), truth))
    summary = {item.metric: item for item in tallied.summaries({})}["abs_rel"]
    assert min(item.values["abs_rel"] for item in tallied.scores) == 0
    assert summary.low is not None
    assert 0 < summary.low < summary.value


def test_images_without_files_are_passed_over_only_by_a_limit(tmp_path: Path) -> None:
    write_tiny(tmp_path, 4)
    (tmp_path / "depth" / "room0" / "002.npy").unlink()
    tallied = ScoreAccumulator(benchmark=PLAIN)
    texts = {
        limit: " ".join(
            map(
                str,
                evaluation_remarks(
                    select_images(PLAIN, tmp_path, EvaluateOptions(dataset=TINY, limit=limit)),
                    tallied,
                ),
            )
        )
        for limit in (None, 2)
    }
    assert "does not count 1 image of the split without files on disk" in texts[2]
    assert "without files on disk" not in texts[None]


def test_what_is_known_exactly_replaces_what_sums_tell() -> None:
    tallied = ScoreAccumulator(benchmark=POOLED)
    for number in range(3):
        tallied.add(scored(POOLED, number))
    found = {each.metric: each for each in tallied.summaries({"rmse": 0.25})}
    assert found["rmse"].value == found["rmse"].pooled == 0.25
    assert found["abs_rel"].value != 0.25


@pytest.mark.parametrize(
    ("scenes", "said"),
    [
        (["seq-01"] * 12, "frames of 1 scene (seq-01)"),
        (["b"] * 5 + ["a"] * 5, "frames of 2 scenes (a and b)"),
        (["a", "b", "c"] * 4, None),
        ([None] * 12, None),
        (["a", None, None], None),
        (["a", "a"], None),
    ],
)
def test_frames_of_one_clip_claim_no_interval(scenes: list[str | None], said: str | None) -> None:
    line = scene_remark(scenes)
    if said is None:
        assert line is None
        return
    assert line is not None
    assert said in line
    assert "no confidence interval" in line


def test_images_without_a_score_are_one_remark_with_the_commonest_reasons_first() -> None:
    lost = [Unscored(id=name, reason=f"{name}.png is missing") for name in ("ann", "bob", "eve")]
    lost += [Unscored(id="f1", reason="no pixel of 10 is known")]
    lost += [Unscored(id="f2", reason="no pixel of 2,000 is known")]
    lost += [Unscored(id=name, reason=f"fault {name}") for name in ("x", "y", "z")]
    lost += [Unscored(id="w", reason="cut short"), Unscored(id="v", reason="of another size")]
    remark = unscored_remark(lost, 40)
    assert remark == (
        "10 of 40 images have no score: ann.png is missing (ann and 2 more); fault x (x and 2 "
        "more); no pixel of 10 is known (f1 and 1 more); 2 for other reasons, which the results "
        "list"
    )
    assert unscored_remark([], 40) is None


@pytest.mark.parametrize(
    ("requested", "beginning"), [(1, "1 of 1 image has"), (2, "1 of 2 images has")]
)
def test_an_image_that_is_alone_without_a_score_is_no_plural(
    requested: int, beginning: str
) -> None:
    remark = unscored_remark([Unscored(id="a", reason="cut short")], requested)
    assert remark == f"{beginning} no score: cut short (a)"


@pytest.mark.parametrize(
    ("listed", "limit", "remark"),
    [
        (6, None, None),
        (6, 6, None),
        (6, 4, "the whole split has 6 images, of which limit leaves 4"),
        (3, None, "the whole split has 6 images, but rilievo found 3"),
        (3, 2, "the whole split has 6 images, but rilievo found 3, of which limit leaves 2"),
    ],
)
@pytest.mark.parametrize("list_name", [None, "mine.txt"])
def test_a_part_of_a_split_is_said_with_its_reason(
    tmp_path: Path, listed: int, limit: int | None, remark: str | None, list_name: str | None
) -> None:
    write_tiny(tmp_path, listed)
    selection = select_images(PLAIN, tmp_path, EvaluateOptions(dataset=TINY, limit=limit))
    if list_name is not None:
        # The list may name the whole split.
        request = replace(selection.dataset.request, list_file=tmp_path / list_name)
        selection.dataset.request = request
        remark = remark and remark.replace("rilievo found", f"{list_name} lists")
    assert selection.scored_data.official == 6
    accumulator = ScoreAccumulator(benchmark=PLAIN)
    found = [str(text) for text in evaluation_remarks(selection, accumulator)]
    assert [text for text in found if "whole split" in text] == ([] if remark is None else [remark])


def test_a_deviation_of_the_download_is_a_remark(tmp_path: Path) -> None:
    write_tiny(tmp_path, 6)
    selection = select_images(PLAIN, tmp_path, EvaluateOptions(dataset=TINY))
    selection.dataset.deviations = ("the depth is coarse",)
    accumulator = ScoreAccumulator(benchmark=PLAIN)
    assert "the depth is coarse" in list(evaluation_remarks(selection, accumulator))
