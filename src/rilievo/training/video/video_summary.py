"""Page and pictures of a run on video."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Float32, Pixels, Points
from rilievo.errors.messages import count_text
from rilievo.geometry.transforms import invert
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.map_pictures import colourise
from rilievo.io.png import write_png
from rilievo.pages.charts import ACCENT, MUTED, Chart, chart_canvas
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.training.engine.run_folder import Journal
from rilievo.training.engine.run_page import write_training_page
from rilievo.training.video.batch_numbers import BatchResult
from rilievo.training.video.frames.target_frames import VideoFrames, collate
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.pair_motions import Motions, read_training_motions
from rilievo.training.video.video_learner import VideoLearner
from rilievo.training.video.video_records import VideoRecord

PICTURES_FOLDER = "pictures"
"""Folder of the pictures of validations, in that of the run."""


def write_video_run_page(run: Path, record: VideoRecord) -> Path:
    """Write ``page.html`` into the folder of a finished run."""
    trajectory = _trajectory_chart(camera_trajectories(read_training_motions(run)))
    return write_training_page(
        run,
        kind="Depth from video",
        verdict=_verdict_text(record),
        counts=f"{count_text(record.steps, 'step')} on {count_text(record.targets, 'target')}, "
        f"{record.held_out:,} held out, {record.seconds:.0f} s on {record.device}",
        warnings=record.quality_warnings,
        notes=(*record.notes, *record.warnings),
        more=() if trajectory is None else (trajectory,),
    )


def camera_trajectories(motions: Motions) -> list[Points]:
    """Positions of the camera along the longest chain of targets of each sequence.

    In a chain, each target is followed by its nearest later source in the same sequence. The first
    target stands at the origin.
    """
    next_target: dict[FramePlace, FramePlace] = {}
    # Pairs are sorted by target and then by source, so the first later source is the nearest one.
    for target, source in sorted(motions):
        is_later = source.sequence == target.sequence and source > target
        if is_later and target not in next_target:
            next_target[target] = source

    longest_by_sequence: dict[int, list[np.ndarray]] = {}
    first_targets = set(next_target) - set(next_target.values())
    for first_target in sorted(first_targets):
        positions = _positions_along_chain(first_target, next_target, motions)
        longest = longest_by_sequence.get(first_target.sequence, [])
        if len(positions) > len(longest):
            longest_by_sequence[first_target.sequence] = positions
    return [np.array(positions) for positions in longest_by_sequence.values()]


def _positions_along_chain(
    first_target: FramePlace, next_target: Mapping[FramePlace, FramePlace], motions: Motions
) -> list[np.ndarray]:
    """Positions of the camera in the frame of the first target of a chain."""
    world_T_cam = np.eye(4)
    positions = [np.zeros(3)]
    target = first_target
    while target in next_target:
        later_target = next_target[target]
        world_T_cam = world_T_cam @ invert(motions[target, later_target])
        positions.append(world_T_cam[:3, 3])
        target = later_target
    return positions


def _verdict_text(record: VideoRecord) -> str:
    """Sentences that say whether the run learned, for its page."""
    start_error = record.start_error
    best_error = record.best_error
    if record.warp_error is None or record.identity_error is None:
        return "No frames were held out, so it is unknown whether the run learned anything."
    if start_error is None or best_error is None:
        return (
            f"The photometric error on held-out frames is {record.warp_error:.4f} with warping by "
            f"depth and motion, and {record.identity_error:.4f} without warping."
        )
    if record.kept_start:
        gain = "" if record.gain is None else f" The best later weights: {record.gain.words}."
        return (
            "The run keeps its start weights, because no later weights fit the held-out frames "
            f"clearly better than the start weights, whose {record.error_name} is "
            f"{start_error:.4f}.{gain}"
        )
    gain = "" if record.gain is None else f": {record.gain.words}"
    verdict = (
        f"The {record.error_name} on held-out frames fell from {start_error:.4f} at the start to "
        f"{best_error:.4f} at step {record.best_step:,}, whose weights the run keeps{gain}."
    )
    if record.elsewhere is None:
        return verdict
    return (
        f"{verdict} The depth of the bundled pictures of other scenes has changed by "
        f"{record.elsewhere:.1%}."
    )


def _trajectory_chart(trajectories: list[Points]) -> Chart | None:
    """Chart of trajectories from above; None without any."""
    if not trajectories:
        return None
    with chart_canvas(height=3.6) as canvas:
        [axes] = canvas.axes
        for positions in trajectories:
            axes.plot(positions[:, 0], positions[:, 2], color=ACCENT, linewidth=1.4)
            axes.plot(positions[0, 0], positions[0, 2], "o", color=MUTED, markersize=4)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("x [unit of depth]")
        axes.set_ylabel("z [unit of depth]")
    return Chart(
        svg=canvas.svg,
        description="Trajectory of the camera from above",
        caption=(
            "Trajectory from above, estimated by geometry from the learned depth; a dot marks the "
            "start."
        ),
    )


@torch.no_grad()
def save_picture(
    learner: VideoLearner, frames: VideoFrames, run: Path, log: Journal, fabric: Any, step: int
) -> Path | None:
    """Write a picture of the results for the first held-out target, or else training target.

    Return its path, or None in other processes than the first.
    """
    if not fabric.is_global_zero:
        return None
    targets = frames.held_out if len(frames.held_out) else frames.training
    views = collate([targets.read_sample(0)], fabric.device)
    learner.eval()
    with fabric.autocast():
        picture = draw_result(learner.predict_with_loss(views=views, generator=None))
    make_folder(run / PICTURES_FOLDER)
    path = run / PICTURES_FOLDER / f"step-{step:07d}.png"
    with replacing(path) as temporary_path:
        write_png(temporary_path, picture, {})
    log.add_image("pictures", picture, step)
    return path


def draw_result(result: BatchResult) -> Pixels:
    """Draw the first target of a batch, and below it its depth, warped sources and auto-mask."""
    loss = result.loss
    depth = DepthMap(values=_to_numpy(loss.depth[0]), kind=DepthKind.UP_TO_SCALE)
    automask = np.repeat(_to_numpy(loss.automask[0].float())[..., None], 3, axis=-1)
    pictures = [
        _to_bytes(result.views.target[0]),
        colourise(depth),
        *(_to_bytes(frame[0]) for frame in loss.warped),
        (255 * automask).astype(np.uint8),
    ]
    return np.concatenate(pictures, axis=0)


def _to_bytes(colours: Tensor) -> Pixels:
    levels = np.rint(255 * _to_numpy(colours).transpose(1, 2, 0))
    return np.clip(levels, 0, 255).astype(np.uint8)


def _to_numpy(values: Tensor) -> Float32[np.ndarray, "..."]:
    return values.detach().float().cpu().numpy()
