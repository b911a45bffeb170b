"""Labels of frames: depth of the fused surface, weighed by agreement.

Triangles are drawn into inverse depth, which is linear over a plane.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Float64, Int64, Matrix, Transform
from rilievo.data.clips.pose_files import frame_stem
from rilievo.data.fuse.clip_views import ClipView, neighbour_indices
from rilievo.data.fuse.depth_agreement import (
    AGREEING,
    COMPARED,
    TOLERANCE,
    AgreedViews,
    compare_depth,
)
from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import invert, transform_points
from rilievo.io.files.atomic import make_folder, replacing_folder
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.numbers import read_map
from rilievo.io.outputs.formats.gltf import TriangleMesh

_AT_ONCE = 1 << 20
_EDGE = 1e-6


def surface_depth(
    mesh: TriangleMesh,
    K: Matrix,
    world_T_cam: Transform,
    shape: tuple[int, int],
) -> Field:
    """Depth z of the nearest triangle; 0 where there is none.

    Triangles that reach behind the camera are left out.
    """
    x, y, z = transform_points(invert(world_T_cam), mesh.points.astype(np.float64).T)
    triangles = mesh.triangles[(z[mesh.triangles] > 0).all(axis=1)]
    depth = np.where(z > 0, z, 1.0)
    u, v = K[0, 0] * x / depth + K[0, 2], K[1, 1] * y / depth + K[1, 2]
    height, width = shape
    nearest = np.zeros(height * width)
    corners = np.stack([u, v, 1 / depth], axis=1)[triangles]
    low = np.ceil(corners[..., :2].min(axis=1)).clip(0)
    high = np.floor(corners[..., :2].max(axis=1)).clip(max=(width - 1, height - 1))
    sides = np.maximum(high - low + 1, 0).astype(np.int64)
    drawn = np.flatnonzero(sides.prod(axis=1))
    for chosen in _split_by_pixels(drawn, sides[drawn].prod(axis=1)):
        _draw_inverse_depth(
            nearest, corners[chosen], low[chosen].astype(np.int64), sides[chosen], width
        )
    depths = np.where(nearest > 0, 1 / np.where(nearest > 0, nearest, 1), 0)
    return depths.reshape(shape).astype(np.float32)


def _split_by_pixels(
    chosen: Int64[np.ndarray, "n"], pixels: Int64[np.ndarray, "n"]
) -> Iterator[Int64[np.ndarray, "m"]]:
    """Split triangles into parts that cover few pixels."""
    part = np.cumsum(pixels) // _AT_ONCE
    cuts = np.flatnonzero(np.diff(part)) + 1
    yield from (triangles for triangles in np.split(chosen, cuts) if len(triangles))


def _draw_inverse_depth(
    nearest: Float64[np.ndarray, "p"],
    corners: Float64[np.ndarray, "n 3 3"],
    low: Int64[np.ndarray, "n 2"],
    sides: Int64[np.ndarray, "n 2"],
    width: int,
) -> None:
    """Draw triangles where they are nearer."""
    counts = sides.prod(axis=1)
    which = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    across = sides[which, 0]
    u, v = low[which, 0] + place % across, low[which, 1] + place // across
    (ax, ay, aw), (bx, by, bw), (cx, cy, cw) = (corners[:, k].T for k in range(3))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    with np.errstate(divide="ignore", invalid="ignore"):
        b = ((u - ax[which]) * (cy - ay)[which] - (v - ay[which]) * (cx - ax)[which]) / area[which]
        c = ((v - ay[which]) * (bx - ax)[which] - (u - ax[which]) * (by - ay)[which]) / area[which]
    a = 1 - b - c
    inside = np.minimum(np.minimum(a, b), c) >= -_EDGE  # False for NaN, of triangles seen edge on
    which, pixel = which[inside], (v * width + u)[inside]
    inverse = a[inside] * aw[which] + b[inside] * bw[which] + c[inside] * cw[which]
    np.maximum.at(nearest, pixel, inverse)


FORMAT = "rilievo-labels/1"
RECORD = "labels.json"
_MADE_BY = "rilievo fuse CLIP --teach FOLDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsRecord:
    """Contents of ``labels.json``: names without ending, (height, width), camera [px]."""

    format: str = FORMAT
    clip: str
    unit: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    names: tuple[str, ...]
    weight: float
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLabel:
    """Depth of the surface, or 0, and the share of frames that agree."""

    depth: Field
    weight: Field


def render_label(
    mesh: TriangleMesh, views: Sequence[ClipView], index: int, *, tolerance: float = TOLERANCE
) -> FrameLabel:
    """Render a view's depth; weight is the share of agreeing views."""
    view = views[index]
    height, width = view.depth.shape
    depth = surface_depth(mesh, view.K, view.world_T_cam, (height, width))
    visible = depth > 0
    filled = np.where(visible, depth, np.float32(1))
    others = [views[other] for other in neighbour_indices(views, index)[:COMPARED]]
    comparison = compare_depth(replace(view, depth=filled, valid=visible), others, tolerance)
    own = np.where(view.valid & (view.depth > 0), view.depth, np.float32(1))
    is_own = view.valid & visible & (np.abs(np.log(own / filled)) < tolerance)
    share = (comparison.agreeing + is_own) / np.maximum(comparison.seeing + 1, AGREEING)
    return FrameLabel(depth=depth, weight=np.where(visible, share, 0).astype(np.float32))


