"""What an estimated trajectory is, how it is asked for, and how right it is."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from rilievo.errors import OptionError

FORMAT = "rilievo-trajectory/1"


class TrajectoryFile(StrEnum):
    """What is written of a trajectory, by name."""

    KITTI = "poses.txt"
    """A line for each frame: the twelve numbers of the upper rows of ``world_T_cam``."""
    TUM = "trajectory.txt"
    """A line for each frame: seconds, tx ty tz, and the unit quaternion qx qy qz qw."""
    PICTURE = "trajectory.png"
    """The path from above."""
    SCORES = "trajectory.json"
    """``TrajectoryRecord``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryOptions:
    """How a trajectory is estimated."""

    poses: Path | None = None
    """True poses to score by, in KITTI's or TUM's format; None looks beside the frames."""
    stride: int = 1
    """Use every so many frames: about the stride that the networks were trained with."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise OptionError(f"stride is 1 or more, got {self.stride}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryScores:
    """How right a trajectory is; lengths in the truth's unit, metres as a rule.

    Attributes:
        frames: With a true pose, over which the rest is computed.
        path_length: How far the camera truly went.
        scale: True length that one unit of the estimate is, by least squares from the first pose.
        snippets: Of five frames.
        snippet_mean: Mean of ``snippet_errors``, the ATE of positions; None where there is no
            snippet.
        snippet_deviation: Its standard deviation.
        monodepth2_snippets: Of five frames and fewer, as Monodepth2's program takes them.
        monodepth2_mean: Mean of ``monodepth2_snippet_errors``, the ATE that its program reports.
        monodepth2_deviation: Its standard deviation.
        rmse_origin: ``position_rmse`` with the first pose fitted; None where the estimate has no
            unit.
        rmse_scale: With the first pose and one scale.
        rmse_rigid: With SE(3) fitted; None where the estimate has no unit.
        rmse_similarity: With Sim(3) fitted.
        frame_translation: Mean relative pose error of neighbours, after ``scale``; None where no
            neighbours are known.
        frame_rotation: Its mean angle [degrees].
        parts: Of 100 to 800 m, by KITTI's protocol; 0 where the path is shorter.
        part_translation: Mean error of their ends, after ``scale`` where the estimate has no unit
            [share of the length].
        part_rotation: [degrees per metre].
    """

    frames: int
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryRecord:
    """``trajectory.json``.

    Attributes:
        format: Of the file.
        model: Folder of the networks.
        clip: The frames.
        frames: Used.
        stride: Between them.
        notes: What is worth a word: broken frames, and the like.
        scores: None without true poses.
    """

    format: str = FORMAT
    model: str
    clip: str
    frames: int
    stride: int
    notes: tuple[str, ...] = ()
    scores: TrajectoryScores | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """Where a camera was; the world is the first frame's camera.

    Attributes:
        names: Of the frames.
        seconds: When each was taken; its number where nothing says so.
        poses: ``world_T_cam``, in the unit of the network's depth: metres where that is metric.
        estimated: Which frames were seen; the pose of a broken one lies between its neighbours'.
        metric: Whether the unit is a metre.
        true: True poses seen from the first known one, NaN where unknown; None where none are.
        notes: What is worth a word.
    """

    names: tuple[str, ...]
    seconds: Float64[np.ndarray, "n"]
    poses: Float64[np.ndarray, "n 4 4"]
    estimated: Bool[np.ndarray, "n"]
    metric: bool
    true: Float64[np.ndarray, "n 4 4"] | None = None
    notes: tuple[str, ...] = ()
