"""Scores of single images, against computations written anew from the protocols' descriptions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from rilievo.alignment.ground_truth import AlignMethod
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Interpolation
from rilievo.evaluation.scoring.depth_ranges import range_errors, range_sums
from rilievo.evaluation.scoring.score import score
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.scenes_to_score import depth_of, guess, scene, scored
from support.stored_answers import stored


def test_nyuv2_eigen_is_the_published_recipe() -> None:
    truth = scene()
    predicted = guess(truth, DepthKind.METRIC)
    found = scored("nyuv2-eigen", predicted, truth).score
    # Rows 45:471, columns 41:601, strictly between 1 mm and 10 m, prediction clipped.
    true = depth_of(truth)[45:471, 41:601].astype(np.float64)
    mine = predicted.values[45:471, 41:601].astype(np.float64)
    inside = (true > 1e-3) & (true < 10)
    t, p = true[inside], np.clip(mine[inside], 1e-3, 10)
    assert found.pixels == inside.sum()
    assert found.values["abs_rel"] == pytest.approx(np.mean(np.abs(p - t) / t), rel=1e-6)
    assert found.values["rmse"] == pytest.approx(np.sqrt(np.mean((p - t) ** 2)), rel=1e-6)
    assert found.values["delta1"] == pytest.approx(np.mean(np.maximum(p / t, t / p) < 1.25))
    assert found.scale is None
    assert "clipped to the range from 0.001 to 10 m" in found.notes[0]
    assert found.true_share == pytest.approx(0.8, abs=0.01)


def test_kitti_eigen_scales_by_medians_inside_crop_and_cap() -> None:
    truth = scene((375, 1242), far=120.0)
    predicted = guess(truth, DepthKind.UP_TO_SCALE)
    found = scored("kitti-eigen", predicted, truth).score
    mask = np.zeros((375, 1242), bool)
    mask[153:371, 44:1197] = True
    mask &= (depth_of(truth) > 1e-3) & (depth_of(truth) < 80)
    t = depth_of(truth)[mask].astype(np.float64)
    p = predicted.values[mask].astype(np.float64)
    ratio = np.median(t) / np.median(p)
    p = np.clip(p * ratio, 1e-3, 80)
    assert found.scale == pytest.approx(ratio, rel=1e-6)
    assert found.values["abs_rel"] == pytest.approx(np.mean(np.abs(t - p) / t), rel=1e-6)
    assert found.values["sq_rel"] == pytest.approx(np.mean((t - p) ** 2 / t), rel=1e-6)
    assert found.values["rmse_log"] == pytest.approx(
        np.sqrt(np.mean((np.log(t) - np.log(p)) ** 2)), rel=1e-6
    )


def test_inverse_depth_below_zero_is_fitted_where_the_benchmark_does_not_refuse_it() -> None:
    truth = scene()
    true = np.maximum(depth_of(truth), 0.5)
    below = DepthMap(values=1 / true - 10, kind=DepthKind.AFFINE_INVERSE)
    score = scored("nyuv2-eigen", below, truth).score
    assert score.values["abs_rel"] < 1e-4


@pytest.mark.parametrize("size", [(192, 640), (96, 320), (320, 1024)])
def test_kitti_as_zoedepth_scores_it_resizes_corners_on_corners(size: tuple[int, int]) -> None:
    """``compute_metrics`` of ZoeDepth, written anew: bilinear, ``align_corners=True``."""
    truth = scene((375, 1242), far=120.0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    # A street: ground, poles before it, a wall at its end.
    values = np.minimum(60.0, 400 / (rows / size[0] * 40 + 4)).astype(np.float32)
    values[:, (columns[0] * 9 // size[1]) % 2 == 1] = 4.0
    predicted = DepthMap(values=values, kind=DepthKind.METRIC)
    found = scored("kitti-eigen-improved", predicted, truth, crop="resized").score
    [[large]] = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], (375, 1242), mode="bilinear", align_corners=True
    ).numpy()
    true = depth_of(truth)
    mask = np.zeros((375, 1242), bool)
    mask[153:371, 44:1197] = True
    mask &= (true > 1e-3) & (true < 80)
    t, p = true[mask].astype(np.float64), np.clip(large, 1e-3, 80)[mask].astype(np.float64)
    assert found.values["abs_rel"] == pytest.approx(np.mean(np.abs(p - t) / t), rel=1e-5)
    assert found.values["sq_rel"] == pytest.approx(np.mean((p - t) ** 2 / t), rel=1e-5)
    assert BENCHMARKS["kitti-eigen-improved"].version == 2


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
def test_marigold_fits_scale_and_shift_where_the_kind_is_affine(kind: DepthKind) -> None:
    truth = scene()
    predicted = guess(truth, kind)
    found = scored("marigold-nyuv2", predicted, truth).score
    mask = np.zeros((480, 640), bool)
    mask[45:471, 41:601] = True
    mask &= (depth_of(truth) > 1e-3) & (depth_of(truth) < 10)
    t = depth_of(truth)[mask].astype(np.float64)
    x = predicted.values[mask].astype(np.float64)
    y = t if kind is DepthKind.AFFINE else 1 / t
    (scale, shift), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
    p = scale * x + shift
    if kind is DepthKind.AFFINE_INVERSE:
        p = 1 / np.maximum(p, 1e-3)
    p = np.clip(p, 1e-3, 10)
    assert (found.scale, found.shift) == pytest.approx((scale, shift), rel=1e-6)
    assert found.values["abs_rel"] == pytest.approx(np.mean(np.abs(t - p) / t), rel=1e-6)


def test_marigold_fits_inverse_depth_where_it_is_predicted_above_zero() -> None:
    truth = scene()
    predicted = guess(truth, DepthKind.AFFINE_INVERSE)
    values = np.maximum(predicted.values - 9, 0)
    found = scored("marigold-diode", DepthMap(values=values, kind=predicted.kind), truth).score
    t = depth_of(truth).astype(np.float64)
    counts = t > 0
    fitted = counts & (values > 0)
    assert 0.2 < fitted.sum() / counts.sum() < 0.8
    line = np.polyfit(values[fitted].astype(np.float64), 1 / t[fitted], 1)
    p = np.clip(1 / np.maximum(np.polyval(line, values[counts]), 1e-3), 0.6, 350)
    assert found.pixels == counts.sum()
    assert (found.scale, found.shift) == pytest.approx(tuple(line), rel=1e-6)
    assert found.values["abs_rel"] == pytest.approx(
        np.mean(np.abs(t[counts] - p) / t[counts]), rel=1e-6
    )
    with pytest.raises(InputError, match=r"not above zero at any of the .* scored pixels"):
        scored("marigold-diode", DepthMap(values=-1 - values, kind=predicted.kind), truth)


def test_probe3d_counts_ten_metres_and_resizes_corners_on_corners() -> None:
    true = np.full((480, 640), 10.0, np.float32)
    true[:240] = np.nextafter(np.float32(10), np.float32(11))
    truth = Truth(id="a", depth=true, depth_valid=true > 0)
    small = np.array([[4.0, 16.0], [4.0, 16.0]], np.float32)
    found = scored("probe3d-nyuv2", DepthMap(values=small, kind=DepthKind.METRIC), truth).score
    assert found.pixels == 240 * 480
    row = 4 + 12 * np.arange(480) / 479
    assert found.values["rmse"] == pytest.approx(np.sqrt(np.mean((row - 10) ** 2)), rel=1e-6)


def test_moge_keeps_inverse_depth_above_that_of_the_farthest_truth() -> None:
    truth = scene(far=40.0)
    predicted = guess(truth, DepthKind.AFFINE_INVERSE)
    found = scored("moge-disparity", predicted, truth).score
    valid = depth_of(truth) > 0
    t = depth_of(truth)[valid].astype(np.float64)
    x = predicted.values[valid].astype(np.float64)
    line = np.polyfit(x, 1 / t, 1)
    p = 1 / np.maximum(np.polyval(line, x), 1 / t.max())
    assert found.pixels == valid.sum()
    assert found.values["abs_rel"] == pytest.approx(np.mean(np.abs(t - p) / t), rel=1e-5)


def test_probe3d_si_keeps_tiny_depths_and_scores_the_middle_square() -> None:
    truth = scene()
    square = Truth(
        id="a",
        depth=depth_of(truth)[:, 80:560],
        depth_valid=depth_of(truth)[:, 80:560] > 0,
    )
    values = guess(square, DepthKind.AFFINE).values.copy()
    values[200:203, 200:203] = -1.5
    predicted = DepthMap(values=values, kind=DepthKind.AFFINE)
    found = scored("probe3d-nyuv2-si", predicted, truth).score
    t = depth_of(square).astype(np.float64)
    inside = (t > 0) & (t < 10)
    x = predicted.values[inside].astype(np.float64)
    p = np.polyval(np.polyfit(x, t[inside], 1), x)
    assert p.min() < 0
    p = np.maximum(p, 1e-9)
    share = np.mean(np.maximum(t[inside] / p, p / t[inside]) < 1.25)
    assert found.values["delta1"] == pytest.approx(share, abs=1e-6)
    assert found.values["rmse"] == pytest.approx(np.sqrt(np.mean((p - t[inside]) ** 2)), rel=1e-6)
    assert set(found.values) == {"delta1", "delta2", "delta3", "rmse"}


def article_pictures(output: np.ndarray, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tutorial's processing of MiDaS' output and of the 16-bit file."""
    true = (stored.astype(np.int64) * 255 / stored.max()).astype("uint8")
    return (255 - output * 255 / np.max(output)).astype("uint8"), true


