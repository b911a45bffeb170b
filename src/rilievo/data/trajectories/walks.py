"""Camera motion along a clip, by a model's depth or by trained networks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Field, Int64, Pixels, Size, Transform
from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.motion.clip_motion import ClipMotion, ClipTracker
from rilievo.data.trajectories.motion_chain import MotionChain
from rilievo.errors import ModelError, explain_missing_extra
from rilievo.errors.messages import count_text
from rilievo.extensions.subpackages import load_service
from rilievo.geometry.transforms import invert
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.records.depth_map import DepthKind

_MAX_TRACKED_PIXELS = 640 * 480
"""Pixels of a frame in which corners are tracked; larger frames are shrunk."""
_MIN_LOST_FRACTION = 0.1
"""Fraction of motions that are unknown from which a note says so."""
_MAX_NAMED_CUTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedPath:
    """Motion of a camera along a whole clip.

    Attributes:
        chain: The poses, which are in metres if ``metric``.
        frames: Frames that were read, without their pixels.
        parts: Index of the unbroken part to which each frame belongs; None if there is one part.
            Parts have no common scale and direction.
        notes: What makes the path less certain.
    """

    chain: MotionChain
    frames: tuple[ClipFrame, ...]
    metric: bool
    parts: Int64[np.ndarray, "n"] | None = None
    notes: tuple[str, ...] = ()


def walk_by_depth(clip: ClipReader, model: Model, stride: int) -> EstimatedPath:
    """Estimate motion by tracked corners, whose depth a model predicts.

    Raises:
        ModelError: If the depth of the model has an unknown shift.
    """
    kind = model.card.kind
    if kind not in (DepthKind.METRIC, DepthKind.UP_TO_SCALE):
        prediction = "normals alone" if kind is None else f"depth of kind '{kind}'"
        raise ModelError(
            f"{printable(model.card.name)}: predicts {prediction}, from which motion cannot be "
            "estimated; choose a model of kind 'metric' or 'up_to_scale' (see 'rilievo models')"
        )

    size = _size_for_tracking(clip.clip.shape)
    tracker = ClipTracker(clip.clip.K_at(size))
    frames = []
    for frame in clip.walk(size, stride):
        frames.append(replace(frame, pixels=None))
        pixels = frame.pixels
        if pixels is not None:
            # Depth is predicted when the tracker first asks for it.
            tracker.add(pixels, partial(_predict_depth, model, pixels))
    motion = tracker.motion()

    return EstimatedPath(
        chain=_chain_of_motion(frames, motion),
        frames=tuple(frames),
        metric=kind is DepthKind.METRIC,
        parts=_parts_of_frames(frames, motion),
        notes=tuple(_motion_notes(frames, motion, clip.clip.camera.note)),
    )


def _size_for_tracking(size: Size) -> Size:
    """Shrink a (height, width) to at most 640×480 pixels in all."""
    height, width = size
    shrink = min(1.0, (_MAX_TRACKED_PIXELS / (height * width)) ** 0.5)
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def _predict_depth(model: Model, pixels: Pixels) -> Field:
    [prediction] = model.predict_raw([pixels])
    return prediction.depth.values


def _chain_of_motion(frames: Sequence[ClipFrame], motion: ClipMotion) -> MotionChain:
    """Insert the unusable frames into the motion, which has a pose for each usable frame alone."""
    chain = MotionChain()
    poses = iter(motion.cam_T_world)
    last_pose = None
    for frame in frames:
        if frame.problem is not None:
            chain.add_unusable_frame()
            continue
        pose = next(poses)
        chain.add_usable_frame(None if last_pose is None else pose @ invert(last_pose))
        last_pose = pose
    return chain


def _parts_of_frames(frames: Sequence[ClipFrame], motion: ClipMotion) -> Int64[np.ndarray, "n"]:
    """Part of each frame. An unusable frame belongs to the part of the usable frame before it."""
    usable_so_far = np.cumsum([frame.problem is None for frame in frames])
    if not len(motion.parts):
        return np.zeros_like(usable_so_far)
    return motion.parts[np.maximum(usable_so_far - 1, 0)]


def _motion_notes(
    frames: Sequence[ClipFrame], motion: ClipMotion, camera_note: str | None
) -> Iterator[str]:
    """Yield notes on an assumed camera, lost tracking, cuts, and a camera that does not travel."""
    if camera_note is not None:
        yield camera_note

    pairs = [frame_motion.pair for frame_motion in motion.frames[1:]]
    known_pairs = [pair for pair in pairs if pair.is_known]
    lost_count = len(pairs) - len(known_pairs)
    if lost_count and lost_count >= _MIN_LOST_FRACTION * len(pairs):
        yield (
            f"too few corners match in {lost_count:,} of "
            f"{count_text(len(pairs), 'pair')} of neighbouring frames, for example because of "
            "blank walls, blur or moving objects, so the path stands still there"
        )
    elif motion.cuts:
        usable_names = [frame.name for frame in frames if frame.problem is None]
        cut_names = ", ".join(printable(usable_names[cut]) for cut in motion.cuts[:_MAX_NAMED_CUTS])
        cuts = "a cut" if len(motion.cuts) == 1 else f"{len(motion.cuts):,} cuts"
        yield (
            f"the path restarts after {cuts}, at {cut_names}: no corners match across a cut, so "
            "the parts have no common scale or direction and are scored separately"
        )
    if known_pairs and not any(pair.is_direction_known for pair in known_pairs):
        yield "the camera only rotates or stands still, so the path is meaningless"


@runtime_checkable
class MotionNetworks(Protocol):
    """Networks that estimate motion between two frames.

    Attributes:
        size: (height, width) of the frames that they take [px].
        metric: Whether translation is in metres.
    """

    size: Size
    metric: bool

    def later_T_earlier(self, earlier: Pixels, later: Pixels) -> Transform:
        """Transform from the earlier to the later camera."""
        ...


def predicts_motion(model: Path) -> bool:
    """Whether a model is a training run with networks that predict motion."""
    return load_service("predicts-motion")(model)


def load_motion_networks(model: Path, device: str) -> MotionNetworks | None:
    """Load the networks of a training run that predict motion; None if it has none."""
    if not predicts_motion(model):
        return None
    with explain_missing_extra("estimating a trajectory", "train"):
        load_motion = load_service("load-motion")
    return load_motion(model, device=device)


def walk_by_networks(clip: ClipReader, networks: MotionNetworks, stride: int) -> EstimatedPath:
    """Estimate motion along a clip by trained networks, from each usable frame to the next."""
    chain = MotionChain()
    frames = []
    last_pixels = None
    for frame in clip.walk(networks.size, stride):
        frames.append(replace(frame, pixels=None))
        if frame.pixels is None:
            chain.add_unusable_frame()
            continue
        later_T_earlier = None
        if last_pixels is not None:
            later_T_earlier = networks.later_T_earlier(last_pixels, frame.pixels)
        chain.add_usable_frame(later_T_earlier)
        last_pixels = frame.pixels
    return EstimatedPath(chain=chain, frames=tuple(frames), metric=networks.metric)
