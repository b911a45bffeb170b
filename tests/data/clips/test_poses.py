"""Files of poses: what was written is read, in each format, and what is wrong is one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rilievo.data.clips.pose_files import read_poses
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.trajectories.records import write_kitti, write_tum
from rilievo.errors import InputError

COUNT = 5


def poses() -> np.ndarray:
    found = np.tile(np.eye(4), (COUNT, 1, 1))
    turns = np.random.default_rng(0).normal(0, 1, (COUNT, 3))
    found[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    found[:, :3, 3] = np.random.default_rng(1).normal(0, 2, (COUNT, 3))
    return found


def keys(pattern: str = "{:06d}.png", rate: float = 30) -> list[ClipFrame]:
    return [ClipFrame(index=k, name=pattern.format(k), seconds=k / rate) for k in range(COUNT)]


def write_colmap(folder: Path, pattern: str, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# images"]
    for k, pose in enumerate(poses()):
        cam_T_world = np.linalg.inv(pose)
        x, y, z, w = Rotation.from_matrix(cam_T_world[:3, :3]).as_quat()
        numbers = " ".join(f"{each:.12f}" for each in (w, x, y, z, *cam_T_world[:3, 3]))
        lines += [f"{k + 1} {numbers} 1 {pattern.format(k + first)}", "1.5 2.5 7"]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / "cameras.txt").write_text("1 PINHOLE 640 480 500 510 320 240\n")
    return folder


def write_transforms(path: Path, pattern: str) -> Path:
    frames = [
        {
            "file_path": pattern.format(k),
            "transform_matrix": (pose @ np.diag([1, -1, -1, 1])).tolist(),
        }
        for k, pose in enumerate(poses())
    ]
    camera = {"w": 640, "h": 480, "fl_x": 500, "fl_y": 510, "cx": 320, "cy": 240}
    path.write_text(json.dumps({**camera, "frames": frames}))
    return path


def test_kitti_and_tum_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti.txt", poses())
    write_tum(tmp_path / "tum.txt", np.arange(COUNT) / 30, poses())
    for name in ("kitti.txt", "tum.txt"):
        result = read_poses(tmp_path / name).poses_of_frames(keys(), COUNT)
        np.testing.assert_allclose(result, poses(), atol=1e-6)


def test_a_stride_takes_the_poses_of_its_frames(tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti.txt", poses())
    write_tum(tmp_path / "tum.txt", np.arange(COUNT) / 30, poses())
    for name in ("kitti.txt", "tum.txt"):
        result = read_poses(tmp_path / name).poses_of_frames(keys()[::2], COUNT)
        np.testing.assert_allclose(result, poses()[::2], atol=1e-6)


@pytest.mark.parametrize(
    ("pattern", "frames", "first"),
    [
        ("{:06d}.png", "{:06d}.png", 0),
        ("images/{:06d}.png", "{:06d}.jpg", 0),
        ("rgb/1305031102.{}.png", "1305031102.{}.png", 0),
        ("frame-{:06d}.color.png", "frame-{:06d}.color.jpg", 0),
        ("frame_{:04d}.jpg", "{:06d}", 0),
        ("frame_{:04d}.jpg", "{:06d}", 1),
    ],
)
def test_colmap_is_read_by_name_or_number(
    tmp_path: Path, pattern: str, frames: str, first: int
) -> None:
    result = read_poses(write_colmap(tmp_path / "sparse", pattern, first))
    np.testing.assert_allclose(result.poses_of_frames(keys(frames), COUNT), poses(), atol=1e-9)
    assert result.camera is not None
    assert result.camera.shape == (480, 640)
    np.testing.assert_allclose(result.camera.K, [[500, 0, 319.5], [0, 510, 239.5], [0, 0, 1]])


def test_poses_by_name_tell_times_with_a_dot_apart(tmp_path: Path) -> None:
    result = read_poses(write_transforms(tmp_path / "transforms.json", "rgb/1305031102.{}.png"))
    last = ClipFrame(index=0, name=f"1305031102.{COUNT - 1}.png", seconds=0)
    np.testing.assert_allclose(result.poses_of_frames([last], COUNT), poses()[-1:], atol=1e-12)


def test_transforms_have_opengls_axes_and_a_camera(tmp_path: Path) -> None:
    result = read_poses(write_transforms(tmp_path / "transforms.json", "./images/{:06d}.png"))
    np.testing.assert_allclose(result.poses_of_frames(keys(), COUNT), poses(), atol=1e-12)
    assert result.camera is not None
    np.testing.assert_allclose(result.camera.K[:2, 2], [319.5, 239.5])


def test_frames_without_a_pose_are_nan(tmp_path: Path) -> None:
    outcome = read_poses(write_transforms(tmp_path / "transforms.json", "{:06d}.png"))
    more = [*keys(), ClipFrame(index=9, name="000009.png", seconds=0.3)]
    result = outcome.poses_of_frames(more, 10)
    assert np.isfinite(result[:-1]).all()
    assert np.isnan(result[-1]).all()


def test_a_distorted_camera_is_said(tmp_path: Path) -> None:
    folder = write_colmap(tmp_path / "sparse", "{:06d}.png")
    (folder / "cameras.txt").write_text("1 OPENCV 640 480 500 510 320 240 0.1 0 0 0\n")
    [note] = read_poses(folder).notes
    assert "OPENCV" in note
    assert "camera_file" in note


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "1 2 3\n", "12 numbers"),
        ("a.txt", "", "empty"),
        ("a.json", "{", "JSON"),
        ("a.json", "[]", "frames"),
        ("a.json", '{"frames": [{"transform_matrix": [[1]]}]}', r"frames\[0\]"),
        ("a.json", '{"frames": [{"file_path": "a", "transform_matrix": [[2,0,0,0],[0,1,0,0],'
         '[0,0,1,0],[0,0,0,1]]}]}', "rigid"),
        ("images.bin", "x", "ends at byte 1, inside the number of images"),
        ("frames.bin", "x", "is COLMAP's images.bin"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as error:
        read_poses(tmp_path / name)
    assert name in str(error.value)


def test_poses_of_another_clip_are_refused(tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti.txt", poses())
    with pytest.raises(InputError, match="5 poses, but the clip has 7"):
        read_poses(tmp_path / "kitti.txt").poses_of_frames(keys(), 7)
    result = read_poses(write_transforms(tmp_path / "transforms.json", "other/room.png"))
    with pytest.raises(InputError, match=r"no pose for any frame.*000000.png"):
        result.poses_of_frames(keys(), COUNT)
    (tmp_path / "transforms.json").unlink()
    with pytest.raises(InputError, match=r"images\.txt"):
        read_poses(tmp_path)
