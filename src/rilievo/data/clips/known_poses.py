"""Known poses of the frames of a sequence.

Supported formats are KITTI's (a line of 12 numbers for each frame: the upper rows of
``world_T_cam``), TUM's (seconds, translation, quaternion; frames are found by the time in their
names) and 7-Scenes' (a 4x4 matrix beside each frame).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.data.datasets.files import numbers_of, text_lines
from rilievo.data.datasets.sets.tum import read_trajectory
from rilievo.errors import InputError
from rilievo.io.files.limits import printable

AUTO = "auto"
_BESIDE = ("poses.txt", "groundtruth.txt")
_KITTI, _TUM = 12, 8
_SQUARE = 0.01
"""Largest deviation of a rotation from orthonormality: files have four digits and more."""


def asked_poses(
    asked: str | None, homes: Sequence[Path], files: Sequence[Path]
) -> Float64[np.ndarray, "n 4 4"] | None:
    """Return the poses of a sequence; poses that were not requested still serve to score motion.

    Returns:
        Poses ``world_T_cam`` [m], NaN for frames without one; None where none were requested and
        none that fit the frames are there.
    """
    if asked is not None and asked != AUTO:
        return poses_in(Path(asked), files)
    try:
        found = poses_beside(homes, files)
    except InputError:
        if asked is None:
            return None  # a file of that name, of something else
        raise
    if found is None and asked is not None:
        raise InputError(
            f"{printable(homes[0])}: poses are asked for, but there is no {' or '.join(_BESIDE)} "
            "beside the frames; name their file, or leave poses away"
        )
    return found


def poses_beside(
    homes: Sequence[Path], files: Sequence[Path]
) -> Float64[np.ndarray, "n 4 4"] | None:
    """Read the poses beside a sequence, NaN for frames without one; None where there are none."""
    matrices = [_pose_file(file) for file in files]
    if any(path.is_file() for path in matrices):
        return np.stack([_matrix(path) for path in matrices])
    for home in homes:
        for name in _BESIDE:
            if (home / name).is_file():
                return poses_in(home / name, files)
    return None


def poses_in(path: Path, files: Sequence[Path]) -> Float64[np.ndarray, "n 4 4"]:
    """Read ``world_T_cam`` [m] of each frame from a KITTI or TUM file; NaN where it has none."""
    first = next(text_lines(path), None)
    numbers = () if first is None else numbers_of(first.text) or ()
    if len(numbers) == _KITTI:
        return _by_line(path, len(files))
    if len(numbers) == _TUM:
        return _by_time(path, files)
    raise InputError(
        f"{printable(path)}: expected 12 numbers a line (KITTI) or 8 (TUM: seconds, translation, "
        f"quaternion), found '{printable(first.text[:60]) if first else 'nothing'}'"
    )


def read_kitti_poses(path: Path) -> Float64[np.ndarray, "n 4 4"]:
    """Read a pose from each line: the upper three rows of a matrix, row by row."""
    rows: list[np.ndarray] = []
    for line in text_lines(path):
        numbers = numbers_of(line.text)
        if numbers is None or len(numbers) != _KITTI:
            raise InputError(
                f"{printable(path)}: line {line.number} is '{printable(line.text[:60])}'; "
                "expected the 12 numbers of a pose"
            )
        rows.append(np.array(numbers).reshape(3, 4))
    poses = np.zeros((len(rows), 4, 4))
    poses[:, :3] = np.reshape(rows, (-1, 3, 4))
    poses[:, 3, 3] = 1
    check_rotations(poses, path)
    return poses


def _by_line(path: Path, count: int) -> Float64[np.ndarray, "n 4 4"]:
    poses = read_kitti_poses(path)
    if len(poses) != count:
        raise InputError(
            f"{printable(path)}: has {len(poses)} poses, but there are {count} frames; one line "
            "for each is expected"
        )
    return poses


def _by_time(path: Path, files: Sequence[Path]) -> Float64[np.ndarray, "n 4 4"]:
    trajectory = read_trajectory(path)
    poses = np.full((len(files), 4, 4), np.nan)
    for place, file in enumerate(files):
        seconds = numbers_of(file.stem)
        found = trajectory.at(seconds[0]) if seconds else None
        if found is not None:
            poses[place] = found
    if np.isnan(poses).all():
        raise InputError(
            f"{printable(path)}: has poses by time, but no frame is named after a time near one "
            f"(the first is {printable(files[0].name) if files else 'none'})"
        )
    return poses


def _pose_file(file: Path) -> Path:
    return file.with_name(f"{file.name.split('.')[0]}.pose.txt")


def _matrix(path: Path) -> Float64[np.ndarray, "4 4"]:
    """Read a pose of 7-Scenes; NaN where it is missing, or the tracker was lost."""
    if not path.is_file():
        return np.full((4, 4), np.nan)
    rows = [numbers_of(line.text) for line in text_lines(path)]
    if len(rows) != 4 or any(row is None or len(row) != 4 for row in rows):
        raise InputError(f"{printable(path)}: expected a pose, four rows of four numbers")
    pose = np.array(rows, np.float64)
    if not np.isfinite(pose).all():
        return np.full((4, 4), np.nan)
    check_rotations(pose[None], path)
    return pose


def check_rotations(poses: Float64[np.ndarray, "n 4 4"], path: Path) -> None:
    """Check that poses are rigid motions."""
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
