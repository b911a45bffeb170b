"""Views of a clip, collected frame by frame."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Size, Transforms
from rilievo.data.clips.clip_motion import ClipTracker
from rilievo.data.clips.pose_files import PoseFile
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.clips.sources import ClipReader
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text, join_texts
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.transforms import invert
from rilievo.models.resampling.preparation import shrink
from rilievo.records.depth_map import DepthKind, DepthMap

DepthOf = Callable[[ClipFrame, Camera, Size], DepthMap | str]
"""Function from a frame, its camera and a size to depth, or to a line on why there is none."""

Report = Callable[[str, int, int | None], None]
"""Function called with the step, the frames done, and their total if known."""

_MIN_VIEWS = 3
_MIN_SIDE = 16  # [px]
_MAX_NAMED_PROBLEMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedViews:
    """Views of a clip, before their depth agrees.

    Attributes:
        views: The views.
        kind: METRIC if the depth of all views is in metres, else UP_TO_SCALE.
        is_scaled: Whether the poses follow from the depth, and so have its unit.
        left_out: Number of frames that were read but have no depth or no pose.
        notes: What was left out, and why.
    """

    views: tuple[ClipView, ...]
    kind: DepthKind
    is_scaled: bool
    left_out: int
    notes: tuple[str, ...]


def size_within_side(size: Size, max_side: int) -> Size:
    """Shrink a (height, width) to a longest side; both are at least 16."""
    factor = min(1.0, max_side / max(size))
    return max(_MIN_SIDE, round(factor * size[0])), max(_MIN_SIDE, round(factor * size[1]))


def collect_views(
    footage: ClipReader,
    depth_of: DepthOf,
    poses: PoseFile | None,
    options: FuseOptions,
    report: Report,
) -> CollectedViews:
    """Read the frames of a clip that have depth and a pose.

    Poses are those of a file, else those that the clip brings with it if they are asked for, else
    they are estimated by following corners.

    Raises:
        InputError: If fewer than three frames have depth and a pose.
    """
    clip_poses = None
    if poses is None and options.poses is not None:
        clip_poses = footage.true_poses()
    is_tracked = poses is None and clip_poses is None
    read = _read_views(footage, depth_of, options, report, is_tracked=is_tracked)

    notes = [note for note in (footage.clip.camera.note, footage.fault) if note is not None]
    if read.tracker is not None:
        views, tracking_notes = _longest_tracked_part(read, read.tracker)
        notes += tracking_notes
    else:
        views = _views_with_poses(read, poses, clip_poses, footage.count)
        without_pose = len(read.views) - len(views)
        if without_pose:
            notes.append(f"{without_pose} frames have no pose and are left out")
    notes += _notes_on_unread_frames(read)

    read_frames = len(read.views) + len(read.problems)
    if len(views) < _MIN_VIEWS:
        summary = f"{len(views)} of {read_frames} frames have depth and a pose"
        problem = join_texts("; ", [f"fusing takes at least {_MIN_VIEWS}", *notes])
        raise InputError(f"{summary};", problem=problem)
    return CollectedViews(
        views=tuple(views),
        kind=read.kind,
        is_scaled=is_tracked,
        left_out=read_frames - len(views),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadViews:
    """Views that were read from a clip; their poses are not known yet.

    Attributes:
        views: The views.
        frames: Their frames, without pixels.
        kind: METRIC if the depth of all views is in metres, else UP_TO_SCALE.
        tracker: Follows corners through the views; None if poses are known.
        problems: A line for each frame that cannot be used.
        unused: Number of frames beyond the most that are fused.
    """

    views: list[ClipView]
    frames: list[ClipFrame]
    kind: DepthKind
    tracker: ClipTracker | None
    problems: list[str]
    unused: int


def _read_views(
    footage: ClipReader,
    depth_of: DepthOf,
    options: FuseOptions,
    report: Report,
    *,
    is_tracked: bool,
) -> _ReadViews:
    size = size_within_side(footage.clip.shape, options.side)
    K = footage.clip.K_at(size)
    stride = max(1, math.ceil(footage.count / options.frames))
    total = min(options.frames, math.ceil(footage.count / stride)) if footage.count else None
    tracker = ClipTracker(K) if is_tracked else None
    views: list[ClipView] = []
    frames: list[ClipFrame] = []
    problems: list[str] = []
    kinds: set[DepthKind] = set()
    unused = 0
    for frame in footage.walk(footage.clip.shape, stride):
        if len(views) == options.frames:
            unused += 1  # a video is read to its end, since its poses may be one a frame
            continue
        if frame.pixels is None:
            problems.append(frame.problem or "cannot be read")
            continue
        depth = depth_of(frame, footage.clip.camera.camera, size)
        if isinstance(depth, str):
            problems.append(depth)
            continue

        kinds.add(depth.kind)
        pixels = shrink(frame.pixels, size)
        values = np.where(depth.valid, depth.values, np.float32(1)).astype(np.float32)
        if tracker is not None:
            tracker.add(pixels, np.where(depth.valid, values, np.float32(np.nan)))
        views.append(
            ClipView(
                name=frame.name,
                pixels=pixels,
                depth=values,
                valid=depth.valid,
                K=K,
                world_T_cam=np.eye(4),
            )
        )
        frames.append(replace(frame, pixels=None))
        report("depth", len(views), total)
    # One frame whose metres are unknown leaves the metres of the whole unknown.
    kind = DepthKind.METRIC if kinds == {DepthKind.METRIC} else DepthKind.UP_TO_SCALE
    return _ReadViews(
        views=views, frames=frames, kind=kind, tracker=tracker, problems=problems, unused=unused
    )


def _views_with_poses(
    read: _ReadViews, pose_file: PoseFile | None, clip_poses: Transforms | None, frame_count: int
) -> list[ClipView]:
    """Views whose pose is known, by a file or by the clip."""
    if not read.views:
        return []
    if pose_file is not None:
        poses = pose_file.poses_of_frames(read.frames, frame_count)
    else:
        assert clip_poses is not None, "frames without known poses are tracked"
        poses = clip_poses[[frame.index for frame in read.frames]]
    return [
        replace(view, world_T_cam=pose)
        for view, pose in zip(read.views, poses, strict=True)
        if np.isfinite(pose).all()
    ]


def _longest_tracked_part(
    read: _ReadViews, tracker: ClipTracker
) -> tuple[list[ClipView], list[str]]:
    """Views of the longest part through which corners could be followed, and notes on the rest."""
    if not read.views:
        return [], []
    motion = tracker.motion()
    frames_of_parts = np.bincount(motion.parts)
    chosen = np.flatnonzero(motion.parts == int(frames_of_parts.argmax()))
    notes = []
    if len(frames_of_parts) > 1:
        first, last = read.views[chosen[0]].name, read.views[chosen[-1]].name
        notes.append(
            f"the camera's motion is lost {len(frames_of_parts) - 1} times, as at a cut, a blank "
            f"wall or in a crowd: only the longest part is fused, {first} to {last} ({len(chosen)} "
            f"frames of {len(read.views)})"
        )
    views = []
    for index in chosen:
        view = read.views[index]
        depth = view.depth * np.float32(motion.scales[index])
        views.append(replace(view, depth=depth, world_T_cam=invert(motion.cam_T_world[index])))
    return views, notes


def _notes_on_unread_frames(read: _ReadViews) -> list[str]:
    """Notes on frames beyond the most that are fused, and on broken ones."""
    notes: list[str] = []
    if read.unused:
        notes.append(
            Note(
                Text(
                    f"the last {read.unused} frames are not used, since the video "
                    "does not tell their number: raise ",
                    OptionName("frames"),
                )
            )
        )
    named = read.problems[:_MAX_NAMED_PROBLEMS]
    notes += [Note(Text("skipped: ", problem)) for problem in named]
    unnamed = len(read.problems) - len(named)
    if unnamed:
        notes.append(f"skipped: {unnamed:,} more frames")
    return notes
