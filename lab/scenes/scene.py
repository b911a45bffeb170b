"""Data structures of a scene: solids, materials and lights.

The world frame is right-handed, z up, in metres. A solid is a unit shape in a local frame, which is
scaled along its axes, rotated and translated to the world. Solids and materials are rows of
structured arrays, which the compiled kernels of ``raycast`` and ``shading`` read directly.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

BOX = 0
"""The cube |x|, |y|, |z| < 1."""
ELLIPSOID = 1
"""The ball of radius 1."""
FRUSTUM = 2
"""A truncated cone along z, |z| < 1, of radius 1 below and ``taper`` above; a cylinder at 1."""
CARD = 3
"""The square |x|, |y| < 1 at z = 0, visible from both sides."""
MESH = 4
"""Triangles within the cube, each visible from both sides."""
ROOM = 5
"""The cube, visible from inside."""
GROUND = 6
"""The infinite plane z = 0."""

WHOLE = 0
"""The surface has no holes."""
BARS = 1
"""Parallel bars with gaps, such as a railing, a blind or a rack."""
LATTICE = 2
"""Bars in both directions, such as a fence or a grid."""
LEAVES = 3
"""Separate leaves, such as a treetop or a hedge."""
OPEN = 4
"""A frustum without lids, such as a cup or a lampshade."""

SOLID = np.dtype(
    [
        ("centre", np.float32, (3,)),
        # Maps a world offset from the centre to the unit shape's coordinates.
        ("axes", np.float32, (3, 3)),
        ("half", np.float32, (3,)),
        ("radius", np.float32),
        ("taper", np.float32),
        ("pitch", np.float32),
        ("share", np.float32),
        ("shape", np.int32),
        ("holes", np.int32),
        ("material", np.int32),
        # 1 where face f of a room or box has the material ``material + f``.
        ("per_face", np.int32),
        # Row of ``Meshes.nodes`` where the tree of a mesh begins.
        ("tree", np.int32),
    ],
    align=True,
)
"""One solid. ``half``: half extents [m]; ``radius``: radius of the bounding ball [m]; ``pitch``:
size of one bar with its gap, or of one leaf's cell [m]; ``share``: solid share of the surface."""

NODE = np.dtype(
    [
        ("low", np.float32, (3,)),
        ("high", np.float32, (3,)),
        ("next", np.int32),
        ("first", np.int32),
        ("count", np.int32),
    ],
    align=True,
)
"""One box of a tree of bounding boxes. Nodes are in depth-first order: a node's first child is the
row below it, and ``next`` is the row after its last descendant. Leaves hold the triangles
``first`` to ``first + count - 1``; ``count`` of other nodes is 0."""

TRIANGLE = np.dtype(
    [
        ("corner", np.float32, (3,)),
        ("edges", np.float32, (2, 3)),
        ("origin", np.float32, (2,)),
        ("slope", np.float32, (2, 3)),
        ("density", np.float32),
        ("material", np.int32),
        ("patch", np.int32),
    ],
    align=True,
)
"""One triangle, in the unit shape's coordinates. ``edges``: from ``corner`` to the other two;
texture coordinates are ``origin + slope @ (point - corner)``; ``density``: texture coordinates per
metre; ``material``: row after the solid's ``material``; ``patch``: number of the smooth piece of
surface that the triangle belongs to, below ``FACES``."""

FACES = 4096
"""Largest number of faces of a solid, or of patches of a mesh, that are told apart."""


class Meshes(NamedTuple):
    """Triangles of all models, which rows of ``SOLID`` refer to."""

    nodes: np.ndarray
    """Rows of ``NODE``."""
    triangles: np.ndarray
    """Rows of ``TRIANGLE``."""


NO_MESHES = Meshes(nodes=np.zeros(0, NODE), triangles=np.zeros(0, TRIANGLE))

MATERIAL = np.dtype(
    [
        ("colour", np.float32, (3,)),
        ("tint", np.float32, (3,)),
        ("scale", np.float32, (2,)),
        ("offset", np.float32, (2,)),
        ("mix", np.float32),
        ("gloss", np.float32),
        ("emission", np.float32),
        ("mirror", np.float32),
        ("texture", np.int32),
    ],
    align=True,
)
"""One material: albedo (linear) = (1 - mix) colour + mix tint texture, with a texture that repeats
every ``scale`` metres; ``gloss``: strength of highlights; ``emission``: radiance over albedo;
``mirror``: reflectance at normal incidence, which rises to 1 at grazing incidence.
"""

GLASS = 0.08
"""``mirror`` of a window pane: both of its sides reflect 4%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """A soft light.

    Attributes:
        position: Position [m]; for a distant light the unit vector towards it.
        distant: Whether the light is at infinity, like the sun.
        size: Standard deviation of the extent [m]; for a distant light of the direction.
        colour: Linear RGB irradiance; for other than distant lights at about one metre.
    """

    position: Float64[np.ndarray, "3"]
    distant: bool
    size: float
    colour: Float64[np.ndarray, "3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambience:
    """Ambient light.

    Attributes:
        direction: Unit vector towards the brighter side.
        bright: Linear RGB from the brighter side.
        dark: Linear RGB from the darker side.
        reach: Distance [m] within which surfaces occlude ambient light.
    """

    direction: Float64[np.ndarray, "3"]
    bright: Float64[np.ndarray, "3"]
    dark: Float64[np.ndarray, "3"]
    reach: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All inputs of a frame except the camera.

    Attributes:
        solids: Rows of ``SOLID``.
        materials: Rows of ``MATERIAL``.
        lights: Lights, at most three.
        ambience: Ambient light.
        sky: Linear RGB by elevation (first row zenith, last row horizon) and azimuth.
        meshes: Triangles of the solids that are meshes.
    """

    solids: np.ndarray
    materials: np.ndarray
    lights: tuple[Light, ...]
    ambience: Ambience
    sky: Float32[np.ndarray, "elevations azimuths 3"]
    meshes: Meshes = NO_MESHES