def render_labels(mesh: TriangleMesh, views: AgreedViews) -> Iterator[FrameLabel]:
    """Yield a label a view."""
    apart = views.after if math.isfinite(views.after) else 0.0
    for index in range(len(views.views)):
        yield render_label(mesh, views.views, index, tolerance=max(TOLERANCE, apart))


def check_labels_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder with foreign files, or labels without ``overwrite``."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        record = read_labels_record(folder)
    except InputError as error:
        raise OutputError(
            f"{printable(folder)}: holds no labels of rilievo fuse, so it is not replaced: move it "
            "or choose another name"
        ) from error
    ours = {RECORD, *(f"{name}.npz" for name in record.names)}
    others = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if others:
        raise OutputError(
            f"{printable(folder)}: has files beside its labels, such as {printable(others[0])}, so "
            "it is not replaced: move them or choose another name"
        )
    if not overwrite:
        raise OutputError(
            "has labels of an earlier run",
            path=printable(folder),
            hint=Text("pass ", OptionName("overwrite"), " to replace them"),
        )


def write_labels(
    folder: Path, views: Sequence[ClipView], labels: Iterator[FrameLabel], *, clip: str, unit: str
) -> LabelsRecord:
    """Write labels into a folder, which appears when complete."""
    digest, weights = hashlib.sha256(), []
    K = views[0].K
    make_folder(folder.parent)
    with replacing_folder(folder) as part:
        for view, label in zip(views, labels, strict=True):
            np.savez_compressed(
                part / f"{frame_stem(view.name)}.npz",
                depth=label.depth,
                weight=label.weight,
                world_T_cam=view.world_T_cam,
            )
            digest.update(label.depth.tobytes() + label.weight.tobytes())
            weights.append(float(label.weight.mean()))
        record = LabelsRecord(
            clip=clip,
            unit=unit,
            size=(int(views[0].depth.shape[0]), int(views[0].depth.shape[1])),
            camera=(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])),
            names=tuple(frame_stem(view.name) for view in views),
            weight=float(np.mean(weights)),
            digest=digest.hexdigest(),
        )
        (part / RECORD).write_text(to_json(record, indent=2) + "\n", encoding="utf-8")
    return record


def read_labels_record(folder: Path) -> LabelsRecord:
    """Read the record of a folder."""
    path = folder / RECORD
    if not path.is_file():
        raise InputError(
            f"{printable(folder)}: has no {RECORD}, so it is no folder of labels; make one with "
            f"'{_MADE_BY}'"
        )
    try:
        record = from_json(LabelsRecord, read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: is damaged ({error}): make it anew") from error
    numbers = (*record.size, *record.camera)
    if record.format != FORMAT:
        raise InputError(
            f"{printable(path)}: its format is '{printable(record.format)}', expected "
            f"'{FORMAT}'; make it with '{_MADE_BY}'"
        )
    if not all(math.isfinite(number) and number > 0 for number in numbers) or not record.names:
        raise InputError(
            f"{printable(path)}: is damaged: size and camera are positive numbers, and names are "
            "those of the frames; make it anew"
        )
    return record


def read_label(folder: Path, name: str, record: LabelsRecord) -> FrameLabel:
    """Read the label of a frame."""
    path = folder / f"{Path(name).name}.npz"
    depth, weight = (read_map(path, name=key) for key in ("depth", "weight"))
    if depth.shape != record.size or weight.shape != record.size:
        raise InputError(
            f"{printable(path)}: has depth of {depth.shape} and weights of {weight.shape}, and "
            f"{RECORD} says {record.size}: make the labels anew"
        )
    is_depth = np.isfinite(depth).all() and (depth >= 0).all()
    if not (is_depth and ((weight >= 0) & (weight <= 1)).all()):
        raise InputError(
            f"{printable(path)}: depth is finite and not negative, and weights are 0 to 1: make "
            "the labels anew"
        )
    return FrameLabel(depth=depth.astype(np.float32), weight=weight.astype(np.float32))


def labels_K(record: LabelsRecord) -> Matrix:
    """Intrinsics of labels [px]."""
    return pinhole_K(*record.camera)
