"""A sloping plane seen by a camera: depth in closed form, and true lengths on it."""

import numpy as np
from jaxtyping import Float64

from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import rays
from rilievo.records.depth_map import DepthKind, DepthMap

SIZE = (120, 160)
CAMERA = Camera(K=np.array([[140.0, 0, 79.5], [0, 140.0, 59.5], [0, 0, 1]]))
M = np.array([0.12, -0.25, 0.4])
"""The plane m·p = 1, in metres: from 1.6 to 5.6 m deep in this picture."""


def plane_depth(m: Float64[np.ndarray, "3"] = M) -> Float64[np.ndarray, "h w"]:
    """Depth of the plane at every pixel [m]."""
    return 1 / np.einsum("i,ihw->hw", m, rays(CAMERA.K, *SIZE))


def place_on(
    u: float | int, v: float | int, m: Float64[np.ndarray, "3"] = M
) -> Float64[np.ndarray, "3"]:
    """Point of the plane that a pixel sees [m], camera frame."""
    way = np.linalg.solve(CAMERA.K, np.array([u, v, 1.0]))
    return way / (m @ way)


def length_on(a: tuple[float | int, float | int], b: tuple[float | int, float | int]) -> float:
    """True length between two pixels of the plane [m]."""
    return float(np.linalg.norm(place_on(*a) - place_on(*b)))


def map_of(
    depth: Float64[np.ndarray, "h w"], kind: DepthKind, scale: float = 2.5, shift: float = 0.3
) -> DepthMap:
    """The depth map of a kind that such depth would have, all else unknown."""
    values = {
        DepthKind.METRIC: depth,
        DepthKind.UP_TO_SCALE: depth / scale,
        DepthKind.AFFINE: (depth - shift) / scale,
        DepthKind.AFFINE_INVERSE: (1 / depth + shift) / scale,
    }[kind]
    return DepthMap(values=values.astype(np.float32), kind=kind)
