"""The trajectory of a camera, from a clip to files, picture and errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Transforms
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.clips.sources import ClipReader
from rilievo.data.trajectories.errors import known_poses
from rilievo.data.trajectories.motion_chain import Chain
from rilievo.data.trajectories.picture import check_can_draw, write_picture
from rilievo.data.trajectories.records import (
    Trajectory,
    TrajectoryFile,
    TrajectoryOptions,
    TrajectoryRecord,
    write_kitti,
    write_tum,
)
from rilievo.data.trajectories.scoring import score_trajectory
from rilievo.data.trajectories.walks import (
    Walk,
    load_motion_networks,
    walk_by_depth,
    walk_by_networks,
)
from rilievo.errors import InputError, needing
from rilievo.errors.messages import Note, Text
from rilievo.geometry.transforms import invert
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.models import load_model

_NAMED = 5


def estimate_trajectory(
    model: str | Path, clip: Path, options: TrajectoryOptions | None = None
) -> Trajectory:
    """Estimate the motion between frames of a clip, and chain it; broken frames are skipped.

    The model is a run of ``rilievo train video``, an official checkpoint with pose files, or of
    metric or up-to-scale depth, whose motion follows from tracked corners.

    Raises:
        InputError: If the clip has fewer than two usable frames, or true poses do not match.
        ModelError: If the model is unknown, or its depth has an unknown shift.
        OptionError: If an option is out of range.
        MissingExtraError: If a package is not installed.
    """
    options = options or TrajectoryOptions()
    frames = ClipReader(clip, options.poses, options)
    walk = _walk_by_model(model, frames, options)
    if int(walk.chain.estimated.sum()) < 2:
        raise InputError(
            f"{printable(clip)}: {_frame_count_text(walk.chain)} can be used at a stride of "
            f"{options.stride}; motion needs two"
        )
    return Trajectory(
        names=tuple(frame.name for frame in walk.frames),
        seconds=np.array([frame.seconds for frame in walk.frames], np.float64),
        poses=walk.chain.poses,
        estimated=walk.chain.estimated,
        metric=walk.metric,
        true=_poses_from_first(frames.true_poses(), [frame.index for frame in walk.frames]),
        parts=walk.parts,
        notes=(*_notes_on_skipped(walk.frames, frames.fault), *walk.notes),
    )


def write_trajectory(
    model: str | Path, clip: Path, output: Path, options: TrajectoryOptions | None = None
) -> TrajectoryRecord:
    """Estimate a trajectory and write poses, a picture and errors, as ``estimate_trajectory``.

    ``output`` is a folder, whose files are replaced, or a ``.txt`` file: of KITTI's format if
    called ``poses.txt``, else TUM's.

    Raises:
        OutputError: If a file cannot be written.
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


def _walk_by_model(model: str | Path, frames: ClipReader, options: TrajectoryOptions) -> Walk:
    """Walk by networks of motion, else by depth."""
    motion = load_motion_networks(Path(model), options.device)
    if motion is not None:
        return walk_by_networks(frames, motion, options.stride)
    loaded = load_model(model, device=options.device, trust_code=options.trust_code)
    return walk_by_depth(frames, loaded, options.stride)


def _frame_count_text(chain: Chain) -> str:
    count = int(chain.estimated.sum())
    return f"{count} frame{'' if count == 1 else 's'} of {len(chain.estimated)}"


def _poses_from_first(
    poses: Transforms | None, indices: list[int]
) -> Float64[np.ndarray, "m 4 4"] | None:
    """Poses relative to the first without NaN."""
    if poses is None:
        return None
    used = poses[indices]
    has_pose = known_poses(used)
    return invert(used[has_pose][0]) @ used if has_pose.any() else None


def _notes_on_skipped(frames: Sequence[ClipFrame], fault: str | None) -> tuple[str, ...]:
    problems = [
        Note(Text("skipped: ", frame.problem)) for frame in frames if frame.problem is not None
    ]
    more = [f"skipped: {len(problems) - _NAMED:,} more broken frames"]
    notes = problems[:_NAMED] + (more if len(problems) > _NAMED else [])
    return (*notes, *([] if fault is None else [fault]))
