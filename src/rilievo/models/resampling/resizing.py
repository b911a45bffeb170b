"""Resize a network's maps to the photograph."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Vectors
from rilievo.io.png import bands
from rilievo.models.resampling.inference import Filter, Resizing, Space
from rilievo.records.depth_map import DepthKind, DepthMap

# Keys 1981, as PyTorch and OpenCV.
_CUBIC = -0.75


def resize(
    field: Float32[np.ndarray, "*c a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "*c h w"]:
    """Resize linearly, antialiased where it shrinks."""
    if field.shape[-2:] == shape:
        return field
    if shape[0] > field.shape[-2] and shape[1] > field.shape[-1]:
        return _enlarge_linearly(field, shape)
    if field.ndim > 2:
        return np.stack([resize(channel, shape) for channel in field])
    image = Image.fromarray(np.ascontiguousarray(field))
    # Converted in bands, because Pillow's export of pixels takes three times their memory.
    resized = np.empty(shape, np.float32)
    for rows in bands(shape):
        resized[rows] = _resize_rows(image, shape, rows)
    return resized


def _enlarge_linearly(
    field: Float32[np.ndarray, "*c a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "*c h w"]:
    """Enlarge a field in a third of Pillow's time."""
    (height, width), last = shape, field.shape[-2] - 1
    rows, columns = (
        np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
        for length, count in zip(field.shape[-2:], shape, strict=True)
    )
    first = columns.astype(np.int64)
    share = (columns - first).astype(np.float32)
    with np.errstate(invalid="ignore"):  # infinite values are refused later
        wide = np.diff(field, axis=-1, append=field[..., -1:]).take(first, axis=-1)
        wide *= share
        wide += field.take(first, axis=-1)
        first = rows.astype(np.int64)
        share = (rows - first).astype(np.float32)
        ends = np.searchsorted(first, np.arange(last + 1), side="right").tolist()
        enlarged = np.empty((*field.shape[:-2], height, width), np.float32)
        start = 0
        for row, end in enumerate(ends):
            band, line = enlarged[..., start:end, :], wide[..., row : row + 1, :]
            below = min(row + 1, last)
            np.multiply(share[start:end, None], wide[..., below : below + 1, :] - line, out=band)
            band += line
            start = end
    return enlarged


