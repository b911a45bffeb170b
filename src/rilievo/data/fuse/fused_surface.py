"""Fuse views into an upright surface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Field, Matrix, Transform, Vector
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.volume import Volume
from rilievo.data.fuse.volume_mesh import extract_mesh
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.outputs.formats.gltf import TriangleMesh

_VOXELS_PER_MEDIAN_DEPTH = 128
_MAX_DEPTH_OVER_MEDIAN = 3.0
"""Depth over the median depth, from which surfaces are left out by default."""
_MAX_SPECK = 2e-4
"""Connected patches of up to this fraction of the triangles are left out."""
_VOXEL_GROWTH = 1.5
"""Factor by which voxels grow until the volume fits into memory."""
_MIN_COSINE_TO_AXIS = 0.96
"""Cosine between up and an axis of the world from which up is that axis (16 degrees)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedSurface:
    """Mesh in the world of the poses, and the volume from which it was extracted.

    Attributes:
        voxel: Side of a voxel in the unit of the poses.
        blocks: Number of blocks of voxels.
        nbytes: Memory of the voxels.
        notes: Notes on what differs from the defaults.
    """

    mesh: TriangleMesh
    voxel: float
    blocks: int
    nbytes: int
    notes: tuple[str, ...] = ()


def fuse_views(
    views: Sequence[ClipView],
    *,
    voxel: float | None = None,
    max_depth: float | None = None,
    max_bytes: int = 1 << 30,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FusedSurface:
    """Fuse views with depth in the unit of their poses.

    ``voxel`` is the side of a voxel, by default 1/128 of the median depth, or more if that does not
    fit into ``max_bytes`` of memory. Surfaces beyond ``max_depth``, by default three times the
    median, are left out. ``report`` is called with the numbers of views that are done and of all.

    Raises:
        InputError: If no surface is left, or memory is not enough.
    """
    valid_depths = [view.depth[view.valid] for view in views if view.valid.any()]
    if not valid_depths:
        raise InputError(
            "there is no surface to write, because there is no valid depth on which two frames "
            "agree; check the depth, the poses and the camera"
        )
    median_depth = float(np.median([np.median(depths) for depths in valid_depths]))
    if max_depth is None:
        max_depth = _MAX_DEPTH_OVER_MEDIAN * median_depth
    near_views = [replace(view, valid=view.valid & (view.depth <= max_depth)) for view in views]

    notes = []
    if voxel is not None:
        volume = _fill_volume(near_views, Volume(voxel, max_bytes=max_bytes), report)
    else:
        default_voxel = median_depth / _VOXELS_PER_MEDIAN_DEPTH
        volume = _fill_finest_volume(near_views, default_voxel, median_depth, max_bytes, report)
        if volume.voxel > default_voxel:
            notes.append(_note_on_coarse_voxels(volume.voxel, default_voxel, max_bytes))
    return FusedSurface(
        mesh=extract_mesh(volume, max_speck_fraction=_MAX_SPECK),
        voxel=volume.voxel,
        blocks=volume.block_count,
        nbytes=volume.nbytes,
        notes=tuple(notes),
    )


def _fill_finest_volume(
    views: Sequence[ClipView],
    voxel: float,
    median_depth: float,
    max_bytes: int,
    report: Callable[[int, int], None],
) -> Volume:
    """Fill a volume of the smallest voxels that fit into memory, at least ``voxel`` wide."""
    while True:
        try:
            return _fill_volume(views, Volume(voxel, max_bytes=max_bytes), report)
        except InputError:
            if voxel > median_depth / 4:
                raise
            voxel *= _VOXEL_GROWTH


def _fill_volume(
    views: Sequence[ClipView], volume: Volume, report: Callable[[int, int], None]
) -> Volume:
    for index, view in enumerate(views):
        volume.add(view, _weights_by_depth(view))
        report(index + 1, len(views))
    return volume


def _weights_by_depth(view: ClipView) -> Field:
    """Weigh pixels by the squared ratio of the median depth to their depth, within 0.1 to 10.

    The error of depth grows with depth, so that near depth is more exact.
    """
    median = np.float32(np.median(view.depth[view.valid])) if view.valid.any() else np.float32(1)
    depth = np.maximum(view.depth, np.float32(1e-3) * median)
    return np.clip(np.square(median / depth), np.float32(0.1), np.float32(10))


def _note_on_coarse_voxels(voxel: float, default_voxel: float, max_bytes: int) -> Note:
    return Note(
        Text(
            f"voxels are {voxel:.3g} wide instead of {default_voxel:.3g}, so that the volume fits "
            f"into {max_bytes / 1e6:.0f} MB; for smaller voxels, leave out distant depth with ",
            OptionName("farthest"),
            " or choose their size with ",
            OptionName("voxel"),
        )
    )


def gltf_R_world(poses: Sequence[Transform]) -> Matrix:
    """Rotation from the world of the poses to glTF's axes: y up, the first camera looks along -z.

    Up is the mean of the cameras' upward directions, or the axis of the world within 16 degrees.
    """
    up = -np.mean([pose[:3, 1] for pose in poses], axis=0)  # the y axis of a camera points down
    if np.linalg.norm(up) < 1e-3:  # the upward directions cancel each other
        up = -poses[0][:3, 1]
    up = up / np.linalg.norm(up)
    nearest_axis = int(np.abs(up).argmax())
    if abs(up[nearest_axis]) > _MIN_COSINE_TO_AXIS:
        up = np.eye(3)[nearest_axis] * np.sign(up[nearest_axis])

    forward = _project_to_horizontal(poses[0][:3, 2], up)
    if np.linalg.norm(forward) < 1e-3:  # the first camera looks straight up or down
        forward = _project_to_horizontal(poses[0][:3, 1], up)
    backward = -forward / np.linalg.norm(forward)
    right = np.cross(up, backward)
    return np.stack([right, up, backward])


def _project_to_horizontal(direction: Vector, up: Vector) -> Vector:
    return direction - up * float(up @ direction)
