"""Encode a surface for pages, as depths and as flags of the triangles that exist.

The logarithm of depth takes 16 bits, which gives a relative precision of 0.004 % from 1 to 100.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Mask, Matrix, UInt16, Vectors
from rilievo.geometry.cameras.camera import Camera, as_camera
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.surfaces.closing import sample_closed_lattice
from rilievo.geometry.surfaces.floating_pieces import lay_back_pieces
from rilievo.geometry.surfaces.lattice import Cut, Faces, Lattice, corner_indices, triangulate_cells
from rilievo.geometry.surfaces.patches import mend_lattice
from rilievo.geometry.surfaces.ramps import sharpen_edges

SURFACE_SCRIPTS = (
    "ogl.js",
    "relief.js",
    "planes.js",
    "faces.js",
    "contour.js",
    "backing.js",
    "fill.js",
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
class ReliefForm:
    """What a page's scripts need besides the data to decode the points.

    Attributes:
        rows: Number of rows of the lattice.
        first_row: Row of the photograph at the lattice's first row [px].
        first_column: Column at its first column [px].
        step: Spacing of the lattice [px].
        lens: "pinhole" or "equirectangular".
        fx: Focal length of K, or a panorama's pixels per radian.
        cx: Principal point of K, or the column on the camera's axis.
        nearest: Natural logarithm of the depth with code 1; code 0 means no depth.
        spacing: Difference in the logarithm between codes.
        jump: Limit of the surface, as ``Cut.jump``.
        edge: Least step of 1/depth across which far surfaces continue behind near ones.
    """

    rows: int
    columns: int
    first_row: int
    first_column: int
    step: int
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """Encoded surface.

    Attributes:
        data: zlib stream. First the differences of codes along each row, modulo 65536: high bytes,
            then low bytes. Then a byte for every cell: 1 if it is split from the top left to the
            bottom right, plus 2 and 4 if its left and right triangle exist.
    """

    form: ReliefForm
    data: bytes
    points: int
    triangles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _DepthCodes:
    """Depths of a lattice as 16-bit codes on a logarithmic scale; 0 means no depth."""

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
) -> Relief | None:
    """Encode the surface of a depth map; None if it is empty.

    It is cut as in ``rilievo.geometry.surfaces.meshes``.

    Args:
        depth: z, or distance along the rays of a panorama, in any positive unit.
        camera: Camera of the depth map, or its K [px].
        valid: Pixels that the surface may have.
        hollow: Pixels that show nothing, where no hole is closed.
        step: Spacing of the lattice [px].
        cut: Where the surface is cut.
        normals: Normals that tell steep surfaces from edges.
        pieces: Largest share of a floating piece that is laid back.

    Raises:
        InputError: If pages draw no surfaces of the camera's lens.
    """
    if min(depth.shape) < 2 * step:
        return None  # a single row of points has no triangle
    camera = as_camera(camera)
    lens = lens_on_pages(camera)
    cut = cut.for_filled_tears
    sampled = sample_closed_lattice(depth, camera, valid, step, normals, hollow)
    mended = mend_lattice(sampled, cut, specks=False)
    sharpened = sharpen_edges(lay_back_pieces(mended, cut, pieces))
    lattice = sharpened.lattice
    faces = triangulate_cells(lattice, cut, sharpened.edge)
    triangles = corner_indices(faces)
    if not len(triangles):
        return None

    depth_codes = _encode_depth(lattice)
    is_used = np.zeros(lattice.valid.size, bool)
    is_used[triangles] = True
    return Relief(
        form=_relief_form(
            lattice, lens, depth.shape, depth_codes, jump=cut.jump, edge=sharpened.edge
        ),
        data=zlib.compress(_row_differences(depth_codes.codes) + _cell_flags(faces)),
        points=int(is_used.sum()),
        triangles=len(triangles),
    )


def _encode_depth(lattice: Lattice) -> _DepthCodes:
    logarithms = np.log(lattice.depth.astype(np.float64))
    valid_logarithms = logarithms[lattice.valid]
    nearest = float(valid_logarithms.min())
    spacing = (float(valid_logarithms.max()) - nearest) / (_MAX_CODE - 1)
    codes = np.ones(lattice.valid.shape, np.uint16)
    if spacing > 0:
        levels = np.where(lattice.valid, (logarithms - nearest) / spacing, 0)
        codes += np.rint(levels).astype(np.uint16)
    codes[~lattice.valid] = 0
    return _DepthCodes(codes=codes, nearest=nearest, spacing=spacing)


def _cell_flags(faces: Faces) -> bytes:
    """Encode the split and the triangles of each cell in a byte, as ``Relief.data`` says."""
    has_left, has_right = faces.first.any(axis=0), faces.second.any(axis=0)
    flags = faces.falling + np.uint8(2) * has_left + np.uint8(4) * has_right
    return flags.astype(np.uint8).tobytes()


def lens_on_pages(camera: Camera) -> tuple[str, Sequence[float]]:
    """Return the name of a lens on pages, and its fx, fy, cx and cy.

    Raises:
        InputError: If pages draw no such lens.
    """
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
) -> ReliefForm:
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
    )


def _row_differences(codes: UInt16[np.ndarray, "h w"]) -> bytes:
    """Encode the differences to the left neighbours, modulo 65536: high bytes, then low bytes."""
    differences = codes.copy()
    differences[:, 1:] -= codes[:, :-1]
    high_bytes = (differences >> 8).astype(np.uint8)
    low_bytes = (differences & 255).astype(np.uint8)
    return high_bytes.tobytes() + low_bytes.tobytes()
