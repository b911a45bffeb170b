"""Views of a clip, collected frame by frame: pictures and depth at a small size, and poses."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.datasets.files import found_in, names_in
from rilievo.errors import InputError, OptionError
from rilievo.fuse.options import FuseOptions
from rilievo.fuse.poses import PoseFile, stem_of
from rilievo.fuse.views import View, opencv
from rilievo.geometry.clip_motion import ClipTracker
from rilievo.geometry.transforms import invert
from rilievo.io.limits import printable
from rilievo.io.numbers import read_numbers
from rilievo.io.readback import read_prediction
from rilievo.models import FAST_MODEL, load_model
from rilievo.models.model_options import model_of
from rilievo.models.sampling import shrink
from rilievo.odometry.frames import ClipFrame, ClipFrames
from rilievo.outside import trust
from rilievo.types import Camera, DepthKind, DepthMap, Photo

DepthOf = Callable[[ClipFrame, Camera, tuple[int, int]], DepthMap | str]
"""Function from a good frame, its camera and a size to its depth at that size, or to one line on
why it has none."""

_SUFFIXES = (".npz", ".npy", ".png", ".tiff", ".tif", ".exr", ".pfm", ".pgm")


def depth_of_options(options: FuseOptions) -> DepthOf:
    """Find where depth comes from."""
    if options.depth is not None:
        return _FileDepth(options.depth, options.depth_unit)
    trust(options.trust_code)
    return _ModelDepth(model_of(options.quality, options.model or None, default=FAST_MODEL))


class _ModelDepth:
    def __init__(self, name: str) -> None:
        self._model = load_model(name)
        kind = self._model.card.kind
        if kind is None or not kind.is_depth:
            what = "normals alone" if kind is None else f"depth of kind '{kind}'"
            raise OptionError(
                f"{name}: gives {what}, of which no surface can be fused: take a model of kind "
                "'metric' or 'up_to_scale' (rilievo models)"
            )

    def __call__(self, frame: ClipFrame, camera: Camera, size: tuple[int, int]) -> DepthMap | str:
        pixels = frame.pixels
        assert pixels is not None, "broken frames have no depth"
        [answer] = self._model.infer([Photo(pixels=pixels, name=frame.name, camera=camera)])
        small = Photo(pixels=shrink(pixels, size), name=frame.name)
        return self._model.finish(answer, small).depth


class _FileDepth:
    def __init__(self, folder: Path, unit: float) -> None:
        names = sorted(name for name in names_in(folder) if Path(name).suffix.lower() in _SUFFIXES)
        depths = [name for name in names if ".depth" in name.lower()]
        self._folder, self._unit = folder, unit
        self._files: dict[str, str] = {}
        # Where a frame has several files, npz is the most exact.
        for name in sorted(depths or names, key=_exactness):
            self._files.setdefault(stem_of(name), name)
        if not self._files:
            raise InputError(
                f"{printable(folder)}: has no depth files ({', '.join(_SUFFIXES)}), found "
                f"{found_in(folder)}"
            )

    def __call__(self, frame: ClipFrame, camera: Camera, size: tuple[int, int]) -> DepthMap | str:
        name = self._files.get(stem_of(frame.name), self._files.get(f"{frame.index:06d}"))
        if name is None:
            return f"{frame.name}: has no depth file in {printable(self._folder)}"
        depth = self._read(self._folder / name)
        if not depth.is_depth:
            raise InputError(
                f"{printable(self._folder / name)}: has values of kind '{depth.kind}', of which no "
                "surface can be fused: predict with a model of kind 'metric' or 'up_to_scale'"
            )
        return _resized(depth, size)

    def _read(self, path: Path) -> DepthMap:
        if path.suffix != ".npy" or not path.with_suffix("").suffix:
            try:
                return read_prediction(path).depth
            except InputError:
                if path.suffix == ".npz":
                    raise
        stored = read_numbers(path)
        if stored.ndim != 2 or stored.dtype == np.uint8:
            raise InputError(
                f"{printable(path)}: has {stored.dtype} numbers of shape {stored.shape}; depth is "
                "(height, width), of 16 bits or of floats"
            )
        factor = self._unit if stored.dtype.kind in "ui" else 1.0
        values = stored.astype(np.float32) * np.float32(factor)
        valid = np.isfinite(values) & (values > 0)
        if stored.dtype == np.uint16:
            valid &= stored < np.iinfo(np.uint16).max
        return DepthMap(values=np.where(valid, values, 1), kind=DepthKind.METRIC, valid=valid)


def _exactness(name: str) -> int:
    return _SUFFIXES.index(Path(name).suffix.lower())


def _resized(depth: DepthMap, size: tuple[int, int]) -> DepthMap:
    """Take the nearest pixel's depth: a mean over an edge lies on no surface."""
    if depth.shape == size:
        return depth
    cv2 = opencv()
    to = (size[1], size[0])
    values = cv2.resize(depth.values, to, interpolation=cv2.INTER_NEAREST_EXACT)
    valid = cv2.resize(depth.valid.astype(np.uint8), to, interpolation=cv2.INTER_NEAREST_EXACT)
    return DepthMap(values=values, kind=depth.kind, valid=valid > 0)


