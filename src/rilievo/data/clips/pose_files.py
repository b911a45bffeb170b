"""Poses ``world_T_cam`` of frames from files.

Formats are KITTI, TUM, COLMAP, ``transforms.json`` (with OpenGL's axes) and 7-Scenes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Transform, Transforms
from rilievo.data.clips.sequence_camera import FrameCalibration
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.datasets.colmap import read_cameras, read_images
from rilievo.data.datasets.sets.tum import TimedPoses, read_trajectory
from rilievo.data.datasets.text_files import parse_numbers, text_lines
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import rigid
from rilievo.io.files.limits import is_whole, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, parse_json

_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_KITTI, _TUM = 12, 8
_COLMAP = ("images.txt", "images.bin")
_SQUARE = 0.01  # largest deviation from orthonormality
# What follows a point and begins with a digit is part of a time, as in TUM's names.
_MOST_PIXELS = 1e9  # JSON has any integer
_ENDINGS = re.compile(r"(\.(?:depth16|depth|color|rgb))?(\.[a-z]\w*)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseFile:
    """Poses of a file by line, time or name."""

    path: Path
    by_line: Transforms | None = None
    by_time: TimedPoses | None = None
    by_name: Mapping[str, Transform] | None = None
    camera: FrameCalibration | None = None
    notes: tuple[str, ...] = ()

    def poses_of_frames(self, frames: Sequence[ClipFrame], count: int) -> Transforms:
        """Find ``world_T_cam`` of frames, NaN where missing.

        Raises:
            InputError: If the file does not belong to this clip.
        """
        if self.by_line is not None:
            if len(self.by_line) != count:
                raise InputError(
                    f"{printable(self.path)}: has {len(self.by_line)} poses, but there are {count} "
                    "frames; one line for each is expected"
                )
            matrices = [self.by_line[frame.index] for frame in frames]
        elif self.by_time is not None:
            matrices = [self.by_time.nearest_pose(frame.seconds) for frame in frames]
        else:
            matrices = self._poses_by_name_or_number(frames, count)
        nothing = np.full((4, 4), np.nan)
        poses = np.stack([nothing if pose is None else pose for pose in matrices])
        if np.isnan(poses).all():
            raise InputError(
                f"{printable(self.path)}: has no pose of a frame of this clip, whose first is "
                f"'{printable(frames[0].name)}'; names (COLMAP, transforms.json) or times (TUM) "
                "must be those of the frames"
            )
        return poses

    def _poses_by_name_or_number(
        self, frames: Sequence[ClipFrame], count: int
    ) -> list[Transform | None]:
        assert self.by_name is not None, "a file of poses has one kind of them"
        stems = {frame_stem(name): pose for name, pose in self.by_name.items()}
        transforms = [stems.get(frame_stem(frame.name)) for frame in frames]
        if any(transform is not None for transform in transforms):
            return transforms
        numbers = {_last_number_in(stem): pose for stem, pose in stems.items()}
        frame_numbers = [number for number in numbers if number is not None]
        # Programs that cut videos into pictures count from 1, and the last is then the count.
        first = 1 if frame_numbers and 0 not in numbers and max(frame_numbers) == count else 0
        return [numbers.get(frame.index + first) for frame in frames]


def read_poses(path: Path) -> PoseFile:
    """Read poses, by the file's name and content."""
    if path.is_dir():
        return read_poses(_pose_file_in(path))
    if path.suffix.lower() == ".json":
        return _read_nerf_transforms(path)
    if path.name in _COLMAP:
        return _read_colmap_poses(path)
    if path.suffix.lower() == ".bin":
        raise InputError(
            f"{printable(path)}: is binary, and binary poses are read from COLMAP's images.bin "
            "alone; name that file, or its folder"
        )
    first = next(text_lines(path), None)
    numbers = () if first is None else parse_numbers(first.text) or ()
    if len(numbers) == _KITTI:
        return PoseFile(path=path, by_line=read_kitti_poses(path))
    if len(numbers) == _TUM:
        return PoseFile(path=path, by_time=read_trajectory(path))
    raise InputError(
        f"{printable(path)}: expected poses of KITTI (12 numbers a line), TUM (8), COLMAP "
        "(images.txt, images.bin) or transforms.json, found "
        f"'{printable(first.text[:60]) if first else 'nothing'}'"
    )


