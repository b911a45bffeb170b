"""Rigid motions between frames: ``a_T_b`` takes points of frame b to frame a.

Functions are written against the Python array API, for numpy and torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Float

_IS_STANDARD = hasattr(np, "astype")
"""Whether NumPy has the array API, as since 2.1."""
_MAX_ROTATION_ERROR = 1e-3
"""Largest difference of R Rᵀ from the identity, and of an entry of R from the range of -1 to 1."""
_MAX_TRANSLATION = 1e9  # [m], larger ones are damage


def array_namespace(*arrays: object) -> Any:
    """NumPy itself, or a module of array-api-compat, imported on demand (0.1 s)."""
    if _IS_STANDARD and all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    from array_api_compat import array_namespace as namespace

    return namespace(*arrays)


def rigid(R: Float[Any, "*#b 3 3"], t: Float[Any, "*#b 3"]) -> Float[Any, "*b 4 4"]:
    """Matrix of the transform p ↦ R p + t."""
    xp = array_namespace(R, t)
    # Adding zeros broadcasts the batch dimensions of R and t to each other.
    column = t[..., None] + xp.zeros_like(R[..., :1])
    upper_rows = xp.concat([R + xp.zeros_like(column), column], axis=-1)
    last_row = xp.asarray([0.0, 0.0, 0.0, 1.0], dtype=R.dtype, device=R.device)
    return xp.concat([upper_rows, xp.zeros_like(upper_rows[..., :1, :]) + last_row], axis=-2)


def is_rigid_motion(a_T_b: Float[np.ndarray, "_ 4"]) -> bool:
    """Whether a matrix of 3 or 4 rows is a rotation and a translation [m], as files should hold.

    False, without a warning, also for numbers that are not finite or so large that they overflow.
    """
    R, t = a_T_b[:3, :3], a_T_b[:3, 3]
    has_plausible_rotation = (np.abs(R) <= 1 + _MAX_ROTATION_ERROR).all()  # false for NaN too
    has_plausible_translation = (np.abs(t) < _MAX_TRANSLATION).all()
    if not (has_plausible_rotation and has_plausible_translation):
        return False
    error = np.abs(R @ R.T - np.eye(3)).max()
    return bool(error <= _MAX_ROTATION_ERROR and np.linalg.det(R) > 0)


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
    """Rotation about ``axis_angle`` by its length θ [rad], right-handed.

    Rodrigues' formula is R = I + A [w]ₓ + B [w]ₓ², with A = sin θ / θ and B = (1 - cos θ) / θ².
    Near 0, both are Taylor series, so that gradients are finite.
    """
    xp = array_namespace(axis_angle)
    squared_angle = xp.sum(axis_angle * axis_angle, axis=-1)[..., None, None]
    # Below this angle, the first omitted term of both series is smaller than float64's rounding.
    is_small = squared_angle < 1e-5
    theta = xp.sqrt(xp.where(is_small, xp.ones_like(squared_angle), squared_angle))
    A_series = 1 - squared_angle / 6 * (1 - squared_angle / 20)
    A = xp.where(is_small, A_series, xp.sin(theta) / theta)
    # 1 - cos θ = 2 sin²(θ / 2) loses no digits.
    half_sine = xp.sin(theta / 2) / theta
    B_series = (1 - squared_angle / 12 * (1 - squared_angle / 30)) / 2
    B = xp.where(is_small, B_series, 2 * half_sine * half_sine)
    cross = cross_matrix(axis_angle)
    eye = xp.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + A * cross + B * (cross @ cross)


def axis_angle_from_rotation(R: Float[Any, "*b 3 3"]) -> Float[Any, "*b 3"]:
    """Axis times angle [rad], in [0, π], of a rotation.

    It follows from the unit quaternion (w, s axis), with s = sin(angle / 2): the angle is
    2 atan(s / w). At π, the sign is arbitrary. Gradients are finite.
    """
    xp = array_namespace(R)
    q = quaternion_from_rotation(R)
    w, vector = q[..., :1], q[..., 1:]
    # q and -q are the same rotation; the one with w ≥ 0 turns by at most π.
    sign = xp.where(w < 0, -xp.ones_like(w), xp.ones_like(w))
    w, vector = w * sign, vector * sign
    squared_sine = xp.sum(vector * vector, axis=-1)[..., None]
    is_small = squared_sine < 1e-5
    sine = xp.sqrt(xp.where(is_small, xp.ones_like(squared_sine), squared_sine))
    # Angle over s; for small s its Taylor series. Where that is not used, w must not be 0.
    safe_w = xp.where(is_small, w, xp.ones_like(w))
    squared_tangent = squared_sine / (safe_w * safe_w)
    series = 2 / safe_w * (1 - squared_tangent / 3 + squared_tangent * squared_tangent / 5)
    return vector * xp.where(is_small, series, 2 * xp.atan2(sine, w) / sine)


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
    w, x, y, z = (unit[..., index] for index in range(4))
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return _stack_matrix(rows)


def quaternion_from_rotation(R: Float[Any, "*b 3 3"]) -> Float[Any, "*b 4"]:
    """Unit quaternion (w, x, y, z), of either sign.

    Each row of 4 q qᵀ is a multiple of q. The one with the largest diagonal is normalised, because
    it has the smallest rounding errors (Bar-Itzhack 2000).
    """
    xp = array_namespace(R)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = (
        R[..., row, column] for row in range(3) for column in range(3)
    )
    rows = (
        (1 + xx + yy + zz, zy - yz, xz - zx, yx - xy),
        (zy - yz, 1 + xx - yy - zz, xy + yx, xz + zx),
        (xz - zx, xy + yx, 1 - xx + yy - zz, yz + zy),
        (yx - xy, xz + zx, yz + zy, 1 - xx - yy + zz),
    )
    best_row, largest_diagonal = rows[0], rows[0][0]
    for index in (1, 2, 3):
        diagonal = rows[index][index]
        is_larger = diagonal > largest_diagonal
        largest_diagonal = xp.where(is_larger, diagonal, largest_diagonal)
        best_row = tuple(
            xp.where(is_larger, new, old) for new, old in zip(rows[index], best_row, strict=True)
        )
    q = xp.stack(best_row, axis=-1)
    return q / xp.sqrt(xp.sum(q * q, axis=-1)[..., None])


def _stack_matrix(rows: Sequence[Sequence[Any]]) -> Any:
    xp = array_namespace(rows[0][0])
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
