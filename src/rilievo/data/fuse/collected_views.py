"""Views of a clip, collected frame by frame."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Matrix, Pixels, Size, Transforms
from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.pose_files import PoseFile
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.data.motion.clip_motion import ClipTracker
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text, count_text, join_texts
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.transforms import invert
from rilievo.models.resampling.preparation import shrink
from rilievo.records.depth_map import DepthKind, DepthMap

DepthLookup = Callable[[ClipFrame, Camera, Size], DepthMap | str]
"""Function from a frame, its camera and a size to depth, or to a line on why there is none."""

Report = Callable[[str, int, int | None], None]
"""Function called with the step, the frames done, and their total if known."""

_MIN_VIEWS = 3
_MIN_SIDE = 16  # [px]
_MAX_NAMED_PROBLEMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedViews:
    """Views of a clip, whose depth does not agree yet.

    Attributes:
        kind: METRIC if the depth of all views is in metres, else UP_TO_SCALE.
        is_scaled: Whether the poses were estimated from the depth, and so have its unit.
        left_out: Number of frames that were read but have no depth or no pose.
        notes: What was left out, and why.
    """

    views: tuple[ClipView, ...]
    kind: DepthKind
    is_scaled: bool
    left_out: int
    notes: tuple[str, ...]


def size_within_side(size: Size, max_side: int) -> Size:
    """Shrink a (height, width) to a longest side, but no side below 16 px."""
    factor = min(1.0, max_side / max(size))
    return max(_MIN_SIDE, round(factor * size[0])), max(_MIN_SIDE, round(factor * size[1]))


def collect_views(
    footage: ClipReader,
    depth_lookup: DepthLookup,
    poses: PoseFile | None,
    options: FuseOptions,
    report: Report,
) -> CollectedViews:
    """Read the frames of a clip that have depth and a pose.

    Poses come from a file, else from the clip itself if the user asks for them, else they are
    estimated by tracking corners.

    Raises:
        InputError: If fewer than three frames have depth and a pose.
    """
    clip_poses = None
    if poses is None and options.poses is not None:
        clip_poses = footage.true_poses()
    is_tracked = poses is None and clip_poses is None
    read = _read_views(footage, depth_lookup, options, report, is_tracked=is_tracked)

    notes = [note for note in (footage.clip.camera.note, footage.fault) if note is not None]
    if read.tracker is not None:
        views, tracking_notes = _longest_tracked_part(read, read.tracker)
        notes += tracking_notes
    else:
        views = _views_with_poses(read, poses, clip_poses, footage.count)
        without_pose = len(read.views) - len(views)
        if without_pose:
            notes.append(
                f"rilievo leaves out {count_text(without_pose, 'frame')} whose pose is unknown"
            )
    notes += _notes_on_unread_frames(read)

    read_frames = len(read.views) + len(read.problems)
    if len(views) < _MIN_VIEWS:
        summary = f"depth and pose are known for {len(views)} of {count_text(read_frames, 'frame')}"
        problem = join_texts("; ", [f"fusing needs at least {_MIN_VIEWS} frames", *notes])
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
        views: The views, with identity poses.
        frames: Their frames, without pixels.
        kind: METRIC if the depth of all views is in metres, else UP_TO_SCALE.
        tracker: Tracks corners through the views; None if poses are known.
        problems: A line for each frame that cannot be used.
        num_unused: Number of frames after the most that are fused.
    """

    views: list[ClipView]
    frames: list[ClipFrame]
    kind: DepthKind
    tracker: ClipTracker | None
    problems: list[str]
    num_unused: int


def _read_views(
    footage: ClipReader,
    depth_lookup: DepthLookup,
    options: FuseOptions,
    report: Report,
    *,
    is_tracked: bool,
) -> _ReadViews:
    """Read evenly spread frames with their depth, and track the camera if ``is_tracked``."""
    size = size_within_side(footage.clip.shape, options.side)
    K = footage.clip.K_at(size)
    stride = max(1, math.ceil(footage.count / options.frames))
    total = min(options.frames, math.ceil(footage.count / stride)) if footage.count else None
    tracker = ClipTracker(K) if is_tracked else None
    views: list[ClipView] = []
    frames: list[ClipFrame] = []
    problems: list[str] = []
    kinds: set[DepthKind] = set()
    num_unused = 0
    for frame in footage.walk(footage.clip.shape, stride):
        if len(views) == options.frames:
            num_unused += 1  # a video is read to its end, since its poses may be one a frame
            continue
        if frame.pixels is None:
            problems.append(frame.problem or "cannot be read")
            continue
        depth = depth_lookup(frame, footage.clip.camera.camera, size)
        if isinstance(depth, str):
            problems.append(depth)
            continue

        kinds.add(depth.kind)
        view = _view_without_pose(frame.name, shrink(frame.pixels, size), depth, K)
        if tracker is not None:
            tracker.add(view.pixels, np.where(view.valid, view.depth, np.float32(np.nan)))
        views.append(view)
        frames.append(replace(frame, pixels=None))
        report("depth", len(views), total)
    # One frame of unknown scale leaves the scale of the whole surface unknown.
    kind = DepthKind.METRIC if kinds == {DepthKind.METRIC} else DepthKind.UP_TO_SCALE
    return _ReadViews(
        views=views,
        frames=frames,
        kind=kind,
        tracker=tracker,
        problems=problems,
        num_unused=num_unused,
    )


def _view_without_pose(name: str, pixels: Pixels, depth: DepthMap, K: Matrix) -> ClipView:
    """View of a frame, with the identity as its pose, and a depth of 1 where it is unknown."""
    values = np.where(depth.valid, depth.values, np.float32(1)).astype(np.float32)
    return ClipView(
        name=name, pixels=pixels, depth=values, valid=depth.valid, K=K, world_T_cam=np.eye(4)
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
    """Views of the longest part between losses of tracking, with poses, and notes on the rest."""
    if not read.views:
        return [], []
    motion = tracker.motion()
    frames_per_part = np.bincount(motion.parts)
    longest_part = np.flatnonzero(motion.parts == int(frames_per_part.argmax()))
    notes = []
    if len(frames_per_part) > 1:
        first, last = read.views[longest_part[0]].name, read.views[longest_part[-1]].name
        notes.append(
            "rilievo loses track of the camera, for example at a cut, at a blank wall or in a "
            f"crowd, so it only fuses the longest of {len(frames_per_part)} parts of the clip, "
            f"from frame {first} to {last} ({len(longest_part)} of {len(read.views)} frames)"
        )
    views = []
    for index in longest_part:
        view = read.views[index]
        depth = view.depth * np.float32(motion.scales[index])
        views.append(replace(view, depth=depth, world_T_cam=invert(motion.cam_T_world[index])))
    return views, notes


def _notes_on_unread_frames(read: _ReadViews) -> list[str]:
    """Write notes on frames after the most that are fused, and on broken ones."""
    notes: list[str] = []
    if read.num_unused:
        notes.append(
            Note(
                Text(
                    f"rilievo leaves out {count_text(read.num_unused, 'frame')} at the end, "
                    "because the video does not state how many frames it has; raise ",
                    OptionName("frames"),
                    " to use them",
                )
            )
        )
    named_problems = read.problems[:_MAX_NAMED_PROBLEMS]
    notes += [Note(Text("skipped: ", problem)) for problem in named_problems]
    num_unnamed = len(read.problems) - len(named_problems)
    if num_unnamed:
        notes.append(f"skipped: {count_text(num_unnamed, 'more frame')}")
    return notes
