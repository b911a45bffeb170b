"""Coarse samples of frames, compared for cuts and stillness."""

import numpy as np
from PIL import Image

from rilievo.frozen import frozen
from rilievo.shapes import Field, Float64, Mask, Pixels, Values
from rilievo.types import DepthMap, Photo

_SAMPLES = 1 << 14

_UNMOVED = 0.25
"""Motion of an unmoved pixel [px of the sample]."""
_FAINT = 4.0
"""Least slope of an edge [grey levels per pixel]."""
_STILL_SHARE = 0.5
"""Least unmoved share of edges."""
_TRIMMED = 0.1
_FEWEST = 0.05

_CUT_CORRELATION = 0.5
_CUT_COLOURS = 0.25
"""Limits of a cut: within shots correlation is above 0.57 and colour distance below 0.23, across
below 0.45 and above 0.3.
"""


@frozen
class Look:
    """Layout and colours of a picture.

    Attributes:
        layout: Tiny grey picture, zero mean, unit length.
        colours: Shares of 512 colours.
    """

    layout: Float64[np.ndarray, "768"]
    colours: Float64[np.ndarray, "512"]

    def is_cut(self, other: "Look") -> bool:
        """Whether both differ; a flash keeps layout, fast motion colours."""
        apart = np.abs(self.colours - other.colours).sum() / 2
        return bool(self.layout @ other.layout < _CUT_CORRELATION and apart > _CUT_COLOURS)


@frozen
class FrameSample:
    """Coarse sample of one frame; ``numbers`` of depth are logarithms."""

    numbers: Field
    valid: Mask
    is_logarithm: bool
    grey: Field
    look: Look


@frozen
class FrameComparison:
    """Comparison of two frames.

    Attributes:
        is_cut: Whether scenes differ.
        growth: Logarithm of later over earlier scale.
        level: Trimmed mean of the later numbers.
        reference_level: Trimmed mean of the earlier.
    """

    is_cut: bool
    is_still: bool = False
    growth: float = 0.0
    level: float = 0.0
    reference_level: float = 0.0


def sample_of(depth: DepthMap, photo: Photo) -> FrameSample:
    """Sample a frame."""
    stride = max(1, int(np.ceil(np.sqrt(depth.values.size / _SAMPLES))))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    numbers, valid = depth.values[grid], depth.valid[grid]
    if depth.is_depth:
        numbers = np.log(numbers, where=valid, out=np.zeros_like(numbers))
    small = _shrink(photo.pixels, numbers.shape)
    return FrameSample(
        numbers=numbers,
        valid=valid,
        is_logarithm=depth.is_depth,
        grey=np.asarray(small.convert("L"), np.float32),
        look=_look(small),
    )


def look_of(pixels: Pixels) -> Look:
    """Look of a picture of any size."""
    height, width = pixels.shape[:2]
    share = min(1.0, (_SAMPLES / (height * width)) ** 0.5)
    return _look(_shrink(pixels, (max(1, round(share * height)), max(1, round(share * width)))))


def compare(reference: FrameSample, sample: FrameSample) -> FrameComparison:
    """Compare a frame with an earlier one."""
    if sample.numbers.shape != reference.numbers.shape or reference.look.is_cut(sample.look):
        return FrameComparison(is_cut=True)
    unmoved, is_still = _unmoved(reference.grey, sample.grey)
    both = reference.valid & sample.valid
    # If the camera moves, unmoved pixels are mostly flat ones, a worse sample than all pixels.
    chosen = both & unmoved if is_still else both
    if np.count_nonzero(chosen) < _FEWEST * chosen.size:
        chosen = both
    if not chosen.any():
        return FrameComparison(is_cut=False, is_still=is_still)
    before = reference.numbers[chosen].astype(np.float64)
    after = sample.numbers[chosen].astype(np.float64)
    level, reference_level = _centre(after), _centre(before)
    if sample.is_logarithm:
        growth = _centre(after - before)
    else:
        growth = _log_ratio(np.abs(after - level).mean(), np.abs(before - reference_level).mean())
    return FrameComparison(
        is_cut=False,
        is_still=is_still,
        growth=growth,
        level=level,
        reference_level=reference_level,
    )


def _centre(numbers: Values) -> float:
    """Mean without the outer tenths, which flickers less than the median."""
    low, high = np.quantile(numbers, (_TRIMMED, 1 - _TRIMMED))
    return float(numbers[(numbers >= low) & (numbers <= high)].mean())


def _unmoved(before: Field, after: Field) -> tuple[Mask, bool]:
    """Unmoved pixels and camera, by the normal flow of Horn and Schunck (1981)."""
    change = after - before
    change = np.abs(change - np.median(change))
    down, across = np.gradient((before + after) / 2)
    slope = np.hypot(down, across)
    flat = slope <= np.quantile(slope, 1 / 3)
    noise = min(2.0 * float(np.median(change[flat])), _FAINT)
    unmoved = change <= _UNMOVED * slope + noise
    telling = slope > max(_FAINT, 2 * noise / _UNMOVED)
    still = unmoved[telling]
    return unmoved, bool(still.size >= 16 and still.mean() >= _STILL_SHARE)


def _shrink(pixels: Pixels, shape: tuple[int, ...]) -> Image.Image:
    height, width = shape
    image = Image.fromarray(pixels)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _look(image: Image.Image) -> Look:
    return Look(layout=_layout(image), colours=_colours(np.asarray(image)))


def _layout(image: Image.Image) -> Float64[np.ndarray, "768"]:
    tiny = image.convert("L").resize((32, 24), Image.Resampling.BOX)
    grey = np.asarray(tiny, np.float64).ravel()
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-9)


def _colours(pixels: Pixels) -> Float64[np.ndarray, "512"]:
    coarse = (pixels >> 5).astype(np.intp)
    index = coarse[..., 0] * 64 + coarse[..., 1] * 8 + coarse[..., 2]
    return np.bincount(index.ravel(), minlength=512) / index.size


def _log_ratio(one: float, other: float) -> float:
    return float(np.log(one / other)) if one > 0 and other > 0 else 0.0
