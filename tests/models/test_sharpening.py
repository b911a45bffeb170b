"""Laws of sharpening: constants, steps, planes, scale, kinds, what is not valid, and the rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32, UInt8
from PIL import Image
from skimage import data

import rilievo
from rilievo.models.base import Inference
from rilievo.models.processing.refined import refined
from rilievo.models.processing.refinement import Tiled
from rilievo.models.processing.sharpening import Sharpened, sharpen
from rilievo.models.resampling.resizing import resize
from rilievo.options.on_off import Switch
from rilievo.options.refine import Refine
from rilievo.predicting.options import PredictOptions
from rilievo.types import DepthKind, Photo

SIZE = (240, 320)
COARSE = (120, 160)
EDGE = 150
"""Column at which the photograph changes colour."""


def photograph(seed: int = 0) -> UInt8[np.ndarray, "h w 3"]:
    """Red to the left of ``EDGE``, green to the right, with noise."""
    pixels = np.random.default_rng(seed).normal(0, 6, (*SIZE, 3))
    pixels += np.where(np.arange(SIZE[1])[:, None] < EDGE, [180, 70, 60], [60, 130, 70])
    return np.clip(pixels, 0, 255).astype(np.uint8)


def ramp(near: float = 2.0, far: float = 3.0, *, middle: float = EDGE / 2) -> np.ndarray:
    """Coarse depth that rises over eight pixels around a column."""
    share = np.clip((np.arange(COARSE[1]) + 0.5 - middle) / 8 + 0.5, 0, 1)
    return np.tile(near * (far / near) ** share, (COARSE[0], 1)).astype(np.float32)


def depth_of(
    inference: Inference, kind: DepthKind = DepthKind.METRIC, pixels: np.ndarray | None = None
) -> Float32[np.ndarray, "h w"]:
    answer = sharpen(inference, photograph() if pixels is None else pixels, kind)
    assert answer.depth is not None
    return answer.depth


def test_a_ramp_becomes_a_step_at_the_photographs_edge() -> None:
    depth = depth_of(Inference(depth=ramp(middle=EDGE / 2 + 1.5)))
    assert depth.shape == SIZE
    inner = depth[10:-10]
    assert (np.abs(inner[:, : EDGE - 1] - 2) < 0.03).mean() > 0.99
    assert (np.abs(inner[:, EDGE + 1 :] - 3) < 0.08).mean() > 0.99


def test_a_larger_photograph_has_the_step_too_and_no_depth_between() -> None:
    """The step is sharp also beyond the pixels that are decided one by one."""
    large = np.repeat(np.repeat(photograph(), 4, axis=0), 4, axis=1)
    depth = depth_of(Inference(depth=ramp()), pixels=large)
    assert depth.shape == large.shape[:2]
    inner = depth[40:-40, 8:-8]
    between = (inner > 2.1) & (inner < 2.85)
    assert between.mean() < 0.001
    edge = np.argmax(inner > 2.5, axis=1) + 8
    assert np.abs(edge - 4 * EDGE).max() <= 4


def test_a_small_answer_keeps_what_is_narrower_than_a_window_of_its_pixels() -> None:
    """Boards eight pixels wide at four depths, in an answer a third as large as 192x256."""
    board = np.tile(np.arange(256) // 8 % 4, (192, 1))
    colours = np.array([[180, 70, 60], [60, 130, 70], [60, 70, 190], [200, 200, 60]], np.uint8)
    true = np.array([2, 4, 2.6, 5], np.float32)[board]
    given = Image.fromarray(true).resize((85, 64), Image.Resampling.BOX)
    depth = depth_of(Inference(depth=np.asarray(given)), pixels=colours[board])
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(depth / true - 1)[inner].mean() < 0.06


def test_constant_depth_stays_constant() -> None:
    depth = depth_of(Inference(depth=np.full(COARSE, 1.7, np.float32)))
    np.testing.assert_allclose(resize(depth, SIZE), 1.7, rtol=1e-6)


def test_a_painted_wall_stays_a_plane() -> None:
    """A checkerboard of strong colours on a slanted plane."""
    v, u = np.mgrid[: COARSE[0], : COARSE[1]].astype(np.float32)
    plane = 2 / (1 - 0.002 * u - 0.001 * v)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] // 12
    board = np.where(((rows + columns) % 2)[..., None], [220, 200, 40], [30, 40, 160])
    depth = depth_of(Inference(depth=plane), pixels=board.astype(np.uint8))
    np.testing.assert_allclose(depth, resize(plane, SIZE), rtol=3e-3)


def test_a_painted_road_stays_smooth_where_the_normals_say_that_it_recedes() -> None:
    """Depth that flattens out towards the horizon, as networks answer, has the shape of a ramp."""
    row = np.arange(COARSE[0], dtype=np.float32)
    depth = np.tile(np.exp(1 / (1 + np.exp((row - 60) / 4)))[:, None], (1, COARSE[1]))
    stripes = np.where((np.arange(SIZE[0]) // 8 % 2)[:, None, None], [220, 200, 40], [30, 40, 160])
    paint = np.broadcast_to(stripes, (*SIZE, 3)).astype(np.uint8)
    ground, wall = (np.zeros((3, *COARSE), np.float32) for _ in range(2))
    ground[1], ground[2], wall[2] = -1, -0.1, -1
    smooth, cut = (
        np.diff(np.log(depth_of(Inference(depth=depth, normals=each), pixels=paint)), axis=0)
        for each in (ground, wall)
    )
    assert np.abs(smooth[10:-10]).max() < 0.04
    assert np.abs(cut[10:-10]).max() > 0.3


@pytest.mark.parametrize("factor", [0.001, 7.3, 1e4])
def test_scale_goes_through(factor: float) -> None:
    one = depth_of(Inference(depth=ramp()))
    other = depth_of(Inference(depth=ramp() * np.float32(factor)))
    np.testing.assert_allclose(other, one * factor, rtol=2e-4)


def test_kinds_of_depth_are_treated_alike_and_affine_ones_up_to_an_affine_map() -> None:
    answer = Inference(depth=ramp())
    metric, up_to_scale = (
        depth_of(answer, kind) for kind in (DepthKind.METRIC, DepthKind.UP_TO_SCALE)
    )
    np.testing.assert_array_equal(metric, up_to_scale)
    for kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        values = 1 / ramp() if kind is DepthKind.AFFINE_INVERSE else ramp()
        one = depth_of(Inference(depth=values), kind)
        other = depth_of(Inference(depth=5 * values - 3), kind)
        np.testing.assert_allclose(other, 5 * one - 3, atol=2e-3)
        steps = np.abs(np.diff(one[20:-20], axis=1)).max(axis=1)
        assert (steps > 0.8 * np.ptp(values)).all()


def test_what_is_not_valid_never_leaks() -> None:
    valid = np.ones(COARSE, bool)
    valid[:40] = False
    clean = np.where(valid, ramp(), np.float32(2))
    for rubbish in (np.nan, np.inf, 0, -1, 1e30):
        given = np.where(valid, ramp(), np.float32(rubbish))
        answer = sharpen(Inference(depth=given, valid=valid), photograph(), DepthKind.METRIC)
        expected = sharpen(Inference(depth=clean, valid=valid), photograph(), DepthKind.METRIC)
        assert answer.depth is not None
        assert answer.valid is not None
        assert expected.depth is not None
        assert np.isfinite(answer.depth).all()
        assert answer.valid[80:].all()
        assert not answer.valid[:80].any()
        np.testing.assert_array_equal(answer.depth, expected.depth)
        assert answer.depth.min() > 1.99
        assert answer.depth.max() < 3.01


def test_normals_and_confidence_go_with_the_depth() -> None:
    share = (np.log(ramp() / 2) / np.log(1.5)).astype(np.float32)
    left, right = np.float32([-0.6, 0, -0.8]), np.float32([0.6, 0, -0.8])
    normals = left[:, None, None] * (1 - share) + right[:, None, None] * share
    answer = Inference(depth=ramp(), normals=normals, confidence=0.2 + 0.6 * share)
    sharp = sharpen(answer, photograph(), DepthKind.METRIC)
    assert sharp.enlarge is not None
    assert answer.confidence is not None
    inner = np.s_[10:-10]
    assert (np.abs(sharp.enlarge(normals)[0, inner]) > 0.5).mean() > 0.99
    assert (np.abs(sharp.enlarge(answer.confidence[None])[0, inner] - 0.5) > 0.25).mean() > 0.99


def test_photographs_that_the_network_sees_whole_and_tiny_ones_stay() -> None:
    answer = Inference(depth=np.random.default_rng(0).uniform(1, 2, SIZE).astype(np.float32))
    assert sharpen(answer, photograph(), DepthKind.METRIC) is answer
    for shape in ((1, 1), (1, 40), (9, 3)):
        small = Inference(depth=np.ones(shape, np.float32))
        assert sharpen(small, photograph(), DepthKind.METRIC) is small


def test_the_median_is_kept_on_a_real_photograph_and_the_result_says_that_it_is_sharp() -> None:
    pytest.importorskip("skimage")
    import skimage

    pixels = skimage.data.coffee()
    sharp, plain = rilievo.predict(pixels), rilievo.predict(pixels, sharp=False)
    assert sharp.depth.kind is plain.depth.kind
    assert np.median(sharp.depth.values) == pytest.approx(np.median(plain.depth.values), rel=0.01)
    assert sharp.made_by.settings["sharp"] is True
    assert "sharp" not in plain.made_by.settings

    def steps(of: rilievo.Prediction) -> int:
        return int((np.abs(np.diff(np.log(of.depth.values), axis=1)) > 0.08).sum())

    assert steps(sharp) > 5 * (steps(plain) + 50)


@pytest.mark.slow
def test_sharpening_goes_with_tiles_and_does_not_change_the_network_answer() -> None:
    model = rilievo.load_model()
    photo = Photo(pixels=np.repeat(photograph(), 2, axis=0))
    [plain] = model.infer([photo])
    [same] = Sharpened(model).infer([photo])
    np.testing.assert_array_equal(plain.depth, same.depth)
    tiled = refined(model, Refine(tile=300, trim=Switch.OFF))
    assert tiled.settings == {**Tiled(model, 300).settings, "sharp": True}
    [prediction] = tiled.predict_raw([photo])
    assert np.isfinite(prediction.depth.values).all()
    assert prediction == tiled.finish(replace(tiled.infer([photo])[0]), photo)


def test_depth_does_not_depend_on_the_other_outputs(tmp_path: Path) -> None:
    photo = tmp_path / "coffee.png"
    Image.fromarray(data.coffee()).resize((450, 300)).save(photo)
    for name, outputs in (("plain", "npy"), ("whole", "npy,normals-npy")):
        rilievo.predict_files([photo], PredictOptions(output=tmp_path / name, save=outputs))
    plain, whole = (np.load(tmp_path / each / "coffee.depth.npy") for each in ("plain", "whole"))
    np.testing.assert_array_equal(plain, whole)


def two_edges() -> tuple[np.ndarray, np.ndarray]:
    """Coarse depth that rises at two columns where the photograph changes colour too."""
    pixels = photograph()
    pixels[:, 250:] = [60, 70, 190]
    return ramp() * ramp(1.0, 1.6, middle=125), pixels


def steepest(depth: np.ndarray, column: int) -> float:
    """Largest relative step between neighbours within 12 columns of one, typical of the rows."""
    near = np.log(depth[10:-10, column - 12 : column + 12])
    return float(np.median(np.abs(np.diff(near, axis=1)).max(axis=1)))


def test_only_where_the_network_tells_of_a_step_a_ramp_becomes_one() -> None:
    depth, pixels = two_edges()
    steps = np.zeros(COARSE, np.float32)
    steps[:, 70:80] = 0.6
    answer = Inference(depth=depth)
    free, guarded = (
        depth_of(each, pixels=pixels) for each in (answer, replace(answer, steps=steps))
    )
    assert steepest(free, EDGE) > 0.3
    assert steepest(free, 250) > 0.3
    assert steepest(guarded, EDGE) == pytest.approx(steepest(free, EDGE), abs=0.02)
    assert steepest(guarded, 250) < 0.06, "the ramp is 0.47 high over sixteen columns"
    assert np.abs(np.log(guarded[:, 290:] / free[:, 290:])).max() < 0.01, "its ends stay"


def test_a_network_that_is_sure_of_steps_everywhere_changes_nothing() -> None:
    depth, pixels = two_edges()
    sure = Inference(depth=depth, steps=np.full((30, 40), 0.9, np.float32))
    np.testing.assert_array_equal(
        depth_of(sure, pixels=pixels), depth_of(Inference(depth=depth), pixels=pixels)
    )


def test_the_border_of_the_sky_is_a_step() -> None:
    sky = np.zeros(COARSE, np.float32)
    sky[:, 75:] = 1
    nothing = np.zeros(COARSE, np.float32)
    without, beside = (
        depth_of(Inference(depth=ramp(), steps=nothing, sky=each)) for each in (None, sky)
    )
    assert steepest(without, EDGE) < 0.06
    assert steepest(beside, EDGE) > 0.3


def test_steps_of_a_mirrored_photograph_are_mirrored() -> None:
    depth, pixels = two_edges()
    steps = np.zeros(COARSE, np.float32)
    steps[:, 70:80] = 0.6
    one = depth_of(Inference(depth=depth, steps=steps), pixels=pixels)
    turned = Inference(depth=depth[:, ::-1].copy(), steps=steps[:, ::-1].copy())
    other = depth_of(turned, pixels=pixels[:, ::-1].copy())
    assert (np.abs(np.log(one / other[:, ::-1])) < 0.02).mean() > 0.99
