"""Hand-held clips: they tremble, blur along the way that the picture moves, and adapt exposure."""

import math
import sys

import numpy as np
import pytest

from lab.scenes import Kind, TextureBank, command, render_clip
from lab.scenes import clip as clip_module
from lab.scenes.buffers import View
from lab.scenes.cameras import look_at
from lab.scenes.dice import Dice
from lab.scenes.hand_held import blurred, carried, draw_wander
from lab.scenes.lens import choose_lens, level_of
from lab.scenes.walks import CLEARANCE

SIZE = (48, 64)
FOCAL = 60.0


def view_towards(target: tuple[float, float, float], origin: tuple[float, float, float]) -> View:
    return View(
        origin=np.array(origin, np.float32),
        turn=look_at(np.array(origin, float), np.array(target, float), 0.0).astype(np.float32),
        focal=FOCAL,
        cx=31.5,
        cy=23.5,
    )


def angles(views: list[View]) -> np.ndarray:
    turns = np.array([view.turn for view in views], np.float64)
    cosines = (np.einsum("nij,nij->n", turns[1:], turns[:-1]) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def reversals(heights: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(np.sign(np.diff(heights)))))


def test_a_hand_held_camera_walks_at_the_asked_speed_and_trembles() -> None:
    for seed in range(5):
        dice = Dice(seed)
        views = carried(view_towards((1, 0, 0), (0, 0, 1)), draw_wander(dice, 150), 1.0, dice)
        path = np.array([view.origin for view in views], np.float64)
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        assert steps.mean() == pytest.approx(1.0, rel=0.02)
        assert np.linalg.norm(path[0] - [0, 0, 1]) < 0.03
        # Steps of feet: up and down every 8 frames, which the wandering alone does not.
        wander = draw_wander(dice, 150)
        slow = carried(view_towards((1, 0, 0), (0, 0, 1)), wander, 0.01, dice)
        assert reversals(np.array([view.origin[2] for view in slow])) >= 30 > reversals(wander.up)
        assert 0.1 < np.median(angles(views)) < 4.0


def test_blur_is_as_long_as_the_picture_moves_while_the_shutter_is_open() -> None:
    """A turn by a known angle moves the middle of the picture by f times its tangent."""
    lens = choose_lens(Dice(0), np.random.default_rng(0))
    ahead = view_towards((1, 0, 0), (0, 0, 0))
    right = view_towards((1, -math.tan(math.radians(4)), 0), (0, 0, 0))
    higher = view_towards((1, 0, 0.5), (0, 0, 0.5))
    moved, *_ = blurred(lens, [ahead, right], middle=2.0)
    assert moved.shake == pytest.approx(0.3 * FOCAL * math.tan(math.radians(4)), rel=1e-4)
    assert abs(math.sin(moved.heading)) < 1e-4
    risen, *_ = blurred(lens, [ahead, higher], middle=2.0)
    assert risen.shake == pytest.approx(0.3 * FOCAL * 0.5 / 2.0, rel=1e-4)
    assert abs(math.cos(risen.heading)) < 1e-4
    assert all(each.shake == 0 for each in blurred(lens, [ahead, ahead], middle=2.0))


def test_exposure_of_a_hand_held_clip_follows_the_picture(
    textures: TextureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, true = [], clip_module.expose

    def watched(colours, lens, level, draw):
        seen.append((float(level), float(level_of(colours)), lens.shake))
        return true(colours, lens, level, draw)

    monkeypatch.setattr(clip_module, "expose", watched)
    clip = render_clip(4, frames=6, size=SIZE, textures=textures, kind=Kind.ROOMS, hand_held=True)
    levels, own, shakes = np.array(seen).T
    assert levels[0] == own[0]
    assert (np.diff(levels) != 0).all()
    between = (levels[1:] - levels[:-1]) * (own[1:] - levels[:-1])
    assert (between > 0).all()
    assert (abs(levels[1:] - levels[:-1]) < abs(own[1:] - levels[:-1])).all()
    assert len(set(shakes)) == 6
    for frame in clip.frames:
        assert frame.depth is not None
        assert frame.depth[frame.depth_valid].min() > CLEARANCE / 2


def test_the_same_seed_gives_the_same_hand_held_clip(textures: TextureBank) -> None:
    one, other, still = (
        render_clip(3, frames=2, size=(32, 48), textures=textures, hand_held=held)
        for held in (True, True, False)
    )
    np.testing.assert_array_equal(one.frames[1].image, other.frames[1].image)
    np.testing.assert_array_equal(one.frames[1].world_T_cam, other.frames[1].world_T_cam)
    assert not np.array_equal(one.frames[1].world_T_cam, still.frames[1].world_T_cam)


def test_single_frames_are_not_hand_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scenes", "--count", "2", "--hand-held"])
    assert command.main() == 2
    assert "--hand-held is about clips" in capsys.readouterr().err
