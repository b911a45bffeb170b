"""Resize a network's maps to the photograph."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Values, Vectors
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
    """Enlarge a field along both axes, in a third of Pillow's time."""
    height, width = shape
    with np.errstate(invalid="ignore"):  # infinite values are refused later
        return _enlarge_rows(_enlarge_columns(field, width), height)


def _enlarged_positions(length: int, new_length: int) -> Values:
    """Position of each new pixel among ``length`` old ones, of which the first centre is at 0."""
    positions = (np.arange(new_length) + 0.5) * length / new_length - 0.5
    return np.clip(positions, 0, length - 1)


def _enlarge_columns(
    field: Float32[np.ndarray, "*c a b"], new_width: int
) -> Float32[np.ndarray, "*c a w"]:
    """Interpolate between columns: left value + right weight * (right value - left value)."""
    positions = _enlarged_positions(field.shape[-1], new_width)
    left = positions.astype(np.int64)
    right_weight = (positions - left).astype(np.float32)
    differences = np.diff(field, axis=-1, append=field[..., -1:])
    enlarged = differences.take(left, axis=-1)
    enlarged *= right_weight
    enlarged += field.take(left, axis=-1)
    return enlarged


def _enlarge_rows(
    field: Float32[np.ndarray, "*c a w"], new_height: int
) -> Float32[np.ndarray, "*c h w"]:
    """Interpolate between rows; all new rows between two old ones are filled at once."""
    height, width = field.shape[-2:]
    positions = _enlarged_positions(height, new_height)
    upper = positions.astype(np.int64)
    lower_weight = (positions - upper).astype(np.float32)
    # For each old row, the end of the new rows that lie between it and the next old row.
    stops = np.searchsorted(upper, np.arange(height), side="right").tolist()
    enlarged = np.empty((*field.shape[:-2], new_height, width), np.float32)
    start = 0
    for upper_row, stop in enumerate(stops):
        lower_row = min(upper_row + 1, height - 1)
        upper_values = field[..., upper_row : upper_row + 1, :]
        lower_values = field[..., lower_row : lower_row + 1, :]
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
class PaddedAxis:
    """One axis of a network's input: the photograph, with padding before and after it.

    Only the proportions count. So the three lengths may be in pixels of the photograph or in those
    of the input, if all are in the same unit.
    """

    padding_before: int
    photo_length: int
    padding_after: int

    @property
    def total_length(self) -> int:
        """Length of the photograph with its padding."""
        return self.padding_before + self.photo_length + self.padding_after

    def photo_edges(self, length: int) -> tuple[float, float]:
        """Where the photograph begins and ends, if the padded axis is ``length`` pixels long."""
        scale = length / self.total_length
        return self.padding_before * scale, length - self.padding_after * scale


def resize_by_filter(
    field: Float32[np.ndarray, "*c a b"],
    shape: tuple[int, int],
    resize_filter: Filter,
    padded_axes: tuple[PaddedAxis, PaddedAxis] | None = None,
) -> Float32[np.ndarray, "*c h w"]:
    """Resize a field, or each channel of it, to ``shape`` with a filter.

    ``padded_axes`` are its rows and its columns. Their padding is cropped, so that the result shows
    the photograph alone. None means that there is no padding.
    """
    if padded_axes is None and resize_filter is Filter.ANTIALIASED:
        return resize(field, shape)
    if padded_axes is None and field.shape[-2:] == shape:
        return field.copy()
    if field.ndim > 2:
        return np.stack(
            [resize_by_filter(channel, shape, resize_filter, padded_axes) for channel in field]
        )
    if padded_axes is not None and resize_filter is Filter.ANTIALIASED:
        return _crop_and_resize_antialiased(field, shape, padded_axes)
    return _interpolate_columns_and_rows(field, shape, resize_filter, padded_axes)


def _interpolate_columns_and_rows(
    field: Float32[np.ndarray, "a b"],
    shape: tuple[int, int],
    resize_filter: Filter,
    padded_axes: tuple[PaddedAxis, PaddedAxis] | None,
) -> Float32[np.ndarray, "h w"]:
    """Interpolate the columns first and then the rows, because the filters are separable."""
    old_height, old_width = field.shape
    height, width = shape
    if padded_axes is None:
        padded_rows = _axis_without_padding(height)
        padded_columns = _axis_without_padding(width)
    else:
        padded_rows, padded_columns = padded_axes
    wide = np.zeros((old_height, width), np.float32)
    for columns, weights in _filter_taps(old_width, width, resize_filter, padded_columns):
        wide += field.take(columns, axis=1) * weights
    resized = np.zeros(shape, np.float32)
    row_taps = _filter_taps(old_height, height, resize_filter, padded_rows)
    for band in row_bands(shape):
        for rows, weights in row_taps:
            resized[band] += wide[rows[band]] * weights[band, None]
    return resized


def _axis_without_padding(length: int) -> PaddedAxis:
    return PaddedAxis(padding_before=0, photo_length=length, padding_after=0)


def _crop_and_resize_antialiased(
    field: Float32[np.ndarray, "a b"],
    shape: tuple[int, int],
    padded_axes: tuple[PaddedAxis, PaddedAxis],
) -> Float32[np.ndarray, "h w"]:
    padded_rows, padded_columns = padded_axes
    top, bottom = padded_rows.photo_edges(field.shape[0])
    left, right = padded_columns.photo_edges(field.shape[1])
    image = Image.fromarray(np.ascontiguousarray(field))
    height, width = shape
    box = (left, top, right, bottom)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _filter_taps(
    old_length: int, new_length: int, resize_filter: Filter, padded_axis: PaddedAxis
) -> list[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]]:
    """Linear or cubic interpolation along one axis, as indices of old pixels and their weights.

    There is a pair of arrays for each of the two (linear) or four (cubic) old pixels around a new
    one. The arithmetic is PyTorch's, so that results are equal to the bit.

    The old pixels cover all of ``padded_axis``, and the new ones only its photograph.
    """
    # Length of the padded axis, and of its padding before the photograph, in new pixels.
    padded_length = padded_axis.total_length * new_length / padded_axis.photo_length
    padding_before = np.float32(padded_axis.padding_before * new_length / padded_axis.photo_length)

    # Positions among the old pixels. The centre of the first pixel is at 0, and its edge at -0.5.
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
    padded_axes: tuple[PaddedAxis, PaddedAxis] | None = None,
) -> Field:
    """Resize depth in the space and with the filter of a rule, but do not clip it.

    Args:
        depth: Depth, or affine values.
        shape: New height and width.
        rule: Space and filter.
        positive: Whether the result has to be positive.
        shift: Is subtracted before a logarithm is taken, and added afterwards [m].
        padded_axes: Rows and columns, whose padding is cropped; None if there is none.
    """
    if padded_axes is None and depth.shape == shape:
        return depth
    in_space = _to_space(depth, rule.space, shift)
    resized = resize_by_filter(in_space, shape, rule.filter, padded_axes)
    if rule.filter is Filter.CUBIC and positive and not (resized > 0).all():
        # Cubic interpolation overshoots at edges. NaN counts as not positive too.
        is_not_positive = ~(resized > 0)
        linear = resize_by_filter(depth, shape, Filter.LINEAR, padded_axes)
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
        blended = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        blended = limit_depth(blended, rule)
        is_usable = np.isfinite(blended)
        if kind.is_depth:
            is_usable &= blended > 0
        new_valid = new_valid & is_usable
        return DepthMap(
            values=np.where(new_valid, blended, np.float32(0)), kind=kind, valid=new_valid
        )

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
