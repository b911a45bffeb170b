"""Protocols that differ by a mask, a cap or a crop, against the programs' descriptions."""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.scenes_to_score import depth_of, guess, scene, scored


def errors(p: np.ndarray, t: np.ndarray) -> dict[str, float]:
    gap = p - t
    return {
        "abs_rel": float(np.mean(np.abs(gap) / t)),
        "sq_rel": float(np.mean(gap**2 / t)),
        "rmse": float(np.sqrt(np.mean(gap**2))),
    }


def check(found: dict[str, float], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name


def test_depth_anything_v2s_loop_has_no_crop_no_clip_and_both_ends() -> None:
    truth = scene((375, 1242), far=110.0)
    depth = depth_of(truth).copy()
    depth[0, :50], depth[1, :50] = 80.0, np.nextafter(np.float32(80.00001), np.float32(81))
    depth[2, :50], depth[3, :50] = 0.001, np.nextafter(np.float32(0.001), np.float32(0))
    truth = Truth(id="a", depth=depth, depth_valid=depth > 0)
    small = np.random.default_rng(0).uniform(1, 120, (38, 126)).astype(np.float32)
    found = scored(
        "kitti-dav2", DepthMap(values=small, kind=DepthKind.METRIC), truth, crop="resized"
    ).score
    # Bilinear with the corners on the corners, one axis after the other.
    rows, columns = np.linspace(0, 37, 375), np.linspace(0, 125, 1242)
    wide = np.stack([np.interp(columns, np.arange(126), row) for row in small.astype(np.float64)])
    p = np.stack([np.interp(rows, np.arange(38), column) for column in wide.T], axis=1)
    mask = (depth >= np.float32(0.001)) & (depth <= 80)
    assert mask[[0, 2], :50].all()
    assert not mask[[1, 3], :50].any()
    assert found.pixels == mask.sum()
    check(dict(found.values), errors(p[mask], depth[mask].astype(np.float64)))


def test_monodepth2s_improved_truth_counts_everything() -> None:
    truth = scene((375, 1242), far=120.0)
    predicted = guess(truth, DepthKind.UP_TO_SCALE)
    found = scored("kitti-monodepth2-improved", predicted, truth).score
    mask = depth_of(truth) > 0
    t, p = depth_of(truth)[mask].astype(np.float64), predicted.values[mask].astype(np.float64)
    p = np.clip(p * np.median(t) / np.median(p), 1e-3, 80)
    assert found.pixels == mask.sum()
    assert t.max() > 100
    check(dict(found.values), errors(p, t))
    [mono] = [
        row
        for row in BENCHMARKS["kitti-monodepth2-improved"].published
        if row.model == "Monodepth2 M 640x192"
    ]
    assert [mono.values[name] for name in ("abs_rel", "sq_rel", "rmse")] == [0.090, 0.545, 3.942]


def test_marigolds_diode_counts_what_the_files_mask_says() -> None:
    truth = scene((768, 1024), far=20.0)
    depth = depth_of(truth).copy()
    depth[:60, :130], depth[700:, :100] = 0.45, 355.0
    truth = Truth(id="a", depth=depth, depth_valid=depth > 0)
    predicted = guess(truth, DepthKind.AFFINE)
    found = scored("marigold-diode", predicted, truth).score
    mask = depth > 0
    t, x = depth[mask].astype(np.float64), predicted.values[mask].astype(np.float64)
    p = np.clip(np.polyval(np.polyfit(x, t, 1), x), 0.6, 350)
    assert found.pixels == mask.sum()
    check(dict(found.values), errors(p, t))


def test_sunrgbd_scores_what_lies_beyond_8_m_as_8_m() -> None:
    truth = scene((530, 730), far=7.5)
    depth = depth_of(truth).copy()
    depth[:53], depth[53:80] = 8.6, 11.0
    truth = Truth(id="a", depth=depth, depth_valid=depth > 0)
    predicted = guess(truth, DepthKind.METRIC)
    found = scored("sunrgbd", predicted, truth)
    mask = depth > 1e-3
    t = np.minimum(depth[mask].astype(np.float64), 8)
    assert found.score.pixels == mask.sum()
    check(dict(found.score.values), errors(predicted.values[mask].astype(np.float64), t))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kitti-eigen-improved", ("ZoeDepth", "kitti-dav2")),
        ("kitti-dav2", ("metric_depth/train.py", "not clipped")),
        ("marigold-diode", ("own masks decide",)),
        ("sunrgbd", ("first clipped to 8 m",)),
        ("moge-affine", ("utils3d", "3fab839")),
        ("moge-scale", ("utils3d", "3fab839")),
        ("probe3d-nyuv2-normals", ("bicubically",)),
        ("probe3d-navi-normals", ("bicubically",)),
    ],
)
def test_cards_say_whose_program_it_is(name: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert word in find_benchmark(name).reproduces


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
@pytest.mark.parametrize("size", [(61, 90), (45, 37), (20, 31)])
def test_marigolds_eth3d_fits_on_what_its_program_gives_pytorch(
    kind: DepthKind, size: tuple[int, int]
) -> None:
    """A map of (1, height, width) is a row of channels to Upsample, whose width alone shrinks; here
    by the factor that brings the longest side to 32.
    """
    torch = pytest.importorskip("torch")
    truth = scene(size, far=30.0)
    predicted = guess(truth, kind)
    benchmark = replace(BENCHMARKS["marigold-eth3d"], fit_side=32)
    found = scored(benchmark, predicted, truth).score
    mask = depth_of(truth) > 1e-5
    t, x = depth_of(truth).astype(np.float64), predicted.values.astype(np.float64)
    factor = min(32 / np.array(size))
    small = [t, x, mask.astype(np.float64)]
    if factor < 1:
        shrink = torch.nn.Upsample(scale_factor=float(factor), mode="nearest")
        small = [shrink(torch.as_tensor(each)[None]).numpy()[0] for each in small]
        assert small[0].shape[0] == size[0]
    t_small, x_small, inside = small[0], small[1], small[2] > 0
    if kind is DepthKind.AFFINE:
        line = np.polyfit(x_small[inside], t_small[inside], 1)
        p = np.maximum(np.polyval(line, x), 1e-5)
    else:
        inside &= x_small > 0
        line = np.polyfit(x_small[inside], 1 / t_small[inside], 1)
        p = 1 / np.maximum(np.polyval(line, x), 1e-3)
    assert found.pixels == mask.sum()
    check(dict(found.values), errors(p[mask], t[mask]))
