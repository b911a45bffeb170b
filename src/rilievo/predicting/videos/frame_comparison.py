"""Compare two frames of a video: find cuts, changes of scale, and whether the camera moved."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Field, Float64, Mask, Pixels, Values
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo

_MAX_SAMPLES = 1 << 14
"""Maximum number of pixels of a frame that are compared."""
_TRIMMED_FRACTION = 0.1
"""Fraction of the values at each end that a trimmed mean leaves out."""
_MIN_COMPARED_FRACTION = 0.05
"""Minimum fraction of the frame that unmoved pixels need, to be compared without the others."""

_MAX_MOTION = 0.25
"""Largest motion of a pixel that counts as unmoved [px of the sample]."""
_MIN_EDGE_SLOPE = 4.0
"""Minimum slope of an edge [grey levels per pixel], and maximum noise [grey levels]."""
_MIN_EDGE_PIXELS = 16
_MIN_STILL_EDGE_FRACTION = 0.5
"""Minimum fraction of the edge pixels that are unmoved, if the camera stands still."""

_CUT_CORRELATION = 0.5
_CUT_COLOUR_DISTANCE = 0.25
"""Limits of a cut: within shots the correlation is above 0.57 and the distance of colours below
0.23, between shots below 0.45 and above 0.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFeatures:
    """Layout and colours of a picture, for finding cuts.

    Attributes:
        layout: Pixels of a picture of 32 x 24 grey levels, of zero mean and unit length.
        colours: Histogram of 8 x 8 x 8 colours, of sum 1.
    """

    layout: Float64[np.ndarray, "768"]
    colours: Float64[np.ndarray, "512"]

    def is_cut(self, later: "PictureFeatures") -> bool:
        """Whether layout and colours both differ.

        A flash changes only the colours, and fast motion only the layout.
        """
        correlation = self.layout @ later.layout
        colour_distance = np.abs(self.colours - later.colours).sum() / 2
        return bool(correlation < _CUT_CORRELATION and colour_distance > _CUT_COLOUR_DISTANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSample:
    """Coarse sample of a frame.

    Attributes:
        values: Log depth, or affine values.
        is_log: Whether ``values`` are logarithms, whose difference is then a change of scale.
        grey: Grey levels, 0 to 255, on the same grid.
        features: Layout and colours of the picture.
    """

    values: Field
    valid: Mask
    is_log: bool
    grey: Field
    features: PictureFeatures


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameComparison:
    """Comparison of a frame with its reference.

    Attributes:
        is_cut: Whether they belong to different shots. Then the other attributes mean nothing.
        is_still: Whether the camera stood still between them.
        log_growth: Log of the ratio of the frame's scale to that of the reference.
        mean: Trimmed mean of the frame's values, over the pixels that were compared.
        reference_mean: The same of the reference.
    """

    is_cut: bool
    is_still: bool = False
    log_growth: float = 0.0
    mean: float = 0.0
    reference_mean: float = 0.0


def sample_frame(depth: DepthMap, photo: Photo) -> FrameSample:
    """Sample the depth and the picture of a frame on a coarse grid."""
    stride = max(1, int(np.ceil(np.sqrt(depth.values.size / _MAX_SAMPLES))))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    values, valid = depth.values[grid], depth.valid[grid]
    if depth.is_depth:
        # Invalid pixels stay 0; they are never compared.
        values = np.log(values, where=valid, out=np.zeros_like(values))

    image = _shrink(photo.pixels, values.shape)
    return FrameSample(
        values=values,
        valid=valid,
        is_log=depth.is_depth,
        grey=np.asarray(image.convert("L"), np.float32),
        features=_features_of_image(image),
    )


def picture_features(pixels: Pixels) -> PictureFeatures:
    """Compute layout and colours of a picture of any size."""
    height, width = pixels.shape[:2]
    factor = min(1.0, (_MAX_SAMPLES / (height * width)) ** 0.5)
    shape = max(1, round(factor * height)), max(1, round(factor * width))
    return _features_of_image(_shrink(pixels, shape))


def _shrink(pixels: Pixels, shape: tuple[int, ...]) -> Image.Image:
    height, width = shape
    image = Image.fromarray(pixels)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _features_of_image(image: Image.Image) -> PictureFeatures:
    return PictureFeatures(layout=_grey_layout(image), colours=_colour_histogram(np.asarray(image)))


def _grey_layout(image: Image.Image) -> Float64[np.ndarray, "768"]:
    """Return the grey levels of a thumbnail, normalized to zero mean and unit length.

    The dot product of two such layouts is their correlation.
    """
    thumbnail = image.convert("L").resize((32, 24), Image.Resampling.BOX)
    grey = np.asarray(thumbnail, np.float64).ravel()
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-9)


