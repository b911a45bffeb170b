"""Camera motion along a clip, by a model's depth or by trained networks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Field, Int64, Pixels, Transform
from rilievo.data.clips.clip_motion import ClipMotion, ClipTracker
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.clips.sources import ClipReader
from rilievo.data.trajectories.motion_chain import Chain
from rilievo.errors import ModelError, needing
from rilievo.extensions.subpackages import load_service
from rilievo.geometry.transforms import invert
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.records.depth_map import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Results of a whole clip; ``parts`` are unbroken."""

    chain: Chain
    frames: tuple[ClipFrame, ...]
    metric: bool
    parts: Int64[np.ndarray, "n"] | None = None
    notes: tuple[str, ...] = ()


_AREA = 640 * 480
_LOST = 0.1  # share of unknown motion from which there is a note


def walk_by_depth(frames: ClipReader, model: Model, stride: int) -> Walk:
    """Estimate motion along a clip by a model's depth."""
    kind = model.card.kind
    if kind not in (DepthKind.METRIC, DepthKind.UP_TO_SCALE):
        raise ModelError(
            f"{printable(model.card.name)}: its depth is {kind}, and motion needs depth that is "
            "metric or up to scale; see 'rilievo models'"
        )
    size = _size_within_vga_area(frames.clip.shape)
    tracker, clip_frames = ClipTracker(frames.clip.K_at(size)), []
    for frame in frames.walk(size, stride):
        clip_frames.append(replace(frame, pixels=None))
        pixels = frame.pixels
        if pixels is not None:
            tracker.add(pixels, lambda pixels=pixels: _depth_of_model(model, pixels))
    motion = tracker.motion()
    return Walk(
        chain=_chain_of_motion(clip_frames, motion),
        frames=tuple(clip_frames),
        metric=kind is DepthKind.METRIC,
        parts=_parts_of_frames(clip_frames, motion),
        notes=tuple(_motion_notes(clip_frames, motion, frames.clip.camera.note)),
    )


def _size_within_vga_area(shape: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, (_AREA / (shape[0] * shape[1])) ** 0.5)
    return max(1, round(shape[0] * shrink)), max(1, round(shape[1] * shrink))


def _depth_of_model(model: Model, pixels: Pixels) -> Field:
    [prediction] = model.predict_raw([pixels])
    return prediction.depth.values


def _chain_of_motion(frames: list[ClipFrame], motion: ClipMotion) -> Chain:
    chain, poses = Chain(), iter(motion.cam_T_world)
    before = None
    for frame in frames:
        if frame.problem is not None:
            chain.add_unusable_frame()
            continue
        pose = next(poses)
        chain.add_usable_frame(None if before is None else pose @ invert(before))
        before = pose
    return chain


def _parts_of_frames(frames: list[ClipFrame], motion: ClipMotion) -> Int64[np.ndarray, "n"]:
    usable = np.cumsum([frame.problem is None for frame in frames])
    return motion.parts[np.maximum(usable - 1, 0)] if len(motion.parts) else 0 * usable


def _motion_notes(frames: list[ClipFrame], motion: ClipMotion, camera: str | None) -> Iterator[str]:
    if camera is not None:
        yield camera
    usable = [frame.name for frame in frames if frame.problem is None]
    moved = [frame_motion.pair for frame_motion in motion.frames[1:]]
    lost = sum(not pair.known for pair in moved)
    if lost and lost >= _LOST * len(moved):
        yield (
            f"{lost:,} of {len(moved):,} frames share too few corners with those before, as before "
            "blank walls, in blur or where much moves by itself: the path stands still there"
        )
    elif motion.cuts:
        named = ", ".join(printable(usable[index]) for index in motion.cuts[:5])
        cuts = "a cut" if len(motion.cuts) == 1 else f"{len(motion.cuts):,} cuts"
        yield (
            f"the path begins anew after {cuts}, at {named}: no corners before and after are the "
            "same, so parts have no common scale and direction, and are scored apart"
        )
    ways = [pair for pair in moved if pair.known]
    if ways and not any(pair.travels for pair in ways):
        yield "the camera turns or stands and does not travel: the path says nothing of its way"


@runtime_checkable
class MotionNetworks(Protocol):
    """Networks that estimate motion between two frames.

    Attributes:
        size: (height, width) [px].
        metric: Whether translation is in metres.
    """

    size: tuple[int, int]
    metric: bool

    def later_T_earlier(self, earlier: Pixels, later: Pixels) -> Transform:
        """Transform from the earlier to the later camera."""
        ...


def load_motion_networks(model: Path, device: str) -> MotionNetworks | None:
    """Load a folder's networks of motion, if any."""
    if not load_service("predicts-motion")(model):
        return None
    with needing("estimating a trajectory", "train"):
        load_motion = load_service("load-motion")
    return load_motion(model, device=device)


def walk_by_networks(frames: ClipReader, networks: MotionNetworks, stride: int) -> Walk:
    """Estimate motion along a clip by trained networks."""
    chain, before = Chain(), None
    clip_frames: list[ClipFrame] = []
    for frame in frames.walk(networks.size, stride):
        clip_frames.append(replace(frame, pixels=None))
        if frame.pixels is None:
            chain.add_unusable_frame()
            continue
        moved = None if before is None else networks.later_T_earlier(before, frame.pixels)
        chain.add_usable_frame(moved)
        before = frame.pixels
    return Walk(chain=chain, frames=tuple(clip_frames), metric=networks.metric)
