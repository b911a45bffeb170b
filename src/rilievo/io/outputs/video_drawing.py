"""The record that a format gets to draw its output as a video, and the one that it returns.

All frames of a video are drawn with one range of depth, which ``measure_depth_range`` finds.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Mask, Pixels, Size, UInt16
from rilievo.io.map_pictures import ColourRange, DrawnQuantity, DrawnSample, common_colour_range
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.skyline import extend_ground_to_sky, sky_behind_objects
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord

_MAX_RANGE_FRAMES, _RANGE_PIXELS = 1024, 2048
"""Maximum number of frames by which the range of colours is measured, and of pixels of each."""

DrawnFrame: TypeAlias = Pixels | UInt16[np.ndarray, "h w"]
"""A frame of a video: a picture or 16-bit numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipDepthRange:
    """Range of the depth of a video, which all its frames share.

    Attributes:
        high: Largest depth; both are 0 if no frame has depth.
        colours: Range of the colours in which depth is drawn.
        has_sky: Whether sky is drawn in a colour of its own.
    """

    kind: DepthKind
    low: float
    high: float
    colours: ColourRange
    has_sky: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest depth; never both 0, so that 16-bit numbers can be scaled to them."""
        return self.low, self.high or 1.0


def measure_depth_range(
    predictions: Iterable[PredictionRecord], *, count: int, what: DrawnQuantity
) -> ClipDepthRange:
    """Measure the range of a video's depth, and that of its colours by at most 1,024 frames.

    ``what`` is the quantity that the colours show, such as inverse depth.
    """
    low = math.inf
    high = -math.inf
    kind = DepthKind.METRIC
    has_sky = False
    stride = math.ceil(count / _MAX_RANGE_FRAMES)
    samples: list[DrawnSample] = []
    frames_with_depth = 0
    for prediction in predictions:
        depth = prediction.depth
        kind = depth.kind
        sky = sky_behind_objects(depth, prediction.sky)
        has_sky = has_sky or sky is not None
        valid_values = depth.values[depth.valid]
        if not valid_values.size:
            continue
        low = min(low, float(valid_values.min()))
        high = max(high, float(valid_values.max()))
        # The stride counts frames with depth only, so that it cannot hit only frames without.
        if frames_with_depth % stride == 0:
            samples.append(_drawn_sample(depth, what, sky))
        frames_with_depth += 1
    if not any(sample.values.size for sample in samples):
        return ClipDepthRange(kind=kind, low=0.0, high=0.0, colours=ColourRange(low=0.0, high=1.0))
    colours = common_colour_range(samples, kind, what)
    return ClipDepthRange(kind=kind, low=low, high=high, colours=colours, has_sky=has_sky)


def _drawn_sample(depth: DepthMap, what: DrawnQuantity, sky: Mask | None) -> DrawnSample:
    """Sample the values that are drawn for a frame on a coarse grid of pixels."""
    stride = max(1, round((depth.values.size / _RANGE_PIXELS) ** 0.5))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    values = extend_ground_to_sky(depth, sky).values[grid]
    sampled = DepthMap(values=values, kind=depth.kind, valid=depth.valid[grid])
    return DrawnSample.from_map(sampled, what, None if sky is None else sky[grid])


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """One video to draw, with all that its format needs.

    Attributes:
        output: Name in ``OUTPUTS``.
        size: Height and width of the source's frames [px].
        depth_range: Range of depth; None if the model predicts no depth.
    """

    file: str
    output: str
    size: Size
    depth_range: ClipDepthRange | None
    options: SaveOptions

    @property
    def known_depth_range(self) -> ClipDepthRange:
        """Range of depth, for formats that need depth."""
        assert self.depth_range is not None, "outputs that need depth are checked before"
        return self.depth_range

    def describe_file(self, holds: str) -> FileFacts:
        """Describe the video; ``holds`` is its content in words."""
        return FileFacts(file=self.file, output=self.output, holds=holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How the frames of a video are drawn.

    Attributes:
        facts: Record of the file for the JSON.
        draw: Function that draws the frame of a prediction, whose depth was anchored if the output
            needs that. It is called from several threads.
        size: Height and width of its pictures [px]; None for those of the source.
    """

    facts: FileFacts
    draw: Callable[[PredictionRecord], DrawnFrame]
    size: Size | None = None