def test_the_articles_numbers_are_scikit_images_of_its_pictures() -> None:
    chance = np.random.default_rng(3)
    stored = chance.integers(500, 8000, (60, 80)).astype(np.uint16)
    stored[chance.random(stored.shape) < 0.1] = 0
    output = chance.uniform(0, 2000, stored.shape).astype(np.float32)
    depth = (stored / 1000).astype(np.float32)
    truth = Truth(id="a", depth=depth, depth_valid=stored > 0)
    predicted = DepthMap(values=output, kind=DepthKind.AFFINE_INVERSE)
    found = scored("sunrgbd-article", predicted, truth).score
    mine, true = article_pictures(output, stored)
    expected = {
        "rmse": np.sqrt(mean_squared_error(true, mine)),
        "psnr": peak_signal_noise_ratio(true, mine),
        "ssim": structural_similarity(true, mine),
    }
    assert found.values == pytest.approx(expected, rel=1e-9)
    assert found.pixels == 60 * 80


def test_the_articles_picture_of_depth_itself_is_not_turned() -> None:
    truth = scene((60, 80))
    depth = DepthMap(values=np.maximum(depth_of(truth), 0.1), kind=DepthKind.UP_TO_SCALE)
    inverse = DepthMap(values=-depth.values + 13, kind=DepthKind.AFFINE_INVERSE)
    right = scored("sunrgbd-article", depth, truth).score.values["rmse"]
    turned = scored("sunrgbd-article", inverse, truth).score.values["rmse"]
    assert right < turned < 100


