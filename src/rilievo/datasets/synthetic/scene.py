"""What a scene is made of: solids, materials and lights.

The world frame is right-handed, z up, in metres. A solid is a unit shape in a local frame, moved
to the world by a rotation, a stretch along its axes and a shift. Solids and materials are rows of
structured arrays, which the compiled kernels of ``raycast`` and ``shading`` read as they are.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

BOX = 0
"""The cube |x|, |y|, |z| < 1."""
ELLIPSOID = 1
"""The ball of radius 1."""
FRUSTUM = 2
"""A cone along z, |z| < 1, of radius 1 below and ``taper`` above: a cylinder where that is 1."""
CARD = 3
"""The square |x|, |y| < 1 at z = 0, seen from both sides."""
ROOM = 4
"""The cube seen from inside."""
GROUND = 5
"""The plane z = 0, without end."""

WHOLE = 0
"""The surface has no holes."""
BARS = 1
"""Upright bars with gaps: a railing, a blind, a rack."""
LATTICE = 2
"""Bars both ways: a fence, a grid."""
LEAVES = 3
"""Separate leaves: a crown, a hedge."""
OPEN = 4
"""A frustum without its lids: a cup, a lampshade."""

SOLID = np.dtype(
    [
        ("centre", np.float32, (3,)),
        # Rows take a world offset from the centre to the unit shape's coordinates.
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
    ],
    align=True,
)
"""One solid. ``half``: half extents [m]; ``radius``: of the ball around it [m]; ``pitch``: size of
one bar with its gap, or of one leaf's cell [m]; ``share``: the part of it that is solid."""

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
"""One material: albedo (linear) = (1 - mix) colour + mix tint texture, the texture repeating every
``scale`` metres; ``gloss``: strength of highlights; ``emission``: radiance over albedo; ``mirror``:
share of the light from straight ahead that is mirrored, which grows to all of it along the surface.
"""

GLASS = 0.08
"""``mirror`` of a pane: both of its sides return 4 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """A soft light.

    Attributes:
        position: Where it is [m]; for a distant light the unit vector towards it.
        distant: Whether it is as far as the sun.
        size: Standard deviation of its extent [m]; of its direction where distant.
        colour: Linear RGB irradiance, at one metre or so where not distant.
    """

    position: Float64[np.ndarray, "3"]
    distant: bool
    size: float
    colour: Float64[np.ndarray, "3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambience:
    """Light from everywhere.

    Attributes:
        direction: Unit vector towards the brighter side.
        bright: Linear RGB from that side.
        dark: Linear RGB from the other side.
        reach: Distance [m] within which surfaces shade one another.
    """

    direction: Float64[np.ndarray, "3"]
    bright: Float64[np.ndarray, "3"]
    dark: Float64[np.ndarray, "3"]
    reach: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a frame is drawn from, camera apart.

    Attributes:
        solids: Rows of ``SOLID``.
        materials: Rows of ``MATERIAL``.
        lights: At most three.
        ambience: Light from everywhere.
        sky: Linear RGB by elevation (first row zenith, last row horizon) and azimuth.
    """

    solids: np.ndarray
    materials: np.ndarray
    lights: tuple[Light, ...]
    ambience: Ambience
    sky: Float32[np.ndarray, "elevations azimuths 3"]
