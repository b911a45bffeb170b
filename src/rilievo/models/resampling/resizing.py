"""Resize a network's maps to the photograph."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Vectors
from rilievo.io.png import bands
from rilievo.models.resampling.inference import Filter, Resizing, Space
from rilievo.records.depth_map import DepthKind, DepthMap

_CUBIC = -0.75
"""Parameter a of cubic convolution (Keys 1981), with the value of PyTorch and OpenCV."""
_MIN_NORMAL = 1e-6
"""Length of a resized normal below which it has no direction."""
_MIN_VALID = 0.5
"""Share of valid pixels around a resized pixel above which it is valid."""


def resize(
    field: Float32[np.ndarray, "*c a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "*c h w"]:
    """Resize a field, or each channel of it, linearly; antialiased where it shrinks."""
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
    """Enlarge a field along both axes, in a third of Pillow's time.

    Columns are interpolated first. Then all new rows between two old ones are filled at once.
    """
    height, width = shape
    last_row = field.shape[-2] - 1
    row_positions, column_positions = (
        np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
        for length, count in zip(field.shape[-2:], shape, strict=True)
    )
    with np.errstate(invalid="ignore"):  # infinite values are refused later
        left = column_positions.astype(np.int64)
        weight = (column_positions - left).astype(np.float32)
        wide = np.diff(field, axis=-1, append=field[..., -1:]).take(left, axis=-1)
        wide *= weight
        wide += field.take(left, axis=-1)

        upper = row_positions.astype(np.int64)
        weight = (row_positions - upper).astype(np.float32)
        stops = np.searchsorted(upper, np.arange(last_row + 1), side="right").tolist()
        enlarged = np.empty((*field.shape[:-2], height, width), np.float32)
        start = 0
        for row, stop in enumerate(stops):
            band, upper_line = enlarged[..., start:stop, :], wide[..., row : row + 1, :]
            lower_row = min(row + 1, last_row)
            lower_line = wide[..., lower_row : lower_row + 1, :]
            np.multiply(weight[start:stop, None], lower_line - upper_line, out=band)
            band += upper_line
            start = stop
    return enlarged


def resize_normals(
    normals: Float32[np.ndarray, "3 a b"],
    shape: tuple[int, int],
    filter: Filter = Filter.ANTIALIASED,
) -> Vectors:
    """Resize normals, and give them unit length; those without a direction face the camera."""
    resized = resize_by_filter(normals, shape, filter)
    for rows in bands(shape):
        band = resized[:, rows]
        length = np.sqrt(np.einsum("chw,chw->hw", band, band))
        has_no_direction = length < _MIN_NORMAL
        if has_no_direction.any():
            band[:, has_no_direction] = np.array([[0.0], [0.0], [-1.0]], np.float32)
            length[has_no_direction] = 1.0
        band /= length
    return resized


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Part of a network's input, along one axis, that shows the photograph.

    Attributes:
        before: Padding before the photograph, in any unit.
        inside: Length of the photograph, in the same unit.
        after: Padding after it.
    """

    before: int
    inside: int
    after: int

    def ends(self, length: int) -> tuple[float, float]:
        """First and last position of the photograph in a map of a length [px]."""
        scale = length / (self.before + self.inside + self.after)
        return self.before * scale, length - self.after * scale


def resize_by_filter(
    field: Float32[np.ndarray, "*c a b"],
    shape: tuple[int, int],
    filter: Filter,
    windows: tuple[Window, Window] | None = None,
) -> Float32[np.ndarray, "*c h w"]:
    """Resize a field, or only the windows of its rows and columns, to ``shape``."""
    if windows is None and filter is Filter.ANTIALIASED:
        return resize(field, shape)
    if windows is None and field.shape[-2:] == shape:
        return field.copy()
    if field.ndim > 2:
        return np.stack([resize_by_filter(channel, shape, filter, windows) for channel in field])
    if windows is not None and filter is Filter.ANTIALIASED:
        return _resize_windows_antialiased(field, shape, windows)

    row_window, column_window = windows or (None, None)
    wide = np.zeros((field.shape[0], shape[1]), np.float32)
    for columns, weights in _filter_taps(field.shape[1], shape[1], filter, column_window):
        wide += field.take(columns, axis=1) * weights
    resized = np.zeros(shape, np.float32)
    row_taps = _filter_taps(field.shape[0], shape[0], filter, row_window)
    for band in bands(shape):
        for rows, weights in row_taps:
            resized[band] += wide[rows[band]] * weights[band, None]
    return resized


def _resize_windows_antialiased(
    field: Float32[np.ndarray, "a b"], shape: tuple[int, int], windows: tuple[Window, Window]
) -> Float32[np.ndarray, "h w"]:
    (top, bottom), (left, right) = (
        window.ends(side) for window, side in zip(windows, field.shape, strict=True)
    )
    image = Image.fromarray(np.ascontiguousarray(field))
    box, size = (left, top, right, bottom), (shape[1], shape[0])
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))


