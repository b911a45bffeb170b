"""Clips: one still scene from a moving camera, so each frame foretells the others."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Bool, Float64

from lab.scenes import Kind, TextureBank, render, render_clip
from lab.scenes import clip as clip_module
from lab.scenes.chance import even_chance
from lab.scenes.clip import Clip
from lab.scenes.renderer import shots
from lab.scenes.rotations import turn_z
from lab.scenes.walks import CLEARANCE
from rilievo.errors import InputError, OptionError
from rilievo.records.sample import Sample

SIZE = (96, 128)


@pytest.fixture(scope="module")
def clips(textures: TextureBank) -> list[Clip]:
    """Clips without grain, so that only light, gloss and resampling differ."""
    with pytest.MonkeyPatch.context() as patch:
        choose = clip_module.choose_lens
        patch.setattr(clip_module, "choose_lens", lambda *given: replace(choose(*given), grain=0.0))
        return [render_clip(seed, frames=3, size=SIZE, textures=textures) for seed in range(12)]


def known(sample: Sample) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "4 4"]]:
    """K and pose."""
    assert sample.camera is not None
    assert sample.world_T_cam is not None
    return sample.camera.K, sample.world_T_cam


def is_inner(frame: Sample) -> Bool[np.ndarray, "h w"]:
    """Pixels whose four neighbours see the same plane."""
    assert frame.depth is not None
    inverse = np.where(frame.depth_valid, 1 / np.maximum(frame.depth.astype(float), 1e-6), 0)
    inner = np.zeros(inverse.shape, bool)
    centre = inverse[1:-1, 1:-1]
    across = inverse[1:-1, 2:] + inverse[1:-1, :-2] - 2 * centre
    down = inverse[2:, 1:-1] + inverse[:-2, 1:-1] - 2 * centre
    inner[1:-1, 1:-1] = (centre > 0) & (np.maximum(abs(across), abs(down)) < 1e-3 * centre)
    return inner


class Warp:
    """Position of each pixel of frame a in frame b, and b's content there; implemented from the
    description.
    """

    def __init__(self, a: Sample, b: Sample) -> None:
        assert a.depth is not None
        assert b.depth is not None
        (K, world_T_a), (K_b, world_T_b) = known(a), known(b)
        np.testing.assert_array_equal(K, K_b)
        height, width = a.depth.shape
        v, u = np.mgrid[:height, :width].astype(float)
        camera = np.linalg.inv(K) @ np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
        points = np.vstack([camera * a.depth.ravel(), np.ones(u.size)])
        seen = np.linalg.solve(world_T_b, world_T_a @ points)[:3]
        x, y, self.depth = (K @ seen).reshape(3, height, width)
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = x / self.depth, y / self.depth
        inside = (self.depth > 0) & (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
        x, y = np.where(inside, x, 0.5), np.where(inside, y, 0.5)
        self.left, self.top = np.floor(x).astype(int), np.floor(y).astype(int)
        self.right_share, self.low_share = x - self.left, y - self.top
        self.flat = inside & is_inner(a) & self._is_flat(b)
        inverse = 1 / np.where(b.depth_valid, b.depth.astype(float), np.inf)
        self.depth_there = 1 / np.where(self.flat, self.sampled(inverse), 1.0)
        self.image_there = np.stack(
            [self.sampled(b.image[..., k].astype(float)) for k in range(3)], axis=-1
        )

    def _corners(self, field: np.ndarray) -> np.ndarray:
        """The four values around each place: upper left, upper right, lower left, lower right."""
        places = [(self.top + i, self.left + j) for i in (0, 1) for j in (0, 1)]
        return np.stack([field[place] for place in places])

    def _is_flat(self, b: Sample) -> Bool[np.ndarray, "h w"]:
        """Whether the four pixels around see one plane: there inverse depth is linear."""
        assert b.normals is not None
        assert b.depth is not None
        components = np.stack([self._corners(component) for component in b.normals])
        spread = np.ptp(components, axis=1).max(axis=0)
        one, right, low, both = self._corners(1 / np.where(b.depth_valid, b.depth, np.inf))
        is_linear = np.abs(one - right - low + both) < 1e-3 * one
        return is_linear & (spread < 1e-3) & self._corners(b.depth_valid).all(axis=0)

    def sampled(self, field: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
        """Bilinear values."""
        a, b, c, d = self._corners(field)
        upper = a + (b - a) * self.right_share
        lower = c + (d - c) * self.right_share
        return upper + (lower - upper) * self.low_share


@pytest.mark.slow
def test_points_of_one_frame_lie_on_the_surface_that_the_next_sees(clips: list[Clip]) -> None:
    shares, farther = [], []
    for clip in clips:
        for a, b in ((clip.frames[0], clip.frames[1]), (clip.frames[2], clip.frames[0])):
            warp = Warp(a, b)
            ratio = (warp.depth_there / np.where(warp.flat, warp.depth, 1.0))[warp.flat]
            assert warp.flat.mean() > 0.1
            # What hides a point is nearer than it, so whatever is farther is an error.
            shares.append((np.abs(ratio - 1) < 0.01).mean())
            farther.append((ratio > 1.01).mean())
            assert np.median(np.abs(ratio - 1)) < 1e-4
    assert np.median(shares) > 0.999
    assert min(shares) > 0.99
    assert max(farther) < 2e-3


def test_a_frame_warped_by_depth_K_and_pose_is_the_other_frame(clips: list[Clip]) -> None:
    warped, unmoved = [], []
    for clip in clips:
        a, b = clip.frames[:2]
        warp = Warp(a, b)
        there = warp.flat & (
            np.abs(warp.depth_there / np.where(warp.flat, warp.depth, 1) - 1) < 0.01
        )
        image = a.image.astype(float)
        warped.append(np.abs(warp.image_there - image)[there].mean())
        unmoved.append(np.abs(b.image.astype(float) - image)[there].mean())
    # Of 255: noise of the light, moved highlights, and what bilinear resampling takes away.
    assert np.median(warped) < 2.5
    assert max(warped) < 8
    assert np.median(np.array(unmoved) / np.array(warped)) > 2


@pytest.mark.slow
def test_a_wrong_pose_is_seen_in_both(clips: list[Clip]) -> None:
    """The two tests above could not pass whatever the poses were."""
    within, error = [], []
    for clip in clips:
        a, b = clip.frames[:2]
        _, pose = known(b)
        astray = pose.copy()
        astray[:3, :3] = pose[:3, :3] @ turn_z(0.03)
        for frame in (b, replace(b, world_T_cam=astray)):
            warp = Warp(a, frame)
            ratio = warp.depth_there / np.where(warp.flat, warp.depth, 1.0)
            within.append((np.abs(ratio - 1) < 0.01)[warp.flat].mean())
            error.append(np.abs(warp.image_there - a.image)[warp.flat].mean())
    assert np.mean(within[0::2]) - np.mean(within[1::2]) > 0.01
    assert np.mean(error[1::2]) > 1.2 * np.mean(error[0::2])


def test_poses_are_rigid_and_the_camera_moves_a_little_from_frame_to_frame(
    clips: list[Clip],
) -> None:
    for clip in clips:
        poses = np.array([known(frame)[1] for frame in clip.frames])
        R = poses[:, :3, :3]
        np.testing.assert_allclose(
            R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (3, 1, 1)), atol=1e-6
        )
        assert (np.linalg.det(R) > 0).all()
        steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
        np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
        depth = clip.frames[0].depth
        assert depth is not None
        assert 0 < steps[0] < 0.06 * np.median(depth[clip.frames[0].depth_valid]) + 0.05
        turned = np.arccos(np.clip((np.trace(R[0].T @ R[1]) - 1) / 2, -1, 1))
        assert turned < 0.15


def test_nothing_comes_nearer_than_the_clearance(clips: list[Clip]) -> None:
    for clip in clips:
        for frame in clip.frames:
            assert frame.depth is not None
            K, _ = known(frame)
            height, width = frame.depth.shape
            v, u = np.mgrid[:height, :width].astype(float)
            rays = np.linalg.inv(K) @ np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
            distance = np.linalg.norm(rays, axis=0).reshape(height, width) * frame.depth
            assert distance[frame.depth_valid].min() > CLEARANCE


def test_the_same_seed_gives_the_same_clip_and_the_step_that_is_asked_for(
    textures: TextureBank,
) -> None:
    one, other, third = (
        render_clip(seed, frames=2, size=(32, 48), textures=textures, step=0.07)
        for seed in (5, 5, 6)
    )
    for a, b in zip(one.frames, other.frames, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.world_T_cam, b.world_T_cam)
    assert not np.array_equal(one.frames[0].image, third.frames[0].image)
    assert [frame.id for frame in one.frames] == ["synthetic/5/000000", "synthetic/5/000001"]
    away = known(one.frames[1])[1][:3, 3] - known(one.frames[0])[1][:3, 3]
    assert np.linalg.norm(away) == pytest.approx(0.07, rel=1e-4)


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_of_scene_can_be_asked_for(textures: TextureBank, kind: Kind) -> None:
    for seed in range(4):
        outdoors = next(shots(seed, textures, (32, 48), kind)).venue.is_outdoors
        if kind in (Kind.STREETS, Kind.OPEN_GROUND, Kind.ROOMS):
            assert outdoors == (kind is not Kind.ROOMS)
    frame = render(0, size=(32, 48), textures=textures, kind=kind)
    assert frame.depth_valid is not None
    assert (frame.depth_valid == ~np.asarray(frame.sky)).all()


def test_rays_of_a_clip_go_everywhere_equally_over_the_pixels_averaged_together() -> None:
    chance = even_chance(40, 40, 1, np.random.default_rng(0))
    means = [
        chance.directions[draws[top : top + 9, left : left + 9]].mean(axis=(0, 1))
        for draws in chance.draws[0]
        for top, left in ((0, 0), (7, 13), (20, 5), (31, 31))
    ]
    # Bare chance would leave the mean of 81 directions 1 / 9 long.
    assert np.sqrt(np.mean(np.square(means).sum(axis=-1))) < 0.06


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 0}, "at least 1 frame, got 0"),
        ({"step": -1.0}, "positive number of metres, got -1"),
        ({"step": float("nan")}, "positive number of metres, got nan"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(
    textures: TextureBank, options: dict[str, int | float], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        render_clip(0, textures=textures, **options)  # pyright: ignore[reportArgumentType]


def test_steps_that_no_scene_has_room_for_are_refused(
    textures: TextureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.scenes.renderer.ATTEMPTS", 3)
    with pytest.raises(OptionError, match=r"room for 4 frames 90\.0 m apart"):
        render_clip(0, frames=4, size=(32, 48), textures=textures, step=90.0, kind=Kind.ROOMS)


def test_frames_of_a_clip_belong_together(textures: TextureBank) -> None:
    frame = render(0, size=(32, 48), textures=textures)
    small = render(0, size=(32, 32), textures=textures)
    with pytest.raises(InputError, match="no frame"):
        Clip(id="x", frames=())
    with pytest.raises(InputError, match=r"frame synthetic/0 is \(32, 32, 3\), the first"):
        Clip(id="x", frames=(frame, small))
    with pytest.raises(InputError, match="lacks its camera or its pose"):
        Clip(id="x", frames=(frame, replace(frame, world_T_cam=None)))
