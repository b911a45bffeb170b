from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clips import Clip, write_clip
from footage import FOCAL, kitti_pose_lines, texture, view, write_frames
from kitti_lookalike import BASELINE, DATE, DRIVE, write_calibration, write_picture
from rilievo.errors import InputError, RilievoError
from rilievo.train.video.augment import augmented, mirrored
from rilievo.train.video.batches import OneViews, collate
from rilievo.train.video.config import SourceKind, VideoAugmentation, VideoData
from rilievo.train.video.frames import VideoFrames, open_frames

SIZE = (32, 64)
RNG = np.random.default_rng
ALWAYS, NEVER = VideoAugmentation(flip=1.0, jitter=1.0), VideoAugmentation(flip=0.0, jitter=0.0)
PAN = list(range(0, 60, 3))


def opened(root: Path, cache: Path | None = None, **said: object) -> VideoFrames:
    settings = {"roots": (str(root),), "fov": 60.0, "least_motion": 0.2, "stride": 1, **said}
    data = VideoData(**settings)  # pyright: ignore[reportArgumentType]
    return open_frames(data, size=SIZE, offsets=(-1, 1), cache=cache)


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_sample_is_a_target_with_its_neighbours(is_cached: bool, tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    cache = tmp_path / "cache" if is_cached else None
    frames = opened(tmp_path / "clip", cache, camera=(FOCAL, FOCAL, 47.5, 31.5), fov=None)
    views = frames.training.views_of(4, rng=RNG(0))
    assert views.id == frames.training.ids[4] == "clip/000005"
    for found, index in zip(views.frames, (5, 4, 6), strict=True):
        image = Image.fromarray(view(PAN[index])).resize((64, 32), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(found, image)
    # 96x64 to 64x32: by 2/3 and 1/2, about the corner of the first pixel.
    np.testing.assert_allclose(views.K, [[FOCAL / 1.5, 0, 31.5], [0, FOCAL / 2, 15.5], [0, 0, 1]])
    assert [level.shape[:2] for level in views.pyramid] == [(16, 32), (8, 16), (4, 8)]
    assert views.seen is None
    assert views.source_T_target == (None, None)
    assert views.travelled is None


def test_the_published_camera_is_one_for_all(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    frames = opened(tmp_path / "clip", published_camera=True)
    expected = [[0.58 * 64, 0, 32], [0, 1.92 * 32, 16], [0, 0, 1]]
    np.testing.assert_allclose(frames.training.views_of(0, rng=RNG(0)).K, expected)
    assert not any("assumed" in note for note in frames.notes)


def test_a_guessed_camera_is_said(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    assert any("learn_camera" in note for note in opened(tmp_path / "clip", fov=None).notes)


def test_all_frames_of_a_sample_change_colours_alike_and_only_for_the_networks(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(view(0)).save(folder / f"{index}.png")
    training = opened(folder, least_motion=0.0, held_out=0.0).training
    plain = training.views_of(1, rng=RNG(0))
    views = training.views_of(1, rng=RNG(3), augmentation=VideoAugmentation(flip=0.0, jitter=1.0))
    np.testing.assert_array_equal(views.frames, plain.frames)
    assert views.seen is not None
    assert not np.array_equal(views.seen[0], views.frames[0])
    for frame in views.seen[1:]:
        np.testing.assert_array_equal(frame, views.seen[0])


def test_the_same_chance_gives_the_same_sample(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    training = opened(tmp_path / "clip").training
    first, second, other = (
        training.views_of(2, rng=RNG(seed), augmentation=ALWAYS) for seed in (5, 5, 6)
    )
    assert first.seen is not None
    np.testing.assert_array_equal(first.seen, second.seen)
    assert not np.array_equal(first.seen, other.seen)


def sample(K: np.ndarray, motion: np.ndarray | None = None) -> OneViews:
    frames = RNG(1).integers(0, 256, (3, 32, 64, 3), dtype=np.uint8)
    valid = np.zeros((32, 64), bool)
    valid[:, :10] = True
    given = None if motion is None else motion.astype(np.float32)
    return OneViews(
        id="clip/0",
        frames=frames,
        seen=None,
        offsets=(-1, 1),
        pyramid=(frames[0, ::2, ::2], frames[0, ::4, ::4], frames[0, ::8, ::8]),
        K=K.astype(np.float32),
        source_T_target=(given, None),
        travelled=np.array([1, np.nan], np.float32),
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
    """Where a point is seen in either view, the mirrored point is seen in the mirrored view."""
    K = np.array([[50.0, 0, cx], [0, 52.0, 14.0], [0, 0, 1]])
    x, y, z = motion[:3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.linalg.inv(np.eye(3) - cross / 2) @ (np.eye(3) + cross / 2)
    source_T_target = np.eye(4)
    source_T_target[:3, :3], source_T_target[:3, 3] = turn, motion[3:]
    views = mirrored(sample(K, source_T_target))
    assert views.source_T_target[0] is not None
    before = K @ (turn @ point + motion[3:])
    there = views.source_T_target[0] @ (-point[0], point[1], point[2], 1)
    after = views.K @ there[:3]
    assert after[0] / after[2] == pytest.approx(63 - before[0] / before[2], abs=1e-2)
    assert after[1] / after[2] == pytest.approx(before[1] / before[2], abs=1e-2)


def test_mirroring_turns_every_picture_and_twice_is_nothing() -> None:
    views = sample(np.array([[50.0, 0, 20.0], [0, 50, 14], [0, 0, 1]]), np.eye(4))
    once = mirrored(views)
    np.testing.assert_array_equal(once.frames[2, 5, 0], views.frames[2, 5, 63])
    np.testing.assert_array_equal(once.pyramid[1][3, 0], views.pyramid[1][3, 15])
    assert once.K[0, 2] == 43
    assert once.valid is not None
    assert once.valid[:, 54:].all()
    assert not once.valid[:, :54].any()
    twice = mirrored(once)
    np.testing.assert_array_equal(twice.frames, views.frames)
    np.testing.assert_array_equal(twice.K, views.K)
    kept = mirrored(views, move_centre=False)
    assert kept.K[0, 2] == 20
    np.testing.assert_array_equal(kept.frames, once.frames)


def test_chances_of_nothing_and_of_always_are_kept() -> None:
    views = sample(np.eye(3))
    same = augmented(views, NEVER, RNG(0))
    np.testing.assert_array_equal(same.frames, views.frames)
    assert same.seen is None
    changed = augmented(views, ALWAYS, RNG(0))
    np.testing.assert_array_equal(changed.frames, views.frames[:, :, ::-1])
    assert changed.seen is not None
    flips = [augmented(views, VideoAugmentation(jitter=0.0), RNG(seed)) for seed in range(200)]
    count = sum(bool(flipped.K[0, 2] != views.K[0, 2]) for flipped in flips)
    assert 70 < count < 130


def test_a_batch_is_floats_of_the_bytes() -> None:
    first = sample(np.diag([50.0, 50.0, 1.0]))
    second = augmented(first, ALWAYS, RNG(0))
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
    assert views.travelled is not None
    assert views.travelled[0, 0] == 1
    assert views.valid is not None
    assert views.valid[0, 0, 0]
    assert not views.valid[1, 0, 0]


def test_without_other_colours_the_networks_see_the_very_same_tensors() -> None:
    views = collate([sample(np.eye(3))])
    assert views.target_seen is views.target
    assert views.sources_seen[0] is views.sources[0]


def test_known_distances_and_motion_come_from_poses(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    places = [(0.3 * k, 0.0, 0.4 * k) for k in range(len(PAN))]
    (tmp_path / "clip" / "poses.txt").write_text(kitti_pose_lines(places))
    views = opened(tmp_path / "clip", poses="auto").training.views_of(3, rng=RNG(0))
    np.testing.assert_allclose(views.travelled, [0.5, 0.5], atol=1e-6)
    assert views.source_T_target == (None, None)
    followed = opened(tmp_path / "clip", poses="auto", follow_poses=True)
    earlier, later = followed.training.views_of(3, rng=RNG(0)).source_T_target
    assert earlier is not None
    assert later is not None
    # The camera comes from the left and goes to the right and forward.
    np.testing.assert_allclose(earlier[:3, 3], [0.3, 0, 0.4], atol=1e-6)
    np.testing.assert_allclose(later[:3, 3], [-0.3, 0, -0.4], atol=1e-6)


def test_poses_that_nobody_asked_for_are_the_truth_to_score_by(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    (tmp_path / "clip" / "poses.txt").write_text(
        kitti_pose_lines([(0.0, 0.0, 1.0 * k) for k in range(len(PAN))])
    )
    frames = opened(tmp_path / "clip")
    assert frames.training.views_of(0, rng=RNG(0)).travelled is None
    truth = frames.training.truth_of(0)
    assert truth.source_T_target[0] is not None
    assert truth.source_T_target[0][2, 3] == pytest.approx(1.0)


def test_targets_without_a_pose_are_left_out_where_poses_are_followed(tmp_path: Path) -> None:
    paths = write_frames(tmp_path, PAN, pattern="frame-{:06d}.color.png")
    for index, path in enumerate(paths):
        if index != 10:
            pose = f"1 0 0 {index}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
            path.with_name(f"frame-{index:06d}.pose.txt").write_text(pose)
    measured = opened(tmp_path, poses="auto", held_out=0.0)
    followed = opened(tmp_path, poses="auto", follow_poses=True, held_out=0.0)
    assert len(measured.training) - len(followed.training) == 3
    assert any("3 with a broken frame or an unknown pose" in note for note in followed.notes)


def test_the_other_eye_is_a_source_whose_place_is_known(tmp_path: Path) -> None:
    write_calibration(tmp_path)
    for index in range(6):
        for camera in ("image_02", "image_03"):
            write_picture(tmp_path, index, camera=camera)
    said = {"kind": SourceKind.KITTI_RAW, "stereo": True, "fov": None, "least_motion": 0.0}
    frames = opened(tmp_path, **said)
    assert frames.offsets == (-1, 1, 0)
    views = frames.training.views_of(0, rng=RNG(0))
    assert views.frames[0, 0, 0, 0] == 100
    assert views.frames[3, 0, 0, 0] == 200
    assert views.source_T_target[:2] == (None, None)
    assert views.source_T_target[2] is not None
    assert views.source_T_target[2][0, 3] == pytest.approx(-BASELINE)
    mirror = frames.training.views_of(0, rng=RNG(0), augmentation=ALWAYS).source_T_target[2]
    assert mirror is not None
    assert mirror[0, 3] == pytest.approx(BASELINE)
    alone = opened(tmp_path, temporal=False, baseline=0.1, **said)
    assert alone.offsets == (0,)
    [only] = alone.training.views_of(0, rng=RNG(0)).source_T_target
    assert only is not None
    assert only[0, 3] == pytest.approx(-0.1)


def test_both_eyes_of_a_list_are_targets_with_shifts_of_their_own(tmp_path: Path) -> None:
    write_calibration(tmp_path)
    for index in range(6):
        for camera in ("image_02", "image_03"):
            write_picture(tmp_path, index, camera=camera)
    path = tmp_path / "mine.txt"
    path.write_text(f"{DATE}/{DRIVE} 2 l\n{DATE}/{DRIVE} 3 r\n{DATE}/{DRIVE} 5 l\n")
    frames = opened(
        tmp_path,
        tmp_path / "cache",
        kind=SourceKind.KITTI_RAW,
        stereo=True,
        split=str(path),
        fov=None,
        held_out=0.0,
    )
    left, right = (frames.training.views_of(k, rng=RNG(0)) for k in range(2))
    assert left.source_T_target[2] is not None
    assert right.source_T_target[2] is not None
    assert left.source_T_target[2][0, 3] == pytest.approx(-BASELINE)
    assert right.source_T_target[2][0, 3] == pytest.approx(BASELINE)
    assert right.frames[0, 0, 0, 0] == 200
    assert right.frames[3, 0, 0, 0] == 100
    assert len(frames.training) == 2
    assert any("1 frames without a neighbour" in note for note in frames.notes)


def test_still_frames_cuts_and_broken_ones_are_counted(tmp_path: Path) -> None:
    positions = [0.0, 3, 6, 9, *[9] * 5, 12, 15, 18]
    paths = write_frames(tmp_path / "clip", positions)
    for index, position in enumerate([0, 3, 6, 9]):
        Image.fromarray(view(position, seed=70)).save(paths[0].with_name(f"{100 + index}.png"))
    paths[1].write_bytes(b"no picture")
    frames = opened(tmp_path / "clip", least_motion=0.7, held_out=0.0)
    assert len(frames.training) == 6 - 2 + 4 - 2
    said = "\n".join(frames.notes)
    assert "5 of 16 frames stand still and are passed over, 1 cuts" in said
    assert "passed over: " in said
    assert "000001.png" in said


def test_motion_is_remembered_beside_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "clip", PAN)
    first = opened(tmp_path / "clip", tmp_path / "cache", stride=None)
    monkeypatch.setattr("rilievo.train.video.frames.find_moving", None)
    second = opened(tmp_path / "clip", tmp_path / "cache", stride=None)
    assert first.training.ids == second.training.ids
    assert first.notes == second.notes


def test_a_still_camera_is_said_in_one_line(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [5.0] * 10)
    with pytest.raises(InputError, match="clip: the camera stands still: 9 of 10 frames") as caught:
        opened(tmp_path / "clip", least_motion=1.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("positions", "said", "says"),
    [
        ([0.0, 3.0], {}, "no target is left of 2 frames: 2 have no neighbour"),
        (PAN, {"stride": 15}, "no target is left of 20 frames"),
        (PAN, {"camera": (80.0, 80.0, 200.0, 31.5), "fov": None}, "far from the middle of frames"),
    ],
)
def test_footage_that_nothing_can_be_learned_from_is_refused(
    positions: list[float], said: dict[str, object], says: str, tmp_path: Path
) -> None:
    write_frames(tmp_path / "clip", positions)
    with pytest.raises(RilievoError, match=says) as caught:
        opened(tmp_path / "clip", **said)
    assert "\n" not in str(caught.value)


def test_a_video_is_footage_and_its_poses_go_by_number(tmp_path: Path) -> None:
    wide = texture(0)
    pictures = [wide[k : k + 64, 3 * k : 3 * k + 96].copy() for k in range(12)]
    write_clip(tmp_path / "walk.mp4", Clip(pictures=pictures))
    (tmp_path / "walk.txt").write_text(kitti_pose_lines([(0.0, 0.0, 0.1 * k) for k in range(12)]))
    for cache in (None, tmp_path / "cache"):
        frames = opened(tmp_path / "walk.mp4", cache, poses="auto")
        views = frames.training.views_of(0, rng=RNG(0))
        assert views.id == "walk.mp4/000001"
        np.testing.assert_allclose(views.travelled, [0.1, 0.1], atol=1e-6)


def test_the_first_targets_alone_are_taken_where_a_limit_says_so(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    limited = opened(tmp_path / "clip", limit=3)
    assert limited.training.ids == ("clip/000001", "clip/000002", "clip/000003")
    assert limited.held_out.ids == opened(tmp_path / "clip").held_out.ids == ("clip/000018",)


def test_pixels_that_the_lens_did_not_see_do_not_count(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    (tmp_path / "camera.yaml").write_text(
        "fx: 80\nfy: 80\ncx: 47.5\ncy: 31.5\ndistortion: [0.5, 0, 0, 0]\n"
    )
    frames = opened(tmp_path / "clip", camera_file=str(tmp_path / "camera.yaml"), fov=None)
    valid = frames.training.views_of(0, rng=RNG(0)).valid
    assert valid is not None
    assert valid[16, 32]
    assert not valid[0, 0]


def test_real_footage_of_a_car_loses_what_stands_still(data_folder: Path, tmp_path: Path) -> None:
    """The car stops near frame 536 for some four seconds."""
    source, links = data_folder / "kitti_video_416x128" / "rgb", tmp_path / "clip"
    links.mkdir()
    for index in range(500, 590):
        (links / f"{index}.jpg").symlink_to(source / f"{index:06d}.jpg")
    data = VideoData(roots=(str(links),), camera=(241.674, 246.285, 204.168, 59.001))
    frames = open_frames(data, size=(128, 416), offsets=(-1, 1), cache=None)
    kept = {int(id.rpartition("/")[2]) for id in frames.training.ids}
    assert len([index for index in range(536, 565) if index not in kept]) >= 15
    assert set(range(505, 530)) <= kept
    assert frames.sequences[0].stride == 1


@pytest.mark.parametrize(
    ("name", "count", "stride"), [("7scenes_redkitchen", 80, 3), ("tum_fr1_desk_9", 9, 1)]
)
def test_real_clips_of_a_hand_open_as_they_lie(
    name: str, count: int, stride: int, data_folder: Path
) -> None:
    data = VideoData(roots=(str(data_folder / name),), poses="auto")
    frames = open_frames(data, size=(128, 160), offsets=(-1, 1), cache=None)
    assert frames.sequences[0].frames.count == count
    assert abs(frames.sequences[0].stride - stride) <= 2
    views = frames.training.views_of(0, rng=RNG(0))
    assert views.travelled is not None
    assert (views.travelled < 0.3).all()
