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
from rilievo.errors.messages import Note, OptionName, Text, count_text
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import rigid
from rilievo.io.files.limits import is_whole, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, parse_json

_OPENGL_FROM_OPENCV_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
"""Points from OpenCV's camera axes to OpenGL's (y up, looking along -z), or back."""
_KITTI_NUMBER_COUNT = 12
_TUM_NUMBER_COUNT = 8
_COLMAP_FILES = ("images.txt", "images.bin")
_FILES_BESIDE_FRAMES = ("poses.txt", "groundtruth.txt")
AUTO = "auto"
"""Value of an option for the file of poses beside the frames."""
_MAX_ROTATION_ERROR = 0.01
"""Largest deviation of a rotation from orthonormality."""
_MAX_CAMERA_NUMBER = 1e9
"""Largest number of pixels in a camera, since JSON has any integer."""
# An ending begins with a letter, because TUM's names are times such as 1305031102.175304.png.
_ENDINGS = re.compile(r"(\.(?:depth16|depth|color|rgb))?(\.[a-z]\w*)?$", re.IGNORECASE)


@runtime_checkable
class FramePoses(Protocol):
    """Poses of a file, and the way in which they belong to frames: by line, time or name."""

    def find_poses(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        """Find ``world_T_cam`` of some of a clip's ``count`` frames; None where it is missing."""
        ...


@dataclass(frozen=True, slots=True)
class _PosesByLine:
    """One pose for each frame of the clip, in their order."""

    poses: Transforms
    path: Path

    def find_poses(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        if len(self.poses) != count:
            raise InputError(
                f"{printable(self.path)}: has {count_text(len(self.poses), 'pose')}, but the clip "
                f"has {count_text(count, 'frame')}; expected one line per frame"
            )
        return [self.poses[frame.index] for frame in frames]


@dataclass(frozen=True, slots=True)
class _PosesByTime:
    """Poses at times. The nearest in time belongs to a frame."""

    poses: TimedPoses

    def find_poses(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        return [self.poses.nearest_pose(frame.seconds) for frame in frames]


@dataclass(frozen=True, slots=True)
class _PosesByName:
    """Poses by file name. If no name matches, the last number in the name is a frame's index."""

    poses: Mapping[str, Transform]

    def find_poses(self, frames: Sequence[ClipFrame], count: int) -> Sequence[Transform | None]:
        """Match names first, and numbers in names if no name matches."""
        by_stem = {frame_stem(name): pose for name, pose in self.poses.items()}
        poses = [by_stem.get(frame_stem(frame.name)) for frame in frames]
        if any(pose is not None for pose in poses):
            return poses

        by_number = {_last_number_in(stem): pose for stem, pose in by_stem.items()}
        numbers = [number for number in by_number if number is not None]
        # Programs that cut videos into pictures often count from 1. Then the last number is the
        # number of frames.
        counts_from_one = bool(numbers) and 0 not in by_number and max(numbers) == count
        first_number = 1 if counts_from_one else 0
        return [by_number.get(frame.index + first_number) for frame in frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseFile:
    """A file of poses.

    Attributes:
        camera: Camera that the file states; None if it states none.
        notes: Sentences on what about the camera is left out.
    """

    path: Path
    poses: FramePoses
    camera: FrameCalibration | None = None
    notes: tuple[str, ...] = ()

    def poses_of_frames(self, frames: Sequence[ClipFrame], frame_count: int) -> Transforms:
        """Find ``world_T_cam`` of frames of a clip with ``frame_count`` frames; NaN where missing.

        Raises:
            InputError: If the file does not belong to this clip.
        """
        unknown = np.full((4, 4), np.nan)
        found = self.poses.find_poses(frames, frame_count)
        poses = np.stack([unknown if pose is None else pose for pose in found])
        if np.isnan(poses).all():
            raise InputError(
                f"{printable(self.path)}: has no pose for any frame of this clip, such as "
                f"'{printable(frames[0].name)}'; the image names (COLMAP, transforms.json) or "
                "times (TUM) in the file must match those of the frames"
            )
        return poses


def read_poses(path: Path) -> PoseFile:
    """Read a file of poses, or the one in a folder, in the format that its name or content shows.

    Raises:
        InputError: If it is in an unknown format, or damaged.
    """
    if path.is_dir():
        return read_poses(_pose_file_in(path))
    if path.suffix.lower() == ".json":
        return _read_nerf_transforms(path)
    if path.name in _COLMAP_FILES:
        return _read_colmap_poses(path)
    if path.suffix.lower() == ".bin":
        raise InputError(
            f"{printable(path)}: is a binary file, but the only binary pose file that rilievo "
            "reads is COLMAP's images.bin; give that file or its folder"
        )
    first_line = next(text_lines(path), None)
    numbers = None if first_line is None else parse_numbers(first_line.text)
    number_count = 0 if numbers is None else len(numbers)
    if number_count == _KITTI_NUMBER_COUNT:
        return PoseFile(path=path, poses=_PosesByLine(read_kitti_poses(path), path))
    if number_count == _TUM_NUMBER_COUNT:
        return PoseFile(path=path, poses=_PosesByTime(read_trajectory(path)))
    found = "an empty file" if first_line is None else f"'{printable(first_line.text[:60])}'"
    raise InputError(
        f"{printable(path)}: expected poses in the format of KITTI (12 numbers per line), TUM (8 "
        "numbers per line), COLMAP (images.txt or images.bin) or NeRF (transforms.json), found "
        f"{found}"
    )


def read_kitti_poses(path: Path) -> Transforms:
    """Read ``world_T_cam`` from each line of a file, row by row."""
    rows: list[tuple[float, ...]] = []
    for line in text_lines(path):
        numbers = parse_numbers(line.text)
        if numbers is None or len(numbers) != _KITTI_NUMBER_COUNT:
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
    """Check that poses are rigid motions.

    Raises:
        InputError: If a rotation is not orthonormal, or a number is not finite.
    """
    # Replace poses with non-finite or huge entries by 0. R Rᵀ would overflow, and 0 is not
    # orthonormal either.
    is_finite = np.isfinite(poses).all(axis=(1, 2), keepdims=True)
    is_bounded = (np.abs(poses[:, :3, :3]) < 1 + _MAX_ROTATION_ERROR).all(
        axis=(1, 2), keepdims=True
    )
    R = np.where(is_bounded & is_finite, poses, 0)[:, :3, :3]
    error = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    is_rotation = (error < _MAX_ROTATION_ERROR) & (np.linalg.det(R) > 0)
    invalid = np.flatnonzero(~is_rotation)
    if invalid.size:
        raise InputError(
            f"{printable(path)}: pose {int(invalid[0]) + 1} is not a rigid motion; expected the "
            "transform from camera to world, row by row, with an orthonormal rotation"
        )


def _pose_file_in(folder: Path) -> Path:
    for subfolder in (folder, folder / "sparse" / "0", folder / "sparse", folder / "0"):
        for name in _COLMAP_FILES:
            if (subfolder / name).is_file():
                return subfolder / name
    if (folder / "transforms.json").is_file():
        return folder / "transforms.json"
    raise InputError(
        f"{printable(folder)}: contains no pose file called {', '.join(_COLMAP_FILES)} or "
        "transforms.json; give the path of the pose file instead"
    )


def _read_colmap_poses(path: Path) -> PoseFile:
    """Read the poses of COLMAP's images, and their one camera from the file beside them."""
    images = list(read_images(path))
    if not images:
        raise InputError(
            f"{printable(path)}: has no image with a pose; expected a COLMAP reconstruction with "
            "registered images"
        )
    camera: FrameCalibration | None = None
    notes: list[str] = []
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
    """Read the one camera of all images; None if the file of cameras does not have it."""
    camera_ids = {image.camera_id for image in images}
    if len(camera_ids) > 1:
        raise InputError(
            f"{printable(path)}: its images use {len(camera_ids)} cameras, but a clip must have a "
            "single camera; run COLMAP with --ImageReader.single_camera 1"
        )
    return read_cameras(cameras_path).get(images[0].camera_id)


def _note_on_colmap_distortion(model: str, cameras_path: Path) -> Note:
    return Note(
        Text(
            f"rilievo ignores the distortion of the {model} camera; undistort the frames with "
            "'colmap image_undistorter', or give a calibration file with ",
            OptionName("camera_file"),
        ),
        path=printable(cameras_path),
    )


def _read_nerf_transforms(path: Path) -> PoseFile:
    """Read the ``transforms.json`` of NeRF's programs, whose cameras have OpenGL's axes."""
    try:
        document = parse_json(read_text(path))
    except InvalidRecordError as error:
        raise InputError(f"{printable(path)}: {error}") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(
            f"{printable(path)}: expected a list 'frames', in which each frame has a "
            "'transform_matrix'"
        )
    poses: dict[str, Transform] = {}
    for index, frame in enumerate(frames):
        pose = _parse_transform_matrix(frame, path, index)
        poses[str(frame.get("file_path", index))] = pose @ _OPENGL_FROM_OPENCV_AXES
    check_rigid_poses(np.stack(list(poses.values())), path)

    notes = []
    if any(document.get(name) for name in ("k1", "k2", "p1", "p2")):
        notes.append(
            Note(
                Text(
                    "rilievo ignores this camera's distortion; undistort the frames, or give a "
                    "calibration file with ",
                    OptionName("camera_file"),
                ),
                path=printable(path),
            )
        )
    # Intrinsics of the whole file come before those of its first frame.
    camera = _parse_nerf_camera({**frames[0], **document})
    return PoseFile(path=path, poses=_PosesByName(poses), camera=camera, notes=tuple(notes))


def _parse_transform_matrix(frame: Any, path: Path, frame_index: int) -> Transform:
    """Check the pose of one frame, and complete one of three rows to 4×4."""
    rows = frame.get("transform_matrix") if isinstance(frame, dict) else None
    try:
        pose = np.array(rows, np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.zeros(0)  # refused below
    if pose.shape == (3, 4):
        pose = np.concatenate([pose, [[0, 0, 0, 1]]])
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise InputError(
            f"{printable(path)}: 'frames[{frame_index}]' needs a 'transform_matrix' of 4 x 4 "
            "finite numbers"
        )
    return pose


def _parse_nerf_camera(entries: Mapping[str, Any]) -> FrameCalibration | None:
    """Parse the intrinsics of a ``transforms.json``; None if size or focal length is missing.

    There, the centre of the first pixel is at (0.5, 0.5).
    """
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
    """Name that a frame shares with its depth and pose, without endings such as ``.depth.png``."""
    return _ENDINGS.sub("", PurePosixPath(name).name, count=1)


def _last_number_in(stem: str) -> int | None:
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits and is_whole(digits[-1]) else None


def sequence_poses(
    source: str | None, folders: Sequence[Path], files: Sequence[Path]
) -> Transforms | None:
    """Find ``world_T_cam`` [m] of a sequence.

    Args:
        source: File of the poses; ``AUTO`` requires one beside the frames; None uses one beside
            the frames if there is any, to score motion against it.
        folders: Folders in which the file beside the frames is searched.
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
            return None  # the file has the name of a pose file, but something else in it
        raise
    if poses is None and source is not None:
        names = " or ".join(_FILES_BESIDE_FRAMES)
        raise InputError(
            f"you asked for the poses beside the frames, but there is no {names}",
            path=printable(folders[0]),
            hint=Text("give the path of the pose file with ", OptionName("poses")),
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
    """Read the pose of one frame as 7-Scenes writes it; NaN if the file or the pose is missing."""
    if not path.is_file():
        return np.full((4, 4), np.nan)
    rows = [parse_numbers(line.text) for line in text_lines(path)]
    if len(rows) != 4 or any(row is None or len(row) != 4 for row in rows):
        raise InputError(f"{printable(path)}: expected a pose as four rows of four numbers")
    pose = np.array(rows, np.float64)
    # Where tracking was lost, 7-Scenes writes rows of NaN or infinity.
    if not np.isfinite(pose).all():
        return np.full((4, 4), np.nan)
    check_rigid_poses(pose[None], path)
    return pose
