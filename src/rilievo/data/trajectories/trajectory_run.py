"""The trajectory of a camera, from a clip to files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.trajectories.chain import Chain, Walk
from rilievo.data.trajectories.depth_motion import walk_by_depth
from rilievo.data.trajectories.frame_motion import motion_of_networks, walk_by_networks
from rilievo.data.trajectories.trajectory_errors import known_poses
from rilievo.data.trajectories.trajectory_files import write_kitti, write_tum
from rilievo.data.trajectories.trajectory_picture import check_can_draw, write_picture
from rilievo.data.trajectories.trajectory_records import (
    Trajectory,
    TrajectoryFile,
    TrajectoryOptions,
    TrajectoryRecord,
)
from rilievo.data.trajectories.trajectory_scoring import score_trajectory
from rilievo.errors import InputError, needing
from rilievo.geometry.transforms import invert
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import printable
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.shapes import Float64, Transforms

_NAMED = 5
"""Most broken frames that notes name; further ones are counted."""


def estimate_trajectory(
    model: str | Path, clip: Path, options: TrajectoryOptions | None = None
) -> Trajectory:
    """Estimate the motion between frames of a clip, and chain it into a trajectory.

    Networks that predict motion are asked for it. With any other model, motion follows from its
    depth and from tracked corners. Frames are read one after the other and not kept. Broken frames
    are skipped: motion is then estimated directly from the frame before to the frame after.

    Args:
        model: Folder of a run of ``rilievo train video`` or of an official checkpoint with its pose
            files, or any other model that ``load_model`` takes, whose depth is metric or up to
            scale.
        clip: A video, a folder of frames, or a sequence of KITTI odometry.
        options: Options of the estimate.

    Raises:
        InputError: If the clip cannot be read or has fewer than two usable frames, or true poses
            do not match it.
        ModelError: If the model is unknown, or its depth has an unknown shift.
        OptionError: If an option is out of range.
        MissingExtraError: If a package that is needed is not installed.
    """
    options = options or TrajectoryOptions()
    frames = ClipReader(clip, options.poses, options)
    walk = _walk(model, frames, options)
    if int(walk.chain.estimated.sum()) < 2:
        raise InputError(
            f"{printable(clip)}: {_counted(walk.chain)} can be used at a stride of "
            f"{options.stride}; motion needs two"
        )
    return Trajectory(
        names=tuple(frame.name for frame in walk.frames),
        seconds=np.array([frame.seconds for frame in walk.frames], np.float64),
        poses=walk.chain.poses,
        estimated=walk.chain.estimated,
        metric=walk.metric,
        true=_seen_from_first(frames.true_poses(), [frame.index for frame in walk.frames]),
        parts=walk.parts,
        notes=(*_notes(walk.frames, frames.fault), *walk.notes),
    )


def write_trajectory(
    model: str | Path, clip: Path, output: Path, options: TrajectoryOptions | None = None
) -> TrajectoryRecord:
    """Estimate a trajectory and write it: poses in KITTI's and TUM's formats, a picture, errors.

    Args:
        model: Model, see ``estimate_trajectory``.
        clip: Clip, see ``estimate_trajectory``.
        output: Folder to write to, created if it does not exist; existing files are replaced. A
            name that ends in ``.txt`` is a single file: of TUM's format, or of KITTI's where it
            is called ``poses.txt``.
        options: Options of the estimate.

    Raises:
        OutputError: If a file cannot be written.
        MissingExtraError: If a package that is needed is not installed.
        RilievoError: If ``estimate_trajectory`` raises it.
    """
    with needing("estimating a trajectory", "train"):
        import cv2  # noqa: F401
    is_file = output.suffix == ".txt"
    if not is_file:
        check_can_draw()
    options = options or TrajectoryOptions()
    trajectory = estimate_trajectory(model, clip, options)
    record = TrajectoryRecord(
        model=str(model),
        clip=str(clip),
        frames=len(trajectory.names),
        stride=options.stride,
        notes=trajectory.notes,
        scores=score_trajectory(trajectory),
    )
    if is_file:
        make_folder(output.parent)
        if output.name == TrajectoryFile.KITTI:
            write_kitti(output, trajectory.poses)
        else:
            write_tum(output, trajectory.seconds, trajectory.poses)
        return record
    make_folder(output)
    write_kitti(output / TrajectoryFile.KITTI, trajectory.poses)
    write_tum(output / TrajectoryFile.TUM, trajectory.seconds, trajectory.poses)
    write_picture(output / TrajectoryFile.PICTURE, trajectory)
    with replacing(output / TrajectoryFile.SCORES) as part:
        part.write_text(to_json(record, indent=2), encoding="utf-8")
    return record


def _walk(model: str | Path, frames: ClipReader, options: TrajectoryOptions) -> Walk:
    motion = motion_of_networks(Path(model), options.device)
    if motion is not None:
        return walk_by_networks(frames, motion, options.stride)
    loaded = load_model(model, device=options.device, trust_code=options.trust_code)
    return walk_by_depth(frames, loaded, options.stride)


def _counted(chain: Chain) -> str:
    count = int(chain.estimated.sum())
    return f"{count} frame{'' if count == 1 else 's'} of {len(chain.estimated)}"


def _seen_from_first(
    poses: Transforms | None, indices: list[int]
) -> Float64[np.ndarray, "m 4 4"] | None:
    """True poses of the used frames, relative to the first known one."""
    if poses is None:
        return None
    used = poses[indices]
    has_pose = known_poses(used)
    return invert(used[has_pose][0]) @ used if has_pose.any() else None


def _notes(frames: Sequence[ClipFrame], fault: str | None) -> tuple[str, ...]:
    problems = [f"passed over: {frame.problem}" for frame in frames if frame.problem is not None]
    more = [f"passed over: {len(problems) - _NAMED:,} more broken frames"]
    notes = problems[:_NAMED] + (more if len(problems) > _NAMED else [])
    return (*notes, *([] if fault is None else [fault]))