Report = Callable[[str, int, int | None], None]
"""Function called with what is done, the number of frames done, and their total if it is known."""

_FEWEST = 3
_NAMED = 5
"""Most frames that notes name; further ones are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Views of a clip.

    Attributes:
        is_scaled: Whether their depth is in the unit of the poses, as the poses come from it.
        left_out: Number of frames that were read and have no view.
    """

    views: tuple[View, ...]
    kind: DepthKind
    is_scaled: bool
    left_out: int
    notes: tuple[str, ...]


def small_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) of a frame whose longer side is at most ``side``."""
    share = min(1.0, side / max(shape))
    return max(16, round(share * shape[0])), max(16, round(share * shape[1]))


def collect(
    footage: ClipFrames,
    depth_of: DepthOf,
    poses: PoseFile | None,
    options: FuseOptions,
    report: Report,
) -> Collected:
    """Read the frames of a clip, their depth and their poses."""
    beside = footage.true_poses() if poses is None and options.poses is not None else None
    track = poses is None and beside is None
    seen = _read(footage, depth_of, options, report, track=track)
    problems, notes = list(seen.problems), []
    if footage.camera_note is not None:
        # What it advises beside --camera and --fov are options of training.
        notes.append(footage.camera_note.split("; give camera")[0])
    if footage.fault is not None:
        notes.append(footage.fault)
    if seen.tracker is not None:
        views, said = _tracked(seen)
        notes += said
    else:
        views = _posed(seen, poses, beside, footage.count)
        without = len(seen.views) - len(views)
        if without:
            notes.append(f"{without} frames have no pose and are left out")
    if seen.unused:
        notes.append(
            f"the last {seen.unused} frames at this stride are not used: raise --stride or --frames"
        )
    notes += [f"passed over: {each}" for each in problems[:_NAMED]]
    if len(problems) > _NAMED:
        notes.append(f"passed over: {len(problems) - _NAMED:,} more frames")
    if len(views) < _FEWEST:
        found = f"{len(views)} of {len(seen.views) + len(problems)} frames have depth and a pose"
        raise InputError("; ".join([found, f"fusing takes at least {_FEWEST}", *notes]))
    return Collected(
        views=tuple(views),
        kind=seen.kind,
        is_scaled=seen.tracker is not None,
        left_out=len(seen.views) + len(problems) - len(views),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    views: list[View]
    frames: list[ClipFrame]
    kind: DepthKind
    tracker: ClipTracker | None
    problems: list[str]
    unused: int


def _read(
    footage: ClipFrames, depth_of: DepthOf, options: FuseOptions, report: Report, *, track: bool
) -> _Read:
    size = small_size(footage.shape, options.side)
    K = footage.K_at(size)
    stride = options.stride or max(1, math.ceil(footage.count / options.frames))
    total = min(options.frames, math.ceil(footage.count / stride)) if footage.count else None
    views: list[View] = []
    frames: list[ClipFrame] = []
    problems: list[str] = []
    kind, tracker = DepthKind.UP_TO_SCALE, ClipTracker(K) if track else None
    unused = 0
    for frame in footage.walk(footage.shape, stride):
        if len(views) == options.frames:
            unused += 1  # a video is read to its end, since its poses may be one a frame
            continue
        if frame.pixels is None:
            problems.append(str(frame.problem))
            continue
        depth = depth_of(frame, footage.camera, size)
        if isinstance(depth, str):
            problems.append(depth)
            continue
        kind, pixels = depth.kind, shrink(frame.pixels, size)
        values = np.where(depth.valid, depth.values, np.float32(1))
        view = View(
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
    return _Read(
        views=views, frames=frames, kind=kind, tracker=tracker, problems=problems, unused=unused
    )


def _posed(
    seen: _Read, poses: PoseFile | None, beside: Float64[np.ndarray, "n 4 4"] | None, count: int
) -> list[View]:
    if not seen.views:
        return []
    if poses is not None:
        found = poses.of(seen.frames, count)
    else:
        assert beside is not None, "frames without known poses are tracked"
        found = beside[[frame.index for frame in seen.frames]]
    return [
        view.with_pose(pose)
        for view, pose in zip(seen.views, found, strict=True)
        if np.isfinite(pose).all()
    ]


def _tracked(seen: _Read) -> tuple[list[View], list[str]]:
    """Views of the longest part of a clip without a cut, with poses and scales from geometry."""
    if not seen.views or seen.tracker is None:
        return [], []
    motion = seen.tracker.motion()
    sizes = np.bincount(motion.parts)
    longest = int(sizes.argmax())
    chosen = np.flatnonzero(motion.parts == longest)
    notes = []
    if len(sizes) > 1:
        first, last = seen.views[chosen[0]].name, seen.views[chosen[-1]].name
        notes.append(
            f"the camera's motion is lost {len(sizes) - 1} times, as at a cut, a blank wall or in "
            f"a crowd: only the longest part is fused, {first} to {last} ({len(chosen)} frames of "
            f"{len(seen.views)})"
        )
    views = []
    for index in chosen:
        view = seen.views[index].with_pose(invert(motion.cam_T_world[index]))
        views.append(view.with_depth(view.depth * np.float32(motion.scales[index])))
    return views, notes
