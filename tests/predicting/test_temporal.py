"""Scales come together over time: what flickers goes, what the scene does stays."""

from collections.abc import Sequence

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rilievo.predicting.videos.frame_comparison import compare_frames, sample_frame
from rilievo.predicting.videos.scale_track import (
    HALVED_PERIOD,
    HOLD_TIME,
    ScaleTrack,
    smooth_path,
)
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

SIZE = (96, 128)
RATE = 30.0


def texture(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


def view(image: Image.Image, *, zoom: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """View of a picture on a wall: nearer by ``zoom``, moved by ``shift`` pixels."""
    height, width = SIZE
    scale = min(image.width / width, image.height / height) / 2 / zoom
    left = image.width / 2 - scale * width / 2 + shift * scale
    top = image.height / 2 - scale * height / 2
    box = (left, top, left + scale * width, top + scale * height)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))


def relief(seed: int = 0) -> np.ndarray:
    """Some depth that varies over the picture, around 2."""
    coarse = np.random.default_rng(seed).uniform(1.0, 3.0, (4, 5)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC)).clip(1)


def track(
    kind: DepthKind, frames: Sequence[tuple[np.ndarray, np.ndarray]], rate: float = RATE
) -> tuple[list[Correction], ScaleTrack]:
    """Corrections for frames of (pixels, numbers)."""
    scales = ScaleTrack(kind)
    for pixels, numbers in frames:
        depth = DepthMap(values=numbers.astype(np.float32), kind=kind)
        scales.add_frame(sample_frame(depth, Photo(pixels=pixels)))
    return scales.corrections(rate), scales