def _filter_taps(
    length: int, count: int, filter: Filter, window: Window | None
) -> list[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]]:
    """Old pixels and their weights from which new pixels are made, along one axis.

    There is a pair of arrays for each of the two or four pixels around a new one. The arithmetic is
    PyTorch's, so that results are equal to the bit.

    Args:
        length: Number of old pixels.
        count: Number of new pixels.
        filter: Linear or cubic.
        window: Part of the old pixels that is resized; None for all.
    """
    window = window or Window(before=0, inside=count, after=0)
    whole_count = (window.before + window.inside + window.after) * count / window.inside
    first = np.float32(window.before * count / window.inside)
    scale = np.float32(length) / np.float32(whole_count)
    centres = np.arange(count, dtype=np.float32) + first + np.float32(0.5)
    if filter is Filter.LINEAR:
        positions = np.maximum(scale * centres - np.float32(0.5), np.float32(0))
    else:
        # PyTorch rounds once here: a product and a difference are one operation.
        positions = (np.float64(scale) * centres.astype(np.float64) - 0.5).astype(np.float32)
    below = np.floor(positions).astype(np.int64)
    fraction = positions - below.astype(np.float32)
    if filter is Filter.LINEAR:
        first_pixel, weights = below, [1 - fraction, fraction]
    else:
        first_pixel, weights = below - 1, _cubic_weights(fraction)
    return [
        (np.clip(first_pixel + number, 0, length - 1), weight.astype(np.float32))
        for number, weight in enumerate(weights)
    ]


def _cubic_weights(t: Float32[np.ndarray, "n"]) -> list[Float32[np.ndarray, "n"]]:
    """Weights of four pixels, of which the second lies ``t`` pixels before the new one."""
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

    Args:
        depth: Depth, or affine values.
        shape: New height and width.
        rule: Space and filter.
        positive: Whether the result has to be positive.
        shift: What is subtracted before a logarithm is taken, and added afterwards [m].
        windows: Parts of the rows and columns that show the photograph; None for all.
    """
    if windows is None and depth.shape == shape:
        return depth
    in_space = _to_space(depth, rule.space, shift)
    resized = resize_by_filter(in_space, shape, rule.filter, windows)
    if rule.filter is Filter.CUBIC and positive and not (resized > 0).all():
        is_not_positive = ~(resized > 0)
        linear = resize_by_filter(depth, shape, Filter.LINEAR, windows)
        resized[is_not_positive] = linear[is_not_positive]
    return _from_space(resized, rule.space, shift)


def depth_map(
    depth: Float32[np.ndarray, "a b"],
    valid: Bool[np.ndarray, "a b"] | None,
    kind: DepthKind,
    shape: tuple[int, int],
    rule: Resizing,
    *,
    shift: float = 0.0,
) -> DepthMap:
    """Depth map of a photograph's size from a network's answer.

    Args:
        depth: Depth of the network.
        valid: Pixels that have depth; None for all.
        kind: What the numbers mean.
        shape: Height and width of the photograph.
        rule: How depth is resized and limited.
        shift: As in ``resize_depth``.
    """
    if valid is None or valid.all():
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        return DepthMap(values=limit_depth(values, rule), kind=kind)

    # Cubic weights of some of the pixels may cancel, so that nothing could be divided by them.
    filter = Filter.LINEAR if rule.filter is Filter.CUBIC else rule.filter
    valid_share = resize_by_filter(valid.astype(np.float32), shape, filter)
    new_valid = valid_share > _MIN_VALID
    if rule.blended:
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        values = limit_depth(values, rule)
        new_valid &= np.isfinite(values)
        if kind.is_depth:
            new_valid &= values > 0
        values = np.where(new_valid, values, np.float32(0))
        return DepthMap(values=values, kind=kind, valid=new_valid)

    # Otherwise invalid pixels are not blended into their neighbours.
    in_space = _to_space(np.where(valid, depth, np.float32(1)), rule.space, shift)
    sums = resize_by_filter(np.where(valid, in_space, np.float32(0)), shape, filter)
    values = np.divide(sums, valid_share, out=np.zeros_like(sums), where=new_valid)
    values[new_valid] = _from_space(values[new_valid], rule.space, shift)
    return DepthMap(values=limit_depth(values, rule), kind=kind, valid=new_valid)


def limit_depth(depth: Float32[np.ndarray, "*h"], rule: Resizing) -> Float32[np.ndarray, "*h"]:
    """Depth within a rule's limits."""
    return np.clip(depth, rule.nearest, rule.farthest) if rule.farthest else depth


def _to_space(
    depth: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    """Values of depth in a space. What is no depth is refused when the answer is checked."""
    if space is Space.VALUES:
        return depth
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / depth
        return np.log(depth - np.float32(shift))


def _from_space(
    field: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    """Depth of values in a space."""
    if space is Space.VALUES:
        return field
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / field
        return np.exp(field) + np.float32(shift)


def _resize_rows(
    image: Image.Image, shape: tuple[int, int], rows: slice
) -> Float32[np.ndarray, "rows w"]:
    """Some rows of a resized image."""
    height, width = shape
    # The box crops only the output grid; pixels beyond it still count at its edges.
    top, bottom = (row * image.height / height for row in (rows.start, rows.stop))
    size, box = (width, rows.stop - rows.start), (0.0, top, float(image.width), bottom)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
