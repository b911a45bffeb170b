"""Frames of a run while they are opened."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rilievo.data.clips.calibration import shrunk_mask
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequences import Clip, how_straight
from rilievo.errors import InputError
from rilievo.io.files.limits import printable
from rilievo.io.lens_files import pinhole_K
from rilievo.shapes import Mask, Matrix, Size
from rilievo.training.video.frames.frame_store import Progress
from rilievo.training.video.frames.image_motion import LARGEST_STRIDE, Moving
from rilievo.training.video.frames.target_frames import (
    OpenClip,
    VideoFrames,
    VideoTargetFrames,
)
from rilievo.training.video.frames.targets import (
    OTHER_EYE,
    Found,
    FramePlace,
    Target,
    gone_free,
    part,
)

_PUBLISHED = (0.58, 1.92, 0.5, 0.5)
"""KITTI's fx and cx as shares of the width, fy and cy of the height (Godard et al. 2019)."""

_LEAST_PARALLAX = 0.1
"""Median parallax [px at a width of 640] below which a camera only rotates."""


@dataclass(slots=True, kw_only=True)
class Opening:
    """State that is gathered while frames are opened.

    Attributes:
        offsets: Offsets of the sources in time; 0 is the other camera of a stereo pair.
        source_pyramids: Whether sources are resized to the coarser scales too.
        runs: Indices of consecutive frames of each sequence, by place.
    """

    data: VideoData
    size: Size
    offsets: tuple[int, ...]
    cache: Path
    progress: Progress | None
    source_pyramids: bool = False
    notes: list[str] = field(default_factory=list)
    gone: set[FramePlace] = field(default_factory=set)
    moving: dict[int, Moving] = field(default_factory=dict)
    runs: dict[int, Sequence[Sequence[int]]] = field(default_factory=dict)


def training_K(opening: Opening, sequence: Clip) -> Matrix:
    """Return the intrinsics at the training size [px]."""
    height, width = opening.size
    if opening.data.published_camera:
        fx, fy, cx, cy = _PUBLISHED
        return pinhole_K(fx * width, fy * height, cx * width, cy * height)
    return sequence.K_at(opening.size)


def valid_pixels(sequence: Clip, size: Size) -> Mask | None:
    """Return the pixels inside the undistorted frame and above the car's bonnet; None for all."""
    how = how_straight(sequence)
    if how is None and not sequence.hood:
        return None
    valid = np.ones(size, bool) if how is None else np.array(shrunk_mask(how.valid, size))
    valid[math.floor(size[0] * (1 - sequence.hood)) :] = False
    return valid


def said_of_motion(
    sequence: Clip, moving: Moving, stride: int, count: int, width: int
) -> list[str]:
    """Return notes for the user about the motion of a sequence."""
    name, parallax = printable(sequence.id), moving.parallax * 640 / width
    lines: list[str] = []
    if moving.still or moving.cuts or stride > 1:
        lines.append(
            f"{name}: {moving.still:,} of {count:,} frames stand still and are skipped, "
            f"{moving.cuts} cuts; the stride is {stride} (median parallax "
            f"{moving.parallax:.1f} px a frame)"
        )
    if math.isfinite(parallax) and parallax < _LEAST_PARALLAX:
        lines.append(
            f"{name}: the camera turns but hardly travels (median parallax {moving.parallax:.2f} "
            f"px a frame), so that {LARGEST_STRIDE} frames apart little depth can be seen"
        )
    return lines


def parted_frames(
    opening: Opening, opened: Sequence[OpenClip], frames: Sequence[Found]
) -> VideoFrames:
    """Leave out targets that cannot be used, hold some out, and note what became of the rest."""
    usable = [_usable(opening, opened, target_set) for target_set in frames]
    parted = part(usable, opening.data.held_out, opening.data.held_out_stretches)
    training = parted.training[: opening.data.limit]
    if not training:
        raise _nothing(opening, opened, frames)
    lonely = sum(target_set.lonely for target_set in frames)
    broken = sum(len(target_set.every) for target_set in frames) - sum(
        len(target_set.every) for target_set in usable
    )
    counts = {
        "that stand still": sum(item.still for item in opening.moving.values()),
        "without a neighbour on each side": lonely,
        "with a broken frame or an unknown pose": broken,
        "next to those held out": parted.between,
        "held out": len(parted.held_out),
        "beyond the limit": len(parted.training) - len(training),
    }
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)
    if lonely or broken or parted.between:
        opening.notes.append(f"{len(training):,} targets; other frames: {left_out}")
    if parted.short:
        opening.notes.append(
            f"{_number(parted.short, frames)} too short for a held-out stretch in the middle: only "
            f"the end is held out, {len(parted.held_out):,} targets in all; film longer"
        )
    whole = sorted(
        (target for target_set in usable for target in target_set.every),
        key=lambda target: target.place,
    )
    training_frames, held_out, every = (
        VideoTargetFrames(
            opened,
            targets,
            offsets=opening.offsets,
            follows_poses=opening.data.follow_poses,
            source_pyramids=opening.source_pyramids,
        )
        for targets in (training, parted.held_out, whole)
    )
    return VideoFrames(
        training=training_frames,
        held_out=held_out,
        whole=every,
        offsets=opening.offsets,
        sequences=tuple(opened),
        notes=tuple(opening.notes),
        left_out=left_out,
    )


def _number(short: int, frames: Sequence[Found]) -> str:
    if len(frames) == 1:
        return "the footage is"
    return f"{short:,} of {len(frames):,} sequences are"


def _usable(opening: Opening, opened: Sequence[OpenClip], sequence: Found) -> Found:
    """Targets whose frames are intact and, where poses are followed, have a pose."""

    def good(target: Target) -> bool:
        if not gone_free(target, opening.gone):
            return False
        clip = opened[target.place.sequence].sequence
        return not opening.data.follow_poses or all(
            offset == OTHER_EYE or clip.motion(source.frame, target.place.frame) is not None
            for offset, source in zip(opening.offsets, target.sources, strict=True)
        )

    return Found(
        targets=tuple(filter(good, sequence.targets)),
        listed_out=None
        if sequence.listed_out is None
        else tuple(filter(good, sequence.listed_out)),
        lonely=sequence.lonely,
    )


def _nothing(
    opening: Opening, opened: Sequence[OpenClip], sequences: Sequence[Found]
) -> InputError:
    """Error that explains why there is no target at all."""
    moving = list(opening.moving.values())
    name = printable(opened[0].sequence.id) if len(opened) == 1 else f"{len(opened)} sequences"
    rest = sum(len(run) for item in moving for run in item.runs)
    still = sum(item.still for item in moving)
    if still and still >= rest:
        largest = max(item.largest for item in moving)
        return InputError(
            f"{name}: the camera stands still: {still:,} of {still + rest:,} frames move less than "
            f"{opening.data.least_motion:g} px, the most by {largest:.2f} px; "
            "depth is learned from a camera that travels"
        )
    frames = sum(item.frames.count for item in opened)
    cuts = sum(item.cuts for item in moving)
    return InputError(
        (
            f"no target is left of {frames:,} frames: "
            f"{sum(item.lonely for item in sequences):,} have no neighbour on each side "
            f"({cuts} cuts, {len(opening.gone)} broken frames, offsets "
            f"{','.join(map(str, opening.offsets))})"
        ),
        path=name,
        hint="give more footage, or a smaller {stride} or {held_out}",
    )
