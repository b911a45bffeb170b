"""A clip fused into one surface file."""

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transforms
from rilievo.data.clips.clip_motion import ClipTracker
from rilievo.data.clips.pose_files import AUTO, PoseFile, frame_stem, read_poses
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.clips.sources import ClipReader
from rilievo.data.datasets.loaders import contents_text, names_in
from rilievo.data.fuse.clip_views import (
    AgreedViews,
    ClipView,
    clip_scale,
    import_opencv,
    make_depth_agree,
)
from rilievo.data.fuse.frame_labels import (
    FrameLabel,
    check_labels_folder,
    render_labels,
    write_labels,
)
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.data.fuse.volume import FusedSurface, fuse_views, gltf_R_world
from rilievo.errors import InputError, OptionError, OutputError, needing
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import AnyOf, Note, OptionName, Text, join_texts
from rilievo.extensions.trust import trust
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.transforms import invert
from rilievo.io.checksums import is_ours_or_blank
from rilievo.io.files.atomic import make_folder, remove, replacing
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.io.numbers import read_numbers
from rilievo.io.outputs.formats.glb import AXES
from rilievo.io.outputs.formats.gltf import write_gltf
from rilievo.io.outputs.formats.ply import json_comments, write_ply_mesh
from rilievo.models import FAST_MODEL, load_model
from rilievo.models.resampling.preparation import shrink
from rilievo.prediction.readback import read_prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

DepthOf = Callable[[ClipFrame, Camera, tuple[int, int]], DepthMap | str]
"""Function from a frame, camera and size to depth, or a line on why it has none."""
_MAP_SUFFIXES = (".npz", ".npy", ".png", ".tiff", ".tif", ".exr", ".pfm", ".pgm")


def choose_depth_source(options: FuseOptions) -> DepthOf:
    """Function that predicts depth, or reads files."""
    if options.depth is not None:
        return _FileDepth(options.depth, options.depth_unit)
    trust(options.trust_code)
    return _ModelDepth(options.model or FAST_MODEL)


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
        names = sorted(
            name for name in names_in(folder) if Path(name).suffix.lower() in _MAP_SUFFIXES
        )
        depths = [name for name in names if ".depth" in name.lower()]
        self._folder, self._unit = folder, unit
        self._files: dict[str, str] = {}
        # Where a frame has several files, npz is the most exact.
        for name in sorted(
            depths or names, key=lambda name: _MAP_SUFFIXES.index(Path(name).suffix.lower())
        ):
            self._files.setdefault(frame_stem(name), name)
        if not self._files:
            raise InputError(
                f"{printable(folder)}: has no depth files ({', '.join(_MAP_SUFFIXES)}), found "
                f"{contents_text(folder)}"
            )

    def __call__(self, frame: ClipFrame, camera: Camera, size: tuple[int, int]) -> DepthMap | str:
        name = self._files.get(frame_stem(frame.name), self._files.get(f"{frame.index:06d}"))
        if name is None:
            return f"{frame.name}: has no depth file in {printable(self._folder)}"
        depth = self._read_depth(self._folder / name)
        if not depth.is_depth:
            raise InputError(
                f"{printable(self._folder / name)}: has values of kind '{depth.kind}', of which no "
                "surface can be fused: predict with a model of kind 'metric' or 'up_to_scale'"
            )
        return _resize_nearest(depth, size)

    def _read_depth(self, path: Path) -> DepthMap:
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


def _resize_nearest(depth: DepthMap, size: tuple[int, int]) -> DepthMap:
    """Nearest depth, since a mean lies on no surface."""
    if depth.shape == size:
        return depth
    cv2 = import_opencv()
    to = (size[1], size[0])
    values = cv2.resize(depth.values, to, interpolation=cv2.INTER_NEAREST_EXACT)
    valid = cv2.resize(depth.valid.astype(np.uint8), to, interpolation=cv2.INTER_NEAREST_EXACT)
    return DepthMap(values=values, kind=depth.kind, valid=valid > 0)


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
    kind, tracker = DepthKind.UP_TO_SCALE, ClipTracker(K) if track else None
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
        kind, pixels = depth.kind, shrink(frame.pixels, size)
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


FORMAT = "rilievo-fuse/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseRecord:
    """Contents of the JSON beside a fused surface.

    Attributes:
        depth: Model, or folder of depth.
        poses: File of the poses, or "estimated".
        unit: "metre", "that of the poses" or "arbitrary".
        left_out: Number of frames read but not fused.
        scale: Factor from depth to the unit of the surface.
        scales: Further factor of each frame.
        disagreement_before: Median relative difference between neighbours with one scale.
        labels: Mean weight of labels.
    """

    format: str = FORMAT
    file: str
    clip: str
    depth: str
    poses: str
    unit: str
    axes: str
    frames: int
    left_out: int
    voxel: float
    blocks: int
    volume_bytes: int
    points: int
    triangles: int
    scale: float
    scales: tuple[float, ...]
    names: tuple[str, ...]
    correction: str
    disagreement_before: float | None = None
    disagreement: float | None = None
    labels: float | None = None
    notes: tuple[str, ...] = ()