def test_rounding_keeps_four_decimals_of_degrees_and_of_percent() -> None:
    chance = np.random.default_rng(0)
    normals = chance.normal(0, 0.4, (3, 480, 640)) - np.array([0.0, 0, 1])[:, None, None]
    true = np.zeros((3, 480, 640), np.float32)
    true[2] = -1
    truth = Truth(id="a", normals=true, normals_valid=np.ones((480, 640), bool))
    benchmark = BENCHMARKS["marigold-nyuv2-normals"]
    answer = stored(normals=normals.astype(np.float32))
    values = score(benchmark, answer, truth).score.values
    plain = score(replace(benchmark, rounding=None), answer, truth).score.values
    unit = normals.astype(np.float32) / np.linalg.norm(normals.astype(np.float32), axis=0)
    angles = np.degrees(np.arccos(np.clip(-unit[2].astype(np.float64), -1, 1)))
    assert plain["mean"] == pytest.approx(angles.mean(), abs=1e-4)
    assert values["mean"] == round(plain["mean"], 4)
    assert values["within_30"] == round(100 * np.mean(angles < 30), 4) / 100
    assert plain["mean"] != values["mean"]


def test_a_small_prediction_is_brought_to_the_truths_size() -> None:
    truth = scene((96, 128), far=5.0)
    small = DepthMap(
        values=np.full((24, 32), 2.0, np.float32) + np.eye(24, 32, dtype=np.float32),
        kind=DepthKind.METRIC,
    )
    benchmark = BENCHMARKS["depth"]
    by_way = {
        way: scored(replace(benchmark, interpolation=way), small, truth).score.values["rmse"]
        for way in Interpolation
    }
    assert len(set(by_way.values())) == len(Interpolation)


