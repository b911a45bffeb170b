"""Records of estimated trajectories ``world_T_cam``, and files of KITTI's and TUM's formats."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Bool, Int64, Transform, Transforms, Values
from rilievo.data.clips.footage import ClipCamera
from rilievo.errors import OptionError
from rilievo.geometry.transforms import axis_angle_from_rotation
from rilievo.io.files.atomic import write_text

FORMAT = "rilievo-trajectory/1"


class TrajectoryFile(StrEnum):
    """Names of the files in a folder of results."""

    KITTI = "poses.txt"
    """Upper rows of ``world_T_cam``, a line a frame."""
    TUM = "trajectory.txt"
    """Seconds, tx ty tz and qx qy qz qw, a line a frame."""
    PICTURE = "trajectory.png"
    """Picture of the path from above."""
    SCORES = "trajectory.json"
    """Errors and notes: ``TrajectoryRecord`` as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryOptions(ClipCamera):
    """Options of estimating a trajectory."""

    poses: Path | None = None
    """Ground-truth poses to compute errors, in KITTI or TUM format; by default those beside the
    frames."""
    stride: int = 1
    """Use every Nth frame. For networks, choose about the stride of their training."""
    device: str = "auto"
    """Device to run on: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise OptionError(option="stride", expected="1 or more", value=self.stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryScores:
    """Errors of a trajectory.

    Lengths are in the unit of the true poses and angles in degrees. A value is None if the
    trajectory has nothing to compute it from, for example no segment of 100 m.

    Attributes:
        frames: Number of frames with a true pose.
        pieces: Number of unbroken parts of the path, each of which is fitted by itself.
        path_length: True length of all parts of the path.
        scale: True length of a unit of the estimate, in the longest part.
        snippets: Number of snippets of five frames, whose ``snippet_errors`` have mean
            ``snippet_mean`` and standard deviation ``snippet_deviation``.
        monodepth2_snippets: The same for ``monodepth2_snippet_errors``.
        rmse_origin: RMSE of positions if the first pose is fitted; None unless metric.
        rmse_scale: RMSE of positions if the first pose and the scale are fitted.
        rmse_rigid: RMSE of positions after a rigid fit; None unless metric.
        rmse_similarity: RMSE of positions after a similarity fit.
        frame_translation: Mean error of the motion between neighbouring frames, after ``scale``.
        frame_rotation: Mean error of the rotation between neighbouring frames.
        parts: Number of KITTI's segments of 100 to 800 m.
        part_translation: Mean error over these segments, divided by their length, after ``scale``
            unless metric.
        part_rotation: Mean error over these segments [degrees per metre].
        direction: Median angle between estimated and true directions of motion.
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
        """Whether the estimate goes backwards where the camera went forwards."""
        return self.scale < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryRecord:
    """Contents of ``trajectory.json``; ``scores`` is None without true poses."""

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
        seconds: Times of the frames [s], or their numbers if the clip has no times.
        poses: ``world_T_cam``, in metres if ``metric``, else in the unit of the model's depth.
        estimated: Mask of the usable frames. The poses of other frames are interpolated.
        true: True poses relative to the first known one, with NaN where unknown; None if the clip
            has none.
        parts: Index of the unbroken part to which each frame belongs; None if there is one part.
        notes: What was skipped, and what makes the path less certain.
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
    """Write poses as KITTI does: the upper three rows of ``world_T_cam``, a line a frame."""
    _write_lines(path, (_kitti_line(pose) for pose in poses))


def _kitti_line(pose: Transform) -> str:
    return " ".join(f"{number:.9e}" for number in pose[:3].ravel())


def write_tum(path: Path, seconds: Values, poses: Transforms) -> None:
    """Write poses as TUM does: seconds tx ty tz qx qy qz qw, a line a frame."""
    _write_lines(path, _tum_lines(seconds, poses))


def _tum_lines(seconds: Values, poses: Transforms) -> Iterator[str]:
    yield "# seconds tx ty tz qx qy qz qw"
    for time, pose in zip(seconds, poses, strict=True):
        axis_angle = axis_angle_from_rotation(pose[:3, :3])
        angle = float(np.linalg.norm(axis_angle))
        # The quaternion has the imaginary part axis · sin(angle / 2). Numpy's sinc(x) is
        # sin(πx) / (πx), so this is sin(angle / 2) / angle, and one half at an angle of 0.
        imaginary = axis_angle * np.sinc(angle / (2 * np.pi)) / 2
        numbers = (*pose[:3, 3], *imaginary, np.cos(angle / 2))
        yield f"{time:.6f} " + " ".join(f"{number:.9f}" for number in numbers)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))
