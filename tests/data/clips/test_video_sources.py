import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.data.clips.sequences import Clip
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import InputError, MissingExtraError, OptionError, RilievoError
from rilievo.geometry.cameras.camera import CameraSource
from support.clips import write_clip
from support.footage import kitti_pose_lines, view, write_frames
from support.kitti_lookalike import (
    BASELINE,
    CENTRE,
    DATE,
    DRIVE,
    FOCAL,
    write_calibration,
    write_picture,
)


def frames(*roots: Path, **said: object) -> list[Clip]:
    return list_sequences(
        VideoData(roots=tuple(map(str, roots)), **said)  # pyright: ignore[reportArgumentType]
    )


def names(sequence: Clip) -> list[str]:
    return [file.name for file in sequence.files]


def test_a_folder_of_frames_is_a_sequence_in_natural_order(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [0.0] * 12, pattern="frame{}.jpg")
    [found] = frames(tmp_path / "clip", fov=60.0)
    assert names(found) == [f"frame{k}.jpg" for k in range(12)]
    assert found.id == "clip"
    assert found.shape == (64, 96)


def test_a_folder_of_folders_is_a_sequence_each(tmp_path: Path) -> None:
    write_frames(tmp_path / "two" / "rgb", [0.0] * 3)
    write_frames(tmp_path / "two" / "depth", [0.0] * 3)
    write_frames(tmp_path / "ten", [0.0] * 3)
    write_frames(tmp_path / "deep" / "er", [0.0] * 3)
    assert [each.id for each in frames(tmp_path)] == [
        f"{tmp_path.name}/{name}" for name in ("deep/er", "ten", "two")
    ]


def test_colour_beside_depth_is_taken_alone(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", [0.0] * 3, pattern="frame-{:06d}.color.jpg")
    write_frames(tmp_path / "a", [0.0] * 3, pattern="frame-{:06d}.depth.png")
    write_frames(tmp_path / "b", [0.0] * 3, pattern="{:06d}_img.png")
    for what in ("depth", "normal", "mask"):
        write_frames(tmp_path / "b", [0.0] * 3, pattern=f"{{:06d}}_{what}.png")
    write_frames(tmp_path / "c" / "color", [0.0] * 3)
    write_frames(tmp_path / "c" / "depth", [0.0] * 3)
    write_frames(tmp_path / "c", [0.0] * 2, pattern="test_{}.png")
    first, second, third = frames(tmp_path)
    assert names(first) == [f"frame-00000{k}.color.jpg" for k in range(3)]
    assert names(second) == [f"00000{k}_img.png" for k in range(3)]
    assert [file.parent.name for file in third.files] == ["color"] * 3


def test_roots_of_one_name_get_ids_of_their_own(tmp_path: Path) -> None:
    write_frames(tmp_path / "x" / "clip", [0.0] * 3)
    write_frames(tmp_path / "y" / "clip", [0.0] * 3)
    found = frames(tmp_path / "x" / "clip", tmp_path / "y" / "clip")
    assert [each.id for each in found] == ["clip", "clip~2"]


def test_a_rendered_clip_brings_its_camera_and_poses(tmp_path: Path) -> None:
    write_frames(tmp_path / "images", [0.0] * 3)
    (tmp_path / "intrinsics.txt").write_text("80 0 47.5\n0 80 31.5\n0 0 1\n")
    (tmp_path / "poses.txt").write_text(kitti_pose_lines([(0, 0, 0), (0.5, 0, 1), (1, 0, 2)]))
    [found] = frames(tmp_path)
    assert found.camera.camera.K.tolist() == [[80, 0, 47.5], [0, 80, 31.5], [0, 0, 1]]
    assert found.camera.camera.source is CameraSource.GIVEN
    assert found.poses is not None
    assert found.poses[2, :3, 3].tolist() == [1, 0, 2]


def test_poses_of_tum_are_found_by_time_and_those_missing_are_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "rgb"
    for stamp in ("10.000000", "10.033000", "20.500000"):
        folder.mkdir(exist_ok=True)
        Image.fromarray(view(0)).save(folder / f"{stamp}.png")
    (tmp_path / "groundtruth.txt").write_text(
        "# timestamp tx ty tz qx qy qz qw\n"
        "10.0010 1 2 3 0 0 0 1\n10.0340 1 2 4 0 0 0.70710678 0.70710678\n"
    )
    [found] = frames(tmp_path, poses="auto", fov=60.0)
    assert found.poses is not None
    assert found.poses[0, :3, 3].tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.poses[1, :2, :2], [[0, -1], [1, 0]], atol=1e-7)
    assert np.isnan(found.poses[2]).all()


