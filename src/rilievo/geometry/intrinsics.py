"""Pinhole intrinsics: their change with the image, pixels to points and back.

Functions are written against the Python array API, for numpy and torch, with gradients.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Float, Matrix
from rilievo.errors import OptionError
from rilievo.geometry.transforms import array_namespace

Intrinsics = Float[Any, "*b 3 3"]

FULL_FRAME_DIAGONAL = math.hypot(36.0, 24.0)
"""Diagonal of 35 mm film [mm]."""
MIN_DEPTH = 1e-6
"""Least depth of a visible point."""


def resize_K(K: Intrinsics, *, size: tuple[int, int], new_size: tuple[int, int]) -> Intrinsics:
    """K of the resized image.

    Only this function handles the half pixel: c becomes (c + 0.5) s - 0.5.
    """
    sy, sx = new_size[0] / size[0], new_size[1] / size[1]
    fx, fy, cx, cy = _fx_fy_cx_cy(K)
    return _K_of_entries(fx * sx, fy * sy, (cx + 0.5) * sx - 0.5, (cy + 0.5) * sy - 0.5)


def crop_K(K: Intrinsics, *, top: int, left: int) -> Intrinsics:
    """K of the crop from row ``top`` and column ``left``."""
    fx, fy, cx, cy = _fx_fy_cx_cy(K)
    return _K_of_entries(fx, fy, cx - left, cy - top)


def flip_K(K: Intrinsics, *, width: int) -> Intrinsics:
    """K of the mirrored image: (x, y, z) becomes (-x, y, z)."""
    fx, fy, cx, cy = _fx_fy_cx_cy(K)
    return _K_of_entries(fx, fy, width - 1 - cx, cy)


def K_from_fov(degrees: float, size: tuple[int, int]) -> Matrix:
    """K with square pixels and a centred principal point, from the horizontal field of view.

    Raises:
        OptionError: If the field of view is not between 0 and 180 degrees.
    """
    if not 0 < degrees < 180:
        raise OptionError(
            f"a field of view must lie between 0 and 180 degrees, got {degrees:g}; most "
            "cameras see 30 to 90"
        )
    focal = size[1] / 2 / math.tan(math.radians(degrees) / 2)
    return K_from_focal(focal, focal, size)


def K_from_focal(fx: float, fy: float, size: tuple[int, int]) -> Matrix:
    """K with the principal point in the middle of the picture, ((w - 1) / 2, (h - 1) / 2).

    Raises:
        OptionError: If a focal length [px] is not positive and finite.
    """
    if not (0 < fx < math.inf and 0 < fy < math.inf):
        raise OptionError(
            f"focal lengths must be positive numbers of pixels, got {fx:g} and {fy:g}"
        )
    height, width = size
    return pinhole_K(fx, fy, (width - 1) / 2, (height - 1) / 2)


def pinhole_K(fx: float, fy: float, cx: float, cy: float) -> Matrix:
    """K of its four numbers [px]."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def focal_from_film(millimetres: float, size: tuple[int, int]) -> float:
    """Focal length [px] from the 35 mm equivalent, by the diagonal (CIPA DCG-001)."""
    return millimetres * math.hypot(*size) / FULL_FRAME_DIAGONAL


def horizontal_fov(K: Float[Any, "3 3"], width: int) -> float:
    """Field of view from edge to edge [degrees]."""
    fx, cx = float(K[0, 0]), float(K[0, 2])
    return math.degrees(math.atan((cx + 0.5) / fx) + math.atan((width - 0.5 - cx) / fx))


def _fx_fy_cx_cy(K: Any) -> tuple[Any, Any, Any, Any]:
    return K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2]


def _K_of_entries(fx: Any, fy: Any, cx: Any, cy: Any) -> Any:
    xp = array_namespace(fx)
    zero, one = xp.zeros_like(fx), xp.ones_like(fx)
    rows = ((fx, zero, cx), (zero, fy, cy), (zero, zero, one))
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def rays(K: Intrinsics, height: int, width: int) -> Float[Any, "*b 3 {height} {width}"]:
    """Points at depth 1 of pixel centres: K⁻¹ (u, v, 1)ᵀ."""
    xp = array_namespace(K)
    u = xp.arange(width, dtype=K.dtype, device=K.device)[None, :]
    v = xp.arange(height, dtype=K.dtype, device=K.device)[:, None]
    fx, fy, cx, cy = (entry[..., None, None] for entry in _fx_fy_cx_cy(K))
    x, y = xp.broadcast_arrays((u - cx) / fx, (v - cy) / fy)
    return xp.stack([x, y, xp.ones_like(x)], axis=-3)


def unproject(depth: Float[Any, "*b h w"], K: Float[Any, "*#b 3 3"]) -> Float[Any, "*b 3 h w"]:
    """Lift depth to points in the camera frame [m]."""
    height, width = depth.shape[-2:]
    return rays(K, height, width) * depth[..., None, :, :]


