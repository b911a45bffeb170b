"""The trajectory of a camera, from a clip to files and errors."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.trajectories.chain import Chain, Walk
from rilievo.data.trajectories.depth_motion import (
    motion_of_networks,
    walk_by_depth,
    walk_by_networks,
)
from rilievo.data.trajectories.trajectory_errors import (
    Freedom,
    LengthErrors,
    MotionErrors,
    direction_errors,
    fit_similarity,
    known_poses,
    length_errors,
    monodepth2_snippet_errors,
    motion_errors,
    path_length,
    position_rmse,
    snippet_errors,
)
from rilievo.data.trajectories.trajectory_picture import check_can_draw, write_picture
from rilievo.data.trajectories.trajectory_records import (
    Trajectory,
    TrajectoryFile,
    TrajectoryOptions,
    TrajectoryRecord,
    TrajectoryScores,
    write_kitti,
    write_tum,
)
from rilievo.errors import InputError, needing
from rilievo.frozen import frozen
from rilievo.geometry.transforms import invert
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import printable
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.shapes import Float64, Transforms, Values

_LEAST_FRAMES = 5
"""Least frames of a scored part."""


@frozen
class _PartErrors:
    frames: int
    path_length: float
    scale: float
    squared: Mapping[Freedom, float]
    snippets: Float64[np.ndarray, "_"]
    monodepth2_snippets: Float64[np.ndarray, "_"]
    motions: MotionErrors
    directions: Float64[np.ndarray, "_"]
    lengths: LengthErrors | None


def score_trajectory(trajectory: Trajectory) -> TrajectoryScores | None:
    """Errors over usable frames with a true pose, if any; parts are fitted by themselves."""
    if trajectory.true is None:
        return None
    true = np.where(trajectory.estimated[:, None, None], trajectory.true, np.nan)
    parts = trajectory.parts
    parts = np.zeros(len(true), np.int64) if parts is None else parts
    numbers = np.unique(parts)
    least = 2 if len(numbers) == 1 else _LEAST_FRAMES
    part_errors = [
        _errors_of(trajectory.poses[parts == number], true[parts == number], trajectory.metric)
        for number in numbers
        if known_poses(true[parts == number]).sum() >= least
    ]
    scored = [errors for errors in part_errors if errors is not None]
    return _joined(scored, metric=trajectory.metric) if scored else None


def _errors_of(poses: Transforms, true: Transforms, metric: bool) -> _PartErrors | None:
    has_truth = known_poses(true)
    if not path_length(true[has_truth]):
        return None
    estimate, known_true = poses[has_truth], true[has_truth]
    fit = fit_similarity(estimate, known_true, Freedom.SCALE)
    scaled = poses.copy()
    scaled[:, :3, 3] *= fit.scale
    return _PartErrors(
        frames=int(has_truth.sum()),
        path_length=path_length(known_true),
        scale=fit.scale,
        squared={kind: position_rmse(estimate, known_true, kind) ** 2 for kind in Freedom},
        snippets=snippet_errors(poses, true),
        monodepth2_snippets=monodepth2_snippet_errors(poses, true),
        motions=motion_errors(scaled, true),
        directions=direction_errors(poses, true),
        lengths=length_errors(estimate if metric else scaled[has_truth], known_true),
    )


def _joined(parts: Sequence[_PartErrors], *, metric: bool) -> TrajectoryScores:
    """Errors over parts, with the scale of the longest."""
    frames = np.array([part.frames for part in parts])
    snippets, monodepth2_snippets, directions, translations, rotations = (
        np.concatenate(arrays)
        for arrays in zip(
            *(
                (
                    a.snippets,
                    a.monodepth2_snippets,
                    a.directions,
                    a.motions.translation,
                    a.motions.rotation,
                )
                for a in parts
            ),
            strict=True,
        )
    )
    lengths = [part.lengths for part in parts if part.lengths is not None]
    segments = [part.parts for part in lengths]

    def rmse(freedom: Freedom) -> float:
        return float(np.average([each.squared[freedom] for each in parts], weights=frames) ** 0.5)

    return TrajectoryScores(
        frames=int(frames.sum()),
        pieces=len(parts),
        path_length=sum(part.path_length for part in parts),
        scale=parts[int(frames.argmax())].scale,
        snippets=len(snippets),
        snippet_mean=_over(np.mean, snippets),
        snippet_deviation=_over(np.std, snippets),
        monodepth2_snippets=len(monodepth2_snippets),
        monodepth2_mean=_over(np.mean, monodepth2_snippets),
        monodepth2_deviation=_over(np.std, monodepth2_snippets),
        rmse_origin=rmse(Freedom.ORIGIN) if metric else None,
        rmse_scale=rmse(Freedom.SCALE),
        rmse_rigid=rmse(Freedom.RIGID) if metric else None,
        rmse_similarity=rmse(Freedom.SIMILARITY),
        frame_translation=_over(np.mean, translations),
        frame_rotation=_over(np.mean, rotations),
        parts=sum(segments),
        part_translation=_weighed([part.translation for part in lengths], segments),
        part_rotation=_weighed([part.rotation for part in lengths], segments),
        direction=_over(np.median, directions),
    )


def _weighed(values: Sequence[float], weights: Sequence[int]) -> float | None:
    return float(np.average(values, weights=weights)) if values else None


def _over(statistic: Callable[[Values], np.floating], errors: Values) -> float | None:
    return float(statistic(errors)) if len(errors) else None


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
    if poses is None:
        return None
    used = poses[indices]
    has_pose = known_poses(used)
    return invert(used[has_pose][0]) @ used if has_pose.any() else None


def _notes(frames: Sequence[ClipFrame], fault: str | None) -> tuple[str, ...]:
    problems = [f"skipped: {frame.problem}" for frame in frames if frame.problem is not None]
    more = [f"skipped: {len(problems) - _NAMED:,} more broken frames"]
    notes = problems[:_NAMED] + (more if len(problems) > _NAMED else [])
    return (*notes, *([] if fault is None else [fault]))
