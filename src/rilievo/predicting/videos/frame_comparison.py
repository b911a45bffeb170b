"""Comparison of two frames of a video: cuts, the change of scale, and whether the camera moved."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Field, Float64, Mask, Pixels, Values
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo

_MAX_SAMPLES = 1 << 14
"""Most pixels of a frame that are compared."""
_TRIM = 0.1
"""Quantile at each end that a trimmed mean leaves out."""
_MIN_COMPARED = 0.05
"""Least share of unmoved pixels that are compared alone, without the others."""

_MAX_MOTION = 0.25
"""Largest motion of a pixel that counts as unmoved [px of the sample]."""
_MIN_EDGE_SLOPE = 4.0
"""Least slope of an edge [grey levels per pixel], and most noise [grey levels]."""
_MIN_EDGE_PIXELS = 16
_MIN_STILL_EDGES = 0.5
"""Least share of edges that are unmoved where the camera stands still."""

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
        """Whether layout and colours both differ; a flash keeps layout, fast motion colours."""
        correlation = self.layout @ later.layout
        colour_distance = np.abs(self.colours - later.colours).sum() / 2
        return bool(correlation < _CUT_CORRELATION and colour_distance > _CUT_COLOUR_DISTANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSample:
    """Coarse sample of a frame.

    Attributes:
        values: Log depth, or affine values.
        valid: Pixels with depth.
        is_log: Whether ``values`` are logarithms, so that their difference is a change of scale.
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
        is_cut: Whether they are of different shots; nothing else is known then.
        is_still: Whether the camera stood still between them.
        log_growth: Log of the frame's scale over that of the reference.
        mean: Trimmed mean of the frame's values.
        reference_mean: Trimmed mean of the reference's values.
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
    """Layout and colours of a picture of any size."""
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
    """Grey levels of a thumbnail, of zero mean and unit length."""
    thumbnail = image.convert("L").resize((32, 24), Image.Resampling.BOX)
    grey = np.asarray(thumbnail, np.float64).ravel()
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-9)


def _colour_histogram(pixels: Pixels) -> Float64[np.ndarray, "512"]:
    """Shares of 8 x 8 x 8 colours."""
    red, green, blue = np.moveaxis((pixels >> 5).astype(np.intp), 2, 0)
    bins = red * 64 + green * 8 + blue
    return np.bincount(bins.ravel(), minlength=512) / bins.size


def compare_frames(reference: FrameSample, sample: FrameSample) -> FrameComparison:
    """Find a cut, or the change of scale and mean, from a reference to a later frame."""
    if sample.values.shape != reference.values.shape or reference.features.is_cut(sample.features):
        return FrameComparison(is_cut=True)

    is_unmoved, is_still = _find_still_pixels(reference.grey, sample.grey)
    both_valid = reference.valid & sample.valid
    # While the camera moves, unmoved pixels are mostly flat ones, a worse sample than all pixels.
    compared = both_valid & is_unmoved if is_still else both_valid
    if np.count_nonzero(compared) < _MIN_COMPARED * compared.size:
        compared = both_valid
    if not compared.any():
        return FrameComparison(is_cut=False, is_still=is_still)

    before = reference.values[compared].astype(np.float64)
    after = sample.values[compared].astype(np.float64)
    mean, reference_mean = _trimmed_mean(after), _trimmed_mean(before)
    if sample.is_log:
        log_growth = _trimmed_mean(after - before)
    else:
        spread = np.abs(after - mean).mean()
        reference_spread = np.abs(before - reference_mean).mean()
        log_growth = _log_ratio(spread, reference_spread)
    return FrameComparison(
        is_cut=False,
        is_still=is_still,
        log_growth=log_growth,
        mean=mean,
        reference_mean=reference_mean,
    )


def _find_still_pixels(before: Field, after: Field) -> tuple[Mask, bool]:
    """Find unmoved pixels, and whether the camera stands still.

    A pixel of slope s that moves by d changes by s d, the normal flow of Horn and Schunck (1981).
    The change of flat pixels is noise; that of the whole frame is exposure.
    """
    change = after - before
    change = np.abs(change - np.median(change))
    gradient_y, gradient_x = np.gradient((before + after) / 2)
    slope = np.hypot(gradient_x, gradient_y)

    is_flat = slope <= np.quantile(slope, 1 / 3)
    noise = min(2.0 * float(np.median(change[is_flat])), _MIN_EDGE_SLOPE)
    is_unmoved = change <= _MAX_MOTION * slope + noise

    # Only at edges does motion change a pixel by clearly more than noise.
    is_edge = slope > max(_MIN_EDGE_SLOPE, 2 * noise / _MAX_MOTION)
    unmoved_edges = is_unmoved[is_edge]
    if unmoved_edges.size < _MIN_EDGE_PIXELS:
        return is_unmoved, False
    return is_unmoved, bool(unmoved_edges.mean() >= _MIN_STILL_EDGES)


def _trimmed_mean(values: Values) -> float:
    """Mean without the outer tenths, which flickers less than the median."""
    low, high = np.quantile(values, (_TRIM, 1 - _TRIM))
    return float(values[(values >= low) & (values <= high)].mean())


def _log_ratio(numerator: float, denominator: float) -> float:
    """Log of a ratio of positive numbers; 0 if one of them is 0, as of constant depth."""
    if numerator <= 0 or denominator <= 0:
        return 0.0
    return float(np.log(numerator / denominator))
