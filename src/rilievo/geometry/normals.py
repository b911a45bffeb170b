"""Surface normals of a depth map.

A plane n·p = d seen by a pinhole has an inverse depth affine in the pixel,

    1/z = a (u - u₀) + b (v - v₀) + c,

with n ∝ (a fx, b fy, c + a (cx - u₀) + b (cy - v₀)), so least squares on 1/z is exact on planes,
however oblique. Windows end at edges and holes (Zhang, Lu and Lafruit 2009, "Cross-based local
stereo matching using orthogonal integral images"). Functions serve numpy and torch.
"""

from collections.abc import Iterator
from typing import Any

from rilievo.arrays.shapes import Bool, Float, Shaped
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import normals_of_planes
from rilievo.geometry.transforms import array_namespace

BAND_PIXELS = 65_536
"""Pixels of the rows that are processed at once.

The data of a band stay in the cache, and a photograph of 100 megapixels takes no more memory than
twice its own normals.
"""

_MIN_DETERMINANT = 1e-3
"""Least determinant of the pixels' covariance [px⁴]; pixels in line determine no plane."""

Maps = Float[Any, "*b h w"]

Masks = Bool[Any, "*b h w"]


def normals_from_depth(
    depth: Maps,
    camera: Camera | Float[Any, "*#b 3 3"],
    valid: Masks | None = None,
    *,
    window: int = 3,
    edge: float = 0.05,
    step: int = 1,
) -> tuple[Float[Any, "*b 3 h w"], Masks]:
    """Compute unit normals towards the camera by plane fits to 1/z.

    Args:
        depth: Depth along the rays. Where it is not positive or not finite, there is a hole.
        camera: Camera of one image, or K [px] for batches and torch.
        valid: Pixels that have depth.
        window: Side of the fitted windows [px], odd. Noise falls with its square.
        edge: Relative step of depth at which a surface ends, unless its slope continues.
        step: Step between the pixels of the map, in those of the camera.

    Returns:
        Normals, zero where they are unknown, and the mask of the known ones.

    Raises:
        OptionError: If the window is not odd and at least 3, or the edge not positive.
    """
    if window < 3 or window % 2 == 0:
        raise OptionError(f"the window of a plane fit must be odd and at least 3, got {window}")
    if not edge > 0:
        raise OptionError(f"a depth edge must be a positive relative step, got {edge}")
    xp = array_namespace(depth)
    height, width = depth.shape[-2:]
    rows_per_band = max(1, BAND_PIXELS // width)
    columns = range(0, width * step, step)
    # Windows reach beyond a band by their radius, and the step after that decides on edges, too.
    halo = window // 2 + 1
    normals, masks = [], []
    for top in range(0, height, rows_per_band):
        bottom = min(top + rows_per_band, height)
        first, end = max(top - halo, 0), min(bottom + halo, height)
        band_valid = None if valid is None else valid[..., first:end, :]
        inverse, usable = _inverse_depth(depth[..., first:end, :], band_valid)
        all_planes, all_are_fitted = _fit_planes(inverse, usable, radius=window // 2, edge=edge)
        without_halo = slice(top - first, bottom - first)
        planes, is_fitted = all_planes[..., without_halo, :], all_are_fitted[..., without_halo, :]

        rows = range(top * step, bottom * step, step)
        vectors = _plane_normals(planes, camera, rows, columns)
        # The product of the vector with the pixel's ray is c, which is positive for a surface in
        # front of the camera.
        is_known = is_fitted & (planes[2, ...] > 0)
        normals.append(_unit_vectors_to_camera(vectors, is_known))
        masks.append(is_known)
    return xp.concat(normals, axis=-2), xp.concat(masks, axis=-2)


def _inverse_depth(depth: Maps, valid: Masks | None) -> tuple[Maps, Masks]:
    """Inverse depth, 0 in holes, and the mask of pixels with depth."""
    xp = array_namespace(depth)
    usable = xp.isfinite(depth) & (depth > 0)
    if valid is not None:
        usable = usable & valid
    safe = xp.where(usable, depth, xp.ones_like(depth))
    return xp.where(usable, 1 / safe, xp.zeros_like(depth)), usable


def _fit_planes(
    inverse: Maps, usable: Masks, *, radius: int, edge: float
) -> tuple[Float[Any, "3 *b h w"], Masks]:
    """Fit 1/z = a du + b dv + c to the window of each pixel, by least squares.

    Returns:
        The coefficients a, b and c, and the mask of pixels for which they are determined.
    """
    xp = array_namespace(inverse)
    joined_right = _is_joined_to_next(inverse, usable, edge, axis=-1)
    joined_below = _is_joined_to_next(inverse, usable, edge, axis=-2)
    row_moments = _row_moments(inverse, usable, radius, joined_right)
    moments = _window_moments(row_moments, usable, radius, joined_below)

    # Sums over each window become means and covariances, where q is 1/z.
    sum_1, sum_u, sum_q, sum_uu, sum_uq, sum_v, sum_uv, sum_vq, sum_vv = (
        moments[k, ...] for k in range(9)
    )
    count = xp.where(usable, sum_1, xp.ones_like(sum_1))
    mean_u, mean_v, mean_q = sum_u / count, sum_v / count, sum_q / count
    cov_uu = sum_uu / count - mean_u * mean_u
    cov_uv = sum_uv / count - mean_u * mean_v
    cov_vv = sum_vv / count - mean_v * mean_v
    cov_uq = sum_uq / count - mean_u * mean_q
    cov_vq = sum_vq / count - mean_v * mean_q
    # The normal equations [[uu, uv], [uv, vv]] (a, b) = (uq, vq), by Cramer's rule.
    determinant = cov_uu * cov_vv - cov_uv * cov_uv
    is_fitted = usable & (determinant > _MIN_DETERMINANT)
    safe_determinant = xp.where(is_fitted, determinant, xp.ones_like(count))
    a = (cov_uq * cov_vv - cov_vq * cov_uv) / safe_determinant
    b = (cov_vq * cov_uu - cov_uq * cov_uv) / safe_determinant
    return xp.stack([a, b, mean_q - a * mean_u - b * mean_v]), is_fitted


def _plane_normals(
    planes: Float[Any, "3 *b h w"],
    camera: Camera | Float[Any, "*#b 3 3"],
    rows: range,
    columns: range,
) -> list[Maps]:
    """Components of the planes' normals, of any length, pointing away from the camera."""
    if isinstance(camera, Camera):
        return camera.lens.normals(planes, rows, columns)
    return normals_of_planes(planes, camera, rows, columns)


def _unit_vectors_to_camera(vectors: list[Maps], is_known: Masks) -> Float[Any, "*b 3 h w"]:
    """Unit vectors in the opposite directions; zero where they are unknown."""
    xp = array_namespace(is_known)
    zero, one = xp.zeros_like(vectors[0]), xp.ones_like(vectors[0])
    # Unknown vectors become (0, 0, 1), so that nothing is divided by zero.
    x, y = xp.where(is_known, vectors[0], zero), xp.where(is_known, vectors[1], zero)
    z = xp.where(is_known, vectors[2], one)
    factor = -xp.where(is_known, one, zero) / xp.sqrt(x * x + y * y + z * z)
    return xp.stack([x * factor, y * factor, z * factor], axis=-3)


def _is_joined_to_next(
    inverse: Maps, usable: Masks, max_relative_step: float, *, axis: int
) -> Bool[Any, "..."]:
    """Whether pixels i and i + 1 along an axis belong to one surface.

    They do if the step of inverse depth between them is small, or if it hardly differs from the
    step before or after it, as on an oblique surface.
    """
    xp = array_namespace(inverse)

    def without_last(array: Any) -> Any:
        """Array without its last entry along the axis."""
        return _slice_axis(array, 0, array.shape[axis] - 1, axis=axis)

    def without_first(array: Any) -> Any:
        """Array without its first entry along the axis."""
        return _slice_axis(array, 1, array.shape[axis], axis=axis)

    pixels, next_pixels = without_last(inverse), without_first(inverse)
    is_step_usable = without_last(usable) & without_first(usable)
    steps = next_pixels - pixels
    max_steps = max_relative_step * xp.minimum(pixels, next_pixels)
    joined = xp.abs(steps) <= max_steps
    if steps.shape[axis] > 1:
        # Differences between consecutive steps.
        bends = xp.abs(without_first(steps) - without_last(steps))
        has_bend = without_first(is_step_usable) & without_last(is_step_usable)
        continues_after = has_bend & (bends <= without_last(max_steps))
        continues_before = has_bend & (bends <= without_first(max_steps))
        # The last step has none after it, and the first one none before it.
        padding = xp.zeros_like(_slice_axis(is_step_usable, 0, 1, axis=axis))
        joined = joined | xp.concat([continues_after, padding], axis=axis)
        joined = joined | xp.concat([padding, continues_before], axis=axis)
    return joined & is_step_usable


def _row_moments(
    inverse: Maps,
    usable: Masks,
    radius: int,
    joined: Bool[Any, "..."],
) -> Float[Any, "5 *b h w"]:
    """Sums of 1, du, q, du² and du·q over the joined pixels of a row (q = 1/z)."""
    xp = array_namespace(inverse)
    # The sums begin with the pixel itself, at du = 0; "+ 0" copies it for in-place sums.
    sum_1 = xp.astype(usable, inverse.dtype) + 0
    sum_u, sum_uu = xp.zeros_like(sum_1), xp.zeros_like(sum_1)
    sum_q, sum_uq = inverse + 0, xp.zeros_like(inverse)
    width, padded = inverse.shape[-1], _pad_zeros(inverse, radius, radius, axis=-1)
    for offset, is_reached in _reachable_offsets(joined, usable, radius, axis=-1):
        weight = xp.astype(is_reached, inverse.dtype)
        start = radius + offset
        shifted_q = weight * _slice_axis(padded, start, start + width, axis=-1)
        sum_1 += weight
        sum_u += offset * weight
        sum_uu += offset * offset * weight
        sum_q += shifted_q
        sum_uq += offset * shifted_q
    return xp.stack([sum_1, sum_u, sum_q, sum_uu, sum_uq])


def _window_moments(
    rows: Float[Any, "5 *b h w"], usable: Masks, radius: int, joined: Bool[Any, "..."]
) -> Float[Any, "9 *b h w"]:
    """Sums of 1, du, q, du², du·q, dv, du·dv, dv·q and dv² over the joined rows.

    ``rows`` are the sums of ``_row_moments``, whose first three are multiplied by dv, too.
    """
    xp = array_namespace(rows)
    weight = xp.astype(usable, rows.dtype)
    sums = rows * weight
    dv_sums, sum_vv = xp.zeros_like(rows[:3, ...]), xp.zeros_like(weight)
    height, padded = rows.shape[-2], _pad_zeros(rows, radius, radius, axis=-2)
    for offset, is_reached in _reachable_offsets(joined, usable, radius, axis=-2):
        weight = xp.astype(is_reached, rows.dtype)
        start = radius + offset
        shifted_rows = weight * _slice_axis(padded, start, start + height, axis=-2)
        sums += shifted_rows
        dv_sums += offset * shifted_rows[:3, ...]
        sum_vv += offset * offset * shifted_rows[0, ...]
    return xp.concat([sums, dv_sums, sum_vv[None, ...]], axis=0)


def _reachable_offsets(
    joined: Bool[Any, "..."], usable: Masks, radius: int, *, axis: int
) -> Iterator[tuple[int, Masks]]:
    """Yield each offset up to a radius, and the pixels that are joined to the pixel there."""
    size, padded = usable.shape[axis], _pad_zeros(joined, radius, radius + 1, axis=axis)
    for direction in (1, -1):
        is_reached = usable
        for distance in range(1, radius + 1):
            # Entry i of ``joined`` lies between pixels i and i + 1.
            start = radius + (distance - 1 if direction > 0 else -distance)
            is_reached = is_reached & _slice_axis(padded, start, start + size, axis=axis)
            yield direction * distance, is_reached


def _slice_axis(
    array: Shaped[Any, "..."], start: int, stop: int, *, axis: int
) -> Shaped[Any, "..."]:
    """Rows (axis -2) or columns (axis -1) of an array."""
    return array[..., start:stop] if axis == -1 else array[..., start:stop, :]


def _pad_zeros(
    array: Shaped[Any, "..."], before: int, after: int, *, axis: int
) -> Shaped[Any, "..."]:
    """Array with rows or columns of zeros before and after it."""
    xp = array_namespace(array)
    shape = list(array.shape)
    parts = []
    for count in (before, after):
        shape[axis] = count
        parts.append(xp.zeros(tuple(shape), dtype=array.dtype, device=array.device))
    return xp.concat([parts[0], array, parts[1]], axis=axis)
