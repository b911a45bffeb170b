"""Records of an estimated trajectory, from its options to its scores.

Writes trajectories as text: KITTI's format, or TUM's.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.data.clips.footage import ClipCamera
from rilievo.errors import OptionError
from rilievo.frozen import frozen
from rilievo.geometry.transforms import axis_angle_from_rotation
from rilievo.io.files.atomic import replacing
from rilievo.shapes import Bool, Int64, Transforms, Values

FORMAT = "rilievo-trajectory/1"


class TrajectoryFile(StrEnum):
    """Names of the files written for a trajectory."""

    KITTI = "poses.txt"
    """One line per frame: the twelve numbers of the upper rows of ``world_T_cam``."""
    TUM = "trajectory.txt"
    """One line per frame: seconds, tx ty tz, and the unit quaternion qx qy qz qw."""
    PICTURE = "trajectory.png"
    """Picture of the trajectory from above."""
    SCORES = "trajectory.json"
    """``TrajectoryRecord`` as JSON."""


@frozen
class TrajectoryOptions(ClipCamera):
    """Options for estimating a trajectory."""

    poses: Path | None = None
    """True poses to score by, in KITTI's or TUM's format; by default those beside the frames."""
    stride: int = 1
    """Use every Nth frame, about the stride that the networks were trained with."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise OptionError(option="stride", expected="1 or more", value=self.stride)


@frozen
class TrajectoryScores:
    """Errors of a trajectory; lengths are in the truth's unit, usually metres.

    Attributes:
        frames: Number of frames with a true pose, over which all errors are computed.
        pieces: Number of unbroken parts of the path; each is fitted by itself.
        path_length: Length of the true path.
        scale: True length of one unit of the estimate, by least squares from the first pose; of the
            longest part.
        snippets: Number of snippets of five frames.
        snippet_mean: Mean of ``snippet_errors``, the ATE of positions; None where there is no
            snippet.
        snippet_deviation: Standard deviation of ``snippet_errors``.
        monodepth2_snippets: Number of snippets of five frames or fewer, as in Monodepth2's code.
        monodepth2_mean: Mean of ``monodepth2_snippet_errors``, the ATE that its code reports.
        monodepth2_deviation: Standard deviation of ``monodepth2_snippet_errors``.
        rmse_origin: ``position_rmse`` with the first pose aligned; None where the estimate is not
            metric.
        rmse_scale: ``position_rmse`` with the first pose aligned and one scale fitted.
        rmse_rigid: ``position_rmse`` with SE(3) fitted; None where the estimate is not metric.
        rmse_similarity: ``position_rmse`` with Sim(3) fitted.
        frame_translation: Mean translation error of motions between neighbours, after ``scale``;
            None where no two neighbours have true poses.
        frame_rotation: Mean rotation error of these motions [degrees].
        parts: Number of sub-paths of 100 to 800 m, by KITTI's protocol; 0 where the path is
            shorter.
        part_translation: Mean error at the sub-paths' ends [share of their length], after
            ``scale`` where the estimate is not metric.
        part_rotation: Mean rotation error over the sub-paths [degrees per metre].
        direction: Median angle between estimated and true directions of motion, between frames
            that are a tenth of the median true step apart or more [degrees].
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
        """Whether the estimate is reversed, such as forwards where the camera went backwards."""
        return self.scale < 0


@frozen
class TrajectoryRecord:
    """Contents of ``trajectory.json``."""

    format: str = FORMAT
    model: str
    clip: str
    frames: int
    stride: int
    notes: tuple[str, ...] = ()
    scores: TrajectoryScores | None = None


@frozen
class Trajectory:
    """An estimated trajectory; the world frame is the camera of the first usable frame.

    Attributes:
        seconds: Times of the frames [s]; frame numbers where no time is known.
        poses: ``world_T_cam``, in the unit of the network's depth: metres where that is metric.
        estimated: Mask of usable frames; poses of broken frames are interpolated.
        true: True poses relative to the first known one, NaN where unknown; None if none is known.
        parts: Number of the unbroken part of the path that each frame belongs to; None for one.
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
    """Write one line per frame: the upper three rows of ``world_T_cam``, row by row."""
    _write(path, (" ".join(f"{number:.9e}" for number in pose[:3].ravel()) for pose in poses))


def write_tum(path: Path, seconds: Values, poses: Transforms) -> None:
    """Write one line per frame: seconds tx ty tz qx qy qz qw."""
    _write(path, _tum_lines(seconds, poses))


def _tum_lines(seconds: Values, poses: Transforms) -> Iterator[str]:
    yield "# seconds tx ty tz qx qy qz qw"
    for moment, pose in zip(seconds, poses, strict=True):
        turn = axis_angle_from_rotation(pose[:3, :3])
        angle = float(np.linalg.norm(turn))
        # sin(a / 2) / a, which is one half at a = 0.
        vector = turn * np.sinc(angle / (2 * np.pi)) / 2
        numbers = (*pose[:3, 3], *vector, np.cos(angle / 2))
        yield f"{moment:.6f} " + " ".join(f"{number:.9f}" for number in numbers)


def _write(path: Path, lines: Iterator[str]) -> None:
    with replacing(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
