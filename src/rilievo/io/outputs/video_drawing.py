"""The record that a format gets to draw its output as a video, and the one that it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Pixels, Size, UInt16
from rilievo.io.map_pictures import ColourRange
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import PredictionRecord

DrawnFrame: TypeAlias = Pixels | UInt16[np.ndarray, "h w"]
"""A frame of a video: a picture or 16-bit numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipDepthRange:
    """Range of the depth of a video, which all its frames share.

    Attributes:
        high: Largest depth; both are 0 if no frame has depth.
        colours: Range of the colours in which depth is drawn.
        has_sky: Whether sky is drawn in a colour of its own.
        is_distance: Whether depth is along the ray (fisheyes, panoramas), not along the axis.
    """

    kind: DepthKind
    low: float
    high: float
    colours: ColourRange
    has_sky: bool = False
    is_distance: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest depth; never both 0, so that 16-bit numbers can be scaled to them."""
        return self.low, self.high or 1.0


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