def test_poses_of_seven_scenes_lie_beside_each_frame(tmp_path: Path) -> None:
    write_frames(tmp_path, [0.0] * 3, pattern="frame-{:06d}.color.png")
    for index in range(2):
        text = f"1 0 0 {index}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
        (tmp_path / f"frame-{index:06d}.pose.txt").write_text(text)
    [found] = frames(tmp_path, poses="auto")
    assert found.poses is not None
    assert found.poses[1, 0, 3] == 1
    assert np.isnan(found.poses[2]).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (kitti_pose_lines([(0, 0, 0)] * 2), "has 2 poses, but the clip has 3 frames"),
        ("1 2 3\n", "expected poses in the format of KITTI"),
        ("2 0 0 0 0 1 0 0 0 0 1 0\n" * 3, "pose 1 is not a rigid motion"),
        ("1 0 0 0 0 1 0 0 0 0 1 0\n" * 2 + "x\n", "line 3 is 'x'"),
        ("5.0 1 2 3 0 0 0 1\n", "has no pose for any frame"),
    ],
)
def test_poses_that_do_not_go_with_the_frames_are_refused(
    text: str, says: str, tmp_path: Path
) -> None:
    write_frames(tmp_path / "clip", [0.0] * 3, pattern="f{}.png")
    path = tmp_path / "motion.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        frames(tmp_path / "clip", poses=str(path))


def test_poses_that_nobody_asked_for_may_be_of_something_else(tmp_path: Path) -> None:
    write_frames(tmp_path, [0.0] * 3)
    (tmp_path / "poses.txt").write_text("names of yoga poses\n")
    assert frames(tmp_path)[0].poses is None
    with pytest.raises(InputError, match="expected poses in the format of KITTI"):
        frames(tmp_path, poses="auto")
    (tmp_path / "poses.txt").unlink()
    with pytest.raises(
        InputError, match=r"you asked for the poses beside the frames, but there is no poses.txt"
    ):
        frames(tmp_path, poses="auto")


def kitti(root: Path, **said: object) -> list[Clip]:
    return frames(root, kind=SourceKind.KITTI_RAW, **said)


def write_kitti(root: Path, count: int = 6) -> None:
    write_calibration(root)
    for index in range(count):
        for camera in ("image_02", "image_03"):
            write_picture(root, index, camera=camera)


def test_every_drive_of_kitti_counts_with_its_calibration(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    [found] = kitti(tmp_path)
    assert found.id == f"{DATE}/{DRIVE}/image_02"
    assert found.camera.camera.K[:2].tolist() == [[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]]]
    assert found.measures_motion
    assert found.frame_numbers == tuple(range(6))


def test_the_eyes_of_kitti_know_each_other(tmp_path: Path) -> None:
    """A point moves to the left from the left eye's picture to the right one's."""
    write_kitti(tmp_path)
    left, right = kitti(tmp_path, stereo=True)
    assert left.other_eye is not None
    assert left.other_eye.sequence == right.id
    assert left.other_eye.x_offset == pytest.approx(-BASELINE)
    assert right.other_eye is not None
    assert right.other_eye.x_offset == pytest.approx(BASELINE)
    assert right.listed_targets is not None
    assert right.listed_targets.training == ()


