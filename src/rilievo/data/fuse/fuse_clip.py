"""A clip fused into one surface file."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.pose_files import AUTO, PoseFile, read_poses
from rilievo.data.fuse.clip_scale import clip_scale
from rilievo.data.fuse.collected_views import CollectedViews, Report, collect_views
from rilievo.data.fuse.depth_agreement import AgreedViews, make_depth_agree
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
from rilievo.errors import InputError, OptionError, OutputError, check_type, explain_missing_extra
from rilievo.errors.messages import AnyOf, Note, OptionName, Text
from rilievo.io.checksums import is_ours_or_blank
from rilievo.io.files.atomic import make_folder, remove, replacing, write_text
from rilievo.io.files.names import printable
from rilievo.io.files.numbered import find_numbered_files, is_numbered_pattern
from rilievo.io.json_record import to_json
from rilievo.io.outputs.formats.gltf import AXES as GLTF_AXES
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
        axes: Directions of x, y and z.
        frames: Number of frames that were fused.
        left_out: Number of frames that were read but not fused.
        voxel: Side of a voxel in the unit of the surface.
        blocks: Number of blocks of 8 x 8 x 8 voxels.
        volume_bytes: Memory of the voxels.
        points: Number of points of the mesh, as ``triangles`` is that of its triangles.
        scale: Factor from depth to the unit of the surface.
        scales: Further factor of each frame.
        names: Names of the frames.
        correction: How the depth of frames was corrected.
        disagreement_before: Median relative difference between neighbouring frames with one scale;
            None if no two frames are far enough apart.
        disagreement: The same after the corrections.
        labels: Mean weight of the labels; None if none were written.
        notes: What was left out or chosen, and what makes the surface less certain.
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


METRE = "metre"
ARBITRARY = "arbitrary"
UNIT_OF_POSES = "that of the poses"
_GLTF_UNIT_NOTES = {
    METRE: "",
    ARBITRARY: "arbitrary, not metres: the depth is known only up to scale",
    UNIT_OF_POSES: "that of the poses, which may not be in metres",
}
"""What a glTF file says about its unit, which is the metre by its standard."""
_SUFFIXES = (".glb", ".ply")
_MAX_BYTES = 10**9
"""Memory of the volume if voxels have their default size."""
_MAX_BYTES_OF_GIVEN_VOXELS = 8 * 10**9
_MAX_TRUSTED_DISAGREEMENT = 0.06
"""Relative disagreement from which the camera or the poses are probably wrong."""
_MAX_LOG_SCALE_OF_METRES = 0.08
"""Log of the found scale up to which metric depth and poses are both taken to be in metres."""
_WORLD_AXES = "those of the poses"
_CAMERA_AXES = "x right, y down, z forward (OpenCV) of the first camera"
_ESTIMATED = "estimated"


def _report_nothing(what: str, done: int, total: int | None) -> None:
    """Report no progress."""


def fuse_clip(
    clip: str | Path,
    output: str | Path,
    options: FuseOptions | None = None,
    report: Report = _report_nothing,
) -> FuseRecord:
    """Fuse a clip into one coloured surface, with a JSON beside it.

    Args:
        clip: A video, a folder of frames, or a numbered pattern such as ``shot.%04d.png``.
        output: The surface file, ``.glb`` or ``.ply``.
        options: Depth, poses, camera and voxels.
        report: Called with the step, the frames done, and their total if known.

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
                "the surface and its labels cannot have the same name",
                path=printable(output),
                hint=Text("choose another name for ", OptionName("teach")),
            )
        check_labels_folder(options.teach, overwrite=options.overwrite)
    _check_packages()
    footage, poses = _open_clip(clip, options)
    source = choose_depth_source(options)
    collected = collect_views(footage, source, poses, options, report)
    collected = replace(
        collected, notes=(*_missing_frames_notes(clip), *source.notes, *collected.notes)
    )
    agreed = _agree_in_one_unit(collected, report)
    surface = fuse_views(
        agreed.views,
        voxel=options.voxel,
        max_depth=options.farthest,
        max_bytes=_MAX_BYTES if options.voxel is None else _MAX_BYTES_OF_GIVEN_VOXELS,
        report=lambda done, total: report("fusing", done, total),
    )
    results = _FuseResults(collected=collected, agreed=agreed, surface=surface, poses=poses)
    record = _make_record(clip, output, options, results)
    if options.teach is not None:
        mean_weight = _write_labels(options.teach, results, record, report)
        record = replace(record, labels=mean_weight)
    _write_surface_and_record(output, results, record)
    return record