def test_every_benchmark_of_depth_scores_perfect_depth_perfectly() -> None:
    for benchmark in BENCHMARKS.values():
        if benchmark.task != "depth" or "delta1" not in benchmark.metrics:
            continue
        kitti = "kitti" in benchmark.name
        truth = scene((375, 1242) if kitti else (480, 640), far=7.9)
        truth = replace(truth, depth_valid=np.ones(depth_of(truth).shape, bool))
        truth = replace(truth, depth=np.maximum(depth_of(truth), np.float32(0.7)))
        values = depth_of(truth)
        if benchmark.input_crop == "kitti_benchmark":
            values = values[23:, 13:1229]
        elif benchmark.input_crop == "nyu_square":
            values = values[:, 80:560]
        predicted = DepthMap(values=values, kind=DepthKind.METRIC)
        sure = np.ones(values.shape, np.float32)
        answer = stored(depth=predicted, confidence=sure)
        found = score(benchmark, answer, truth).score.values
        assert found["delta1"] == 1, benchmark.name
        errors = {"abs_rel", "rmse"} & set(benchmark.metrics)
        assert errors, benchmark.name
        assert [found[name] for name in errors] == pytest.approx([0] * len(errors), abs=1e-5)


def test_errors_by_range_are_those_of_the_pixels_in_it() -> None:
    chance = np.random.default_rng(0)
    true = chance.uniform(0.3, 50, 4000)
    relative = chance.normal(0, 0.2, 4000)
    ranges = range_errors(range_sums(true, relative))
    assert sum(each.pixels for each in ranges) == 4000
    for each in ranges:
        inside = (true >= each.near) & (true < each.far)
        assert each.pixels == inside.sum()
        assert each.abs_rel == pytest.approx(np.abs(relative[inside]).mean())
        assert each.bias == pytest.approx(relative[inside].mean())
        assert each.far == pytest.approx(each.near * np.sqrt(2))


def test_depths_beyond_all_ranges_count_in_the_last_ones() -> None:
    ranges = range_errors(range_sums(np.array([1e-4, 5000.0]), np.array([0.1, -0.1])))
    assert [each.pixels for each in ranges] == [1, 1]


def test_the_alignment_can_be_exchanged() -> None:
    truth = scene(far=9.0)
    predicted = guess(truth, DepthKind.UP_TO_SCALE)
    other = replace(BENCHMARKS["depth"], alignment={DepthKind.UP_TO_SCALE: AlignMethod.LOG})
    assert (
        scored(other, predicted, truth).score.values
        != scored("depth", predicted, truth).score.values
    )
