"""Resize a network's maps to the photograph."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Vectors
from rilievo.io.png import row_bands
from rilievo.models.resampling.inference import Filter, Resizing, Space
from rilievo.records.depth_map import DepthKind, DepthMap

_CUBIC = -0.75
"""Parameter a of cubic convolution (Keys 1981), with the value of PyTorch and OpenCV."""
_MIN_NORMAL = 1e-6
"""Length of a resized normal below which it has no direction."""
_MIN_VALID_FRACTION = 0.5
"""Fraction of valid pixels around a resized pixel above which it is valid."""


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
    for rows in row_bands(shape):
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
    # Position of each new pixel among the old ones; centres of pixels are at halves.
    row_positions, column_positions = (
        np.clip((np.arange(new_length) + 0.5) * length / new_length - 0.5, 0, length - 1)
        for length, new_length in zip(field.shape[-2:], shape, strict=True)
    )
    with np.errstate(invalid="ignore"):  # infinite values are refused later
        left = column_positions.astype(np.int64)
        right_weight = (column_positions - left).astype(np.float32)
        wide = np.diff(field, axis=-1, append=field[..., -1:]).take(left, axis=-1)
        wide *= right_weight
        wide += field.take(left, axis=-1)

        upper = row_positions.astype(np.int64)
        lower_weight = (row_positions - upper).astype(np.float32)
        # New rows start to stop lie between the old rows ``upper_row`` and ``upper_row`` + 1.
        stops = np.searchsorted(upper, np.arange(last_row + 1), side="right").tolist()
        enlarged = np.empty((*field.shape[:-2], height, width), np.float32)
        start = 0
        for upper_row, stop in enumerate(stops):
            lower_row = min(upper_row + 1, last_row)
            upper_values = wide[..., upper_row : upper_row + 1, :]
            lower_values = wide[..., lower_row : lower_row + 1, :]
            band = enlarged[..., start:stop, :]
            np.multiply(lower_weight[start:stop, None], lower_values - upper_values, out=band)
            band += upper_values
            start = stop
    return enlarged


def resize_normals(
    normals: Float32[np.ndarray, "3 a b"],
    shape: tuple[int, int],
    resize_filter: Filter = Filter.ANTIALIASED,
) -> Vectors:
    """Resize normals, and give them unit length; those without a direction face the camera."""
    resized = resize_by_filter(normals, shape, resize_filter)
    for rows in row_bands(shape):
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
    """Part of a padded input, along one axis, that shows the photograph.

    All three lengths have the same unit, pixels of the photograph or of the input.

    Attributes:
        before: Padding before the photograph.
        inside: Length of the photograph.
        after: Padding after the photograph.
    """

    before: int
    inside: int
    after: int

    def ends(self, length: int) -> tuple[float, float]:
        """Where the photograph begins and ends along an axis of ``length`` pixels [px]."""
        scale = length / (self.before + self.inside + self.after)
        return self.before * scale, length - self.after * scale


def resize_by_filter(
    field: Float32[np.ndarray, "*c a b"],
    shape: tuple[int, int],
    resize_filter: Filter,
    windows: tuple[Window, Window] | None = None,
) -> Float32[np.ndarray, "*c h w"]:
    """Resize a field, or each channel of it, to ``shape`` with a filter.

    ``windows`` are the parts of its rows and of its columns that become the result; None for all.
    """
    if windows is None and resize_filter is Filter.ANTIALIASED:
        return resize(field, shape)
    if windows is None and field.shape[-2:] == shape:
        return field.copy()
    if field.ndim > 2:
        return np.stack(
            [resize_by_filter(channel, shape, resize_filter, windows) for channel in field]
        )
    if windows is not None and resize_filter is Filter.ANTIALIASED:
        return _resize_windows_antialiased(field, shape, windows)
    return _interpolate_columns_and_rows(field, shape, resize_filter, windows)


def _interpolate_columns_and_rows(
    field: Float32[np.ndarray, "a b"],
    shape: tuple[int, int],
    resize_filter: Filter,
    windows: tuple[Window, Window] | None,
) -> Float32[np.ndarray, "h w"]:
    """Interpolate the columns first and then the rows, because the filters are separable."""
    old_height, old_width = field.shape
    height, width = shape
    row_window, column_window = windows or (None, None)
    wide = np.zeros((old_height, width), np.float32)
    for columns, weights in _filter_taps(old_width, width, resize_filter, column_window):
        wide += field.take(columns, axis=1) * weights
    resized = np.zeros(shape, np.float32)
    row_taps = _filter_taps(old_height, height, resize_filter, row_window)
    for band in row_bands(shape):
        for rows, weights in row_taps:
            resized[band] += wide[rows[band]] * weights[band, None]
    return resized


def _resize_windows_antialiased(
    field: Float32[np.ndarray, "a b"], shape: tuple[int, int], windows: tuple[Window, Window]
) -> Float32[np.ndarray, "h w"]:
    row_window, column_window = windows
    top, bottom = row_window.ends(field.shape[0])
    left, right = column_window.ends(field.shape[1])
    image = Image.fromarray(np.ascontiguousarray(field))
    height, width = shape
    box = (left, top, right, bottom)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _filter_taps(
    old_length: int, new_length: int, resize_filter: Filter, window: Window | None
) -> list[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]]:
    """Linear or cubic interpolation along one axis, as indices of old pixels and their weights.

    There is a pair of arrays for each of the two (linear) or four (cubic) old pixels around a new
    one. The arithmetic is PyTorch's, so that results are equal to the bit.

    ``window`` is the part of the axis that becomes the new pixels; None for the whole axis.
    """
    window = window or Window(before=0, inside=new_length, after=0)
    # Length of the padded axis, and of the padding before the window, in new pixels.
    padded_length = (window.before + window.inside + window.after) * new_length / window.inside
    padding_before = np.float32(window.before * new_length / window.inside)

    scale = np.float32(old_length) / np.float32(padded_length)
    centres = np.arange(new_length, dtype=np.float32) + padding_before + np.float32(0.5)
    if resize_filter is Filter.LINEAR:
        positions = np.maximum(scale * centres - np.float32(0.5), np.float32(0))
    else:
        # PyTorch rounds only once here, because it fuses the product and the difference.
        positions = (np.float64(scale) * centres.astype(np.float64) - 0.5).astype(np.float32)
    pixel_before = np.floor(positions).astype(np.int64)
    fraction = positions - pixel_before.astype(np.float32)
    if resize_filter is Filter.LINEAR:
        first_pixel = pixel_before
        weights = [1 - fraction, fraction]
    else:
        first_pixel = pixel_before - 1
        weights = _cubic_weights(fraction)
    return [
        (np.clip(first_pixel + offset, 0, old_length - 1), weight.astype(np.float32))
        for offset, weight in enumerate(weights)
    ]


def _cubic_weights(fraction: Float32[np.ndarray, "n"]) -> list[Float32[np.ndarray, "n"]]:
    """Weights of the four pixels at -1, 0, 1 and 2 for a position at ``fraction`` (Keys 1981).

    The kernel is (a + 2)|x|³ - (a + 3)|x|² + 1 for |x| <= 1, and a|x|³ - 5a|x|² + 8a|x| - 4a for
    1 < |x| < 2.
    """
    a = np.float32(_CUBIC)

    def inner_kernel(x: np.ndarray) -> np.ndarray:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def outer_kernel(x: np.ndarray) -> np.ndarray:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [
        outer_kernel(fraction + 1),
        inner_kernel(fraction),
        inner_kernel(1 - fraction),
        outer_kernel((1 - fraction) + 1),
    ]


def resize_depth(
    depth: Float32[np.ndarray, "a b"],
    shape: tuple[int, int],
    rule: Resizing,
    *,
    positive: bool,
    shift: float = 0.0,
    windows: tuple[Window, Window] | None = None,
) -> Field:
    """Resize depth in the space and with the filter of a rule, but do not clip it.

    Args:
        depth: Depth, or affine values.
        shape: New height and width.
        rule: Space and filter.
        positive: Whether the result has to be positive.
        shift: Is subtracted before a logarithm is taken, and added afterwards [m].
        windows: Rows and columns that show the photograph; None for all.
    """
    if windows is None and depth.shape == shape:
        return depth
    in_space = _to_space(depth, rule.space, shift)
    resized = resize_by_filter(in_space, shape, rule.filter, windows)
    if rule.filter is Filter.CUBIC and positive and not (resized > 0).all():
        # Cubic interpolation overshoots at edges. NaN counts as not positive too.
        is_not_positive = ~(resized > 0)
        linear = resize_by_filter(depth, shape, Filter.LINEAR, windows)
        resized[is_not_positive] = linear[is_not_positive]
    return _from_space(resized, rule.space, shift)


def resize_to_depth_map(
    depth: Float32[np.ndarray, "a b"],
    valid: Bool[np.ndarray, "a b"] | None,
    kind: DepthKind,
    shape: tuple[int, int],
    rule: Resizing,
    *,
    shift: float = 0.0,
) -> DepthMap:
    """Resize a network's depth to a photograph.

    ``valid`` is None if all pixels have depth. ``shape`` is that of the photograph.
    """
    if valid is None or valid.all():
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        return DepthMap(values=limit_depth(values, rule), kind=kind)
    return _resize_with_gaps(depth, valid, kind, shape, rule, shift)


def _resize_with_gaps(
    depth: Float32[np.ndarray, "a b"],
    valid: Bool[np.ndarray, "a b"],
    kind: DepthKind,
    shape: tuple[int, int],
    rule: Resizing,
    shift: float,
) -> DepthMap:
    """Resize depth that has invalid pixels.

    A new pixel is valid if most of the pixels around it are. Its depth is the mean of the valid
    ones, unless the rule blends all pixels, as the authors of some models do.
    """
    # Weights are resized linearly: cubic weights have both signs and may cancel to 0.
    linear_filter = Filter.LINEAR if rule.filter is Filter.CUBIC else rule.filter
    valid_fraction = resize_by_filter(valid.astype(np.float32), shape, linear_filter)
    new_valid = valid_fraction > _MIN_VALID_FRACTION
    if rule.blended:
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        values = limit_depth(values, rule)
        new_valid &= np.isfinite(values)
        if kind.is_depth:
            new_valid &= values > 0
        values = np.where(new_valid, values, np.float32(0))
        return DepthMap(values=values, kind=kind, valid=new_valid)

    # Mean of the valid pixels: invalid ones count 0 in the sum and in its weight. The 1 stands in
    # for them in the conversion, because any depth may be converted.
    in_space = _to_space(np.where(valid, depth, np.float32(1)), rule.space, shift)
    weighted_sum = resize_by_filter(np.where(valid, in_space, np.float32(0)), shape, linear_filter)
    values = np.divide(
        weighted_sum, valid_fraction, out=np.zeros_like(weighted_sum), where=new_valid
    )
    values[new_valid] = _from_space(values[new_valid], rule.space, shift)
    return DepthMap(values=limit_depth(values, rule), kind=kind, valid=new_valid)


def limit_depth(depth: Float32[np.ndarray, "*h"], rule: Resizing) -> Float32[np.ndarray, "*h"]:
    """Clip depth to the limits of a rule, if it has any."""
    return np.clip(depth, rule.nearest, rule.farthest) if rule.farthest else depth


def _to_space(
    depth: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    """Convert depth to the space in which it is resized."""
    if space is Space.VALUES:
        return depth
    # Depth of 0 or less becomes infinite or NaN, which ``Model.finish`` refuses.
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / depth
        return np.log(depth - np.float32(shift))


def _from_space(
    field: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    """Convert values in the space of ``_to_space`` back to depth."""
    if space is Space.VALUES:
        return field
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / field
        return np.exp(field) + np.float32(shift)


def _resize_rows(
    image: Image.Image, shape: tuple[int, int], rows: slice
) -> Float32[np.ndarray, "rows w"]:
    """The given rows of an image that is resized to ``shape``."""
    height, width = shape
    # The box only chooses the output pixels. Pixels beyond it still count at its edges.
    top, bottom = (row * image.height / height for row in (rows.start, rows.stop))
    box = (0.0, top, float(image.width), bottom)
    size = (width, rows.stop - rows.start)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
