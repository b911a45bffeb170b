"""Record, page and pictures of a run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Float32, Pixels, Points
from rilievo.geometry.transforms import invert
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.map_pictures import colourise
from rilievo.io.png import write_png
from rilievo.pages.charts import ACCENT, MUTED, Chart, drawing
from rilievo.pages.training import write_training_page
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.training.engine.run_folder import (
    STEP_LOG,
    VALIDATION_LOG,
    WARNING_LOG,
    Journal,
    read_log_rows,
)
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.video.batch_numbers import BatchResult
from rilievo.training.video.frames.target_frames import OpenClip, VideoFrames, collate
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.gain import Gain
from rilievo.training.video.pair_motions import Motions, read_training_motions
from rilievo.training.video.schedule import Course, VideoState
from rilievo.training.video.video_learner import VideoLearner
from rilievo.training.video.video_presets import preset_differences
from rilievo.training.video.video_records import SequenceFacts, VideoRecord, video_run_folder
from rilievo.version import VERSION

FOLDER = "pictures"
_ELSEWHERE = " Depth of other places, shipped pictures of them, has changed by {:.1%}."


@torch.no_grad()
def make_video_record(
    run: Path,
    *,
    learner: VideoLearner,
    state: VideoState,
    course: Course,
    frames: VideoFrames,
    gain: Gain | None,
    device: torch.device,
    processes: int,
) -> VideoRecord:
    """Make the record of a run."""
    steps, scores = (
        _finite_numbers_of_last_row(run, STEP_LOG),
        _finite_numbers_of_last_row(run, VALIDATION_LOG),
    )
    factors, pose = _learned_focal_factors(learner), learner.networks.pose
    validated = state.best_error is not None
    config = video_run_folder(run).read_config()
    keeps = config.keep_best
    return VideoRecord(
        targets=len(frames.training),
        held_out=len(frames.held_out),
        notes=(*frames.notes, *learner.networks.notes),
        depth_parameters=count_parameters(learner.networks.depth),
        pose_parameters=0 if pose is None else count_parameters(pose),
        steps=state.step,
        epochs=course.passes_before(state.step),
        processes=processes,
        loss=steps.get("loss"),
        warp_error=scores.get("warp_error"),
        identity_error=scores.get("identity_error"),
        abs_rel=scores.get("abs_rel"),
        delta1=scores.get("delta1"),
        constant_abs_rel=scores.get("constant_abs_rel"),
        corner_error=scores.get("corner_error"),
        best_step=state.best_step if validated else None,
        best_error=state.best_error,
        start_error=_start_error(run) if keeps else None,
        gain=gain,
        elsewhere=_depth_change_at_step(run, state.best_step if keeps else state.step),
        kept_start=keeps and validated and state.best_step == 0,
        sequences=tuple(
            _sequence_facts(sequence, factors or (1.0, 1.0)) for sequence in frames.sequences
        ),
        focal_factors=factors,
        warnings=tuple(
            f"step {row['step']}: {row['text']}" for row in read_log_rows(run, WARNING_LOG)
        ),
        seconds=state.seconds,
        device=str(device),
        torch_version=torch.__version__,
        version=VERSION,
        differences=preset_differences(config),
    )


def _learned_focal_factors(learner: VideoLearner) -> tuple[float, float] | None:
    """Factors of fx and fy; None without a learned camera."""
    if learner.camera is None:
        return None
    fx, fy = learner.camera.log_factors.exp().tolist()
    return fx, fy


def _sequence_facts(opened: OpenClip, factors: tuple[float, float]) -> SequenceFacts:
    sequence = opened.sequence
    camera = sequence.camera.camera
    (fx, _, cx), (_, fy, cy), _ = camera.K.tolist()
    return SequenceFacts(
        id=sequence.id,
        size=sequence.shape,
        camera=(fx * factors[0], fy * factors[1], cx, cy),
        source=str(camera.source),
        stride=opened.stride,
    )


def _finite_numbers_of_last_row(run: Path, name: str) -> dict[str, float]:
    numbers = {
        name: float(cell) for row in read_log_rows(run, name)[-1:] for name, cell in row.items()
    }
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _start_error(run: Path) -> float | None:
    rows = read_log_rows(run, VALIDATION_LOG)
    if not rows:
        return None
    return float(rows[0].get("corner_error", rows[0]["warp_error"]))


def _depth_change_at_step(run: Path, step: int) -> float | None:
    cells = [
        row.get("elsewhere")
        for row in read_log_rows(run, VALIDATION_LOG)
        if row["step"] == str(step)
    ]
    return float(cells[-1]) if cells and cells[-1] else None


def write_video_run_page(run: Path, record: VideoRecord) -> Path:
    """Write ``page.html`` into the folder of a finished run."""
    trajectory = _trajectory_chart(camera_trajectories(read_training_motions(run)))
    return write_training_page(
        run,
        kind="Depth from video",
        verdict=_verdict_text(record),
        counts=f"{record.steps:,} steps on {record.targets:,} targets, {record.held_out:,} held "
        f"out, {record.seconds:.0f} seconds on {record.device}",
        doubts=record.doubts,
        notes=(*record.notes, *record.warnings),
        more=() if trajectory is None else (trajectory,),
    )


def camera_trajectories(motions: Motions) -> list[Points]:
    """Positions of the camera along the longest row of targets of each sequence.

    Each target of a row is followed by its nearest later source in the same sequence.
    """
    later: dict[FramePlace, FramePlace] = {}
    for target, source in sorted(motions, reverse=True):
        if source.sequence == target.sequence and source > target:
            later[target] = source
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


def _verdict_text(record: VideoRecord) -> str:
    start, best = record.start_error, record.best_error
    if record.warp_error is None or record.identity_error is None:
        return "No frames were held out, so nothing says whether the run learned."
    if start is None or best is None:
        return (
            f"The photometric error on held-out frames is {record.warp_error:.4f} warped by depth "
            f"and motion, {record.identity_error:.4f} as they are."
        )
    if record.kept_start:
        gain = "" if record.gain is None else f" Weights of the run: {record.gain.words}."
        return f"The start is kept: its {record.judged_by}, held out, is best: {start:.4f}.{gain}"
    gain = "" if record.gain is None else f": {record.gain.words}"
    remark = "" if record.elsewhere is None else _ELSEWHERE.format(record.elsewhere)
    return (
        f"The {record.judged_by} on held-out frames fell from {start:.4f} at the start to "
        f"{best:.4f} at step {record.best_step:,}, whose weights are the run's{gain}.{remark}"
    )


def _trajectory_chart(rows: list[Points]) -> Chart | None:
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


@torch.no_grad()
def save_picture(
    learner: VideoLearner, frames: VideoFrames, run: Path, log: Journal, fabric: Any, step: int
) -> Path | None:
    """Write a picture of the first held-out target, else of the first training target."""
    if not fabric.is_global_zero:
        return None
    shown = frames.held_out if len(frames.held_out) else frames.training
    one = shown.sample_of(0)
    views = collate([one], fabric.device)
    learner.eval()
    with fabric.autocast():
        picture = draw_result(learner.predict_with_loss(views=views, generator=None))
    make_folder(run / FOLDER)
    path = run / FOLDER / f"step-{step:07d}.png"
    with replacing(path) as part:
        write_png(part, picture, {})
    log.add_image("pictures", picture, step)
    return path


def draw_result(result: BatchResult) -> Pixels:
    """Draw a batch's first target, depth, warped sources and auto-mask, stacked."""
    loss, views = result.loss, result.views
    depth = DepthMap(values=_to_numpy(loss.depth[0]), kind=DepthKind.UP_TO_SCALE)
    mask = np.repeat(_to_numpy(loss.automask[0].float())[..., None], 3, axis=-1)
    rows = [
        _to_bytes(views.target[0]),
        colourise(depth),
        *(_to_bytes(frame[0]) for frame in loss.warped),
        (255 * mask).astype(np.uint8),
    ]
    return np.concatenate(rows, axis=0)


def _to_bytes(colours: Tensor) -> Pixels:
    levels = np.rint(255 * _to_numpy(colours).transpose(1, 2, 0))
    return np.clip(levels, 0, 255).astype(np.uint8)


def _to_numpy(values: Tensor) -> Float32[np.ndarray, "..."]:
    return values.detach().float().cpu().numpy()