def resize_normals(
    normals: Float32[np.ndarray, "3 a b"],
    shape: tuple[int, int],
    filter: Filter = Filter.ANTIALIASED,
) -> Vectors:
    """Resize normals to unit length; zero ones face the camera."""
    resized = resize_by_filter(normals, shape, filter)
    for rows in bands(shape):
        band = resized[:, rows]
        length = np.sqrt(np.einsum("chw,chw->hw", band, band))
        lost = length < 1e-6
        if lost.any():
            band[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
            length[lost] = 1.0
        band /= length
    return resized


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Part of a side that shows the photograph, in any unit."""

    before: int
    inside: int
    after: int

    def ends(self, length: int) -> tuple[float, float]:
        """Begin and end of the photograph [px]."""
        scale = length / (self.before + self.inside + self.after)
        return self.before * scale, length - self.after * scale


def resize_by_filter(
    field: Float32[np.ndarray, "*c a b"],
    shape: tuple[int, int],
    filter: Filter,
    windows: tuple[Window, Window] | None = None,
) -> Float32[np.ndarray, "*c h w"]:
    """Resize a field, or a window of it."""
    if windows is None and (field.shape[-2:] == shape or filter is Filter.ANTIALIASED):
        return resize(field, shape) if filter is Filter.ANTIALIASED else field.copy()
    if field.ndim > 2:
        return np.stack([resize_by_filter(channel, shape, filter, windows) for channel in field])
    if windows is not None and filter is Filter.ANTIALIASED:
        (top, bottom), (left, right) = (
            window.ends(side) for window, side in zip(windows, field.shape, strict=True)
        )
        image = Image.fromarray(np.ascontiguousarray(field))
        box, size = (left, top, right, bottom), (shape[1], shape[0])
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
    down, across = windows or (None, None)
    wide = np.zeros((field.shape[0], shape[1]), np.float32)
    for index, share in _filter_taps(field.shape[1], shape[1], filter, across):
        wide += field.take(index, axis=1) * share
    resized = np.zeros(shape, np.float32)
    lines = _filter_taps(field.shape[0], shape[0], filter, down)
    for rows in bands(shape):
        for index, share in lines:
            resized[rows] += wide[index[rows]] * share[rows, None]
    return resized


def _filter_taps(
    length: int, count: int, filter: Filter, window: Window | None
) -> list[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]]:
    """Indices and weights, one array pair a tap."""
    window = window or Window(before=0, inside=count, after=0)
    whole = (window.before + window.inside + window.after) * count / window.inside
    place = np.arange(count, dtype=np.float32) + np.float32(window.before * count / window.inside)
    scale, place = np.float32(length) / np.float32(whole), place + np.float32(0.5)
    if filter is Filter.LINEAR:
        at = np.maximum(scale * place - np.float32(0.5), np.float32(0))
    else:
        # It rounds once there: a product and a difference are one operation.
        at = (np.float64(scale) * place.astype(np.float64) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.int64)
    t = at - first.astype(np.float32)
    weights = [1 - t, t] if filter is Filter.LINEAR else _cubic_weights(t)
    start = first if filter is Filter.LINEAR else first - 1
    return [
        (np.clip(start + number, 0, length - 1), weight.astype(np.float32))
        for number, weight in enumerate(weights)
    ]


def _cubic_weights(t: Float32[np.ndarray, "n"]) -> list[Float32[np.ndarray, "n"]]:
    a = np.float32(_CUBIC)

    def near(x: np.ndarray) -> np.ndarray:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: np.ndarray) -> np.ndarray:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far((1 - t) + 1)]


def resize_depth(
    depth: Float32[np.ndarray, "a b"],
    shape: tuple[int, int],
    rule: Resizing,
    *,
    positive: bool,
    shift: float = 0.0,
    windows: tuple[Window, Window] | None = None,
) -> Field:
    """Resize depth by a rule, without its limits.

    A log rule does not see ``shift`` [m].
    """
    if windows is None and depth.shape == shape:
        return depth
    is_plain = rule.space is Space.VALUES
    entered = depth if is_plain else _to_space(depth, rule.space, shift)
    large = resize_by_filter(entered, shape, rule.filter, windows)
    if rule.filter is Filter.CUBIC and positive and not (large > 0).all():
        low = ~(large > 0)
        large[low] = resize_by_filter(depth, shape, Filter.LINEAR, windows)[low]
    return large if is_plain else _from_space(large, rule.space, shift)


def depth_map(
    depth: Float32[np.ndarray, "a b"],
    valid: Bool[np.ndarray, "a b"] | None,
    kind: DepthKind,
    shape: tuple[int, int],
    rule: Resizing,
    *,
    shift: float = 0.0,
) -> DepthMap:
    """Resize depth and its mask by a card's rule."""
    if valid is None or valid.all():
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        return DepthMap(values=limit_depth(values, rule), kind=kind)
    # Cubic weights of a part of the pixels may cancel.
    filter = Filter.LINEAR if rule.filter is Filter.CUBIC else rule.filter
    weight = resize_by_filter(valid.astype(np.float32), shape, filter)
    inside = weight > 0.5
    if rule.blended:
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        values = limit_depth(values, rule)
        inside &= np.isfinite(values) & ((values > 0) if kind.is_depth else True)
        return DepthMap(values=np.where(inside, values, np.float32(0)), kind=kind, valid=inside)
    # Invalid pixels are not blended into their neighbours.
    entered = np.where(valid, depth, np.float32(1))
    if rule.space is not Space.VALUES:
        entered = _to_space(entered, rule.space, shift)
    sums = resize_by_filter(np.where(valid, entered, np.float32(0)), shape, filter)
    values = np.divide(sums, weight, out=np.zeros_like(sums), where=inside)
    if rule.space is not Space.VALUES:
        values[inside] = _from_space(values[inside], rule.space, shift)
    return DepthMap(values=limit_depth(values, rule), kind=kind, valid=inside)


def limit_depth(depth: Float32[np.ndarray, "*h"], rule: Resizing) -> Float32[np.ndarray, "*h"]:
    """Depth within a rule's limits."""
    return np.clip(depth, rule.nearest, rule.farthest) if rule.farthest else depth


def _to_space(
    depth: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    # Values that are no depth are refused when the inference is checked.
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / depth
        return np.log(depth - np.float32(shift))


def _from_space(
    field: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / field
        return np.exp(field) + np.float32(shift)


def _resize_rows(
    image: Image.Image, shape: tuple[int, int], rows: slice
) -> Float32[np.ndarray, "rows w"]:
    height, width = shape
    # The box crops only the output grid; pixels beyond it still count at its edges.
    top, bottom = (row * image.height / height for row in (rows.start, rows.stop))
    size, box = (width, rows.stop - rows.start), (0.0, top, float(image.width), bottom)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
