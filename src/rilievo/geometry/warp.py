"""Pixels of one camera as seen by another, given depth and the motion between them.

Written against the Python array API, for numpy and, with gradients, for torch. Leading axes
(``*b``) are free, and those of the arguments broadcast.
"""

from typing import Any

from array_api_compat import array_namespace
from jaxtyping import Float

LEAST_DEPTH = 1e-6
"""Least depth of a visible point in a source camera; nearer points, or those behind, are unseen."""


def seen_from(
    depth: Float[Any, "*b h w"],
    K: Float[Any, "*#b 3 3"],
    source_T_target: Float[Any, "*#b 4 4"],
    *,
    epsilon: float | None = None,
) -> Float[Any, "*b 3 h w"]:
    """Pixel coordinates (u, v) [px] in the source image, and depth there, of the target's pixels.

    With H = K (R - 1) K⁻¹ and e = K t, a pixel q = (u, v, 1) of depth d lies at
    d (q + H q) + e before the division. The *displacement* is computed, not the position: it is
    exactly zero for a camera that did not move, and K K⁻¹ adds no rounding errors of 32-bit floats.

    Args:
        depth: Depth of the target [m, or the unit of the translation].
        K: Intrinsics of both cameras [px], without skew.
        source_T_target: Transform from points of the target camera to the source camera.
        epsilon: Number added to the divisor wherever the point lies, as Monodepth2 (Godard et al.
            2019) does with 1e-7; a point behind the camera is then mirrored into the image. With
            None, points behind the source camera (third channel under ``LEAST_DEPTH``) get finite
            but meaningless coordinates and gradients: mask them.
    """
    xp = array_namespace(depth, K, source_T_target)
    height, width = depth.shape[-2:]
    u = xp.arange(width, dtype=depth.dtype, device=depth.device)[None, :]
    v = xp.arange(height, dtype=depth.dtype, device=depth.device)[:, None]
    R, t = source_T_target[..., :3, :3], source_T_target[..., :3, 3:]
    H = K @ (R - xp.eye(3, dtype=R.dtype, device=R.device)) @ _inverse(K)
    e = K @ t
    ax, ay, az = (
        (H[..., k, 0, None, None] * u + H[..., k, 2, None, None]) + H[..., k, 1, None, None] * v
        for k in range(3)
    )
    ex, ey, ez = (e[..., k, :, None] for k in range(3))
    z = depth * (1 + az) + ez
    across = depth * (ax - u * az) + (ex - u * ez)
    down = depth * (ay - v * az) + (ey - v * ez)
    if epsilon is None:
        divisor = xp.clip(z, LEAST_DEPTH)
    else:
        # u + across / z is position / z; the published divisor applies to the position.
        across, down, divisor = across - epsilon * u, down - epsilon * v, z + epsilon
    return xp.stack([u + across / divisor, v + down / divisor, z], axis=-3)


def _inverse(K: Float[Any, "*b 3 3"]) -> Float[Any, "*b 3 3"]:
    """Invert intrinsics without skew."""
    xp = array_namespace(K)
    fx, fy, cx, cy = (K[..., i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    zero, one = xp.zeros_like(fx), xp.ones_like(fx)
    rows = ((1 / fx, zero, -cx / fx), (zero, 1 / fy, -cy / fy), (zero, zero, one))
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