def _colour_histogram(pixels: Pixels) -> Float64[np.ndarray, "512"]:
    """Compute the normalized histogram of 8 x 8 x 8 colours."""
    red, green, blue = np.moveaxis((pixels >> 5).astype(np.intp), 2, 0)  # the upper 3 of 8 bits
    bins = red * 64 + green * 8 + blue
    return np.bincount(bins.ravel(), minlength=512) / bins.size


def compare_frames(reference: FrameSample, sample: FrameSample) -> FrameComparison:
    """Find a cut, or the change of scale and mean, from a reference to a later frame."""
    has_other_size = sample.values.shape != reference.values.shape
    if has_other_size or reference.features.is_cut(sample.features):
        return FrameComparison(is_cut=True)

    is_unmoved, is_still = _detect_stillness(reference.grey, sample.grey)
    is_compared = reference.valid & sample.valid
    if is_still:
        is_compared = _prefer_unmoved(is_compared, is_unmoved)
    if not is_compared.any():
        return FrameComparison(is_cut=False, is_still=is_still)

    before = reference.values[is_compared].astype(np.float64)
    after = sample.values[is_compared].astype(np.float64)
    mean = _trimmed_mean(after)
    reference_mean = _trimmed_mean(before)
    if sample.is_log:
        log_growth = _trimmed_mean(after - before)
    else:
        # Affine values have an unknown shift, so the scale shows in their mean absolute deviation.
        deviation = np.abs(after - mean).mean()
        reference_deviation = np.abs(before - reference_mean).mean()
        log_growth = _log_ratio(deviation, reference_deviation)
    return FrameComparison(
        is_cut=False,
        is_still=is_still,
        log_growth=log_growth,
        mean=mean,
        reference_mean=reference_mean,
    )


def _prefer_unmoved(valid: Mask, is_unmoved: Mask) -> Mask:
    """Select the valid pixels that did not move, or all valid ones if too few of them are left.

    Only for a camera that stands still. While it moves, the pixels that seem unmoved are flat ones,
    which are a poor sample.
    """
    selected = valid & is_unmoved
    are_enough = np.count_nonzero(selected) >= _MIN_COMPARED_FRACTION * selected.size
    return selected if are_enough else valid


def _detect_stillness(before: Field, after: Field) -> tuple[Mask, bool]:
    """Find unmoved pixels, and whether the camera stands still.

    A pixel at brightness slope s that moves by d changes by s d, by the brightness constancy of
    Horn and Schunck (1981). Pixels that change by less than s ``_MAX_MOTION``, plus noise, are
    unmoved. The noise is measured on flat pixels.

    Returns:
        The mask of unmoved pixels, and whether most edges are unmoved.
    """
    change = after - before
    change = np.abs(change - np.median(change))  # the median is a change of exposure
    gradient_y, gradient_x = np.gradient((before + after) / 2)
    slope = np.hypot(gradient_x, gradient_y)

    is_flat = slope <= np.quantile(slope, 1 / 3)
    noise = min(2.0 * float(np.median(change[is_flat])), _MIN_EDGE_SLOPE)
    is_unmoved = change <= _MAX_MOTION * slope + noise

    # Flat pixels look unmoved even if they move, so only edges tell about the camera.
    is_edge = slope > max(_MIN_EDGE_SLOPE, 2 * noise / _MAX_MOTION)
    unmoved_edges = is_unmoved[is_edge]
    if unmoved_edges.size < _MIN_EDGE_PIXELS:
        return is_unmoved, False
    return is_unmoved, bool(unmoved_edges.mean() >= _MIN_STILL_EDGE_FRACTION)


def _trimmed_mean(values: Values) -> float:
    """Compute the mean without the lowest and highest tenth, which is steadier than the median."""
    low, high = np.quantile(values, (_TRIMMED_FRACTION, 1 - _TRIMMED_FRACTION))
    return float(values[(values >= low) & (values <= high)].mean())


def _log_ratio(numerator: float, denominator: float) -> float:
    """Return the log of a ratio; 0 if one of the numbers is 0, as with constant depth."""
    if numerator <= 0 or denominator <= 0:
        return 0.0
    return float(np.log(numerator / denominator))