_SUFFIXES = (".glb", ".ply")
_MOST_BYTES, _MOST_ASKED_BYTES = 10**9, 8 * 10**9  # with automatic and given voxels
_DOUBTFUL = 0.06  # disagreement of a wrong camera or poses
_SAME_UNIT = 0.08  # log factor up to which both are in metres
_WORLD_AXES = "those of the poses"
_CAMERA_AXES = "x right, y down, z forward (OpenCV) of the first camera"
_ESTIMATED = "estimated"


def _report_nothing(what: str, done: int, total: int | None) -> None:
    """Ignore progress."""


def fuse_clip(
    clip: str | Path,
    output: str | Path,
    options: FuseOptions | None = None,
    report: Report = _report_nothing,
) -> FuseRecord:
    """Fuse a clip into one coloured surface (``.glb`` or ``.ply``), with a JSON beside it.

    ``report`` is called with the step, the frames done, and their total if known.

    >>> options = rilievo.FuseOptions(
    ...     depth="clip/depth", poses="clip/poses.txt", camera=(50, 50, 31.5, 23.5), voxel=0.05
    ... )
    >>> rilievo.fuse_clip("clip", "place.ply", options).frames
    3

    Raises:
        InputError: If the clip, its depth or poses cannot be used, or no surface is left.
        OptionError: If options contradict each other.
        ModelError: If there is no such model.
        OutputError: If a file cannot be written.
        MissingExtraError: If OpenCV or scikit-image is not installed.
    """
    clip, output = Path(clip), Path(output)
    options = FuseOptions() if options is None else options
    check_type("options", options, FuseOptions, "a FuseOptions")
    _check_output(output, options)
    if options.teach is not None:
        if options.teach.absolute() == output.absolute():
            raise OptionError(
                f"{printable(output)}: labels and the surface need names of their own"
            )
        check_labels_folder(options.teach, overwrite=options.overwrite)
    _check_packages()
    asks_beside = str(options.poses) == AUTO
    poses = None if options.poses is None or asks_beside else read_poses(options.poses)
    footage = ClipReader(
        clip,
        options.poses if asks_beside else None,
        options,
        beside=None if poses is None else poses.camera,
    )
    if poses is None and footage.clip.poses_file is not None:
        poses = read_poses(footage.clip.poses_file)
    collected = collect_views(footage, choose_depth_source(options), poses, options, report)
    agreement = _agree_in_one_unit(collected, report)
    surface = fuse_views(
        agreement.views,
        voxel=options.voxel,
        farthest=options.farthest,
        most_bytes=_MOST_BYTES if options.voxel is None else _MOST_ASKED_BYTES,
        report=lambda done, total: report("fusing", done, total),
    )
    record = _make_record(clip, output, options, _FuseResults(collected, agreement, surface, poses))
    if options.teach is not None:
        record = replace(
            record, labels=_write_labels(options.teach, agreement, surface, record, report)
        )
    _write_surface_and_record(output, surface, agreement, record)
    return record


@dataclass(frozen=True, slots=True)
class _FuseResults:
    collected: CollectedViews
    agreed: AgreedViews
    surface: FusedSurface
    poses: PoseFile | None


def _check_output(output: Path, options: FuseOptions) -> None:
    if output.suffix.lower() not in _SUFFIXES:
        raise OptionError(
            f"{printable(output)}: a surface is written as {' or '.join(_SUFFIXES)}, such as "
            f"{printable(output.stem or 'place')}.glb"
        )
    record = _record_path(output)
    for path in (output, record):
        if not os.path.lexists(path):
            continue
        if not is_ours_or_blank(path):
            raise OutputError(
                f"{printable(path)}: rilievo fuse did not write this file, so it is not replaced: "
                "move it or choose another name"
            )
        if not options.overwrite:
            raise OutputError(
                "exists from an earlier run",
                path=printable(path),
                hint=Text("pass ", OptionName("overwrite"), " to replace it"),
            )


def _record_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.json")


def _check_packages() -> None:
    import_opencv()
    with needing("fusing a surface", "fuse"):
        import skimage.measure  # noqa: F401


