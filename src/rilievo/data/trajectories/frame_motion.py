"""Camera motion along a clip by trained networks, from each frame to the next."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.trajectories.chain import Chain, Walk
from rilievo.errors import needing
from rilievo.plugins import load_service
from rilievo.shapes import Pixels, Transform


@runtime_checkable
class MotionNetworks(Protocol):
    """Networks that estimate the motion between two frames.

    Attributes:
        size: (height, width) of the frames [px].
        metric: Whether translation is in metres.
    """

    size: tuple[int, int]
    metric: bool

    def later_T_earlier(self, earlier: Pixels, later: Pixels) -> Transform:
        """Return the transform from the earlier camera's frame to the later camera's frame."""
        ...


def motion_of_networks(model: Path, device: str) -> MotionNetworks | None:
    """Load the networks of a folder that predict motion; None where there are none."""
    if not load_service("predicts-motion")(model):
        return None
    with needing("estimating a trajectory", "train"):
        load_motion = load_service("load-motion")
    return load_motion(model, device=device)


def walk_by_networks(frames: ClipReader, networks: MotionNetworks, stride: int) -> Walk:
    """Estimate the motion along a clip."""
    chain, before = Chain(), None
    clip_frames: list[ClipFrame] = []
    for frame in frames.walk(networks.size, stride):
        clip_frames.append(replace(frame, pixels=None))
        if frame.pixels is None:
            chain.miss()
            continue
        moved = None if before is None else networks.later_T_earlier(before, frame.pixels)
        chain.begin_or_move(moved)
        before = frame.pixels
    return Walk(chain=chain, frames=tuple(clip_frames), metric=networks.metric)
