"""Images that have no score, or one that deserves a look, and why."""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.alignment.subsample import subsample_by_grid
from rilievo.errors import CalibrationError, InputError, NoGroundTruthError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.scoring.comparable_depth import CONSTANT_PREDICTION
from rilievo.evaluation.scoring.regions import depth_mask
from rilievo.evaluation.scoring.score import score
from rilievo.io.depth.plausibility import TOO_FAR, TOO_NEAR
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.scenes_to_score import depth_of, guess, scene, scored
from support.stored_answers import stored

REASONS = {
    "another size": (np.ones((480, 500), np.float32), "neither size is a whole multiple"),
    "another crop": (np.ones((480, 480), np.float32), "crop='nyu_square'"),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_prediction_of_another_part_of_the_scene_is_refused(case: str) -> None:
    values, words = REASONS[case]
    predicted = DepthMap(values=values, kind=DepthKind.METRIC)
    with pytest.raises(InputError, match=words):
        scored("nyuv2-eigen", predicted, scene())


@pytest.mark.parametrize(
    ("benchmark", "kind"),
    [
        ("marigold-nyuv2", DepthKind.AFFINE),
        ("marigold-nyuv2", DepthKind.AFFINE_INVERSE),
        ("moge-affine", DepthKind.AFFINE),
        ("moge-disparity", DepthKind.AFFINE_INVERSE),
    ],
)
def test_a_constant_prediction_is_scored_as_the_best_constant(
    benchmark: str, kind: DepthKind
) -> None:
    """Least squares of the smallest norm, as ``numpy.linalg.lstsq`` in the programs of others."""
    truth = scene(far=9.0)
    flat = DepthMap(values=np.full((480, 640), 3.0, np.float32), kind=kind)
    found = scored(benchmark, flat, truth).score
    chosen = BENCHMARKS[benchmark]
    mask = depth_mask(chosen, truth)
    t = depth_of(truth)[mask].astype(np.float64)
    if benchmark == "moge-affine":
        near = subsample_by_grid(mask)
        sample = np.repeat(depth_of(truth).flat[near.indices].astype(np.float64), near.counts)
        # The least sum of |b - t| / t over candidates: an optimum is at one of the true values.
        sums = [np.sum(np.abs(b - sample) / sample) for b in sample]
        expected = sample[int(np.argmin(sums))]
    else:
        y = t if kind is DepthKind.AFFINE else 1 / t
        scale, shift = np.linalg.lstsq(np.stack([np.full(t.size, 3.0), np.ones(t.size)], 1), y)[0]
        expected = 3.0 * scale + shift if kind is DepthKind.AFFINE else 1 / (3.0 * scale + shift)
    assert found.values["abs_rel"] == pytest.approx(np.mean(np.abs(expected - t) / t), rel=1e-5)
    assert "the prediction is constant (3) over all scored pixels" in found.notes
    assert CONSTANT_PREDICTION in found.notes


def test_a_constant_prediction_in_metres_is_scored_as_it_is() -> None:
    metric = DepthMap(values=np.full((480, 640), 3.0, np.float32), kind=DepthKind.METRIC)
    notes = scored("nyuv2-eigen", metric, scene()).score.notes
    assert "the prediction is constant (3) over all scored pixels" in notes
    assert CONSTANT_PREDICTION not in notes


def test_what_takes_near_for_far_has_no_score_nor_a_single_pixel() -> None:
    truth = scene(far=9.0)
    turned = DepthMap(values=depth_of(truth) + np.float32(0.1), kind=DepthKind.AFFINE_INVERSE)
    with pytest.raises(CalibrationError, match="swaps near and far"):
        scored("marigold-nyuv2", turned, truth)
    valid = np.zeros((480, 640), bool)
    valid[200, 200] = True
    one = DepthMap(values=np.full((480, 640), 3.0, np.float32), kind=DepthKind.AFFINE, valid=valid)
    with pytest.raises(CalibrationError, match="one pixel"):
        scored("marigold-nyuv2", one, Truth(id="a", depth=depth_of(truth) + 1, depth_valid=valid))


def test_pixels_without_a_prediction_are_counted_and_said() -> None:
    truth = scene(far=9.0)
    predicted = guess(truth, DepthKind.METRIC)
    valid = np.ones((480, 640), bool)
    valid[200:210, 100:110] = False
    holed = DepthMap(values=predicted.values, kind=DepthKind.METRIC, valid=valid)
    whole, less = (scored("nyuv2-eigen", each, truth).score for each in (predicted, holed))
    missing = whole.pixels - less.pixels
    assert missing == int((depth_of(truth)[200:210, 100:110] > 0).sum())
    assert any(f"not score {missing} pixels with ground truth" in note for note in less.notes)
    nothing = DepthMap(values=predicted.values, kind=DepthKind.METRIC, valid=valid & ~valid)
    with pytest.raises(InputError, match="no value at any of"):
        scored("nyuv2-eigen", nothing, truth)


def test_millimetres_are_noticed_with_a_cap_and_without() -> None:
    truth = scene(far=9.0)
    thousand = Truth(id="a", depth=depth_of(truth) * 1000, depth_valid=truth.depth_valid)
    predicted = guess(truth, DepthKind.UP_TO_SCALE)
    with pytest.raises(NoGroundTruthError, match="its unit seems to be millimetres"):
        scored("nyuv2-eigen", predicted, thousand)
    assert TOO_FAR in scored("depth", predicted, thousand).score.notes
    assert not {TOO_FAR, TOO_NEAR} & {*scored("depth", predicted, truth).score.notes}


def test_an_image_without_truth_says_why() -> None:
    predicted = DepthMap(values=np.ones((480, 640), np.float32), kind=DepthKind.METRIC)
    empty = Truth(
        id="a", depth=np.zeros((480, 640), np.float32), depth_valid=np.zeros((480, 640), bool)
    )
    with pytest.raises(NoGroundTruthError, match="no pixel has ground-truth depth"):
        scored("nyuv2-eigen", predicted, empty)
    only_rim = np.zeros((480, 640), bool)
    only_rim[:40] = True
    rim = Truth(id="a", depth=np.full((480, 640), 2.0, np.float32), depth_valid=only_rim)
    with pytest.raises(NoGroundTruthError, match=r"none of the 25600 pixels .*median 2 m"):
        scored("nyuv2-eigen", predicted, rim)
    without_cap = replace(BENCHMARKS["nyuv2-eigen"], max_depth=None)
    with pytest.raises(NoGroundTruthError, match=r"leaves out 25,600 by crop \(nyu_eigen\)"):
        score(without_cap, stored(depth=predicted), rim)


def test_a_kind_that_the_benchmark_does_not_take_is_refused() -> None:
    truth = scene((375, 1242))
    with pytest.raises(
        OptionError, match=r"scores depth of kind 'metric' or 'up_to_scale', not 'aff"
    ):
        scored("kitti-eigen", guess(truth, DepthKind.AFFINE_INVERSE), truth)
    with pytest.raises(
        OptionError, match="contain inverse depth without a shift, set kind='disparity'"
    ):
        scored("kitti-eigen", guess(truth, DepthKind.AFFINE_INVERSE), truth)
    with pytest.raises(OptionError) as caught:
        scored("kitti-eigen", guess(truth, DepthKind.AFFINE), truth)
    assert "disparity" not in str(caught.value)


def test_what_is_not_predicted_is_said() -> None:
    with pytest.raises(InputError, match="the prediction has no depth"):
        score(BENCHMARKS["depth"], stored(), scene())
    with pytest.raises(InputError, match="the prediction has no normals"):
        score(BENCHMARKS["normals"], stored(), scene())
