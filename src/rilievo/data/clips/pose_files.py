"""Poses ``world_T_cam`` of frames from files.

Formats are KITTI, TUM, COLMAP, ``transforms.json`` (with OpenGL's axes) and 7-Scenes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Transform, Transforms
from rilievo.data.clips.sequence_camera import FrameCalibration
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.datasets.colmap import ColmapCamera, ColmapImage, read_cameras, read_images
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
"""Turns a camera with OpenGL's axes (y up, looking along -z) into one with OpenCV's."""
_NUMBERS_OF_KITTI_POSE = 12
_NUMBERS_OF_TUM_POSE = 8
_COLMAP_FILES = ("images.txt", "images.bin")
_FILES_BESIDE_FRAMES = ("poses.txt", "groundtruth.txt")
AUTO = "auto"
"""Value of an option for the file of poses beside the frames."""
_MAX_ROTATION_ERROR = 0.01
"""Largest deviation of a rotation from orthonormality."""
_MAX_CAMERA_NUMBER = 1e9
"""Largest number of pixels in a camera, since JSON has any integer."""
# What follows a point and begins with a digit is part of a time, as in TUM's names.
_ENDINGS = re.compile(r"(\.(?:depth16|depth|color|rgb))?(\.[a-z]\w*)?$", re.IGNORECASE)


@runtime_checkable
class FramePoses(Protocol):
    """Poses of a file, which belong to frames by line, time or name."""

    def of_frames(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        """Find ``world_T_cam`` of some frames of a clip; None where the file has none.

        Args:
            frames: The frames.
            count: Number of all frames of the clip.
        """
        ...


@dataclass(frozen=True, slots=True)
class _PosesByLine:
    """One pose for each frame of the clip, in their order."""

    poses: Transforms
    path: Path

    def of_frames(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        if len(self.poses) != count:
            raise InputError(
                f"{printable(self.path)}: has {len(self.poses)} poses, but there are {count} "
                "frames; one line for each is expected"
            )
        return [self.poses[frame.index] for frame in frames]


@dataclass(frozen=True, slots=True)
class _PosesByTime:
    """Poses at times, of which the nearest belongs to a frame."""

    poses: TimedPoses

    def of_frames(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        return [self.poses.nearest_pose(frame.seconds) for frame in frames]


@dataclass(frozen=True, slots=True)
class _PosesByName:
    """Poses of files, which belong to frames of that name, or else of the number in the name."""

    poses: Mapping[str, Transform]

    def of_frames(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        by_stem = {frame_stem(name): pose for name, pose in self.poses.items()}
        poses = [by_stem.get(frame_stem(frame.name)) for frame in frames]
        if any(pose is not None for pose in poses):
            return poses

        by_number = {_last_number_in(stem): pose for stem, pose in by_stem.items()}
        numbers = [number for number in by_number if number is not None]
        # Programs that cut videos into pictures count from 1, and the last is then the count.
        counts_from_one = bool(numbers) and 0 not in by_number and max(numbers) == count
        first = 1 if counts_from_one else 0
        return [by_number.get(frame.index + first) for frame in frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseFile:
    """A file of poses.

    Attributes:
        path: The file.
        poses: Its poses.
        camera: Camera that it states; None if it states none.
        notes: What about the camera is left out.
    """

    path: Path
    poses: FramePoses
    camera: FrameCalibration | None = None
    notes: tuple[str, ...] = ()

    def poses_of_frames(self, frames: Sequence[ClipFrame], count: int) -> Transforms:
        """Find ``world_T_cam`` of frames, NaN where missing.

        Args:
            frames: Frames of a clip.
            count: Number of all frames of the clip.

        Raises:
            InputError: If the file does not belong to this clip.
        """
        unknown = np.full((4, 4), np.nan)
        found = self.poses.of_frames(frames, count)
        poses = np.stack([unknown if pose is None else pose for pose in found])
        if np.isnan(poses).all():
            raise InputError(
                f"{printable(self.path)}: has no pose of a frame of this clip, whose first is "
                f"'{printable(frames[0].name)}'; names (COLMAP, transforms.json) or times (TUM) "
                "must be those of the frames"
            )
        return poses


def read_poses(path: Path) -> PoseFile:
    """Read a file of poses, or the one in a folder, whose format its name and content tell.

    Raises:
        InputError: If it is of no known format, or damaged.
    """
    if path.is_dir():
        return read_poses(_pose_file_in(path))
    if path.suffix.lower() == ".json":
        return _read_nerf_transforms(path)
    if path.name in _COLMAP_FILES:
        return _read_colmap_poses(path)
    if path.suffix.lower() == ".bin":
        raise InputError(
            f"{printable(path)}: is binary, and binary poses are read from COLMAP's images.bin "
            "alone; name that file, or its folder"
        )
    first = next(text_lines(path), None)
    numbers = () if first is None else parse_numbers(first.text) or ()
    if len(numbers) == _NUMBERS_OF_KITTI_POSE:
        return PoseFile(path=path, poses=_PosesByLine(read_kitti_poses(path), path))
    if len(numbers) == _NUMBERS_OF_TUM_POSE:
        return PoseFile(path=path, poses=_PosesByTime(read_trajectory(path)))
    raise InputError(
        f"{printable(path)}: expected poses of KITTI (12 numbers a line), TUM (8), COLMAP "
        "(images.txt, images.bin) or transforms.json, found "
        f"'{printable(first.text[:60]) if first else 'nothing'}'"
    )


def read_kitti_poses(path: Path) -> Transforms:
    """Read ``world_T_cam`` from each line of a file, row by row."""
    rows: list[tuple[float, ...]] = []
    for line in text_lines(path):
        numbers = parse_numbers(line.text)
        if numbers is None or len(numbers) != _NUMBERS_OF_KITTI_POSE:
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
    """Refuse poses that are no rigid motion.

    Raises:
        InputError: If one has a rotation that is not orthonormal, or numbers that are not finite.
    """
    # No entry of a rotation is above 1: larger ones and NaN are wrong before they are multiplied.
    is_finite = np.isfinite(poses).all(axis=(1, 2), keepdims=True)
    is_bounded = (np.abs(poses[:, :3, :3]) < 1 + _MAX_ROTATION_ERROR).all(
        axis=(1, 2), keepdims=True
    )
    R = np.where(is_bounded & is_finite, poses, 0)[:, :3, :3]
    error = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero(~(error < _MAX_ROTATION_ERROR) | ~(np.linalg.det(R) > 0))
    if wrong.size:
        raise InputError(
            f"{printable(path)}: pose {int(wrong[0]) + 1} is no rigid motion: the rotation of "
            "world_T_cam, row by row, is expected"
        )


def _pose_file_in(folder: Path) -> Path:
    for subfolder in (folder, folder / "sparse" / "0", folder / "sparse", folder / "0"):
        for name in _COLMAP_FILES:
            if (subfolder / name).is_file():
                return subfolder / name
    if (folder / "transforms.json").is_file():
        return folder / "transforms.json"
    raise InputError(
        f"{printable(folder)}: has neither COLMAP's {' or '.join(_COLMAP_FILES)} nor a "
        "transforms.json; name the file of the poses"
    )


def _read_colmap_poses(path: Path) -> PoseFile:
    images = list(read_images(path))
    if not images:
        raise InputError(f"{printable(path)}: has no image with a pose")
    camera, notes = None, []
    cameras_path = path.with_name(f"cameras{path.suffix}")
    if cameras_path.is_file():
        colmap_camera = _single_colmap_camera(images, path, cameras_path)
        if colmap_camera is not None:
            size = (colmap_camera.height, colmap_camera.width)
            camera = FrameCalibration(K=colmap_camera.K, shape=size)
            if "PINHOLE" not in colmap_camera.model:
                notes.append(_note_on_colmap_distortion(colmap_camera.model, cameras_path))
    return PoseFile(
        path=path,
        poses=_PosesByName({image.name: image.world_T_cam for image in images}),
        camera=camera,
        notes=tuple(notes),
    )


def _single_colmap_camera(
    images: Sequence[ColmapImage], path: Path, cameras_path: Path
) -> ColmapCamera | None:
    """Camera of all images; None if the file of the cameras does not have it."""
    camera_ids = {image.camera_id for image in images}
    if len(camera_ids) > 1:
        raise InputError(
            f"{printable(path)}: its images have {len(camera_ids)} cameras, but a clip has one: "
            "let COLMAP take one camera for all (--ImageReader.single_camera 1)"
        )
    return read_cameras(cameras_path).get(images[0].camera_id)


def _note_on_colmap_distortion(model: str, cameras_path: Path) -> Note:
    return Note(
        Text(
            f"the camera is {model}, whose distortion is not removed: run "
            "'colmap image_undistorter', or give ",
            OptionName("camera_file"),
        ),
        path=printable(cameras_path),
    )


def _read_nerf_transforms(path: Path) -> PoseFile:
    """Read the ``transforms.json`` of NeRF's programs, whose cameras have OpenGL's axes."""
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
    # Intrinsics stand in the file, or in each of its frames.
    first_frame = frames[0] if isinstance(frames[0], dict) else {}
    camera = _camera_of_nerf_transforms({**first_frame, **record})
    return PoseFile(path=path, poses=_PosesByName(poses), camera=camera, notes=tuple(notes))


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
    """Camera of a file in which the first pixel has its centre at (0.5, 0.5); None if unknown."""
    numbers = {
        name: float(value)
        for name, value in entries.items()
        if isinstance(value, int | float) and 0 < value < _MAX_CAMERA_NUMBER
    }
    if "w" not in numbers or "h" not in numbers:
        return None
    width, height = numbers["w"], numbers["h"]
    if "fl_x" in numbers:
        fx = numbers["fl_x"]
    elif "camera_angle_x" in numbers:
        fx = width / 2 / math.tan(numbers["camera_angle_x"] / 2)
    else:
        return None
    fy = numbers.get("fl_y", fx)
    cx = numbers.get("cx", width / 2) - 0.5
    cy = numbers.get("cy", height / 2) - 0.5
    return FrameCalibration(K=pinhole_K(fx, fy, cx, cy), shape=(int(height), int(width)))


def frame_stem(name: str) -> str:
    """Name that a frame shares with its depth and its pose, without endings as ``.depth.png``."""
    return _ENDINGS.sub("", PurePosixPath(name).name, count=1)


def _last_number_in(stem: str) -> int | None:
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits and is_whole(digits[-1]) else None


def sequence_poses(
    source: str | None, folders: Sequence[Path], files: Sequence[Path]
) -> Transforms | None:
    """Find ``world_T_cam`` [m] of a sequence.

    Args:
        source: File of the poses; ``AUTO`` for the one beside the frames, which must be there;
            None for the same if it is there, to score motion by.
        folders: Folders in which it is sought.
        files: Frames of the sequence.

    Returns:
        Poses, NaN where missing; None if there are none.
    """
    if source is not None and source != AUTO:
        return read_poses_of_files(Path(source), files)
    try:
        poses = poses_beside(folders, files)
    except InputError:
        if source is None:
            return None  # a file of that name, of something else
        raise
    if poses is None and source is not None:
        names = " or ".join(_FILES_BESIDE_FRAMES)
        raise InputError(
            f"{printable(folders[0])}: poses are asked for, but there is no {names} beside the "
            "frames; name their file, or leave poses away"
        )
    return poses


def poses_beside(folders: Sequence[Path], files: Sequence[Path]) -> Transforms | None:
    """Read the poses beside a sequence, NaN where missing; None if there are none."""
    pose_files = [file.with_name(f"{file.name.split('.')[0]}.pose.txt") for file in files]
    if any(path.is_file() for path in pose_files):
        return np.stack([_read_pose_or_nan(path) for path in pose_files])
    for folder in folders:
        for name in _FILES_BESIDE_FRAMES:
            if (folder / name).is_file():
                return read_poses_of_files(folder / name, files)
    return None


def read_poses_of_files(path: Path, files: Sequence[Path]) -> Transforms:
    """Read ``world_T_cam`` of the frames in these files; NaN where missing."""
    frames = []
    for index, file in enumerate(files):
        numbers = parse_numbers(file.stem)
        seconds = numbers[0] if numbers else float("nan")
        frames.append(ClipFrame(index=index, name=file.name, seconds=seconds))
    return read_poses(path).poses_of_frames(frames, len(files))


def _read_pose_or_nan(path: Path) -> Transform:
    """Read the pose of one frame, as 7-Scenes writes it; NaN if it is missing or was lost."""
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
