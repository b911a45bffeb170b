"""Fuse views into an upright surface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Field, Matrix, Transform
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.volume import Volume
from rilievo.data.fuse.volume_mesh import extract_mesh
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.outputs.formats.gltf import TriangleMesh

_VOXELS_DEEP = 128
_FARTHEST = 3.0
_SPECKS = 2e-4
_GROWTH = 1.5
_SNAP = 0.96  # cosine to a world axis (16 degrees)


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedSurface:
    """Mesh in the world of the poses, and its origin."""

    mesh: TriangleMesh
    voxel: float
    blocks: int
    nbytes: int
    notes: tuple[str, ...] = ()


def fuse_views(
    views: Sequence[ClipView],
    *,
    voxel: float | None = None,
    farthest: float | None = None,
    most_bytes: int = 1 << 30,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FusedSurface:
    """Fuse views with depth in the unit of their poses.

    By default a voxel is 1/128 of the median depth and ``farthest`` three times that.

    Raises:
        InputError: If no surface is left, or memory is not enough.
    """
    valid_depths = [view.depth[view.valid] for view in views if view.valid.any()]
    if not valid_depths:
        raise InputError("no surface is left: no two frames agree on one, or none has valid depth")
    median = float(np.median([np.median(depths) for depths in valid_depths]))
    limit = _FARTHEST * median if farthest is None else farthest
    near = [replace(view, valid=view.valid & (view.depth <= limit)) for view in views]
    side, notes = median / _VOXELS_DEEP if voxel is None else voxel, []
    while True:
        try:
            volume = _add_views(near, Volume(side, most_bytes=most_bytes), report)
            break
        except InputError:
            if voxel is not None or side > median / 4:
                raise
            side *= _GROWTH
    if voxel is None and side > median / _VOXELS_DEEP:
        notes.append(
            Note(
                Text(
                    f"voxels are {side:.3g} wide, not {median / _VOXELS_DEEP:.3g}, to fit "
                    f"into {most_bytes / 1e6:.0f} MB: leave far depth out (",
                    OptionName("farthest"),
                    "), or give ",
                    OptionName("voxel"),
                )
            )
        )
    return FusedSurface(
        mesh=extract_mesh(volume, specks=_SPECKS),
        voxel=side,
        blocks=volume.block_count,
        nbytes=volume.nbytes,
        notes=tuple(notes),
    )


def _add_views(
    views: Sequence[ClipView], volume: Volume, report: Callable[[int, int], None]
) -> Volume:
    for index, view in enumerate(views):
        volume.add(view, _weights_by_depth(view))
        report(index + 1, len(views))
    return volume


def _weights_by_depth(view: ClipView) -> Field:
    """Squared ratio of median to depth, 0.1 to 10."""
    median = np.float32(np.median(view.depth[view.valid])) if view.valid.any() else np.float32(1)
    depth = np.maximum(view.depth, np.float32(1e-3) * median)
    return np.clip(np.square(median / depth), np.float32(0.1), np.float32(10))


def gltf_R_world(poses: Sequence[Transform]) -> Matrix:
    """Rotation to glTF's axes: y up, the first camera along -z.

    Up is the mean of cameras, or a world axis near it.
    """
    up = -np.mean([pose[:3, 1] for pose in poses], axis=0)
    if np.linalg.norm(up) < 1e-3:
        up = -poses[0][:3, 1]
    up = up / np.linalg.norm(up)
    axis = int(np.abs(up).argmax())
    if abs(up[axis]) > _SNAP:
        up = np.eye(3)[axis] * np.sign(up[axis])
    forward = poses[0][:3, 2] - up * float(up @ poses[0][:3, 2])
    if np.linalg.norm(forward) < 1e-3:
        forward = poses[0][:3, 1] - up * float(up @ poses[0][:3, 1])
    back = -forward / np.linalg.norm(forward)
    return np.stack([np.cross(up, back), up, back])
