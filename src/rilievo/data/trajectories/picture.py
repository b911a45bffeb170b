"""Picture of a trajectory from above."""

from pathlib import Path
from typing import Any

from rilievo.arrays.shapes import Transforms
from rilievo.data.trajectories.errors import Freedom, Similarity, fit_similarity, known_poses
from rilievo.data.trajectories.records import Trajectory
from rilievo.errors import explain_missing_extra
from rilievo.io.files.atomic import replacing

_TRUE_COLOUR = "#7a7a7a"
_ESTIMATE_COLOUR = "#c2410c"


def check_can_draw() -> None:
    """Check that pictures can be drawn.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    with explain_missing_extra("a picture of a trajectory", "evaluate"):
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
    """Draw the true path if there is one, and the estimate fitted to it."""
    poses = trajectory.poses
    unit = "m" if trajectory.metric else "unit of the estimate"
    label = "estimate"
    fit = _fit_to_truth(trajectory)
    if trajectory.true is not None and fit is not None:
        _draw_path(axes, trajectory.true, _TRUE_COLOUR, "truth")
        poses = fit.apply(poses)
        unit = "m"
        if fit.scale < 0:
            label = "estimate, MIRRORED and scaled"
        elif not trajectory.metric:
            label = "estimate, scaled"
    _draw_path(axes, poses, _ESTIMATE_COLOUR, label)
    axes.plot(poses[0, 0, 3], poses[0, 2, 3], "o", color="black", markersize=4, label="start")
    axes.set_xlabel(f"x [{unit}]")
    axes.set_ylabel(f"z [{unit}]")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(frameon=False)


def _fit_to_truth(trajectory: Trajectory) -> Similarity | None:
    """Fit the usable frames to their true poses; None if fewer than two poses are known."""
    if trajectory.true is None:
        return None
    is_compared = known_poses(trajectory.true) & trajectory.estimated
    if is_compared.sum() < 2:
        return None
    freedom = Freedom.ORIGIN if trajectory.metric else Freedom.SCALE
    return fit_similarity(trajectory.poses[is_compared], trajectory.true[is_compared], freedom)


def _draw_path(axes: Any, poses: Transforms, colour: str, label: str) -> None:
    axes.plot(poses[:, 0, 3], poses[:, 2, 3], color=colour, linewidth=1.2, label=label)
