"""A surface in as few bytes as a page can carry: depths on a lattice, and which triangles are torn.

Points follow from depth and K, so neither they nor texture coordinates nor indices are stored. The
logarithm of depth takes 16 bits, which is the same relative exactness near and far: over a range of
1 to 100 it is 0.004 %. Differences along the rows, high bytes and low bytes apart, deflate well.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt16

from rilievo.geometry.lattice import Cut, Lattice, faces_of, sample_lattice, triangles_of
from rilievo.geometry.patches import mended

_LAST_CODE = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliefForm:
    """What the script of the page must know to make points of the bytes.

    Attributes:
        rows: Of the lattice.
        columns: Of the lattice.
        first_row: Of the photograph, that the lattice's first row stands for [px].
        first_column: The same of columns [px].
        step: Between two rows, and two columns [px].
        width: Of the photograph [px].
        height: The same.
        fx: Of K [px], and so on.
        fy: Of K [px].
        cx: Of K [px].
        cy: Of K [px].
        nearest: Natural logarithm of the depth that has code 1; code 0 is no depth.
        spacing: Of the logarithm, from one code to the next.
    """

    rows: int
    columns: int
    first_row: int
    first_column: int
    step: int
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    nearest: float
    spacing: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """A surface as a page carries it.

    Attributes:
        form: How to read the bytes.
        data: zlib: high bytes, then low bytes of the codes' differences along each row, modulo
            65536; then one byte for every four neighbours: 1 where they are split from the top
            left to the bottom right, plus 2 and 4 where their left and right triangle is there.
        points: How many belong to a triangle.
        triangles: How many there are.
    """

    form: ReliefForm
    data: bytes
    points: int
    triangles: int


def pack_relief(
    depth: Float32[np.ndarray, "h w"],
    K: Float64[np.ndarray, "3 3"],
    valid: Bool[np.ndarray, "h w"],
    *,
    step: int,
    cut: Cut,
) -> Relief | None:
    """The surface of a depth map, torn as ``rilievo.geometry.mesh`` tears it; None if none is left.

    Args:
        depth: z along the optical axis, of any positive unit.
        K: Of this depth map [px].
        valid: Pixels that have depth.
        step: 1 makes a point of every pixel.
        cut: Where it is torn.
    """
    if min(depth.shape) < 2 * step:
        return None  # one row of points has no triangle
    lattice = mended(sample_lattice(depth, K, valid, step), cut)
    faces = faces_of(lattice, cut)
    triangles = triangles_of(faces)
    if not len(triangles):
        return None
    logarithms = np.log(lattice.points[2].astype(np.float64))
    seen = logarithms[lattice.valid]
    nearest = float(seen.min())
    spacing = (float(seen.max()) - nearest) / (_LAST_CODE - 1)
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
        form=_form(lattice, K, depth.shape, nearest, spacing),
        data=zlib.compress(_differences(codes) + corners.astype(np.uint8).tobytes()),
        points=int(used.sum()),
        triangles=len(triangles),
    )


def _form(
    lattice: Lattice,
    K: Float64[np.ndarray, "3 3"],
    shape: tuple[int, ...],
    nearest: float,
    spacing: float,
) -> ReliefForm:
    (rows, columns), (height, width) = lattice.valid.shape, shape
    return ReliefForm(
        rows=rows,
        columns=columns,
        first_row=lattice.rows.start,
        first_column=lattice.columns.start,
        step=lattice.rows.step,
        width=width,
        height=height,
        fx=float(K[0, 0]),
        fy=float(K[1, 1]),
        cx=float(K[0, 2]),
        cy=float(K[1, 2]),
        nearest=nearest,
        spacing=spacing,
    )


def _differences(codes: UInt16[np.ndarray, "h w"]) -> bytes:
    """From the left neighbour, modulo 65536; of the first column from 0."""
    steps = codes.copy()
    steps[:, 1:] -= codes[:, :-1]
    return (steps >> 8).astype(np.uint8).tobytes() + (steps & 255).astype(np.uint8).tobytes()
