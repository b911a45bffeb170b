import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.training.video.frames.target_frames import (
    TargetSample,
    augment,
    collate,
    mirror_sample,
)
from rilievo.training.video.video_config import VideoAugmentation

RNG = np.random.default_rng
ALWAYS = VideoAugmentation(flip=1.0, jitter=1.0)
NEVER = VideoAugmentation(flip=0.0, jitter=0.0)


def sample(K: np.ndarray, motion: np.ndarray | None = None) -> TargetSample:
    frames = RNG(1).integers(0, 256, (3, 32, 64, 3), dtype=np.uint8)
    valid = np.zeros((32, 64), bool)
    valid[:, :10] = True
    given = None if motion is None else motion.astype(np.float32)
    return TargetSample(
        id="clip/0",
        frames=frames,
        seen=None,
        pyramid=(frames[:, ::2, ::2], frames[:, ::4, ::4], frames[:, ::8, ::8]),
        K=K.astype(np.float32),
        source_T_target=(given, None),
        valid=valid,
    )


@settings(deadline=None)
@given(
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(2, 9)),
    st.tuples(*[st.floats(-0.3, 0.3)] * 6),
    st.floats(20, 45),
)
def test_a_mirrored_sample_is_what_a_mirrored_scene_looks_like(
    point: tuple[float, float, float], motion: tuple[float, ...], cx: float
) -> None:
    """A point seen in either view is seen, mirrored, in the mirrored view."""
    K = np.array([[50.0, 0, cx], [0, 52.0, 14.0], [0, 0, 1]])
    x, y, z = motion[:3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.linalg.inv(np.eye(3) - cross / 2) @ (np.eye(3) + cross / 2)
    source_T_target = np.eye(4)
    source_T_target[:3, :3], source_T_target[:3, 3] = turn, motion[3:]
    views = mirror_sample(sample(K, source_T_target))
    assert views.source_T_target[0] is not None
    before = K @ (turn @ point + motion[3:])
    there = views.source_T_target[0] @ (-point[0], point[1], point[2], 1)
    after = views.K @ there[:3]
    assert after[0] / after[2] == pytest.approx(63 - before[0] / before[2], abs=1e-2)
    assert after[1] / after[2] == pytest.approx(before[1] / before[2], abs=1e-2)


def test_mirroring_turns_every_picture_and_twice_is_nothing() -> None:
    views = sample(np.array([[50.0, 0, 20.0], [0, 50, 14], [0, 0, 1]]), np.eye(4))
    once = mirror_sample(views)
    np.testing.assert_array_equal(once.frames[2, 5, 0], views.frames[2, 5, 63])
    np.testing.assert_array_equal(once.pyramid[1][:, 3, 0], views.pyramid[1][:, 3, 15])
    assert once.K[0, 2] == 43
    assert once.valid is not None
    assert once.valid[:, 54:].all()
    assert not once.valid[:, :54].any()
    twice = mirror_sample(once)
    np.testing.assert_array_equal(twice.frames, views.frames)
    np.testing.assert_array_equal(twice.K, views.K)
    mirrored = mirror_sample(views, move_centre=False)
    assert mirrored.K[0, 2] == 20
    np.testing.assert_array_equal(mirrored.frames, once.frames)


@pytest.mark.slow
def test_chances_of_nothing_and_of_always_are_kept() -> None:
    views = sample(np.eye(3))
    same = augment(views, NEVER, RNG(0))
    np.testing.assert_array_equal(same.frames, views.frames)
    assert same.seen is None
    changed = augment(views, ALWAYS, RNG(0))
    np.testing.assert_array_equal(changed.frames, views.frames[:, :, ::-1])
    assert changed.seen is not None
    flips = [augment(views, VideoAugmentation(jitter=0.0), RNG(seed)) for seed in range(200)]
    count = sum(bool(flipped.K[0, 2] != views.K[0, 2]) for flipped in flips)
    assert 70 < count < 130


def test_a_batch_is_floats_of_the_bytes() -> None:
    first = sample(np.diag([50.0, 50.0, 1.0]))
    second = augment(first, ALWAYS, RNG(0))
    views = collate([first, second])
    assert views.target.shape == (2, 3, 32, 64)
    assert views.target.is_contiguous()
    assert views.target[0, 1, 5, 7] == first.frames[0, 5, 7, 1] / np.float32(255)
    assert views.sources[1][0, 2, 5, 7] == first.frames[2, 5, 7, 2] / np.float32(255)
    np.testing.assert_array_equal(views.target_seen[0], views.target[0])
    assert second.seen is not None
    assert views.sources_seen[0][1, 0, 3, 4] == second.seen[1, 3, 4, 0] / np.float32(255)
    assert [tuple(level.shape) for level in views.pyramid] == [
        (2, 3, 32, 64),
        (2, 3, 16, 32),
        (2, 3, 8, 16),
        (2, 3, 4, 8),
    ]
    assert views.source_T_target == (None, None)
    assert views.valid is not None
    assert views.valid[0, 0, 0]
    assert not views.valid[1, 0, 0]


def test_without_other_colours_the_networks_see_the_very_same_tensors() -> None:
    views = collate([sample(np.eye(3))])
    assert views.target_seen is views.target
    assert views.sources_seen[0] is views.sources[0]