def read_kitti_poses(path: Path) -> Transforms:
    """Read a pose from each line, row by row."""
    rows: list[tuple[float, ...]] = []
    for line in text_lines(path):
        numbers = parse_numbers(line.text)
        if numbers is None or len(numbers) != _KITTI:
            raise InputError(
                f"{printable(path)}: line {line.number} is '{printable(line.text[:60])}'; "
                "expected the 12 numbers of a pose"
            )
        rows.append(numbers)
    upper = np.reshape(rows, (-1, 3, 4))
    poses = rigid(upper[:, :, :3], upper[:, :, 3])
    check_rigid_poses(poses, path)
    return poses


def check_rigid_poses(poses: Transforms, path: Path) -> None:
    """Check that poses are rigid."""
    # No entry of a rotation is above 1: larger ones and NaN are wrong before they are multiplied.
    is_bounded = (np.abs(poses[:, :3, :3]) < 1 + _SQUARE).all(axis=(1, 2), keepdims=True)
    R = np.where(is_bounded & np.isfinite(poses).all(axis=(1, 2), keepdims=True), poses, 0)
    R = R[:, :3, :3]
    off = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero(~(off < _SQUARE) | ~(np.linalg.det(R) > 0))
    if wrong.size:
        raise InputError(
            f"{printable(path)}: pose {int(wrong[0]) + 1} is no rigid motion: the rotation of "
            "world_T_cam, row by row, is expected"
        )


def _pose_file_in(folder: Path) -> Path:
    for place in (folder, folder / "sparse" / "0", folder / "sparse", folder / "0"):
        for name in _COLMAP:
            if (place / name).is_file():
                return place / name
    if (folder / "transforms.json").is_file():
        return folder / "transforms.json"
    raise InputError(
        f"{printable(folder)}: has neither COLMAP's {' or '.join(_COLMAP)} nor a transforms.json; "
        "name the file of the poses"
    )


def _read_colmap_poses(path: Path) -> PoseFile:
    images = list(read_images(path))
    if not images:
        raise InputError(f"{printable(path)}: has no image with a pose")
    cameras_path = path.with_name(f"cameras{path.suffix}")
    calibration, notes = None, []
    if cameras_path.is_file():
        cameras = read_cameras(cameras_path)
        used = {image.camera_id for image in images}
        if len(used) > 1:
            raise InputError(
                f"{printable(path)}: its images have {len(used)} cameras, but a clip has one: let "
                "COLMAP take one camera for all (--ImageReader.single_camera 1)"
            )
        camera = cameras.get(images[0].camera_id)
        if camera is not None:
            calibration = FrameCalibration(K=camera.K, shape=(camera.height, camera.width))
            if "PINHOLE" not in camera.model:
                notes.append(
                    Note(
                        Text(
                            f"the camera is {camera.model}, whose distortion is "
                            "not removed: run 'colmap image_undistorter', or give ",
                            OptionName("camera_file"),
                        ),
                        path=printable(cameras_path),
                    )
                )
    return PoseFile(
        path=path,
        by_name={image.name: image.world_T_cam for image in images},
        camera=calibration,
        notes=tuple(notes),
    )


