"""Encoding of a surface for pages, by depths and flags of missing triangles.

The logarithm of depth takes 16 bits: a relative precision of 0.004 % from 1 to 100.
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
from rilievo.geometry.surfaces.lattice import Cut, Lattice, corner_indices, triangulate_cells
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
_LAST_CODE = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliefForm:
    """Parameters with which scripts decode the points.

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
        edge: Least step of 1/depth behind which far surfaces continue.
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

    It is cut as in ``rilievo.geometry.surfaces.meshes``. Depth is along the rays, in any positive
    unit; K is in px. ``hollow`` pixels show nothing, and no hole is closed there; ``normals`` tell
    steep surfaces from edges; ``pieces`` is the largest share of a floating piece that is laid
    back.
    """
    if min(depth.shape) < 2 * step:
        return None  # a single row of points has no triangle
    camera, shape = as_camera(camera), depth.shape
    lens = lens_on_pages(camera)
    cut = cut.for_filled_tears
    sampled = sample_closed_lattice(depth, camera, valid, step, normals, hollow)
    sampled = mend_lattice(sampled, cut, specks=False)
    whole = lay_back_pieces(sampled, cut, pieces)
    sharp = sharpen_edges(whole)
    lattice, edge = sharp.lattice, sharp.edge
    faces = triangulate_cells(lattice, cut, edge)
    triangles = corner_indices(faces)
    if not len(triangles):
        return None
    logarithms = np.log(lattice.depth.astype(np.float64))
    valid_logs = logarithms[lattice.valid]
    nearest = float(valid_logs.min())
    spacing = (float(valid_logs.max()) - nearest) / (_LAST_CODE - 1)
    codes = np.ones(lattice.valid.shape, np.uint16)
    if spacing > 0:
        levels = np.where(lattice.valid, (logarithms - nearest) / spacing, 0)
        codes += np.rint(levels).astype(np.uint16)
    codes[~lattice.valid] = 0
    used = np.zeros(lattice.valid.size, bool)
    used[triangles] = True
    first, second = (side.any(axis=0) for side in (faces.first, faces.second))
    corners = faces.falling + np.uint8(2) * first + np.uint8(4) * second
    return Relief(
        form=_relief_form(lattice, lens, shape, (nearest, spacing), jump=cut.jump, edge=edge),
        data=zlib.compress(_row_differences(codes) + corners.astype(np.uint8).tobytes()),
        points=int(used.sum()),
        triangles=len(triangles),
    )


def lens_on_pages(camera: Camera) -> tuple[str, Sequence[float]]:
    """Name of a lens on pages, and its fx, fy, cx, cy.

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
    codes: tuple[float, float],
    *,
    jump: float,
    edge: float,
) -> ReliefForm:
    (rows, columns), (height, width) = lattice.valid.shape, shape
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
        nearest=codes[0],
        spacing=codes[1],
        jump=jump,
        edge=edge,
    )


def _row_differences(codes: UInt16[np.ndarray, "h w"]) -> bytes:
    """Differences of codes to the left neighbour, modulo 65536."""
    steps = codes.copy()
    steps[:, 1:] -= codes[:, :-1]
    return (steps >> 8).astype(np.uint8).tobytes() + (steps & 255).astype(np.uint8).tobytes()