@dataclass(frozen=True, slots=True, kw_only=True)
class _FuseResults:
    """Results of the steps of fusing, from the views to the surface.

    ``poses`` is None if the clip brings poses with it, or they were estimated.
    """

    collected: CollectedViews
    agreed: AgreedViews
    surface: FusedSurface
    poses: PoseFile | None


def _open_clip(clip: Path, options: FuseOptions) -> tuple[ClipReader, PoseFile | None]:
    """Open a clip, and the file of its poses that the user names or asks for beside the frames."""
    if options.poses is not None and str(options.poses) != AUTO:
        poses = read_poses(options.poses)
        return ClipReader(clip, None, options, file_calibration=poses.camera), poses
    footage = ClipReader(clip, options.poses, options)
    poses_file = footage.clip.poses_file
    return footage, None if poses_file is None else read_poses(poses_file)


def _check_output(output: Path, options: FuseOptions) -> None:
    """Check that the surface and its JSON can be written, before anything is computed.

    Files of an earlier run are only replaced with ``options.overwrite``. Other files are never
    replaced.

    Raises:
        OptionError: If the suffix is not one of a surface.
        OutputError: If a file exists that may not be replaced.
    """
    if output.suffix.lower() not in _SUFFIXES:
        raise OptionError(
            f"{printable(output)}: a surface must be a {' or '.join(_SUFFIXES)} file, such as "
            f"{printable(output.stem or 'place')}.glb"
        )
    for path in (output, _record_path(output)):
        if not os.path.lexists(path):
            continue
        if not is_ours_or_blank(path):
            raise OutputError(
                f"{printable(path)}: rilievo fuse did not write this file, so rilievo does not "
                "replace it: move it or choose another name"
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
    with explain_missing_extra("fusing a surface", "fuse"):
        import skimage.measure  # noqa: F401


def _agree_in_one_unit(collected: CollectedViews, report: Report) -> AgreedViews:
    """Make the depth of all views agree, in the unit of the poses."""
    scale = _scale_to_poses(collected)
    return make_depth_agree(
        collected.views, scale, lambda done, total: report("agreeing", done, total)
    )


def _scale_to_poses(collected: CollectedViews) -> float:
    """Find the factor from the depth to the unit of the poses; 1 if both are in metres."""
    if collected.is_scaled:
        return 1.0
    scale = clip_scale(collected.views)
    is_metric = collected.kind is DepthKind.METRIC
    if scale is None and not is_metric:
        raise InputError(
            "the scale of the depth cannot be determined, because the camera hardly moves or the "
            "poses do not belong to these frames; check the poses, or use metric depth (from a "
            "model of kind 'metric')"
        )
    if scale is None:
        return 1.0
    # A scale near 1 comes from errors of metric depth. Poses in another unit are far from 1.
    if is_metric and abs(math.log(scale)) < _MAX_LOG_SCALE_OF_METRES:
        return 1.0
    return scale


def _make_record(
    clip: Path, output: Path, options: FuseOptions, results: _FuseResults
) -> FuseRecord:
    """Make the record of a surface; the weight of labels is added after they are written."""
    collected, agreed, surface = results.collected, results.agreed, results.surface
    has_estimated_poses = collected.is_scaled
    if has_estimated_poses:
        poses = _ESTIMATED
        unit = METRE if collected.kind is DepthKind.METRIC else ARBITRARY
        axes = _CAMERA_AXES
    else:
        poses = AUTO if results.poses is None else results.poses.path.name
        unit = UNIT_OF_POSES
        axes = _WORLD_AXES
    # A glTF file has axes of its own, to which the mesh is turned when it is written.
    if output.suffix.lower() == ".glb":
        axes = GLTF_AXES
    return FuseRecord(
        file=output.name,
        clip=clip.name,
        depth=_name_of_depth(options),
        poses=poses,
        unit=unit,
        axes=axes,
        frames=len(agreed.views),
        left_out=collected.left_out,
        voxel=surface.voxel,
        blocks=surface.blocks,
        volume_bytes=surface.nbytes,
        points=len(surface.mesh.points),
        triangles=len(surface.mesh.triangles),
        scale=agreed.scale,
        scales=tuple(float(scale) for scale in agreed.scales),
        names=tuple(view.name for view in agreed.views),
        correction=str(agreed.correction),
        disagreement_before=_finite_or_none(agreed.difference_before),
        disagreement=_finite_or_none(agreed.difference_after),
        notes=(*(results.poses.notes if results.poses else ()), *_notes_on_results(results)),
    )


def _name_of_depth(options: FuseOptions) -> str:
    """Name of the model or of the folder of depth, without the folders above it."""
    if options.depth is not None:
        return options.depth.absolute().name
    model = options.model or FAST_MODEL
    return Path(model).name if Path(model).is_absolute() else model


def _finite_or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _missing_frames_notes(clip: Path) -> list[str]:
    """Return a note on the numbers that a numbered pattern of frames lacks."""
    if not is_numbered_pattern(clip):
        return []
    note = find_numbered_files(clip).missing_note
    return [] if note is None else [note]


def _notes_on_results(results: _FuseResults) -> list[str]:
    """Collect the notes of all steps, and add one if frames disagree or cannot be compared."""
    notes = [*results.collected.notes, *results.surface.notes]
    if not math.isfinite(results.agreed.difference_after):
        notes.append(
            "no two frames are far enough apart to compare their depth, because the camera stands "
            "still or only rotates, so rilievo does not correct the scale of each frame"
        )
    elif results.agreed.difference_unaveraged > _MAX_TRUSTED_DISAGREEMENT:
        notes.append(
            _note_on_disagreement(
                results.agreed.difference_unaveraged,
                has_estimated_poses=results.collected.is_scaled,
            )
        )
    return notes


def _note_on_disagreement(disagreement: float, *, has_estimated_poses: bool) -> Note:
    """Explain what may be wrong if depth disagrees by ``disagreement``, a fraction of depth."""
    percent = f"{100 * disagreement:.0f}%"
    camera_options = AnyOf(OptionName("camera"), OptionName("fov"))
    if has_estimated_poses:
        return Note(
            f"the depth of neighbouring frames differs by a median of {percent}, which suggests "
            "that the field of view or the estimated poses are wrong, or that much of the scene "
            "moves",
            hint=Text("check ", camera_options, ", or give ", OptionName("poses", "...")),
        )
    return Note(
        f"with the given poses, the depth of neighbouring frames differs by a median of {percent}, "
        "which suggests that the model is inaccurate for this scene, that the field of view is "
        "wrong, or that much of the scene moves",
        hint=Text(
            "check ",
            camera_options,
            ", or try another model (",
            OptionName("model", "moge-2/small"),
            ")",
        ),
    )


def _write_labels(folder: Path, results: _FuseResults, record: FuseRecord, report: Report) -> float:
    """Write the labels of all frames, and return their mean weight."""
    agreed = results.agreed

    def labels_with_progress() -> Iterator[FrameLabel]:
        for index, label in enumerate(render_labels(results.surface.mesh, agreed)):
            report("labels", index + 1, len(agreed.views))
            yield label

    labels = labels_with_progress()
    return write_labels(folder, agreed.views, labels, clip=record.clip, unit=record.unit).weight


def _write_surface_and_record(output: Path, results: _FuseResults, record: FuseRecord) -> None:
    """Write the surface, and then its record.

    The old record is removed first, so that no record ever describes another surface.
    """
    mesh = results.surface.mesh
    make_folder(output.parent)
    remove(_record_path(output))
    with replacing(output) as temporary_path:
        if output.suffix.lower() == ".glb":
            # glTF is y-up, so the world is turned until the cameras are upright.
            R = gltf_R_world([view.world_T_cam for view in results.agreed.views])
            write_gltf(
                temporary_path,
                mesh.rotate(R),
                name=output.stem,
                about={**json.loads(to_json(record)), "gltf_R_world": R.tolist()},
                unit=_GLTF_UNIT_NOTES[record.unit],
            )
        else:
            comments = [
                f"unit: {record.unit}",
                f"axes: {record.axes}",
                *json_comments(to_json(record)),
            ]
            write_ply_mesh(temporary_path, mesh, comments)
    write_text(_record_path(output), to_json(record, indent=2) + "\n")
