"""Summary of a finished run."""

import math
from pathlib import Path

import torch
from torch import nn

from rilievo.networks.video.networks import VideoNetworks
from rilievo.train.engine.folder import STEPS, VALIDATIONS, WARNINGS, rows_of
from rilievo.train.video.kept import OpenSequence, VideoFrames
from rilievo.train.video.learner import Learner
from rilievo.train.video.presets import differences
from rilievo.train.video.records import SequenceFacts, VideoRecord
from rilievo.train.video.schedule import Course
from rilievo.train.video.state import VideoState
from rilievo.version import VERSION


@torch.no_grad()
def summarise(
    run: Path,
    *,
    learner: Learner,
    state: VideoState,
    course: Course,
    frames: VideoFrames,
    device: torch.device,
    processes: int,
) -> VideoRecord:
    """Make the record of a run from its state and its logs."""
    steps, scores = _last(run, STEPS), _last(run, VALIDATIONS)
    factors = _factors(learner)
    validated = state.best_error is not None
    keeps = learner.config.keep_best
    return VideoRecord(
        targets=len(frames.training),
        held_out=len(frames.held_out),
        notes=(*frames.notes, *learner.networks.notes),
        depth_parameters=_count(learner.networks.depth),
        pose_parameters=_pose_parameters(learner.networks),
        steps=state.step,
        epochs=course.epoch(state.step),
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
        kept_start=keeps and validated and state.best_step == 0,
        sequences=tuple(_facts(each, factors or (1.0, 1.0)) for each in frames.sequences),
        focal_factors=factors,
        warnings=tuple(f"step {row['step']}: {row['text']}" for row in rows_of(run, WARNINGS)),
        seconds=state.seconds,
        device=str(device),
        torch_version=torch.__version__,
        version=VERSION,
        differences=differences(learner.config),
    )


def _factors(learner: Learner) -> tuple[float, float] | None:
    if learner.camera is None:
        return None
    fx, fy = learner.camera.log_factors.exp().tolist()
    return fx, fy


def _facts(opened: OpenSequence, factors: tuple[float, float]) -> SequenceFacts:
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


def _last(run: Path, name: str) -> dict[str, float]:
    """Return the last row of a log, without values that are not finite."""
    numbers = {name: float(cell) for row in rows_of(run, name)[-1:] for name, cell in row.items()}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _start_error(run: Path) -> float | None:
    """Error of the first validation, which is that of the start."""
    rows = rows_of(run, VALIDATIONS)
    if not rows:
        return None
    return float(rows[0].get("corner_error", rows[0]["warp_error"]))


def _pose_parameters(networks: VideoNetworks) -> int:
    return 0 if networks.pose is None else _count(networks.pose)


def _count(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())
