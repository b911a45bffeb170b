"""Records of estimated trajectories ``world_T_cam``, and files of KITTI's and TUM's formats."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Bool, Int64, Transforms, Values
from rilievo.data.clips.footage import ClipCamera
from rilievo.errors import OptionError
from rilievo.geometry.transforms import axis_angle_from_rotation
from rilievo.io.files.atomic import replacing

FORMAT = "rilievo-trajectory/1"


class TrajectoryFile(StrEnum):
    """Names of files."""

    KITTI = "poses.txt"
    """Upper rows of ``world_T_cam``, a line a frame."""
    TUM = "trajectory.txt"
    """Seconds, tx ty tz and qx qy qz qw, a line a frame."""
    PICTURE = "trajectory.png"
    """Picture from above."""
    SCORES = "trajectory.json"
    """``TrajectoryRecord`` as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryOptions(ClipCamera):
    """Options of a trajectory."""

    poses: Path | None = None
    """True poses to score by, in KITTI's or TUM's format; by default those beside the frames."""
    stride: int = 1
    """Use every Nth frame, about the stride of the networks' training."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise OptionError(option="stride", expected="1 or more", value=self.stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryScores:
    """Errors of a trajectory; lengths are in the unit of truth, angles in degrees.

    ``rmse_origin`` to ``rmse_similarity`` are ``position_rmse`` by its freedoms.

    Attributes:
        frames: Number of frames with a true pose.
        pieces: Number of unbroken parts, each fitted by itself.
        scale: True length of a unit of the estimate; of the longest part.
        frame_translation: Mean error between neighbours, after ``scale``.
        part_translation: Mean error [share of length], after ``scale`` unless metric.
        part_rotation: Mean error [degrees per metre].
        direction: Median angle between directions of motion.
    """

    frames: int
    pieces: int = 1
    path_length: float
    scale: float
    snippets: int
    snippet_mean: float | None = None
    snippet_deviation: float | None = None
    monodepth2_snippets: int = 0
    monodepth2_mean: float | None = None
    monodepth2_deviation: float | None = None
    rmse_origin: float | None = None
    rmse_scale: float
    rmse_rigid: float | None = None
    rmse_similarity: float
    frame_translation: float | None = None
    frame_rotation: float | None = None
    parts: int = 0
    part_translation: float | None = None
    part_rotation: float | None = None
    direction: float | None = None

    @property
    def is_mirrored(self) -> bool:
        """Whether the estimate is reversed."""
        return self.scale < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryRecord:
    """Contents of ``trajectory.json``."""

    format: str = FORMAT
    model: str
    clip: str
    frames: int
    stride: int
    notes: tuple[str, ...] = ()
    scores: TrajectoryScores | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """Estimated trajectory; the world is the camera of the first usable frame.

    Attributes:
        seconds: Times [s]; numbers where unknown.
        poses: ``world_T_cam``, in the unit of the network's depth.
        estimated: Mask of usable frames; others are interpolated.
        true: True poses relative to the first known one.
    """

    names: tuple[str, ...]
    seconds: Values
    poses: Transforms
    estimated: Bool[np.ndarray, "n"]
    metric: bool
    true: Transforms | None = None
    parts: Int64[np.ndarray, "n"] | None = None
    notes: tuple[str, ...] = ()


def write_kitti(path: Path, poses: Transforms) -> None:
    """Write the upper rows of ``world_T_cam``, a line a frame."""
    _write_lines(path, (" ".join(f"{number:.9e}" for number in pose[:3].ravel()) for pose in poses))


def write_tum(path: Path, seconds: Values, poses: Transforms) -> None:
    """Write seconds tx ty tz qx qy qz qw, a line a frame."""
    _write_lines(path, _tum_lines(seconds, poses))


def _tum_lines(seconds: Values, poses: Transforms) -> Iterator[str]:
    yield "# seconds tx ty tz qx qy qz qw"
    for moment, pose in zip(seconds, poses, strict=True):
        turn = axis_angle_from_rotation(pose[:3, :3])
        angle = float(np.linalg.norm(turn))
        # sin(a / 2) / a, which is one half at a = 0.
        vector = turn * np.sinc(angle / (2 * np.pi)) / 2
        numbers = (*pose[:3, 3], *vector, np.cos(angle / 2))
        yield f"{moment:.6f} " + " ".join(f"{number:.9f}" for number in numbers)


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    with replacing(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
