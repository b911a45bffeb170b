"""A clip fused into one surface file."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.data.clips.pose_files import AUTO, PoseFile, read_poses
from rilievo.data.clips.sources import ClipReader
from rilievo.data.fuse.collected_views import CollectedViews, Report, collect_views
from rilievo.data.fuse.depth_agreement import AgreedViews, clip_scale, make_depth_agree
from rilievo.data.fuse.frame_depth import choose_depth_source
from rilievo.data.fuse.frame_labels import (
    FrameLabel,
    check_labels_folder,
    render_labels,
    write_labels,
)
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.data.fuse.fused_surface import FusedSurface, fuse_views, gltf_R_world
from rilievo.data.fuse.plane_sweep import import_opencv
from rilievo.errors import InputError, OptionError, OutputError, needing
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import AnyOf, Note, OptionName, Text
from rilievo.io.checksums import is_ours_or_blank
from rilievo.io.files.atomic import make_folder, remove, replacing
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.io.outputs.formats.glb import AXES
from rilievo.io.outputs.formats.gltf import write_gltf
from rilievo.io.outputs.formats.ply import json_comments, write_ply_mesh
from rilievo.models import FAST_MODEL
from rilievo.records.depth_map import DepthKind

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


_METRE, _ARBITRARY, _OF_POSES = "metre", "arbitrary", "that of the poses"
_UNITS_IN_GLTF = {
    _METRE: "",
    _ARBITRARY: "arbitrary, not metres: the depth is known only up to scale",
    _OF_POSES: "that of the poses, which are perhaps not in metres",
}
"""What a file says whose unit is the metre by its standard."""
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

    Examples:
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
    source = choose_depth_source(options)
    collected = collect_views(footage, source, poses, options, report)
    collected = replace(collected, notes=(*source.notes, *collected.notes))
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
        unit = _METRE if collected.kind is DepthKind.METRIC else _ARBITRARY
    else:
        unit = _OF_POSES
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
                unit=_UNITS_IN_GLTF[record.unit],
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
