"""Views of a clip, collected frame by frame."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Transforms
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

DepthOf = Callable[[ClipFrame, Camera, tuple[int, int]], DepthMap | str]
"""Function from a frame, camera and size to depth, or a line on why it has none."""

Report = Callable[[str, int, int | None], None]
"""Function called with the step, the frames done, and their total if known."""
_FEWEST = 3
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedViews:
    """Views of a clip; ``is_scaled`` if their poses come from depth."""

    views: tuple[ClipView, ...]
    kind: DepthKind
    is_scaled: bool
    left_out: int
    notes: tuple[str, ...]


def size_within_side(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width), both at least 16."""
    share = min(1.0, side / max(shape))
    return max(16, round(share * shape[0])), max(16, round(share * shape[1]))


def collect_views(
    footage: ClipReader,
    depth_of: DepthOf,
    poses: PoseFile | None,
    options: FuseOptions,
    report: Report,
) -> CollectedViews:
    """Read frames with depth and poses; refuse fewer than three."""
    beside = footage.true_poses() if poses is None and options.poses is not None else None
    track = poses is None and beside is None
    clip = _read_views(footage, depth_of, options, report, track=track)
    problems, notes = list(clip.problems), []
    notes += [note for note in (footage.clip.camera.note, footage.fault) if note is not None]
    if clip.tracker is not None:
        views, tracking_notes = _views_and_notes_of_longest_part(clip)
        notes += tracking_notes
    else:
        views = _views_with_poses(clip, poses, beside, footage.count)
        without = len(clip.views) - len(views)
        if without:
            notes.append(f"{without} frames have no pose and are left out")
    if clip.unused:
        notes.append(
            Note(
                Text(
                    f"the last {clip.unused} frames are not used, since the video "
                    "does not tell their number: raise ",
                    OptionName("frames"),
                )
            )
        )
    notes += [Note(Text("skipped: ", problem)) for problem in problems[:_NAMED]]
    if len(problems) > _NAMED:
        notes.append(f"skipped: {len(problems) - _NAMED:,} more frames")
    if len(views) < _FEWEST:
        summary = f"{len(views)} of {len(clip.views) + len(problems)} frames have depth and a pose"
        problem = join_texts("; ", [f"fusing takes at least {_FEWEST}", *notes])
        raise InputError(f"{summary};", problem=problem)
    return CollectedViews(
        views=tuple(views),
        kind=clip.kind,
        is_scaled=clip.tracker is not None,
        left_out=len(clip.views) + len(problems) - len(views),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameViews:
    views: list[ClipView]
    frames: list[ClipFrame]
    kind: DepthKind
    tracker: ClipTracker | None
    problems: list[str]
    unused: int


def _read_views(
    footage: ClipReader, depth_of: DepthOf, options: FuseOptions, report: Report, *, track: bool
) -> _FrameViews:
    size = size_within_side(footage.clip.shape, options.side)
    K = footage.clip.K_at(size)
    stride = max(1, math.ceil(footage.count / options.frames))
    total = min(options.frames, math.ceil(footage.count / stride)) if footage.count else None
    views: list[ClipView] = []
    frames: list[ClipFrame] = []
    problems: list[str] = []
    kinds: set[DepthKind] = set()
    tracker = ClipTracker(K) if track else None
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
        values = np.where(depth.valid, depth.values, np.float32(1))
        view = ClipView(
            name=frame.name,
            pixels=pixels,
            depth=values.astype(np.float32),
            valid=depth.valid,
            K=K,
            world_T_cam=np.eye(4),
        )
        if tracker is not None:
            tracker.add(pixels, np.where(depth.valid, values, np.float32(np.nan)))
        views.append(view)
        frames.append(replace(frame, pixels=None))
        report("depth", len(views), total)
    # One frame whose metres are unknown leaves the metres of the whole unknown.
    kind = DepthKind.METRIC if kinds == {DepthKind.METRIC} else DepthKind.UP_TO_SCALE
    return _FrameViews(
        views=views, frames=frames, kind=kind, tracker=tracker, problems=problems, unused=unused
    )


def _views_with_poses(
    footage: _FrameViews, poses: PoseFile | None, beside: Transforms | None, count: int
) -> list[ClipView]:
    if not footage.views:
        return []
    if poses is not None:
        transforms = poses.poses_of_frames(footage.frames, count)
    else:
        assert beside is not None, "frames without known poses are tracked"
        transforms = beside[[frame.index for frame in footage.frames]]
    return [
        replace(view, world_T_cam=pose)
        for view, pose in zip(footage.views, transforms, strict=True)
        if np.isfinite(pose).all()
    ]


def _views_and_notes_of_longest_part(frame: _FrameViews) -> tuple[list[ClipView], list[str]]:
    if not frame.views or frame.tracker is None:
        return [], []
    motion = frame.tracker.motion()
    sizes = np.bincount(motion.parts)
    longest = int(sizes.argmax())
    chosen = np.flatnonzero(motion.parts == longest)
    notes = []
    if len(sizes) > 1:
        first, last = frame.views[chosen[0]].name, frame.views[chosen[-1]].name
        notes.append(
            f"the camera's motion is lost {len(sizes) - 1} times, as at a cut, a blank wall or in "
            f"a crowd: only the longest part is fused, {first} to {last} ({len(chosen)} frames of "
            f"{len(frame.views)})"
        )
    views = []
    for index in chosen:
        view = frame.views[index]
        depth = view.depth * np.float32(motion.scales[index])
        pose = invert(motion.cam_T_world[index])
        views.append(replace(view, depth=depth, world_T_cam=pose))
    return views, notes
