"""Pinhole cameras: intrinsics, their update when the image changes, pixels to points and back.

Every change of an image has one function here, which returns the ``K`` of the changed image. A
mirrored or turned image shows a mirrored or turned scene, so the docstrings of those functions give
the change of a point (x, y, z) of the camera frame. Leading axes (``*b``) are free, ``K`` has no
skew, and arrays are numpy's or torch's. Sizes are ``(height, width)`` in pixels.

Frames and units are those of ``rilievo.types``. Written once against the Python array API, so the
same functions serve numpy in ``predict`` and torch, with gradients, in training. Leading axes
(``*b``) are free and ``K`` broadcasts against them.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from jaxtyping import Float, Float64

from rilievo.errors import OptionError


def resize_K(
    K: Float[Any, "*b 3 3"], *, size: tuple[int, int], new_size: tuple[int, int]
) -> Float[Any, "*b 3 3"]:
    """K of the image resized from ``size`` to ``new_size``; points stay where they are.

    Only this function handles the half pixel: edges map to edges, so a coordinate c, counted from
    the centre of the first pixel, becomes (c + 0.5) s - 0.5.
    """
    sy, sx = new_size[0] / size[0], new_size[1] / size[1]
    fx, fy, cx, cy = _entries(K)
    return _matrix(fx * sx, fy * sy, (cx + 0.5) * sx - 0.5, (cy + 0.5) * sy - 0.5)


def crop_K(K: Float[Any, "*b 3 3"], *, top: int, left: int) -> Float[Any, "*b 3 3"]:
    """K of the crop that begins at row ``top`` and column ``left``; points stay where they are."""
    fx, fy, cx, cy = _entries(K)
    return _matrix(fx, fy, cx - left, cy - top)


def flip_K(K: Float[Any, "*b 3 3"], *, width: int) -> Float[Any, "*b 3 3"]:
    """K of the image mirrored left to right: (x, y, z) becomes (-x, y, z)."""
    fx, fy, cx, cy = _entries(K)
    return _matrix(fx, fy, width - 1 - cx, cy)


def rotate_K(
    K: Float[Any, "*b 3 3"], *, size: tuple[int, int], quarter_turns: int
) -> Float[Any, "*b 3 3"]:
    """K of the image turned counter-clockwise, as by ``numpy.rot90(image, quarter_turns)``.

    Each quarter turn takes (x, y, z) to (y, -x, z).

    Args:
        K: Intrinsics of the image before the turn [px].
        size: (height, width) of the image before the turn [px].
        quarter_turns: Number of quarter turns, any integer; negative ones turn clockwise.
    """
    fx, fy, cx, cy = _entries(K)
    height, width = size
    for _ in range(quarter_turns % 4):
        fx, fy, cx, cy = fy, fx, cy, width - 1 - cx
        height, width = width, height
    return _matrix(fx, fy, cx, cy)


def K_from_fov(degrees: float, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
    """K of square pixels whose principal point is the centre of the image.

    Args:
        degrees: Horizontal field of view, from the left edge of the image to its right edge.
        size: (height, width) of the image [px].

    Raises:
        OptionError: If the field of view is not between 0 and 180 degrees.
    """
    if not 0 < degrees < 180:
        raise OptionError(
            f"a field of view lies between 0 and 180 degrees, got {degrees:g}; "
            "most cameras see 30 to 90"
        )
    focal = size[1] / 2 / math.tan(math.radians(degrees) / 2)
    return K_from_focal(focal, focal, size)


def K_from_focal(fx: float, fy: float, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
    """K whose principal point is the centre of the image, ((w - 1) / 2, (h - 1) / 2).

    Raises:
        OptionError: If a focal length [px] is not a positive, finite number.
    """
    if not (0 < fx < math.inf and 0 < fy < math.inf):
        raise OptionError(f"focal lengths are positive numbers of pixels, got {fx:g} and {fy:g}")
    height, width = size
    return np.array([[fx, 0.0, (width - 1) / 2], [0.0, fy, (height - 1) / 2], [0.0, 0.0, 1.0]])


def horizontal_fov(K: Float[Any, "3 3"], width: int) -> float:
    """Field of view from the left edge of the image to its right edge [degrees]."""
    fx, cx = float(K[0, 0]), float(K[0, 2])
    return math.degrees(math.atan((cx + 0.5) / fx) + math.atan((width - 0.5 - cx) / fx))


def _entries(K: Any) -> tuple[Any, Any, Any, Any]:
    return K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2]


def _matrix(fx: Any, fy: Any, cx: Any, cy: Any) -> Any:
    xp = array_namespace(fx)
    zero, one = xp.zeros_like(fx), xp.ones_like(fx)
    rows = ((fx, zero, cx), (zero, fy, cy), (zero, zero, one))
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def rays(K: Float[Any, "*b 3 3"], height: int, width: int) -> Float[Any, "*b 3 {height} {width}"]:
    """Points at depth 1 that the pixel centres see: K⁻¹ (u, v, 1)ᵀ, for a ``K`` without skew."""
    xp = array_namespace(K)
    u = xp.arange(width, dtype=K.dtype, device=K.device)[None, :]
    v = xp.arange(height, dtype=K.dtype, device=K.device)[:, None]
    fx, fy, cx, cy = (K[..., i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    x, y = xp.broadcast_arrays((u - cx) / fx, (v - cy) / fy)
    return xp.stack([x, y, xp.ones_like(x)], axis=-3)


def unproject(depth: Float[Any, "*b h w"], K: Float[Any, "*#b 3 3"]) -> Float[Any, "*b 3 h w"]:
    """Lift a depth map to points in the camera frame [m]; the third channel is ``depth`` itself."""
    height, width = depth.shape[-2:]
    return rays(K, height, width) * depth[..., None, :, :]


def project(
    points: Float[Any, "*b 3 h w"], K: Float[Any, "*#b 3 3"], *, min_depth: float = 1e-6
) -> Float[Any, "*b 2 h w"]:
    """Pixel coordinates (u, v) [px] of points [m] in the camera frame.

    Points nearer than ``min_depth``, or behind the camera, get finite but meaningless coordinates
    and gradients: mask them by their depth.
    """
    xp = array_namespace(points, K)
    x, y, z = points[..., 0, :, :], points[..., 1, :, :], points[..., 2, :, :]
    z = xp.maximum(z, xp.asarray(min_depth, dtype=z.dtype, device=z.device))
    fx, fy, cx, cy = (K[..., i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return xp.stack([fx * x / z + cx, fy * y / z + cy], axis=-3)
