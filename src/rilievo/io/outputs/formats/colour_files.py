"""Depth as an 8-bit colour PNG or as a video in colours, and its colour bar."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from rilievo.arrays.shapes import Mask, Pixels
from rilievo.io.map_pictures import (
    ColourRange,
    DrawnQuantity,
    DrawnSample,
    colour_levels,
    colour_range,
    colour_range_from_depths,
    colour_table,
    colourise,
    common_colour_range,
    drawing_sign,
    invalid_colour,
    sky_colour,
    sky_table,
)
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import ColourFacts, FileFacts
from rilievo.io.outputs.skyline import extend_ground_to_sky, sky_behind_objects
from rilievo.io.outputs.video_drawing import ClipDepthRange, Drawing, VideoJob
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord

_MAX_RANGE_FRAMES, _RANGE_PIXELS = 1024, 2048
"""Maximum number of frames by which the range of a video is measured, and of pixels of each."""
_TICK_COUNT = 5
_CSS_COLOUR_COUNT = 17


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write depth as a colour picture."""
    options = job.options
    extended, sky = drawn_depth(depth, job.prediction.sky)
    limits = _range_up_to_sky(extended, options, sky)
    colour = colour_facts(depth.kind, limits, options, has_sky=sky is not None)
    file_facts = replace(job.describe_file("picture of depth"), colour=colour)
    if depth.valid.all():
        palette = colour_table if sky is None else sky_table
        levels = colour_levels(extended, limits, options.draw, sky)
        return job.write_png(levels, file_facts, palette(options.colour_map))
    # The colour of invalid pixels is not in the palette of 256 colours, so RGB is written.
    picture = colourise(
        extended, colour_map=options.colour_map, limits=limits, quantity=options.draw, sky=sky
    )
    return job.write_png(picture, file_facts)


def draw_video(job: VideoJob) -> Drawing:
    """Prepare a video of depth in colours, with one range for all frames."""
    depth_range, options = job.known_depth_range, job.options
    limits = depth_range.colours
    if options.colour_limits is not None:
        near, far = options.colour_limits
        limits = colour_range_from_depths(near, far, depth_range.kind, options.draw)
    file_facts = replace(
        job.describe_file("picture of depth, with one range for the whole video"),
        colour=colour_facts(depth_range.kind, limits, options, has_sky=depth_range.has_sky),
    )
    return Drawing(facts=file_facts, draw=partial(depth_picture, options=options, limits=limits))


def measure_depth_range(
    predictions: Iterable[PredictionRecord], *, count: int, what: DrawnQuantity
) -> ClipDepthRange:
    """Measure the range of a video's depth, and that of its colours by at most 1,024 frames.

    ``what`` is the quantity that the colours show, such as inverse depth.
    """
    low = math.inf
    high = -math.inf
    # The kind is that of all frames; these are the values of a clip without any.
    kind = DepthKind.METRIC
    is_distance = False
    has_sky = False
    stride = math.ceil(count / _MAX_RANGE_FRAMES)
    samples: list[DrawnSample] = []
    frames_with_depth = 0
    for prediction in predictions:
        depth = prediction.depth
        kind = depth.kind
        is_distance = depth.is_distance
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
        any_colours = ColourRange(low=0.0, high=1.0)
        return ClipDepthRange(
            kind=kind, low=0.0, high=0.0, colours=any_colours, is_distance=is_distance
        )
    return ClipDepthRange(
        kind=kind,
        low=low,
        high=high,
        colours=common_colour_range(samples, kind, what),
        has_sky=has_sky,
        is_distance=is_distance,
    )


def _drawn_sample(depth: DepthMap, what: DrawnQuantity, sky: Mask | None) -> DrawnSample:
    """Sample the values that are drawn for a frame on a coarse grid of pixels."""
    stride = max(1, round((depth.values.size / _RANGE_PIXELS) ** 0.5))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    values = extend_ground_to_sky(depth, sky).values[grid]
    sampled = DepthMap(values=values, kind=depth.kind, valid=depth.valid[grid])
    return DrawnSample.from_map(sampled, what, None if sky is None else sky[grid])


def drawn_depth(depth: DepthMap, sky: Mask | None) -> tuple[DepthMap, Mask | None]:
    """Depth and sky as pictures show them: objects are before the sky, and the ground reaches it.

    ``sky`` is the network's mask; the returned one is None if no pixel is sky.
    """
    sky = sky_behind_objects(depth, sky)
    return extend_ground_to_sky(depth, sky), sky


def coloured_sky(prediction: PredictionRecord) -> Mask | None:
    """Mask of the sky that pictures colour, without objects before it; None if there is no sky."""
    return sky_behind_objects(prediction.depth, prediction.sky)


