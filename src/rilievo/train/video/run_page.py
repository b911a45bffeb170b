"""Page of a run on video: the error on held-out frames, depth before and after, the trajectory."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.geometry.transforms import invert
from rilievo.pages.charts import ACCENT, MUTED, Chart, drawing
from rilievo.pages.training import write_training_page
from rilievo.train.video.motion_files import Motions, latest_motions
from rilievo.train.video.records import VideoRecord


def write_video_run_page(run: Path, record: VideoRecord) -> Path:
    """Write ``page.html`` into the folder of a finished run, and return its path.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    trajectory = _trajectory(positions(latest_motions(run)))
    return write_training_page(
        run,
        kind="Depth from video",
        verdict=_verdict(record),
        counts=f"{record.steps:,} steps on {record.targets:,} targets, {record.held_out:,} held "
        f"out, {record.seconds:.0f} seconds on {record.device}",
        doubts=record.doubts,
        notes=(*record.notes, *record.warnings),
        more=() if trajectory is None else (trajectory,),
    )


def positions(motions: Motions) -> list[Float64[np.ndarray, "n 3"]]:
    """Positions of the camera along the longest unbroken row of targets of each sequence.

    Motions are chained from each target to its later source. Targets that are ``stride`` frames
    apart make several rows side by side, of which one shows the way.

    Args:
        motions: ``source_T_target`` by the places of target and source.

    Returns:
        The row of each sequence.
    """
    later = {target: source for target, source in motions if source > target}
    followed = {source for source in later.values() if source in later}
    rows: dict[int, list[np.ndarray]] = {}
    for place in sorted(set(later) - followed):
        world_T_cam, row = np.eye(4), [np.zeros(3)]
        at = place
        while at in later:
            world_T_cam = world_T_cam @ invert(motions[at, later[at]])
            row.append(world_T_cam[:3, 3])
            at = later[at]
        if len(row) > len(rows.get(place.sequence, [])):
            rows[place.sequence] = row
    return [np.array(row) for row in rows.values()]


def _verdict(record: VideoRecord) -> str:
    start, best = record.start_error, record.best_error
    if record.warp_error is None or record.identity_error is None:
        return "No frames were held out, so nothing says whether the run learned."
    if start is None or best is None:
        return (
            f"The photometric error on held-out frames is {record.warp_error:.4f} warped by depth "
            f"and motion, {record.identity_error:.4f} as they are."
        )
    if record.kept_start:
        return f"The start is kept: its {record.judged_by}, held out, is best: {start:.4f}."
    return (
        f"The {record.judged_by} on held-out frames fell from {start:.4f} at the start to "
        f"{best:.4f} at step {record.best_step:,}, whose weights are the run's."
    )


def _trajectory(rows: list[Float64[np.ndarray, "n 3"]]) -> Chart | None:
    if not rows:
        return None
    with drawing(height=3.6) as canvas:
        [axes] = canvas.axes
        for row in rows:
            axes.plot(row[:, 0], row[:, 2], color=ACCENT, linewidth=1.4)
            axes.plot(row[0, 0], row[0, 2], "o", color=MUTED, markersize=4)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("x [unit of depth]")
        axes.set_ylabel("z [unit of depth]")
    return Chart(
        svg=canvas.svg,
        words="Trajectory of the camera from above",
        caption="Trajectory from above, by geometry on the learned depth; a dot marks the start.",
    )