def _agree_in_one_unit(collected: CollectedViews, report: Report) -> AgreedViews:
    scale = 1.0 if collected.is_scaled else clip_scale(collected.views)
    if scale is None:
        if collected.kind is not DepthKind.METRIC:
            raise InputError(
                "the scale of depth cannot be found: the camera hardly moves, or its poses are not "
                "those of these frames; give depth in metres (a model of kind metric)"
            )
        scale = 1.0
    if collected.kind is DepthKind.METRIC and abs(math.log(scale)) < _SAME_UNIT:
        scale = 1.0
    return make_depth_agree(
        collected.views, scale, lambda done, total: report("agreeing", done, total)
    )


def _make_record(clip: Path, output: Path, options: FuseOptions, done: _FuseResults) -> FuseRecord:
    collected, agreement, surface = done.collected, done.agreed, done.surface
    is_glb = output.suffix.lower() == ".glb"
    if collected.is_scaled:
        unit = "metre" if collected.kind is DepthKind.METRIC else "arbitrary"
    else:
        unit = "that of the poses"
    depth = options.model or FAST_MODEL
    if options.depth is not None or Path(depth).is_absolute():
        depth = (options.depth or Path(depth)).absolute().name
    poses = AUTO if done.poses is None else done.poses.path.name
    own = _CAMERA_AXES if collected.is_scaled else _WORLD_AXES
    return FuseRecord(
        file=output.name,
        clip=clip.name,
        depth=depth,
        poses=_ESTIMATED if collected.is_scaled else poses,
        unit=unit,
        axes=AXES if is_glb else own,
        frames=len(agreement.views),
        left_out=collected.left_out,
        voxel=surface.voxel,
        blocks=surface.blocks,
        volume_bytes=surface.nbytes,
        points=len(surface.mesh.points),
        triangles=len(surface.mesh.triangles),
        scale=agreement.scale,
        scales=tuple(float(scale) for scale in agreement.scales),
        names=tuple(view.name for view in agreement.views),
        correction=str(agreement.correction),
        disagreement_before=_finite_or_none(agreement.before),
        disagreement=_finite_or_none(agreement.after),
        notes=(*(done.poses.notes if done.poses else ()), *_notes_on_results(done)),
    )


def _finite_or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _notes_on_results(done: _FuseResults) -> list[str]:
    collected, agreement = done.collected, done.agreed
    notes = [*collected.notes, *done.surface.notes]
    if not math.isfinite(agreement.after):
        notes.append(
            "no two frames are far enough apart to compare depth, as of a camera that stands still "
            "or only turns: the scales of frames are the model's"
        )
    elif agreement.doubt > _DOUBTFUL:
        by = f"{100 * agreement.doubt:.0f} % of depth in the median"
        if collected.is_scaled:
            problem = (
                f"neighbouring frames disagree by {by}: the field of view or the estimated poses "
                "are wrong, or much of the scene moves"
            )
            notes.append(
                Note(
                    problem,
                    hint=Text(
                        "check ",
                        AnyOf(OptionName("camera"), OptionName("fov")),
                        ", or give ",
                        OptionName("poses", "..."),
                    ),
                )
            )
        else:
            problem = (
                f"the depth disagrees between neighbouring frames, by {by} with the given poses: "
                "the model is inexact here, the field of view is wrong, or much of the scene moves"
            )
            hint = Text(
                "check ",
                AnyOf(OptionName("camera"), OptionName("fov")),
                ", or try another model (",
                OptionName("model", "moge-2/small"),
                ")",
            )
            notes.append(Note(problem, hint=hint))
    return notes


def _write_labels(
    folder: Path, agreed: AgreedViews, surface: FusedSurface, record: FuseRecord, report: Report
) -> float:
    """Write labels; return their mean weight."""

    def labels_with_progress() -> Iterator[FrameLabel]:
        for index, label in enumerate(render_labels(surface.mesh, agreed)):
            report("labels", index + 1, len(agreed.views))
            yield label

    return write_labels(
        folder, agreed.views, labels_with_progress(), clip=record.clip, unit=record.unit
    ).weight


def _write_surface_and_record(
    output: Path, surface: FusedSurface, views: AgreedViews, record: FuseRecord
) -> None:
    about = json.loads(to_json(record))
    make_folder(output.parent)
    remove(_record_path(output))
    with replacing(output) as part:
        if output.suffix.lower() == ".glb":
            R = gltf_R_world([view.world_T_cam for view in views.views])
            write_gltf(
                part,
                surface.mesh.rotate(R),
                name=output.stem,
                about={**about, "gltf_R_world": R.tolist()},
            )
        else:
            comments = [
                f"unit: {record.unit}",
                f"axes: {record.axes}",
                *json_comments(to_json(record)),
            ]
            write_ply_mesh(part, surface.mesh, comments)
    with replacing(_record_path(output)) as part:
        part.write_text(to_json(record, indent=2) + "\n", encoding="utf-8")