def depth_picture(
    prediction: PredictionRecord,
    options: SaveOptions,
    rows: slice = slice(None),
    columns: slice = slice(None),
    limits: ColourRange | None = None,
) -> Pixels:
    """Draw depth at some rows and columns, by default with the colour range of the whole map."""
    depth, sky = prediction.depth, coloured_sky(prediction)
    sampled_depth = DepthMap(
        values=depth.values[rows, columns], kind=depth.kind, valid=depth.valid[rows, columns]
    )
    sampled_sky = None if sky is None else sky[rows, columns]
    return colourise(
        extend_ground_to_sky(sampled_depth, sampled_sky),
        colour_map=options.colour_map,
        limits=limits or picture_range(depth, options, sky),
        quantity=options.draw,
        sky=sampled_sky,
    )


def picture_range(depth: DepthMap, options: SaveOptions, sky: Mask | None = None) -> ColourRange:
    """Colour range in the options, or else that of the map with its ground continued to the sky."""
    if options.colour_limits is None:
        depth = extend_ground_to_sky(depth, sky)
    return _range_up_to_sky(depth, options, sky)


def _range_up_to_sky(extended: DepthMap, options: SaveOptions, sky: Mask | None) -> ColourRange:
    """Colour range in the options, or else that of a map whose ground was already continued."""
    if options.colour_limits is None:
        return colour_range(extended, options.draw, sky)
    near, far = options.colour_limits
    return colour_range_from_depths(near, far, extended.kind, options.draw)


def colour_facts(
    kind: DepthKind, limits: ColourRange, options: SaveOptions, *, has_sky: bool = False
) -> ColourFacts:
    """Describe the colours of a map."""
    return ColourFacts(
        map=options.colour_map,
        draws=_describe_drawn_quantity(kind, options.draw),
        low=limits.low,
        high=limits.high,
        invalid=invalid_colour(options.colour_map),
        sky=sky_colour(options.colour_map) if has_sky else None,
    )


def _describe_drawn_quantity(kind: DepthKind, quantity: DrawnQuantity) -> str:
    """Describe what a picture draws, as a formula of depth or of affine values."""
    if kind.is_depth:
        return "1/depth" if quantity is DrawnQuantity.INVERSE_DEPTH else "depth"
    return "values" if drawing_sign(kind, quantity) > 0 else "-values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Colour bar, from left to right.

    Attributes:
        colours: Evenly spaced CSS colours.
        ticks: Evenly spaced labels.
        directions: Says which side is near and which is far.
        explanations: Say what the labels and further colours mean.
        sky: CSS colour of the sky; None if it has none of its own.
    """

    colour_facts: ColourFacts
    colours: tuple[str, ...]
    ticks: tuple[str, ...]
    directions: str
    explanations: tuple[str, ...]
    sky: str | None = None

    @property
    def caption(self) -> str:
        """Directions and explanations in one line."""
        return "; ".join((self.directions, *self.explanations))


def colour_bar(depth: DepthMap, options: SaveOptions, sky: Mask | None = None) -> Bar:
    """Make the colour bar of a map, with numbers as labels only if its values are depth."""
    limits = picture_range(depth, options, sky)
    ends = ("far", "near") if options.draw is DrawnQuantity.INVERSE_DEPTH else ("near", "far")
    has_numbers = depth.is_depth and limits.low > 0
    unit = " m" if depth.kind is DepthKind.METRIC else ""
    left_end, right_end = ends
    meanings = {
        DepthKind.METRIC: "depth along the optical axis in metres",
        DepthKind.UP_TO_SCALE: "depth in an unknown unit: only ratios are meaningful",
    }
    explanations = [meanings.get(depth.kind, "without labels, because the values are not depth")]
    has_colour = depth.valid if sky is None else depth.valid | sky
    if not has_colour.all():
        no_depth_colour = "dark red" if options.colour_map == "grey" else "grey"
        explanations.append(f"pixels without depth are {no_depth_colour}")
    return Bar(
        colour_facts=colour_facts(depth.kind, limits, options, has_sky=sky is not None),
        colours=css_colours(options.colour_map),
        ticks=_tick_labels(limits, options.draw, unit) if has_numbers else ends,
        directions=f"{left_end} on the left, {right_end} on the right",
        explanations=tuple(explanations),
        sky=None if sky is None else hex_colour(sky_colour(options.colour_map)),
    )


def css_colours(colour_map: str, count: int = _CSS_COLOUR_COUNT) -> tuple[str, ...]:
    """Evenly spaced colours of a colour map, as ``#rrggbb``."""
    table = colour_table(colour_map)
    indices = np.linspace(0, len(table) - 1, count).round().astype(int)
    return tuple(map(hex_colour, table[indices].tolist()))


def hex_colour(colour: Sequence[int]) -> str:
    """Colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _tick_labels(limits: ColourRange, quantity: DrawnQuantity, unit: str) -> tuple[str, ...]:
    drawn_values = np.linspace(limits.low, limits.high, _TICK_COUNT)
    depths = 1 / drawn_values if quantity is DrawnQuantity.INVERSE_DEPTH else drawn_values
    return tuple(f"{depth:.3g}{unit}" for depth in depths)
