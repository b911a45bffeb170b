"""Page of a run on video: the error on held-out frames, depth before and after, the trajectory."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from rilievo.evaluate.charts import ACCENT, MUTED, Chart, drawing
from rilievo.evaluate.pages import write_page
from rilievo.evaluate.thumbnails import photo_uri
from rilievo.geometry.transforms import invert
from rilievo.io.limits import printable
from rilievo.train.engine.journal import VALIDATIONS
from rilievo.train.video.motion_files import Motions, latest_motions
from rilievo.train.video.records import VideoRecord, video_folder

PAGE = "page.html"


def write_video_run_page(run: Path) -> Path:
    """Write ``page.html`` into the folder of a finished run, and return its path.

    Raises:
        InputError: If the run's record is broken.
        MissingExtraError: If Jinja or matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    record = video_folder(run).read_record()
    rows = _validations(run / VALIDATIONS, record.criterion)
    pictures = _pictures(run / "pictures", record.best_step or 0)
    write_page(
        run / PAGE,
        "video_run.html",
        title=printable(run.name),
        verdict=_verdict(record),
        counts=f"{record.steps:,} steps on {record.targets:,} targets, {record.held_out:,} held "
        f"out, {record.seconds:.0f} seconds on {record.device}",
        doubts=record.doubts,
        curve=_curve(rows, record.judged_by) if len(rows) > 1 else None,
        frame=pictures[0] if pictures else None,
        before=pictures[1] if pictures else None,
        after=pictures[2] if pictures else None,
        way=_path(positions(latest_motions(run))),
        notes=record.notes,
    )
    return run / PAGE


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
    if start is None or best is None:
        return "No frames were held out, so nothing says whether the run is better than its start."
    if record.kept_start:
        return f"The start is kept: its {record.judged_by}, held out, is best: {start:.4f}."
    return (
        f"The {record.judged_by} on held-out frames fell from {start:.4f} at the start to "
        f"{best:.4f} at step {record.best_step:,}, whose weights are the run's."
    )


def _validations(table: Path, column: str) -> list[tuple[int, float]]:
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return [(int(row["step"]), float(row[column])) for row in csv.DictReader(file)]


def _curve(rows: list[tuple[int, float]], judged_by: str) -> Chart:
    steps, errors = zip(*rows, strict=True)
    with drawing() as canvas:
        [axes] = canvas.axes
        axes.axhline(errors[0], color=MUTED, linewidth=1, linestyle=":")
        axes.plot(steps, errors, color=ACCENT, linewidth=1.6, marker="o", markersize=3)
        axes.set_xlabel("step")
        axes.set_ylabel(judged_by)
    return Chart(
        svg=canvas.svg,
        words=f"{judged_by} from {errors[0]:.4f} at step 0 to {min(errors):.4f} at best",
        caption=f"The {judged_by} on held-out frames; dotted: the start.",
    )


def _path(rows: list[Float64[np.ndarray, "n 3"]]) -> Chart | None:
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


def _pictures(folder: Path, best: int) -> tuple[str, str, str] | None:
    """The frame, its depth at the start and its depth at the best step, as data URIs."""
    paths = [folder / f"step-{step:07d}.png" for step in (0, best)]
    if not all(path.is_file() for path in paths):
        return None
    first, last = (np.asarray(Image.open(path).convert("RGB")) for path in paths)
    # A picture stacks frame, depth, two warped sources and the mask.
    height = first.shape[0] // 5
    rows = first[:height], first[height : 2 * height], last[height : 2 * height]
    frame, before, after = (photo_uri(np.ascontiguousarray(row)) for row in rows)
    return frame, before, after