def noisy(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.clip(pixels + random.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("spread", [0.02, 0.3])
def test_a_still_clip_with_random_scales_comes_out_constant(spread: float) -> None:
    random = np.random.default_rng(1)
    pixels, depth = view(texture("astronaut")), relief()
    whims = np.exp(random.normal(0, spread, 60))
    corrections, scales = track(
        DepthKind.UP_TO_SCALE, [(noisy(pixels, random), depth * whim) for whim in whims]
    )
    out = np.array([each.scale for each in corrections]) * whims
    assert np.ptp(out) / out.mean() < 0.01
    # The level of the whole is that of the model itself, in the geometric mean.
    assert out.mean() == pytest.approx(np.exp(np.log(whims).mean()), rel=1e-3)
    assert all(each.shift == 0 for each in corrections)
    assert scales.shots == [0]


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
def test_a_still_clip_with_random_scales_and_shifts_comes_out_constant(kind: DepthKind) -> None:
    random = np.random.default_rng(2)
    pixels, depth = view(texture("astronaut")), relief()
    numbers = [depth * np.exp(random.normal(0, 0.2)) + random.normal(0, 0.5) for _ in range(60)]
    corrections, _ = track(kind, [(noisy(pixels, random), each) for each in numbers])
    out = np.stack(
        [each * fix.scale + fix.shift for each, fix in zip(numbers, corrections, strict=True)]
    )
    assert np.ptp(out, axis=0).max() / np.ptp(out[0]) < 0.01


def test_a_person_walking_through_does_not_move_the_room() -> None:
    """A dark near block passes over a third of the picture; the scale rests on the rest."""
    random = np.random.default_rng(3)
    pixels, depth = view(texture("astronaut")), relief()
    frames, whims = [], np.exp(random.normal(0, 0.1, 60))
    for number, whim in enumerate(whims):
        seen, there = noisy(pixels, random), depth.copy()
        left = number * 2 - 20
        columns = slice(max(left, 0), max(left + 40, 0))
        seen[:, columns], there[:, columns] = 30, 0.5
        frames.append((seen, there * whim))
    corrections, _ = track(DepthKind.UP_TO_SCALE, frames)
    out = np.array([each.scale for each in corrections]) * whims
    assert np.ptp(out) / out.mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("whim", [0.0, 0.03])
@pytest.mark.parametrize("frames", [45, 150])
def test_a_camera_that_comes_nearer_keeps_its_true_change_of_depth(
    frames: int, whim: float
) -> None:
    """The camera moves from 3 m to 1.5 m of a wall, at constant speed; each frame's scale is off by
    ``whim``.
    """
    random = np.random.default_rng(4)
    wall, lean = texture("astronaut"), np.linspace(0.9, 1.1, SIZE[1])[None].repeat(SIZE[0], 0)
    true = np.linspace(3.0, 1.5, frames)
    whims = np.exp(random.normal(0, whim, frames))
    corrections, _ = track(
        DepthKind.UP_TO_SCALE,
        [
            (view(wall, zoom=3.0 / z), lean * z * factor)
            for z, factor in zip(true, whims, strict=True)
        ],
    )
    out = np.log([each.scale for each in corrections]) + np.log(whims)
    assert np.abs(out - out.mean()).max() < 0.02 + whim
    # What is left of the whims no longer flickers.
    assert np.abs(np.diff(out)).max() < 0.005


@pytest.mark.slow
def test_a_very_slow_approach_is_not_taken_for_standing_still() -> None:
    """Ten per cent nearer in twenty seconds: no two frames differ, but the first and last do."""
    wall, true = texture("astronaut"), np.linspace(3.0, 2.7, 600)
    flat = np.ones(SIZE)
    corrections, _ = track(
        DepthKind.UP_TO_SCALE, [(view(wall, zoom=3.0 / z), flat * z) for z in true]
    )
    out = np.log([each.scale for each in corrections])
    assert np.abs(out - out.mean()).max() < 0.01


@pytest.mark.slow
def test_a_cut_does_not_leak() -> None:
    """Corrections of each shot are those that it would have alone."""
    random = np.random.default_rng(5)
    shots = [
        [
            (noisy(view(texture(name)), random), depth * np.exp(random.normal(0, 0.1)))
            for _ in range(20)
        ]
        for name, depth in (("astronaut", relief(1)), ("coffee", relief(2) * 30))
    ]
    together, scales = track(DepthKind.UP_TO_SCALE, shots[0] + shots[1])
    assert scales.shots == [0, 20]
    alone = [each for shot in shots for each in track(DepthKind.UP_TO_SCALE, shot)[0]]
    np.testing.assert_allclose(
        [each.scale for each in together], [each.scale for each in alone], rtol=1e-12
    )


def test_a_flash_and_fast_motion_are_no_cuts() -> None:
    depth = relief()
    frames = [(view(texture("astronaut"), shift=3.0 * number), depth) for number in range(20)]
    frames[10] = (np.clip(frames[10][0].astype(int) + 90, 0, 255).astype(np.uint8), depth)
    assert track(DepthKind.UP_TO_SCALE, frames)[1].shots == [0]


@pytest.mark.slow
def test_nothing_drifts_over_a_long_clip() -> None:
    """Whims that wander off as far as they like: corrections have mean zero in the logarithm."""
    random = np.random.default_rng(6)
    wall, depth = texture("astronaut"), relief()
    walk = np.cumsum(random.normal(0, 0.02, 400))
    frames = [
        (view(wall, shift=1.5 * (number % 40)), depth * np.exp(walk[number]))
        for number in range(400)
    ]
    corrections, _ = track(DepthKind.UP_TO_SCALE, frames)
    logs = np.log([each.scale for each in corrections])
    assert abs(logs.mean()) < 1e-9
    assert np.abs(logs).max() < 0.15


def test_one_frame_and_two_frames_are_left_nearly_alone() -> None:
    pixels, depth = view(texture("astronaut")), relief()
    [only], _ = track(DepthKind.UP_TO_SCALE, [(pixels, depth)])
    assert only == Correction(scale=1.0)
    both, _ = track(DepthKind.UP_TO_SCALE, [(pixels, depth), (pixels, depth * 2)])
    assert both[0].scale * both[1].scale == pytest.approx(1.0)


@pytest.mark.parametrize("kind", list(DepthKind))
def test_constant_maps_have_no_scale_and_do_no_harm(kind: DepthKind) -> None:
    pixels = np.full((*SIZE, 3), 128, np.uint8)
    corrections, _ = track(kind, [(pixels, np.ones(SIZE)) for _ in range(10)])
    for each in corrections:
        assert each.scale == pytest.approx(1.0)
        assert each.shift == pytest.approx(0.0, abs=1e-12)


def test_pixels_without_depth_are_left_out() -> None:
    pixels, depth = view(texture("astronaut")), relief().astype(np.float32)
    valid = np.zeros(SIZE, bool)
    valid[:30] = True
    looks = [
        sample_frame(
            DepthMap(
                values=np.where(valid, depth * factor, 0).astype(np.float32),
                kind=DepthKind.METRIC,
                valid=valid,
            ),
            Photo(pixels=pixels),
        )
        for factor in (1.0, 1.5)
    ]
    assert compare_frames(*looks).log_growth == pytest.approx(np.log(1.5), rel=1e-5)


@given(data=st.data(), count=st.integers(1, 40), rate=st.floats(1, 120))
def test_the_path_is_the_minimum_of_its_three_sums(
    data: st.DataObject, count: int, rate: float
) -> None:
    apparent = np.array(data.draw(st.lists(st.floats(-3, 3), min_size=count, max_size=count)))
    held = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    period = max(HALVED_PERIOD * rate, 8)
    bends = np.diff(np.eye(count), 2, axis=0) * (2 * np.sin(np.pi / period)) ** -2
    steps = np.diff(np.eye(count), axis=0) * np.where(held[1:], HOLD_TIME * rate, 0.0)[:, None]
    for step in range(2, count - 1):
        if held[step - 1] and not held[step] and held[step + 1]:
            bends[step - 2 : step] = 0
            steps[step - 1] = (np.eye(count)[step] - np.eye(count)[step - 1]) * np.sqrt(10)
    rows = np.concatenate([np.eye(count), bends, steps])
    right = np.concatenate([apparent, np.zeros(len(rows) - count)])
    expected = np.linalg.lstsq(rows, right, rcond=None)[0]
    np.testing.assert_allclose(smooth_path(apparent, held, rate=rate), expected, atol=1e-6)


@given(slope=st.floats(-0.1, 0.1), level=st.floats(-3, 3))
def test_steady_motion_passes_unharmed(slope: float, level: float) -> None:
    line = level + slope * np.arange(50.0)
    np.testing.assert_allclose(smooth_path(line, np.zeros(50, bool), rate=RATE), line, atol=1e-9)


def test_half_of_a_wave_of_the_stated_period_is_left() -> None:
    frames = np.arange(1800.0)
    wave = np.sin(2 * np.pi * frames / (HALVED_PERIOD * RATE))
    left = smooth_path(wave, np.zeros(1800, bool), rate=RATE)
    assert np.ptp(left[600:1200]) == pytest.approx(1.0, rel=0.01)


def test_stretches_are_those_in_which_the_camera_stands() -> None:
    random = np.random.default_rng(5)
    picture, depth = texture("astronaut"), relief()
    shifts = [*range(0, 40, 4), *[40] * 20, *range(44, 84, 4)]
    frames = [(noisy(np.roll(view(picture), shift, axis=1), random), depth) for shift in shifts]
    _, scales = track(DepthKind.UP_TO_SCALE, frames)
    found = scales.stretches(RATE)
    assert len(found) == len(frames)
    assert set(found[:8]) | set(found[32:]) == {MOVING}
    assert len(set(found[11:29])) == 1
    assert MOVING not in found[11:29]
