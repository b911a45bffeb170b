"""The trajectory of a camera, from a clip to files, picture and errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transforms
from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.trajectories.errors import known_poses
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
    EstimatedPath,
    load_motion_networks,
    predicts_motion,
    walk_by_depth,
    walk_by_networks,
)
from rilievo.errors import InputError, MissingExtraError
from rilievo.errors.messages import Note, Text, count_text
from rilievo.geometry.transforms import invert
from rilievo.io.files.atomic import make_folder, write_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.models import load_model

_MAX_NAMED_FRAMES = 5


def estimate_trajectory(
    model: str | Path, clip: Path, options: TrajectoryOptions | None = None
) -> Trajectory:
    """Estimate the trajectory of the camera through a clip. Broken frames are skipped.

    Args:
        model: A run of ``rilievo train video`` or an official checkpoint with pose files, whose
            networks predict motion; or any model of metric or up-to-scale depth, from which motion
            follows by tracked corners.
        clip: A video, a folder of frames, or a sequence of KITTI odometry.
        options: Camera, true poses, stride and device.

    Raises:
        InputError: If the clip has fewer than two usable frames, or true poses do not match.
        ModelError: If the model is unknown, or its depth has an unknown shift.
        OptionError: If an option is out of range.
        MissingExtraError: If a package is not installed.
    """
    options = options or TrajectoryOptions()
    reader = ClipReader(clip, options.poses, options)
    path = _walk_by_model(model, reader, options)
    usable_count = int(path.chain.estimated.sum())
    if usable_count < 2:
        raise InputError(
            f"{printable(clip)}: only {usable_count} of "
            f"{count_text(len(path.frames), 'frame')} can be used at a stride of {options.stride}; "
            "a trajectory needs at least two"
        )
    true_poses = reader.true_poses()
    if true_poses is not None:
        true_poses = _relative_to_first_known(true_poses[[frame.index for frame in path.frames]])
    return Trajectory(
        names=tuple(frame.name for frame in path.frames),
        seconds=np.array([frame.seconds for frame in path.frames], np.float64),
        poses=path.chain.poses,
        estimated=path.chain.estimated,
        metric=path.metric,
        true=true_poses,
        parts=path.parts,
        notes=(*_notes_on_skipped(path.frames, reader.fault), *path.notes),
    )


def write_trajectory(
    model: str | Path, clip: Path, output: Path, options: TrajectoryOptions | None = None
) -> TrajectoryRecord:
    """Estimate a trajectory with the arguments of ``estimate_trajectory``, and write it.

    ``output`` is a folder for poses, a picture and errors, whose files are replaced; or a ``.txt``
    file for the poses alone. A file called ``poses.txt`` is in KITTI's format, any other in TUM's.

    Raises:
        OutputError: If a file cannot be written.
        RilievoError: As ``estimate_trajectory``.
    """
    _check_opencv(model)
    is_text_file = output.suffix == ".txt"
    if not is_text_file:
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
    if is_text_file:
        _write_text_file(output, trajectory)
    else:
        _write_folder(output, trajectory, record)
    return record


def _check_opencv(model: str | Path) -> None:
    """Check that OpenCV is installed; the error names an extra with all that this model needs."""
    try:
        import cv2  # noqa: F401
    except ModuleNotFoundError as missing:
        extra = "train" if predicts_motion(Path(model)) else "fuse"
        raise MissingExtraError("estimating a trajectory", extra) from missing


def _write_text_file(path: Path, trajectory: Trajectory) -> None:
    make_folder(path.parent)
    if path.name == TrajectoryFile.KITTI:
        write_kitti(path, trajectory.poses)
    else:
        write_tum(path, trajectory.seconds, trajectory.poses)


def _write_folder(folder: Path, trajectory: Trajectory, record: TrajectoryRecord) -> None:
    make_folder(folder)
    write_kitti(folder / TrajectoryFile.KITTI, trajectory.poses)
    write_tum(folder / TrajectoryFile.TUM, trajectory.seconds, trajectory.poses)
    write_picture(folder / TrajectoryFile.PICTURE, trajectory)
    write_text(folder / TrajectoryFile.SCORES, to_json(record, indent=2))


def _walk_by_model(
    model: str | Path, reader: ClipReader, options: TrajectoryOptions
) -> EstimatedPath:
    """Estimate motion by the model's motion networks; a model without any, by its depth."""
    networks = load_motion_networks(Path(model), options.device)
    if networks is not None:
        return walk_by_networks(reader, networks, options.stride)
    depth_model = load_model(model, device=options.device, trust_code=options.trust_code)
    return walk_by_depth(reader, depth_model, options.stride)


def _relative_to_first_known(poses: Transforms) -> Transforms | None:
    """Poses in the frame of the first known camera; None if no pose is known."""
    is_known = known_poses(poses)
    if not is_known.any():
        return None
    first_known = poses[is_known][0]
    return invert(first_known) @ poses


def _notes_on_skipped(frames: Sequence[ClipFrame], fault: str | None) -> list[str]:
    """Write notes on broken frames, the first five by name, and on a clip that ends too early."""
    notes: list[str] = [
        Note(Text("skipped: ", frame.problem)) for frame in frames if frame.problem is not None
    ]
    unnamed_count = len(notes) - _MAX_NAMED_FRAMES
    if unnamed_count > 0:
        notes[_MAX_NAMED_FRAMES:] = [f"skipped: {count_text(unnamed_count, 'more broken frame')}"]
    if fault is not None:
        notes.append(fault)
    return notes
