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

# Rows are processed in bands of about this many pixels: a band's data stay in the cache, and a
# photograph of 100 megapixels takes no more memory than twice its own normals.
BAND_PIXELS = 65_536

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
    """Compute unit normals towards the camera by plane fits to 1/z, and the mask of known ones.

    Args:
        depth: Depth along the rays; not positive or finite is a hole.
        camera: Camera of one image, or K [px] for batches and torch.
        valid: Pixels that have depth.
        window: Side [px], odd. Noise falls with its square.
        edge: Relative step of depth between surfaces, unless the slope continues.
        step: Step between the camera's pixels.

    Raises:
        OptionError: If the window is not odd and at least 3, or the edge not positive.
    """
    if window < 3 or window % 2 == 0:
        raise OptionError(f"the window of a plane fit is odd and at least 3, not {window}")
    if not edge > 0:
        raise OptionError(f"a depth edge is a positive relative step, not {edge}")
    xp = array_namespace(depth)
    height, width = depth.shape[-2:]
    columns = range(0, width * step, step)
    rows = max(1, BAND_PIXELS // width)
    # One row beyond the reach: whether a step is an edge depends on the step after it.
    halo = window // 2 + 1
    normals, masks = [], []
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = max(top - halo, 0), min(bottom + halo, height)
        band_valid = None if valid is None else valid[..., first:last, :]
        inverse, usable = _inverse_depth(depth[..., first:last, :], band_valid)
        plane, held = _fit_planes(inverse, usable, radius=window // 2, edge=edge)
        inside = slice(top - first, bottom - first)
        band_rows = range(top * step, bottom * step, step)
        vectors = _plane_normals(plane[..., inside, :], camera, band_rows, columns)
        # The vector's product with the pixel's ray is c: a surface before the camera has c > 0.
        n, ok = _unit_vectors_to_camera(
            vectors, held[..., inside, :] & (plane[2, ..., inside, :] > 0)
        )
        normals.append(n)
        masks.append(ok)
    return xp.concat(normals, axis=-2), xp.concat(masks, axis=-2)


def _inverse_depth(depth: Maps, valid: Masks | None) -> tuple[Maps, Masks]:
    xp = array_namespace(depth)
    usable = xp.isfinite(depth) & (depth > 0)
    if valid is not None:
        usable = usable & valid
    safe = xp.where(usable, depth, xp.ones_like(depth))
    return xp.where(usable, 1 / safe, xp.zeros_like(depth)), usable


def _fit_planes(
    inverse: Maps, usable: Masks, *, radius: int, edge: float
) -> tuple[Float[Any, "3 *b h w"], Masks]:
    """Coefficients of 1/z = a du + b dv + c, and their mask."""
    xp = array_namespace(inverse)
    rows = _row_moments(inverse, usable, radius, _is_joined_to_next(inverse, usable, edge, axis=-1))
    moments = _window_moments(
        rows, usable, radius, _is_joined_to_next(inverse, usable, edge, axis=-2)
    )
    n, su, sq, suu, suq, sv, suv, svq, svv = (moments[k, ...] for k in range(9))
    n = xp.where(usable, n, xp.ones_like(n))
    u, v, q = su / n, sv / n, sq / n
    uu, uv, vv = suu / n - u * u, suv / n - u * v, svv / n - v * v
    uq, vq = suq / n - u * q, svq / n - v * q
    determinant = uu * vv - uv * uv
    # On a grid of pixels it is far above this unless they lie in line.
    held = usable & (determinant > 1e-3)
    determinant = xp.where(held, determinant, xp.ones_like(n))
    a = (uq * vv - vq * uv) / determinant
    b = (vq * uu - uq * uv) / determinant
    return xp.stack([a, b, q - a * u - b * v]), held


def _plane_normals(
    planes: Float[Any, "3 *b h w"],
    camera: Camera | Float[Any, "*#b 3 3"],
    rows: range,
    columns: range,
) -> list[Maps]:
    if isinstance(camera, Camera):
        return camera.lens.normals(planes, rows, columns)
    return normals_of_planes(planes, camera, rows, columns)


def _unit_vectors_to_camera(
    vectors: list[Maps], held: Masks
) -> tuple[Float[Any, "*b 3 h w"], Masks]:
    """Unit vectors towards the camera; zero where not ``held``."""
    xp = array_namespace(held)
    zero, one = xp.zeros_like(vectors[0]), xp.ones_like(vectors[0])
    x, y, z = (
        xp.where(held, part, other) for part, other in zip(vectors, (zero, zero, one), strict=True)
    )
    shrink = -xp.where(held, one, zero) / xp.sqrt(x * x + y * y + z * z)
    return xp.stack([x * shrink, y * shrink, z * shrink], axis=-3), held


def _is_joined_to_next(inverse: Maps, usable: Masks, edge: float, *, axis: int) -> Bool[Any, "..."]:
    """Whether pixels i and i + 1 are one surface."""
    xp = array_namespace(inverse)
    size = inverse.shape[axis]
    near, far = (
        _slice_axis(inverse, 0, size - 1, axis=axis),
        _slice_axis(inverse, 1, size, axis=axis),
    )
    step = far - near
    both = _slice_axis(usable, 0, size - 1, axis=axis) & _slice_axis(usable, 1, size, axis=axis)
    limit = edge * xp.minimum(near, far)
    joined = xp.abs(step) <= limit
    if size > 2:
        bend = xp.abs(
            _slice_axis(step, 1, size - 1, axis=axis) - _slice_axis(step, 0, size - 2, axis=axis)
        )
        valid = _slice_axis(both, 1, size - 1, axis=axis) & _slice_axis(
            both, 0, size - 2, axis=axis
        )
        none = _slice_axis(both, 0, 1, axis=axis) & False
        after = valid & (bend <= _slice_axis(limit, 0, size - 2, axis=axis))
        before = valid & (bend <= _slice_axis(limit, 1, size - 1, axis=axis))
        joined = joined | xp.concat([after, none], axis=axis) | xp.concat([none, before], axis=axis)
    return joined & both


def _row_moments(
    inverse: Maps,
    usable: Masks,
    radius: int,
    joined: Bool[Any, "..."],
) -> Float[Any, "5 *b h w"]:
    """Sums of 1, du, q, du² and du·q (q = 1/z)."""
    xp = array_namespace(inverse)
    one = xp.astype(usable, inverse.dtype)
    n, u, uu = one + 0, xp.zeros_like(one), xp.zeros_like(one)
    q, uq = inverse + 0, xp.zeros_like(inverse)
    width, padded = q.shape[-1], _pad_zeros(inverse, radius, radius, axis=-1)
    for offset, reached in _reachable_offsets(joined, usable, radius, axis=-1):
        share = xp.astype(reached, inverse.dtype)
        value = share * _slice_axis(padded, radius + offset, radius + offset + width, axis=-1)
        n += share
        u += offset * share
        uu += offset * offset * share
        q += value
        uq += offset * value
    return xp.stack([n, u, q, uu, uq])


def _window_moments(
    rows: Float[Any, "5 *b h w"], usable: Masks, radius: int, joined: Bool[Any, "..."]
) -> Float[Any, "9 *b h w"]:
    """Sums of 1, du, q, du², du·q, dv, du·dv, dv·q and dv²."""
    xp = array_namespace(rows)
    share = xp.astype(usable, rows.dtype)
    total = rows * share
    first, second = xp.zeros_like(rows[:3, ...]), xp.zeros_like(share)
    height, padded = rows.shape[-2], _pad_zeros(rows, radius, radius, axis=-2)
    for offset, reached in _reachable_offsets(joined, usable, radius, axis=-2):
        share = xp.astype(reached, rows.dtype)
        value = share * _slice_axis(padded, radius + offset, radius + offset + height, axis=-2)
        total += value
        first += offset * value[:3, ...]
        second += offset * offset * value[0, ...]
    return xp.concat([total, first, second[None, ...]], axis=0)


def _reachable_offsets(
    joined: Bool[Any, "..."], usable: Masks, radius: int, *, axis: int
) -> Iterator[tuple[int, Masks]]:
    """Each offset, and pixels joined to the one there."""
    size, padded = usable.shape[axis], _pad_zeros(joined, radius, radius + 1, axis=axis)
    for way in (1, -1):
        reached = usable
        for distance in range(1, radius + 1):
            # Entry i of ``joined`` stands between pixels i and i + 1.
            start = radius + (distance - 1 if way > 0 else -distance)
            reached = reached & _slice_axis(padded, start, start + size, axis=axis)
            yield way * distance, reached


def _slice_axis(
    array: Shaped[Any, "..."], start: int, stop: int, *, axis: int
) -> Shaped[Any, "..."]:
    return array[..., start:stop] if axis == -1 else array[..., start:stop, :]


def _pad_zeros(
    array: Shaped[Any, "..."], before: int, after: int, *, axis: int
) -> Shaped[Any, "..."]:
    xp = array_namespace(array)
    shape = list(array.shape)
    parts = []
    for count in (before, after):
        shape[axis] = count
        parts.append(xp.zeros(tuple(shape), dtype=array.dtype, device=array.device))
    return xp.concat([parts[0], array, parts[1]], axis=axis)
