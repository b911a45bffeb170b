"""From a clip and trained networks to the path of its camera, in memory or in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from rilievo.errors import InputError, needing
from rilievo.geometry.transforms import invert
from rilievo.io.atomic import make_folder, replacing
from rilievo.io.json_record import to_json
from rilievo.io.limits import printable
from rilievo.metrics.trajectory import known_poses
from rilievo.odometry.chain import Chain
from rilievo.odometry.files import write_kitti, write_tum
from rilievo.odometry.frames import ClipFrame, ClipFrames
from rilievo.odometry.picture import check_can_draw, write_picture
from rilievo.odometry.records import (
    Trajectory,
    TrajectoryFile,
    TrajectoryOptions,
    TrajectoryRecord,
)
from rilievo.odometry.scoring import score_trajectory

if TYPE_CHECKING:
    from rilievo.odometry.motion import MotionModel

_NAMED = 5
"""Broken frames that are named; more are counted."""


def estimate_trajectory(
    model: Path, clip: Path, options: TrajectoryOptions | None = None
) -> Trajectory:
    """Estimate the motion between the frames of a clip, and put it together to a path.

    Frames are seen one after the other and not kept. A broken frame is passed over: the motion
    from the one before to the one after is estimated at once.

    Args:
        model: Folder of a run of ``rilievo train video``, or of an official checkpoint with its
            pose files.
        clip: A video, a folder of frames, or a sequence of KITTI odometry.
        options: How.

    Raises:
        InputError: If the clip cannot be read or has fewer than two frames, or true poses do not
            go with it.
        ModelError: If the folder is no such model.
        OptionError: If an option is out of range.
        MissingExtraError: If torch is not installed.
    """
    options = options or TrajectoryOptions()
    frames = ClipFrames(clip, options.poses)
    with needing("estimating a trajectory", "video"):
        from rilievo.odometry.motion import load_motion
    networks = load_motion(model, device=options.device)
    walk = _walk(frames, networks, options.stride)
    if int(walk.chain.estimated.sum()) < 2:
        raise InputError(
            f"{printable(clip)}: {_counted(walk.chain)} can be used at a stride of "
            f"{options.stride}; motion needs two"
        )
    return Trajectory(
        names=tuple(each.name for each in walk.frames),
        seconds=np.array([each.seconds for each in walk.frames], np.float64),
        poses=walk.chain.poses,
        estimated=walk.chain.estimated,
        metric=networks.metric,
        true=_seen_from_first(frames.true_poses(), [each.index for each in walk.frames]),
        notes=_notes(walk.frames, frames.fault),
    )


def write_trajectory(
    model: Path, clip: Path, output: Path, options: TrajectoryOptions | None = None
) -> TrajectoryRecord:
    """Estimate a trajectory and write it: poses of KITTI and TUM, a picture, and its errors.

    Args:
        model: As of ``estimate_trajectory``.
        clip: As of it.
        output: Folder, made where it is not there; files of these names are replaced.
        options: How.

    Raises:
        OutputError: If it cannot be written.
        MissingExtraError: If torch or matplotlib is not installed.
        RilievoError: As of ``estimate_trajectory``.
    """
    with needing("estimating a trajectory", "video"):
        import rilievo.odometry.motion  # noqa: F401
    check_can_draw()
    options = options or TrajectoryOptions()
    trajectory = estimate_trajectory(model, clip, options)
    make_folder(output)
    write_kitti(output / TrajectoryFile.KITTI, trajectory.poses)
    write_tum(output / TrajectoryFile.TUM, trajectory.seconds, trajectory.poses)
    write_picture(output / TrajectoryFile.PICTURE, trajectory)
    record = TrajectoryRecord(
        model=str(model),
        clip=str(clip),
        frames=len(trajectory.names),
        stride=options.stride,
        notes=trajectory.notes,
        scores=score_trajectory(trajectory),
    )
    with replacing(output / TrajectoryFile.SCORES) as part:
        part.write_text(to_json(record, indent=2), encoding="utf-8")
    return record


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """A clip gone through.

    Attributes:
        chain: The path.
        frames: Without their pixels.
    """

    chain: Chain
    frames: tuple[ClipFrame, ...]


def _walk(frames: ClipFrames, networks: "MotionModel", stride: int) -> _Walk:
    chain, before = Chain(), None
    seen: list[ClipFrame] = []
    for frame in frames.walk(networks.size, stride):
        seen.append(replace(frame, pixels=None))
        if frame.pixels is None:
            chain.miss()
            continue
        moved = None if before is None else networks.later_T_earlier(before, frame.pixels)
        chain.begin_or_move(moved)
        before = frame.pixels
    return _Walk(chain=chain, frames=tuple(seen))


def _counted(chain: Chain) -> str:
    seen = int(chain.estimated.sum())
    return f"{seen} frame{'' if seen == 1 else 's'} of {len(chain.estimated)}"


def _seen_from_first(
    poses: Float64[np.ndarray, "n 4 4"] | None, indices: list[int]
) -> Float64[np.ndarray, "m 4 4"] | None:
    """True poses of the frames used, in the world of the first that is known."""
    if poses is None:
        return None
    used = poses[indices]
    known = known_poses(used)
    return invert(used[known][0]) @ used if known.any() else None


def _notes(frames: Sequence[ClipFrame], fault: str | None) -> tuple[str, ...]:
    said = [f"passed over: {each.problem}" for each in frames if each.problem is not None]
    more = [f"passed over: {len(said) - _NAMED:,} more broken frames"]
    kept = said[:_NAMED] + (more if len(said) > _NAMED else [])
    return (*kept, *([] if fault is None else [fault]))
