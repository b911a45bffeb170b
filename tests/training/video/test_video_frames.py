from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.training.video.frames.target_frames import CornerMaps, augment, collate
from rilievo.training.video.frames.video_frames import VideoFrames, open_frames
from rilievo.training.video.video_config import VideoAugmentation
from support.clips import Clip, write_clip
from support.footage import FOCAL, kitti_pose_lines, texture, view, write_frames
from support.kitti_lookalike import BASELINE, DATE, DRIVE, write_calibration, write_picture

SIZE = (32, 64)
RNG = np.random.default_rng
ALWAYS = VideoAugmentation(flip=1.0, jitter=1.0)
PAN = list(range(0, 60, 3))


def opened(root: Path, cache: Path | None = None, **said: object) -> VideoFrames:
    settings = {"roots": (str(root),), "fov": 60.0, "least_motion": 0.2, "stride": 1, **said}
    data = VideoData(**settings)  # pyright: ignore[reportArgumentType]
    return open_frames(data, size=SIZE, offsets=(-1, 1), cache=cache or root.with_name("kept"))


def test_a_sample_is_a_target_with_its_neighbours(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    frames = opened(tmp_path / "clip", camera=(FOCAL, FOCAL, 47.5, 31.5), fov=None)
    views = frames.training.read_sample(4)
    assert views.id == frames.training.ids[4] == "clip/000005"
    for frame, index in zip(views.frames, (5, 4, 6), strict=True):
        image = Image.fromarray(view(PAN[index])).resize((64, 32), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(frame, image)
    # 96x64 to 64x32: by 2/3 and 1/2, about the corner of the first pixel.
    np.testing.assert_allclose(views.K, [[FOCAL / 1.5, 0, 31.5], [0, FOCAL / 2, 15.5], [0, 0, 1]])
    assert [level.shape[:3] for level in views.pyramid] == [(1, 16, 32), (1, 8, 16), (1, 4, 8)]
    assert views.seen is None
    assert views.source_T_target == (None, None)


def test_the_published_camera_is_one_for_all(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    frames = opened(tmp_path / "clip", published_camera=True)
    expected = [[0.58 * 64, 0, 32], [0, 1.92 * 32, 16], [0, 0, 1]]
    np.testing.assert_allclose(frames.training.read_sample(0).K, expected)
    assert not any("assumed" in note for note in frames.notes)


def test_a_guessed_camera_is_said(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    assert any("camera_file" in note for note in opened(tmp_path / "clip", fov=None).notes)


def test_all_frames_of_a_sample_change_colours_alike_and_only_for_the_networks(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(view(0)).save(folder / f"{index}.png")
    training = opened(folder, least_motion=0.0, held_out=0.0).training
    plain = training.read_sample(1)
    views = augment(plain, VideoAugmentation(flip=0.0, jitter=1.0), RNG(3))
    np.testing.assert_array_equal(views.frames, plain.frames)
    assert views.seen is not None
    assert not np.array_equal(views.seen[0], views.frames[0])
    for frame in views.seen[1:]:
        np.testing.assert_array_equal(frame, views.seen[0])


def test_the_same_chance_gives_the_same_sample(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    training = opened(tmp_path / "clip").training
    first, second, other = (
        augment(training.read_sample(2), ALWAYS, RNG(seed)) for seed in (5, 5, 6)
    )
    assert first.seen is not None
    np.testing.assert_array_equal(first.seen, second.seen)
    assert not np.array_equal(first.seen, other.seen)


def test_known_motion_comes_from_poses(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    places = [(0.3 * k, 0.0, 0.4 * k) for k in range(len(PAN))]
    (tmp_path / "clip" / "poses.txt").write_text(kitti_pose_lines(places))
    views = opened(tmp_path / "clip", poses="auto").training.read_sample(3)
    assert views.source_T_target == (None, None)
    followed = opened(tmp_path / "clip", poses="auto", follow_poses=True)
    earlier, later = followed.training.read_sample(3).source_T_target
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
    assert frames.training.read_sample(0).source_T_target == (None, None)
    truth = frames.training.read_truth(0)
    assert truth.source_T_target[0] is not None
    assert truth.source_T_target[0][2, 3] == pytest.approx(1.0)


def test_losses_get_true_motion_also_where_a_network_predicts_it(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "clip", PAN, pattern="frame-{:06d}.color.png")
    for index, path in enumerate(paths[:-1]):
        pose = f"1 0 0 {0.3 * index}\n0 1 0 0\n0 0 1 {0.4 * index}\n0 0 0 1\n"
        path.with_name(f"frame-{index:06d}.pose.txt").write_text(pose)
    frames = opened(tmp_path / "clip", held_out=0.0).training
    plain = frames.read_sample(3)
    mirrored = augment(plain, ALWAYS, RNG(0))
    assert plain.source_T_target == (None, None)
    batch = collate([plain, mirrored, frames.read_sample(len(frames) - 1)])
    assert batch.source_T_target == (None, None)
    earlier, later = batch.true_motion
    assert earlier is not None
    assert later is not None
    np.testing.assert_allclose(earlier[0, :3, 3].numpy(), [0.3, 0, 0.4], atol=1e-6)
    np.testing.assert_allclose(later[0, :3, 3].numpy(), [-0.3, 0, -0.4], atol=1e-6)
    np.testing.assert_allclose(later[1, :3, 3].numpy(), [0.3, 0, -0.4], atol=1e-6)
    # The last frame has no pose, so that only the way back from its neighbour is known.
    assert earlier[2].isfinite().all()
    assert later[2].isnan().all()


def test_without_poses_losses_get_no_motion(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", PAN)
    frames = opened(tmp_path / "clip").training
    assert collate([frames.read_sample(0)]).true_motion == (None, None)


def test_corners_have_their_depth_where_they_are_and_other_places_have_none(
    tmp_path: Path,
) -> None:
    write_frames(tmp_path / "clip", PAN)
    plain = opened(tmp_path / "clip").training
    one, two = (target.place for target in plain.targets[:2])
    corners = {one: np.array([[3.0, 2.0, 5.0]]), two: np.array([[60.0, 40.0, 7.0]])}
    with_corners = plain.with_maps(CornerMaps(corners=corners))
    maps = [with_corners.read_sample(index).maps["corners"] for index in (0, 1, 2)]
    assert maps[0][2, 3] == 5
    assert maps[1][-1, 60] == 7  # a corner below the frame counts at its edge
    assert [np.count_nonzero(depth) for depth in maps] == [1, 1, 0]
    assert not plain.read_sample(0).maps
    none = plain.with_maps(CornerMaps(corners={}))
    assert not none.read_sample(0).maps


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
    views = frames.training.read_sample(0)
    assert views.frames[0, 0, 0, 0] == 100
    assert views.frames[3, 0, 0, 0] == 200
    assert views.source_T_target[:2] == (None, None)
    assert views.source_T_target[2] is not None
    assert views.source_T_target[2][0, 3] == pytest.approx(-BASELINE)
    mirror = augment(views, ALWAYS, RNG(0)).source_T_target[2]
    assert mirror is not None
    assert mirror[0, 3] == pytest.approx(BASELINE)
    alone = opened(tmp_path, temporal=False, baseline=0.1, **said)
    assert alone.offsets == (0,)
    [only] = alone.training.read_sample(0).source_T_target
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
    left, right = (frames.training.read_sample(k) for k in range(2))
    assert left.source_T_target[2] is not None
    assert right.source_T_target[2] is not None
    assert left.source_T_target[2][0, 3] == pytest.approx(-BASELINE)
    assert right.source_T_target[2][0, 3] == pytest.approx(BASELINE)
    assert right.frames[0, 0, 0, 0] == 200
    assert right.frames[3, 0, 0, 0] == 100
    assert len(frames.training) == 2
    assert any("1 without a neighbour on each side" in note for note in frames.notes)


def test_a_video_is_footage_and_its_poses_go_by_number(tmp_path: Path) -> None:
    wide = texture(0)
    pictures = [wide[k : k + 64, 3 * k : 3 * k + 96].copy() for k in range(12)]
    write_clip(tmp_path / "walk.mp4", Clip(pictures=pictures))
    (tmp_path / "walk.txt").write_text(kitti_pose_lines([(0.0, 0.0, 0.1 * k) for k in range(12)]))
    for cache in (None, tmp_path / "cache"):
        frames = opened(tmp_path / "walk.mp4", cache, poses="auto")
        views = frames.training.read_sample(0)
        assert views.id == "walk.mp4/000001"
        for motion in frames.training.read_truth(0).source_T_target:
            assert motion is not None
            np.testing.assert_allclose(abs(motion[:3, 3]), [0, 0, 0.1], atol=1e-6)


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
    valid = frames.training.read_sample(0).valid
    assert valid is not None
    assert valid[16, 32]
    assert not valid[0, 0]
