"""Picture of a trajectory from above."""

from pathlib import Path
from typing import Any

from rilievo.arrays.shapes import Transforms
from rilievo.data.trajectories.errors import Freedom, fit_similarity, known_poses
from rilievo.data.trajectories.records import Trajectory
from rilievo.errors import needing
from rilievo.io.files.atomic import replacing

_TRUE, _ESTIMATE = "#7a7a7a", "#c2410c"


def check_can_draw() -> None:
    """Check that pictures can be drawn."""
    with needing("a picture of a trajectory", "evaluate"):
        import matplotlib  # noqa: F401


def write_picture(path: Path, trajectory: Trajectory) -> None:
    """Draw truth and estimate from above (``.png`` or ``.svg``), x to the right and z upwards."""
    check_can_draw()
    import matplotlib
    from matplotlib.figure import Figure

    # Default style and a fixed hash salt, so that the same numbers always give the same picture.
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, "svg.hashsalt": "rilievo"}):
        figure = Figure(figsize=(5.0, 5.0), layout="constrained")
        _draw_paths(figure.subplots(), trajectory)
        with replacing(path) as part:
            figure.savefig(part, format=path.suffix.removeprefix("."), dpi=150)


def _draw_paths(axes: Any, trajectory: Trajectory) -> None:
    mirrored = False
    poses, unit = trajectory.poses, "m" if trajectory.metric else "unit of the estimate"
    true = trajectory.true
    has_truth = None if true is None else known_poses(true) & trajectory.estimated
    if true is not None and has_truth is not None and has_truth.sum() > 1:
        freedom = Freedom.ORIGIN if trajectory.metric else Freedom.SCALE
        fit = fit_similarity(poses[has_truth], true[has_truth], freedom)
        poses, unit, mirrored = fit.apply(poses), "m", fit.scale < 0
        _draw_path(axes, true, _TRUE, "truth")
    label = "estimate" if unit != "m" or trajectory.metric else "estimate, scaled"
    label = "estimate, MIRRORED and scaled" if mirrored else label
    _draw_path(axes, poses, _ESTIMATE, label)
    axes.plot(poses[0, 0, 3], poses[0, 2, 3], "o", color="black", markersize=4, label="start")
    axes.set_xlabel(f"x [{unit}]")
    axes.set_ylabel(f"z [{unit}]")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(frameon=False)


def _draw_path(axes: Any, poses: Transforms, colour: str, label: str) -> None:
    axes.plot(poses[:, 0, 3], poses[:, 2, 3], color=colour, linewidth=1.2, label=label)
