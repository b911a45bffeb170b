"""Writes trajectories as text in the formats of KITTI and TUM, and draws them from above."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from rilievo.errors import needing
from rilievo.geometry.transforms import axis_angle_from_rotation
from rilievo.io.atomic import replacing
from rilievo.metrics.trajectory import Freedom, fit_similarity, known_poses
from rilievo.odometry.records import Trajectory


def write_kitti(path: Path, poses: Float64[np.ndarray, "n 4 4"]) -> None:
    """Write one line per frame: the upper three rows of ``world_T_cam``, row by row."""
    _write(path, (" ".join(f"{number:.9e}" for number in pose[:3].ravel()) for pose in poses))


def write_tum(
    path: Path, seconds: Float64[np.ndarray, "n"], poses: Float64[np.ndarray, "n 4 4"]
) -> None:
    """Write one line per frame: seconds tx ty tz qx qy qz qw."""
    _write(path, _tum_lines(seconds, poses))


def _tum_lines(
    seconds: Float64[np.ndarray, "n"], poses: Float64[np.ndarray, "n 4 4"]
) -> Iterator[str]:
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


_TRUE, _ESTIMATE = "#7a7a7a", "#c2410c"


def check_can_draw() -> None:
    """Check before any work that pictures can be drawn."""
    with needing("a picture of a trajectory", "evaluate"):
        import matplotlib  # noqa: F401


def write_picture(path: Path, trajectory: Trajectory) -> None:
    """Draw truth and estimate from above, x to the right and z upwards, at equal scales.

    The estimate is aligned to the truth at its first pose; if it is not metric, one scale is fitted
    too. The suffix of the file gives its format: ``.png`` or ``.svg``.
    """
    check_can_draw()
    import matplotlib
    from matplotlib.figure import Figure

    # Default style and a fixed hash salt, so that the same numbers always give the same picture.
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, "svg.hashsalt": "rilievo"}):
        figure = Figure(figsize=(5.0, 5.0), layout="constrained")
        _draw(figure.subplots(), trajectory)
        with replacing(path) as part:
            figure.savefig(part, format=path.suffix.removeprefix("."), dpi=150)


def _draw(axes: Any, trajectory: Trajectory) -> None:
    mirrored = False
    poses, unit = trajectory.poses, "m" if trajectory.metric else "unit of the estimate"
    true = trajectory.true
    known = None if true is None else known_poses(true) & trajectory.estimated
    if true is not None and known is not None and known.sum() > 1:
        freedom = Freedom.ORIGIN if trajectory.metric else Freedom.SCALE
        fit = fit_similarity(poses[known], true[known], freedom)
        poses, unit, mirrored = fit.apply(poses), "m", fit.scale < 0
        _line(axes, true, _TRUE, "truth")
    said = "estimate" if unit != "m" or trajectory.metric else "estimate, scaled"
    said = "estimate, MIRRORED and scaled" if mirrored else said
    _line(axes, poses, _ESTIMATE, said)
    axes.plot(poses[0, 0, 3], poses[0, 2, 3], "o", color="black", markersize=4, label="start")
    axes.set_xlabel(f"x [{unit}]")
    axes.set_ylabel(f"z [{unit}]")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(frameon=False)


def _line(axes: Any, poses: Float64[np.ndarray, "n 4 4"], colour: str, label: str) -> None:
    axes.plot(poses[:, 0, 3], poses[:, 2, 3], color=colour, linewidth=1.2, label=label)
