"""Rigid motions between frames: ``a_T_b`` takes points of frame b to frame a.

Functions are written against the Python array API, for numpy and torch.

Namespaces of array functions of NumPy and PyTorch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Float

_IS_STANDARD = hasattr(np, "astype")
"""Whether NumPy has the array API, as since 2.1."""


def array_namespace(*arrays: object) -> Any:
    """NumPy itself, or a module of array-api-compat, imported on demand (0.1 s)."""
    if _IS_STANDARD and all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    from array_api_compat import array_namespace as namespace

    return namespace(*arrays)


def rigid(R: Float[Any, "*#b 3 3"], t: Float[Any, "*#b 3"]) -> Float[Any, "*b 4 4"]:
    """Transform p ↦ R p + t."""
    xp = array_namespace(R, t)
    t = t[..., None] + xp.zeros_like(R[..., :1])
    top = xp.concat([R + xp.zeros_like(t), t], axis=-1)
    last = xp.asarray([0.0, 0.0, 0.0, 1.0], dtype=R.dtype, device=R.device)
    return xp.concat([top, xp.zeros_like(top[..., :1, :]) + last], axis=-2)


def invert(a_T_b: Float[Any, "*b 4 4"]) -> Float[Any, "*b 4 4"]:
    """``b_T_a``, more exact than a general inverse."""
    xp = array_namespace(a_T_b)
    Rt = xp.matrix_transpose(a_T_b[..., :3, :3])
    return rigid(Rt, -(Rt @ a_T_b[..., :3, 3:])[..., 0])


def scale_translation(a_T_b: Float[Any, "*b 4 4"], factor: Float[Any, "*b"]) -> Any:
    """Multiply the translation, for another unit."""
    return rigid(a_T_b[..., :3, :3], a_T_b[..., :3, 3] * factor[..., None])


def transform_points(
    a_T_b: Float[Any, "*#b 4 4"], points: Float[Any, "*#b 3 n"]
) -> Float[Any, "*b 3 n"]:
    """Take columns of points from frame b to a."""
    return a_T_b[..., :3, :3] @ points + a_T_b[..., :3, 3:]


def transform(
    a_T_b: Float[Any, "*#b 4 4"], points: Float[Any, "*#b 3 h w"]
) -> Float[Any, "*b 3 h w"]:
    """Take a map of points from frame b to a."""
    xp = array_namespace(a_T_b, points)
    height, width = points.shape[-2:]
    moved = transform_points(a_T_b, xp.reshape(points, (*points.shape[:-2], height * width)))
    return xp.reshape(moved, (*moved.shape[:-1], height, width))


def rotation_from_axis_angle(axis_angle: Float[Any, "*b 3"]) -> Float[Any, "*b 3 3"]:
    """Rotation about ``axis_angle`` by its length [rad], right-handed.

    Rodrigues' formula R = I + A [w]ₓ + B [w]ₓ²; by series near 0, for finite gradients.
    """
    xp = array_namespace(axis_angle)
    squared = xp.sum(axis_angle * axis_angle, axis=-1)[..., None, None]
    # Under this angle the first dropped term of both series is below float64's rounding.
    small = squared < 1e-5
    theta = xp.sqrt(xp.where(small, xp.ones_like(squared), squared))
    half = xp.sin(theta / 2) / theta
    A = xp.where(small, 1 - squared / 6 * (1 - squared / 20), xp.sin(theta) / theta)
    B = xp.where(small, (1 - squared / 12 * (1 - squared / 30)) / 2, 2 * half * half)
    cross = cross_matrix(axis_angle)
    eye = xp.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + A * cross + B * (cross @ cross)


def axis_angle_from_rotation(R: Float[Any, "*b 3 3"]) -> Float[Any, "*b 3"]:
    """Axis times angle [rad], in [0, π], of a rotation.

    It comes from the unit quaternion; at π either sign. Gradients are finite.
    """
    xp = array_namespace(R)
    q = quaternion_from_rotation(R)
    w, vector = q[..., :1], q[..., 1:]
    # q and -q are the same rotation; the one with w ≥ 0 turns by at most π.
    sign = xp.where(w < 0, -xp.ones_like(w), xp.ones_like(w))
    w, vector = w * sign, vector * sign
    squared = xp.sum(vector * vector, axis=-1)[..., None]
    small = squared < 1e-5
    sine = xp.sqrt(xp.where(small, xp.ones_like(squared), squared))
    # 2 atan(s / w) / s; its series for small s, with w kept from zero where it is not used.
    safe_w = xp.where(small, w, xp.ones_like(w))
    ratio = squared / (safe_w * safe_w)
    series = 2 / safe_w * (1 - ratio / 3 + ratio * ratio / 5)
    return vector * xp.where(small, series, 2 * xp.atan2(sine, w) / sine)


def cross_matrix(vector: Float[Any, "*b 3"]) -> Float[Any, "*b 3 3"]:
    """[w]ₓ, whose product is the cross product w × vector."""
    xp = array_namespace(vector)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = xp.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    return _stack_matrix(rows)


def rotation_from_quaternion(quaternion: Float[Any, "*b 4"]) -> Float[Any, "*b 3 3"]:
    """Rotation of a quaternion (w, x, y, z) of any length."""
    xp = array_namespace(quaternion)
    unit = quaternion / xp.sqrt(xp.sum(quaternion * quaternion, axis=-1, keepdims=True))
    w, x, y, z = (unit[..., place] for place in range(4))
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return _stack_matrix(rows)


def quaternion_from_rotation(R: Float[Any, "*b 3 3"]) -> Float[Any, "*b 4"]:
    """Unit quaternion (w, x, y, z), of either sign.

    The row of 4 q qᵀ with the largest diagonal is normalised (Bar-Itzhack 2000).
    """
    xp = array_namespace(R)
    a, b, c, d, e, f, g, h, i = (R[..., row, col] for row in range(3) for col in range(3))
    rows = (
        (1 + a + e + i, h - f, c - g, d - b),
        (h - f, 1 + a - e - i, b + d, c + g),
        (c - g, b + d, 1 - a + e - i, f + h),
        (d - b, c + g, f + h, 1 - a - e + i),
    )
    row, largest = rows[0], rows[0][0]
    for k in (1, 2, 3):
        is_larger = rows[k][k] > largest
        largest = xp.where(is_larger, rows[k][k], largest)
        row = tuple(xp.where(is_larger, new, old) for new, old in zip(rows[k], row, strict=True))
    row = xp.stack(row, axis=-1)
    return row / xp.sqrt(xp.sum(row * row, axis=-1)[..., None])


def _stack_matrix(rows: Sequence[Sequence[Any]]) -> Any:
    xp = array_namespace(rows[0][0])
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
