"""Encode a surface for pages, as depths on a lattice and flags for the triangles that exist.

The logarithm of depth is stored in 16 bits. For depths from 1 to 100, the relative precision is
0.004%. A backdrop for the sky is stored as flags on a coarser lattice of its own.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Mask, Matrix, UInt16, Vectors
from rilievo.geometry.cameras.camera import Camera, as_camera
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    sample_range,
    sample_slices,
    triangle_indices,
)
from rilievo.geometry.surfaces.meshes import tear_surface
from rilievo.io.outputs.sky_backdrop import SkyPlane

SURFACE_SCRIPTS = (
    "ogl.js",
    "relief.js",
    "planes.js",
    "faces.js",
    "contour.js",
    "backing.js",
    "fill.js",
    "backdrop.js",
    "viewer.js",
    "steering.js",
    "separation.js",
    "thing.js",
    "rectangle.js",
    "ruler.js",
    "sheet.js",
    "lines.js",
)
_MAX_CODE = 65535  # of 16 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticeForm:
    """Place of a lattice in the photograph.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        first_row: Row of the photograph at the first row [px].
        first_column: Column of the photograph at the first column [px].
        step: Distance between neighbouring points [px].
    """

    rows: int
    columns: int
    first_row: int
    first_column: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyForm(LatticeForm):
    """Lattice of the sky's backdrop, with which the scripts of a page make it.

    Attributes:
        depth: Depth of the backdrop.
        reach: Pixels up to this distance from points that are certainly sky are sky, too [px].
        middle: Column and row of a pixel of the sky, which colours the backdrop if no point is
            certainly sky.
    """

    depth: float
    reach: int
    middle: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliefForm(LatticeForm):
    """Lattice of the surface, with which the scripts of a page decode its points.

    Attributes:
        width: Width of the photograph [px].
        height: Height of the photograph [px].
        lens: "pinhole" or "equirectangular".
        fx: Focal length of K [px], or the pixels per radian of a panorama.
        cx: Principal point of K [px], or the column of a panorama on the camera's axis.
        nearest: Natural logarithm of the depth that has code 1; code 0 means no depth.
        spacing: Difference between the logarithms of successive codes.
        jump: Depth step at which the surface is cut, as ``Cut.jump``.
        edge: Least step of 1/depth across which far surfaces continue behind near ones.
        sky: Backdrop for the sky; None without one.
    """

    width: int
    height: int
    lens: str
    fx: float
    fy: float
    cx: float
    cy: float
    nearest: float
    spacing: float
    jump: float
    edge: float
    sky: SkyForm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """Encoded surface.

    Attributes:
        data: zlib stream. First come the differences of codes along each row, modulo 65536: all
            high bytes, then all low bytes. Then comes a byte for each cell: 1 if the cell is split
            from the top left to the bottom right, plus 2 if its left triangle exists, plus 4 if
            its right triangle exists. Last comes a byte for each point of the sky's backdrop, if
            there is one: 0 if the point is left out, 2 if it is certainly sky, or else 1.
    """

    form: ReliefForm
    data: bytes
    points: int
    triangles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _DepthCodes:
    """Depths of a lattice as 16-bit codes on a logarithmic scale; code 0 means no depth."""

    codes: UInt16[np.ndarray, "h w"]
    nearest: float
    spacing: float


def pack_relief(
    depth: Field,
    camera: Camera | Matrix,
    valid: Mask,
    *,
    hollow: Mask | None = None,
    step: int,
    cut: Cut,
    normals: Vectors | None = None,
    pieces: float = 0.0,
    sky: SkyPlane | None = None,
) -> Relief | None:
    """Encode the surface of a depth map; return None if it is empty.

    It is cut as in ``rilievo.geometry.surfaces.meshes``.

    Args:
        depth: z, or distance along the rays of a panorama, in any positive unit.
        camera: Camera of the depth map, or its K [px].
        valid: Pixels that may belong to the surface.
        hollow: Pixels that show nothing, where holes stay open.
        step: Spacing of the lattice [px].
        cut: Where the surface is cut.
        normals: Normals, which distinguish steep surfaces from edges.
        pieces: Largest fraction of the surface that a floating piece may have to be laid back.
        sky: Backdrop for the sky; None without one.
    """
    if min(depth.shape) < 2 * step:
        return None  # a single row of points has no triangle
    camera = as_camera(camera)
    lens = page_lens(camera)
    surface = tear_surface(
        depth,
        camera,
        valid,
        hollow=hollow,
        normals=normals,
        step=step,
        cut=cut,
        pieces=pieces,
        fills_tears=True,
    )
    triangles = triangle_indices(surface.faces)
    if not len(triangles):
        return None

    depth_codes = _encode_depth(surface.lattice)
    form = _relief_form(
        surface.lattice,
        lens,
        depth.shape,
        depth_codes,
        jump=cut.jump,
        edge=surface.min_edge_step,
        sky=sky,
    )
    data = _row_differences(depth_codes.codes) + _cell_flags(surface.faces)
    if sky is not None:
        data += _sky_flags(sky)
    return Relief(
        form=form,
        data=zlib.compress(data),
        points=len(np.unique(triangles)),  # those of the lattice that belong to a triangle
        triangles=len(triangles),
    )


def _encode_depth(lattice: Lattice) -> _DepthCodes:
    """Encode depth as code = 1 + round((log(depth) - nearest) / spacing), up to ``_MAX_CODE``.

    The nearest point has code 1, the farthest ``_MAX_CODE``, and points without depth have code 0.
    """
    log_depth = np.log(lattice.depth.astype(np.float64))
    valid_log_depth = log_depth[lattice.valid]
    nearest = float(valid_log_depth.min())
    spacing = (float(valid_log_depth.max()) - nearest) / (_MAX_CODE - 1)
    if spacing > 0:
        levels = np.where(lattice.valid, (log_depth - nearest) / spacing, 0)
        codes_from_1 = np.rint(levels).astype(np.uint16) + np.uint16(1)
    else:  # all depths are equal
        codes_from_1 = np.ones(lattice.valid.shape, np.uint16)
    codes = np.where(lattice.valid, codes_from_1, np.uint16(0))
    return _DepthCodes(codes=codes, nearest=nearest, spacing=spacing)


def _cell_flags(faces: Faces) -> bytes:
    """Encode the split and the triangles of each cell in a byte, as ``Relief.data`` says."""
    has_left = faces.first.any(axis=0)
    has_right = faces.second.any(axis=0)
    flags = faces.is_falling + np.uint8(2) * has_left + np.uint8(4) * has_right
    return flags.astype(np.uint8).tobytes()


def _sky_form(sky: SkyPlane) -> SkyForm:
    """Describe how the scripts make the backdrop for the sky."""
    rows, columns = (sample_range(length, sky.step) for length in sky.mask.shape)
    return SkyForm(
        rows=len(rows),
        columns=len(columns),
        first_row=rows.start,
        first_column=columns.start,
        step=sky.step,
        depth=sky.depth,
        reach=sky.sure_radius,
        middle=sky.middle,
    )


def _sky_flags(sky: SkyPlane) -> bytes:
    """Encode in a byte for each point of the backdrop what it is, as ``Relief.data`` says."""
    samples = sample_slices(sky.mask.shape, sky.step)
    is_covered, is_sure_sky = sky.mask[samples], sky.sure_sky[samples]
    flags = np.where(is_covered, np.where(is_sure_sky, 2, 1), 0)
    return flags.astype(np.uint8).tobytes()


def page_lens(camera: Camera) -> tuple[str, Sequence[float]]:
    """Name of a lens in the scripts of pages, and its fx, fy, cx and cy."""
    if isinstance(camera.lens, Equirectangular):
        return camera.lens.name, camera.lens.numbers
    K = camera.needs_pinhole("the surface of a page")
    return "pinhole", (K[0, 0], K[1, 1], K[0, 2], K[1, 2])


def _relief_form(
    lattice: Lattice,
    lens: tuple[str, Sequence[float]],
    shape: tuple[int, ...],
    depth_codes: _DepthCodes,
    *,
    jump: float,
    edge: float,
    sky: SkyPlane | None,
) -> ReliefForm:
    """Describe how the scripts decode a surface.

    Args:
        lattice: Points of the surface.
        lens: Name of the lens, and its fx, fy, cx and cy, as ``page_lens`` returns them.
        shape: (height, width) of the photograph.
        depth_codes: Encoded depth of the points.
        jump: As in ``ReliefForm``.
        edge: As in ``ReliefForm``.
        sky: Backdrop for the sky; None without one.
    """
    rows, columns = lattice.valid.shape
    height, width = shape
    name, (fx, fy, cx, cy) = lens
    return ReliefForm(
        rows=rows,
        columns=columns,
        first_row=lattice.rows.start,
        first_column=lattice.columns.start,
        step=lattice.rows.step,
        width=width,
        height=height,
        lens=name,
        fx=float(fx),
        fy=float(fy),
        cx=float(cx),
        cy=float(cy),
        nearest=depth_codes.nearest,
        spacing=depth_codes.spacing,
        jump=jump,
        edge=edge,
        sky=None if sky is None else _sky_form(sky),
    )


def _row_differences(codes: UInt16[np.ndarray, "h w"]) -> bytes:
    """Encode the difference of each code to its left neighbour, as ``Relief.data`` says."""
    first_column = codes[:, :1]
    # A negative difference wraps around in 16 bits, which the scripts undo when they add.
    later_columns = codes[:, 1:] - codes[:, :-1]
    differences = np.concatenate([first_column, later_columns], axis=1)
    high_bytes = (differences >> 8).astype(np.uint8)
    low_bytes = (differences & 255).astype(np.uint8)
    return high_bytes.tobytes() + low_bytes.tobytes()