def _read_nerf_transforms(path: Path) -> PoseFile:
    try:
        record = parse_json(read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: {error}") from error
    frames = record.get("frames") if isinstance(record, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{printable(path)}: has no 'frames', each with a transform_matrix")
    poses: dict[str, Transform] = {}
    for number, frame in enumerate(frames):
        pose = _transform_matrix_of_frame(frame, path, number)
        poses[str(frame.get("file_path", number))] = pose @ _FROM_OPENGL
    check_rigid_poses(np.stack(list(poses.values())), path)
    notes = []
    if any(record.get(name) for name in ("k1", "k2", "p1", "p2")):
        notes.append(
            Note(
                Text("the camera's distortion is not removed: give ", OptionName("camera_file")),
                path=printable(path),
            )
        )
    camera = _camera_of_nerf_transforms(
        {**(frames[0] if isinstance(frames[0], dict) else {}), **record}
    )
    return PoseFile(path=path, by_name=poses, camera=camera, notes=tuple(notes))


def _transform_matrix_of_frame(frame: Any, path: Path, number: int) -> Transform:
    rows = frame.get("transform_matrix") if isinstance(frame, dict) else None
    try:
        pose = np.array(rows, np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.zeros(0)
    if pose.shape == (3, 4):
        pose = np.concatenate([pose, [[0, 0, 0, 1]]])
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise InputError(
            f"{printable(path)}: frame {number} has no 'transform_matrix' of 4 x 4 finite numbers"
        )
    return pose


def _camera_of_nerf_transforms(entries: Mapping[str, Any]) -> FrameCalibration | None:
    """Camera whose first pixel has its centre at (0.5, 0.5)."""
    numbers = {
        name: float(value)
        for name, value in entries.items()
        if isinstance(value, int | float) and 0 < value < _MOST_PIXELS
    }
    if "w" not in numbers or "h" not in numbers:
        return None
    w, h = numbers["w"], numbers["h"]
    if "fl_x" in numbers:
        fx = numbers["fl_x"]
    elif "camera_angle_x" in numbers:
        fx = w / 2 / math.tan(numbers["camera_angle_x"] / 2)
    else:
        return None
    fy, cx, cy = numbers.get("fl_y", fx), numbers.get("cx", w / 2), numbers.get("cy", h / 2)
    return FrameCalibration(K=pinhole_K(fx, fy, cx - 0.5, cy - 0.5), shape=(int(h), int(w)))


def frame_stem(name: str) -> str:
    """Name of a frame that its depth and pose share, without ``.depth.png``."""
    return _ENDINGS.sub("", PurePosixPath(name).name, count=1)


def _last_number_in(stem: str) -> int | None:
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits and is_whole(digits[-1]) else None


AUTO = "auto"
_BESIDE = ("poses.txt", "groundtruth.txt")


def sequence_poses(
    source: str | None, homes: Sequence[Path], files: Sequence[Path]
) -> Transforms | None:
    """Poses of a sequence ``world_T_cam`` [m]; by default those beside it, to score motion."""
    if source is not None and source != AUTO:
        return read_poses_of_files(Path(source), files)
    try:
        poses = poses_beside(homes, files)
    except InputError:
        if source is None:
            return None  # a file of that name, of something else
        raise
    if poses is None and source is not None:
        raise InputError(
            f"{printable(homes[0])}: poses are asked for, but there is no {' or '.join(_BESIDE)} "
            "beside the frames; name their file, or leave poses away"
        )
    return poses


def poses_beside(homes: Sequence[Path], files: Sequence[Path]) -> Transforms | None:
    """Read poses beside a sequence, if any; NaN where missing."""
    matrices = [file.with_name(f"{file.name.split('.')[0]}.pose.txt") for file in files]
    if any(path.is_file() for path in matrices):
        return np.stack([_read_pose_or_nan(path) for path in matrices])
    for home in homes:
        for name in _BESIDE:
            if (home / name).is_file():
                return read_poses_of_files(home / name, files)
    return None


def read_poses_of_files(path: Path, files: Sequence[Path]) -> Transforms:
    """Read ``world_T_cam`` of frames; NaN where missing."""
    frames = []
    for index, file in enumerate(files):
        numbers = parse_numbers(file.stem)
        seconds = numbers[0] if numbers else float("nan")
        frames.append(ClipFrame(index=index, name=file.name, seconds=seconds))
    return read_poses(path).poses_of_frames(frames, len(files))


def _read_pose_or_nan(path: Path) -> Transform:
    """Pose; NaN if missing or lost."""
    if not path.is_file():
        return np.full((4, 4), np.nan)
    rows = [parse_numbers(line.text) for line in text_lines(path)]
    if len(rows) != 4 or any(row is None or len(row) != 4 for row in rows):
        raise InputError(f"{printable(path)}: expected a pose, four rows of four numbers")
    pose = np.array(rows, np.float64)
    if not np.isfinite(pose).all():
        return np.full((4, 4), np.nan)
    check_rigid_poses(pose[None], path)
    return pose
