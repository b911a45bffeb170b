"""Known poses of the frames of a sequence.

Supported formats are those of ``pose_files.py``, and 7-Scenes' (a 4x4 matrix beside each frame).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.data.clips.pose_files import check_rotations, read_poses
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.datasets.files import numbers_of, text_lines
from rilievo.errors import InputError
from rilievo.io.files.limits import printable
from rilievo.shapes import Transform, Transforms

AUTO = "auto"
_BESIDE = ("poses.txt", "groundtruth.txt")


def asked_poses(
    source: str | None, homes: Sequence[Path], files: Sequence[Path]
) -> Transforms | None:
    """Return the poses of a sequence; poses that were not requested still serve to score motion.

    Returns:
        Poses ``world_T_cam`` [m], NaN for frames without one; None where none were requested and
        none that fit the frames are there.
    """
    if source is not None and source != AUTO:
        return poses_in(Path(source), files)
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
    """Read the poses beside a sequence, NaN for frames without one; None where there are none."""
    matrices = [file.with_name(f"{file.name.split('.')[0]}.pose.txt") for file in files]
    if any(path.is_file() for path in matrices):
        return np.stack([_matrix(path) for path in matrices])
    for home in homes:
        for name in _BESIDE:
            if (home / name).is_file():
                return poses_in(home / name, files)
    return None


def poses_in(path: Path, files: Sequence[Path]) -> Transforms:
    """Read ``world_T_cam`` of each frame from a file of ``read_poses``; NaN where it has none."""
    frames = []
    for index, file in enumerate(files):
        numbers = numbers_of(file.stem)
        seconds = numbers[0] if numbers else float("nan")
        frames.append(ClipFrame(index=index, name=file.name, seconds=seconds))
    return read_poses(path).of(frames, len(files))


def _matrix(path: Path) -> Transform:
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
