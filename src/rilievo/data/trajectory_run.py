"""The trajectory of a camera, from a clip to files, picture and errors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float64, Int64, Pixels, Transform, Transforms, Values
from rilievo.data.clips.clip_motion import ClipMotion, ClipTracker
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.clips.sources import ClipReader
from rilievo.data.trajectories import (
    Freedom,
    LengthErrors,
    MotionErrors,
    Trajectory,
    TrajectoryFile,
    TrajectoryOptions,
    TrajectoryRecord,
    TrajectoryScores,
    direction_errors,
    fit_similarity,
    known_poses,
    length_errors,
    monodepth2_snippet_errors,
    motion_errors,
    path_length,
    position_rmse,
    snippet_errors,
    write_kitti,
    write_tum,
)
from rilievo.errors import InputError, ModelError, needing
from rilievo.errors.messages import Note, Text
from rilievo.extensions.subpackages import load_service
from rilievo.geometry.transforms import (
    axis_angle_from_rotation,
    invert,
    rigid,
    rotation_from_axis_angle,
)
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.records.depth_map import DepthKind


class Chain:
    """Trajectory that grows frame by frame; unusable frames are interpolated."""

    def __init__(self) -> None:
        self._poses: list[Transform] = []
        self._estimated: list[bool] = []
        self._missing = 0

    def add_usable_frame(self, later_T_earlier: Transform | None) -> None:
        """Append its motion, None for the first; interpolate unusable ones before."""
        if later_T_earlier is None:
            self._poses = [np.eye(4) for _ in range(self._missing + 1)]
        else:
            last, motion = self._poses[-1], invert(later_T_earlier)
            steps = self._missing + 1
            self._poses += [last @ part_of_motion(motion, k / steps) for k in range(1, steps)]
            self._poses.append(last @ motion)
        self._estimated += [False] * self._missing + [True]
        self._missing = 0

    def add_unusable_frame(self) -> None:
        """Add a frame whose pose is interpolated."""
        self._missing += 1

    @property
    def poses(self) -> Transforms:
        """``world_T_cam``, re-orthonormalised."""
        path = [*self._poses, *self._poses[-1:] * self._missing]
        poses = np.array(path, dtype=np.float64).reshape(-1, 4, 4)
        # Products of thousands of float32s drift, so each is replaced by the nearest rotation.
        U, _, Vt = np.linalg.svd(poses[:, :3, :3])
        poses[:, :3, :3] = U @ Vt
        return poses

    @property
    def estimated(self) -> Bool[np.ndarray, "n"]:
        """Mask of usable frames."""
        return np.array(self._estimated + [False] * self._missing, dtype=bool)


def part_of_motion(motion: Transform, share: float) -> Transform:
    """First ``share`` of a motion, straight and of constant rotation speed."""
    turn = axis_angle_from_rotation(motion[:3, :3])
    return rigid(rotation_from_axis_angle(share * turn), share * motion[:3, 3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Results of a whole clip; ``parts`` are unbroken."""

    chain: Chain
    frames: tuple[ClipFrame, ...]
    metric: bool
    parts: Int64[np.ndarray, "n"] | None = None
    notes: tuple[str, ...] = ()


_TRUE, _ESTIMATE = "#7a7a7a", "#c2410c"


def check_can_draw() -> None:
    """Check that pictures can be drawn."""
    with needing("a picture of a trajectory", "evaluate"):
        import matplotlib  # noqa: F401


def write_picture(path: Path, trajectory: Trajectory) -> None:
    """Draw truth and estimate from above (``.png`` or ``.svg``), x to the right and z upwards."""
    check_can_draw()
    import matplotlib
    from matplotlib.figure import Figure

    # Default style and a fixed hash salt, so that the same numbers always give the same picture.
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, "svg.hashsalt": "rilievo"}):
        figure = Figure(figsize=(5.0, 5.0), layout="constrained")
        _draw_paths(figure.subplots(), trajectory)
        with replacing(path) as part:
            figure.savefig(part, format=path.suffix.removeprefix("."), dpi=150)


def _draw_paths(axes: Any, trajectory: Trajectory) -> None:
    mirrored = False
    poses, unit = trajectory.poses, "m" if trajectory.metric else "unit of the estimate"
    true = trajectory.true
    has_truth = None if true is None else known_poses(true) & trajectory.estimated
    if true is not None and has_truth is not None and has_truth.sum() > 1:
        freedom = Freedom.ORIGIN if trajectory.metric else Freedom.SCALE
        fit = fit_similarity(poses[has_truth], true[has_truth], freedom)
        poses, unit, mirrored = fit.apply(poses), "m", fit.scale < 0
        _draw_path(axes, true, _TRUE, "truth")
    label = "estimate" if unit != "m" or trajectory.metric else "estimate, scaled"
    label = "estimate, MIRRORED and scaled" if mirrored else label
    _draw_path(axes, poses, _ESTIMATE, label)
    axes.plot(poses[0, 0, 3], poses[0, 2, 3], "o", color="black", markersize=4, label="start")
    axes.set_xlabel(f"x [{unit}]")
    axes.set_ylabel(f"z [{unit}]")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(frameon=False)


def _draw_path(axes: Any, poses: Transforms, colour: str, label: str) -> None:
    axes.plot(poses[:, 0, 3], poses[:, 2, 3], color=colour, linewidth=1.2, label=label)


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


_LEAST_FRAMES = 5  # of a scored part


@dataclass(frozen=True, slots=True, kw_only=True)
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
        _errors_of_part(trajectory.poses[parts == number], true[parts == number], trajectory.metric)
        for number in numbers
        if known_poses(true[parts == number]).sum() >= least
    ]
    scored = [errors for errors in part_errors if errors is not None]
    return _join_part_errors(scored, metric=trajectory.metric) if scored else None


def _errors_of_part(poses: Transforms, true: Transforms, metric: bool) -> _PartErrors | None:
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


def _join_part_errors(parts: Sequence[_PartErrors], *, metric: bool) -> TrajectoryScores:
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
        snippet_mean=_statistic_or_none(np.mean, snippets),
        snippet_deviation=_statistic_or_none(np.std, snippets),
        monodepth2_snippets=len(monodepth2_snippets),
        monodepth2_mean=_statistic_or_none(np.mean, monodepth2_snippets),
        monodepth2_deviation=_statistic_or_none(np.std, monodepth2_snippets),
        rmse_origin=rmse(Freedom.ORIGIN) if metric else None,
        rmse_scale=rmse(Freedom.SCALE),
        rmse_rigid=rmse(Freedom.RIGID) if metric else None,
        rmse_similarity=rmse(Freedom.SIMILARITY),
        frame_translation=_statistic_or_none(np.mean, translations),
        frame_rotation=_statistic_or_none(np.mean, rotations),
        parts=sum(segments),
        part_translation=_weighted_mean([part.translation for part in lengths], segments),
        part_rotation=_weighted_mean([part.rotation for part in lengths], segments),
        direction=_statistic_or_none(np.median, directions),
    )


def _weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float | None:
    return float(np.average(values, weights=weights)) if values else None


def _statistic_or_none(statistic: Callable[[Values], np.floating], errors: Values) -> float | None:
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