def project(
    points: Float[Any, "*b 3 h w"], K: Float[Any, "*#b 3 3"], *, min_depth: float = 1e-6
) -> Float[Any, "*b 2 h w"]:
    """Pixels (u, v) [px] of points in the camera frame.

    Points nearer than ``min_depth`` get finite but meaningless values: mask them.
    """
    xp = array_namespace(points, K)
    x, y, z = points[..., 0, :, :], points[..., 1, :, :], points[..., 2, :, :]
    z = xp.maximum(z, xp.asarray(min_depth, dtype=z.dtype, device=z.device))
    fx, fy, cx, cy = (entry[..., None, None] for entry in _fx_fy_cx_cy(K))
    return xp.stack([fx * x / z + cx, fy * y / z + cy], axis=-3)


def normals_of_planes(
    planes: Float[Any, "3 *b h w"], K: Float[Any, "*#b 3 3"], rows: range, columns: range
) -> list[Float[Any, "*b h w"]]:
    """Components of n of planes n·p = 1, from 1/z = a du + b dv + c at each pixel.

    du and dv count steps of the columns and rows. 1/z is n · (x / z, y / z, 1), so the first two
    components of n are a fx and b fy per step, and the third is 1/z at the principal point.
    """
    xp = array_namespace(planes, K)
    a, b, c = planes[0, ...], planes[1, ...], planes[2, ...]
    K = xp.astype(K, c.dtype)
    fx, fy, cx, cy = (entry[..., None, None] for entry in _fx_fy_cx_cy(K))
    u, v = (
        xp.arange(span.start, span.stop, span.step, dtype=c.dtype, device=c.device)
        for span in (columns, rows)
    )
    du_to_centre, dv_to_centre = (cx - u[None, :]) / columns.step, (cy - v[:, None]) / rows.step
    at_centre = c + a * du_to_centre + b * dv_to_centre
    return [a * (fx / columns.step), b * (fy / rows.step), at_centre]


def project_to_source(
    depth: Float[Any, "*b h w"],
    K: Float[Any, "*#b 3 3"],
    source_T_target: Float[Any, "*#b 4 4"],
    *,
    epsilon: float | None = None,
) -> Float[Any, "*b 3 h w"]:
    """Pixels (u, v) [px] and depth in the source image of the target's pixels.

    With H = K (R - 1) K⁻¹ and e = K t, the pixel q = (u, v, 1) with the depth d is seen at
    d (q + H q) + e, in homogeneous coordinates. This is exactly q if the camera does not move.

    ``epsilon`` is added to the divisor, 1e-7 in Monodepth2 (Godard et al. 2019), which mirrors
    points behind the camera. If it is None, mask points nearer than ``MIN_DEPTH``.
    """
    xp = array_namespace(depth, K, source_T_target)
    height, width = depth.shape[-2:]
    u = xp.arange(width, dtype=depth.dtype, device=depth.device)[None, :]
    v = xp.arange(height, dtype=depth.dtype, device=depth.device)[:, None]
    R, t = source_T_target[..., :3, :3], source_T_target[..., :3, 3:]
    H = K @ (R - xp.eye(3, dtype=R.dtype, device=R.device)) @ _inverse_K(K)
    e = K @ t
    # The three components of H q and of e.
    Hq_x, Hq_y, Hq_z = (
        (H[..., k, 0, None, None] * u + H[..., k, 2, None, None]) + H[..., k, 1, None, None] * v
        for k in range(3)
    )
    e_x, e_y, e_z = (e[..., k, :, None] for k in range(3))
    # Homogeneous coordinates are d (q + H q) + e; the third one is the depth in the source image.
    z = depth * (1 + Hq_z) + e_z
    # The pixel moves by (du_z / z, dv_z / z), which is exactly 0 for a camera that does not move.
    du_z = depth * (Hq_x - u * Hq_z) + (e_x - u * e_z)
    dv_z = depth * (Hq_y - v * Hq_z) + (e_y - v * e_z)
    if epsilon is None:
        divisor = xp.clip(z, min=MIN_DEPTH)
    else:
        # The published divisor applies to the position u z + du_z, not to its change.
        du_z, dv_z, divisor = du_z - epsilon * u, dv_z - epsilon * v, z + epsilon
    return xp.stack([u + du_z / divisor, v + dv_z / divisor, z], axis=-3)


def _inverse_K(K: Intrinsics) -> Intrinsics:
    fx, fy, cx, cy = _fx_fy_cx_cy(K)
    return _K_of_entries(1 / fx, 1 / fy, -cx / fx, -cy / fy)


@dataclass(frozen=True, slots=True)
class Millimetres:
    """Focal length of an uncropped picture: 35 mm equivalent, or true with a sensor's width.

    Raises:
        OptionError: If one [mm] is not a positive number.
    """

    focal: float
    sensor: float | None = None

    def __post_init__(self) -> None:
        sensor = 1.0 if self.sensor is None else self.sensor
        if not (0 < self.focal < math.inf and 0 < sensor < math.inf):
            raise OptionError(f"lengths in millimetres must be positive, got {self}")

    def __str__(self) -> str:
        return f"{self.focal:.10g}mm" + ("" if self.sensor is None else f"/{self.sensor:.10g}mm")

    def pixels(self, size: tuple[int, int]) -> float:
        """Focal length [px] of a picture, upright or not."""
        if self.sensor is None:
            return focal_from_film(self.focal, size)
        return self.focal / self.sensor * max(size)