def test_a_split_of_kitti_names_targets_of_both_cameras(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    splits = tmp_path / "splits" / "mine"
    splits.mkdir(parents=True)
    (splits / "train_files.txt").write_text(
        f"{DATE}/{DRIVE} 0000000002 l\n{DATE}/{DRIVE} 3 r\n{DATE}/{DRIVE} 1 l\n"
    )
    (splits / "val_files.txt").write_text(f"{DATE}/{DRIVE} 4 l\n")
    for split in ("mine", str(splits), str(splits / "train_files.txt")):
        left, right = kitti(tmp_path, split=split)
        assert left.listed_targets is not None
        assert left.listed_targets.training == (2, 1)
        assert left.listed_targets.held_out == (4,)
        assert right.listed_targets is not None
        assert right.listed_targets.training == (3,)
        assert not left.measures_motion


def test_a_list_of_drives_that_are_not_there_is_refused(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    path = tmp_path / "mine.txt"
    path.write_text("2011_10_03/2011_10_03_drive_0042_sync 5 l\n")
    with pytest.raises(InputError, match=r"lacks 1 camera folder of 1 in .*, such as 2011_10_03"):
        kitti(tmp_path, split=str(path))
    path.write_text("drive five\n")
    with pytest.raises(InputError, match="line 1 is 'drive five'"):
        kitti(tmp_path, split=str(path))
    with pytest.raises(OptionError, match="no list for the split 'eigen_zhou'"):
        kitti(tmp_path, split="eigen_zhou")


def write_odometry(root: Path, name: str = "07", count: int = 4) -> Path:
    folder = root / "sequences" / name
    for eye in ("image_2", "image_3"):
        write_frames(folder / eye, [0.0] * count)
    # P2 and P3 are 0.06 m and -0.47 m times the focal length of 80 px away from camera 0.
    (folder / "calib.txt").write_text(
        "P0: 80 0 47 0 0 80 31 0 0 0 1 0\n"
        "P2: 80 0 47 4.8 0 80 31 0 0 0 1 0\n"
        "P3: 80 0 47 -37.6 0 80 31 0 0 0 1 0\n"
    )
    (root / "poses").mkdir(exist_ok=True)
    # The car turns by a quarter about the vertical between the first two frames.
    (root / "poses" / f"{name}.txt").write_text(
        "1 0 0 0 0 1 0 0 0 0 1 0\n0 0 1 5 0 1 0 0 -1 0 0 6\n" + "1 0 0 0 0 1 0 0 0 0 1 0\n" * 2
    )
    return folder


def odometry(root: Path, **said: object) -> list[Clip]:
    return frames(root, kind=SourceKind.KITTI_ODOMETRY, **said)


def test_odometry_gives_poses_of_the_colour_camera(tmp_path: Path) -> None:
    """Camera 2 sees a point of camera 0 0.06 m farther right, so it stands 0.06 m to the left."""
    write_odometry(tmp_path)
    [found] = odometry(tmp_path)
    assert found.camera.camera.K.tolist() == [[80, 0, 47], [0, 80, 31], [0, 0, 1]]
    assert found.poses is not None
    np.testing.assert_allclose(found.poses[0, :3, 3], [-0.06, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found.poses[1, :3, 3], [5, 0, 6.06], atol=1e-12)


def test_odometry_names_sequences_and_eyes(tmp_path: Path) -> None:
    write_odometry(tmp_path, "00")
    write_odometry(tmp_path, "07")
    assert [each.id for each in odometry(tmp_path)] == ["00/image_2", "07/image_2"]
    left, right = odometry(tmp_path, split="7", stereo=True)
    assert (left.id, right.id) == ("07/image_2", "07/image_3")
    assert left.other_eye is not None
    assert left.other_eye.x_offset == pytest.approx(-0.53)
    with pytest.raises(OptionError, match="has no sequence 09; choose one of 00, 07"):
        odometry(tmp_path, split="00,09")
    (tmp_path / "train_files.txt").write_text("0 2 l\n7 1 r\n")
    first, second = odometry(tmp_path, split=str(tmp_path / "train_files.txt"))
    assert first.listed_targets is not None
    assert (first.id, first.listed_targets.training) == ("00/image_2", (2,))
    assert second.id == "07/image_3"


def write_cityscapes(root: Path, numbers: list[int], annotated: int) -> None:
    for eye in ("left", "right"):
        folder = root / f"{eye}Img8bit_sequence" / "train" / "ulm"
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            Image.fromarray(view(0)).save(folder / f"ulm_000003_{number:06d}_{eye}Img8bit.png")
    camera = root / "camera" / "train" / "ulm"
    camera.mkdir(parents=True, exist_ok=True)
    (camera / f"ulm_000003_{annotated:06d}_camera.json").write_text(
        json.dumps(
            {
                "extrinsic": {"baseline": 0.22, "pitch": 0.03},
                "intrinsic": {"fx": 85.0, "fy": 84.0, "u0": 47.0, "v0": 30.0},
            }
        )
    )


def cityscapes(root: Path, **said: object) -> list[Clip]:
    return frames(root, kind=SourceKind.CITYSCAPES, **said)


def test_snippets_of_cityscapes_end_at_gaps_and_have_their_own_camera(tmp_path: Path) -> None:
    write_cityscapes(tmp_path, [0, 1, 2], 1)
    write_cityscapes(tmp_path, [30, 31, 32], 31)
    first, second = cityscapes(tmp_path)
    assert first.frame_numbers == (0, 1, 2)
    assert second.frame_numbers == (30, 31, 32)
    assert first.camera.camera.K.tolist() == [[85, 0, 47], [0, 84, 30], [0, 0, 1]]
    assert first.bonnet_fraction == 0.25
    left, right, *_ = cityscapes(tmp_path, stereo=True)
    assert left.other_eye is not None
    assert (left.other_eye.sequence, left.other_eye.x_offset) == (right.id, -0.22)
    assert right.files[0].parent.parts[-3] == "rightImg8bit_sequence"


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"roots": ()}, "there are no frames to read"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"held_out": 1.0}, "held_out must be at least 0 and less than 1"),
        ({"least_motion": -1.0}, "least_motion must be a finite number"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"baseline": -0.5}, "baseline must be a positive length"),
        ({"split": "00"}, "split only applies to kitti-raw"),
        ({"stereo": True}, "stereo is only supported for"),
        ({"follow_poses": True}, "follow_poses needs poses"),
        ({"roots": ("nowhere",)}, "no such file or folder"),
        ({"kind": SourceKind.KITTI_RAW, "roots": ("nowhere",)}, "is not a KITTI raw folder"),
        ({"kind": SourceKind.KITTI_RAW, "roots": ("a", "b")}, "one folder, but you gave 2"),
        ({"kind": SourceKind.KITTI_RAW, "poses": "auto"}, "poses are not supported for kitti-raw"),
        ({"kind": SourceKind.KITTI_ODOMETRY, "roots": ("nowhere",)}, "is not a KITTI odometry"),
        (
            {"kind": SourceKind.CITYSCAPES, "roots": ("nowhere",)},
            "not the root folder of the Cityscapes",
        ),
        ({"kind": SourceKind.CITYSCAPES, "split": "demo"}, "choose one of train, val, test"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_a_line(
    said: dict[str, object], says: str
) -> None:
    with pytest.raises(RilievoError, match=says) as caught:
        list_sequences(VideoData(**{"roots": ("x",), **said}))  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_without_pyav_folders_of_frames_are_listed_and_videos_name_their_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "frames", [0.0] * 3)
    write_clip(tmp_path / "clip.mp4")
    for name in [each for each in sys.modules if each.startswith("rilievo.io.")]:
        module = sys.modules[name]
        if getattr(module, "VideoStream", None) is not None:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    [found] = frames(tmp_path / "frames", fov=60.0)
    assert len(found.files) == 3
    with pytest.raises(MissingExtraError, match=r"rilievo\[video\]"):
        frames(tmp_path / "clip.mp4", fov=60.0)
