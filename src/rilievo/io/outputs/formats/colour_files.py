"""Depth as a colour picture: 8-bit PNG, with a palette if all pixels are valid; its colour bar."""

from dataclasses import replace

import numpy as np

from rilievo.frozen import frozen
from rilievo.io.colour_pictures import (
    ColourRange,
    Drawn,
    colour_levels,
    colour_range,
    colour_table,
    colourise,
    invalid_colour,
    range_of,
)
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import ColourFacts, FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.types import DepthKind, DepthMap

_DRAWS = {
    (True, Drawn.INVERSE_DEPTH): "1/depth",
    (True, Drawn.DEPTH): "depth",
    (False, Drawn.INVERSE_DEPTH): "values",
    (False, Drawn.DEPTH): "-values",
}
_TICKS = 5
_STOPS = 17


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write the picture; near is red unless the options say otherwise."""
    options = job.options
    limits = picture_range(depth, options)
    colour = colour_facts(depth.kind, limits, options)
    facts = replace(job.facts("picture of depth"), colour=colour)
    if depth.valid.all():
        palette = colour_table(options.colour_map)
        return job.write_png(colour_levels(depth, limits, options.draw), facts, palette)
    # The colour of invalid pixels is not among the 256.
    picture = colourise(depth, colour_map=options.colour_map, limits=limits, what=options.draw)
    return job.write_png(picture, facts)


def picture_range(depth: DepthMap, options: SaveOptions) -> ColourRange:
    """Colour range from the options, or else that of the map itself."""
    if options.colour_limits is None:
        return colour_range(depth, options.draw)
    near, far = options.colour_limits
    return range_of(near, far, depth.kind, options.draw)


def colour_facts(kind: DepthKind, limits: ColourRange, options: SaveOptions) -> ColourFacts:
    """Describe how a map of this kind is drawn."""
    is_depth = kind.is_depth
    draws = _DRAWS[is_depth, options.draw]
    if kind is DepthKind.AFFINE:
        draws = "-values" if draws == "values" else "values"
    return ColourFacts(
        map=options.colour_map,
        draws=draws,
        low=limits.low,
        high=limits.high,
        invalid=invalid_colour(options.colour_map),
    )


@frozen
class Bar:
    """The colour bar of a depth picture.

    Attributes:
        facts: Colouring of the picture.
        colours: CSS colours of the bar from left to right, evenly spaced.
        ticks: Labels under the bar from left to right, evenly spaced.
        caption: Meaning of the labels.
    """

    facts: ColourFacts
    colours: tuple[str, ...]
    ticks: tuple[str, ...]
    caption: str


def colour_bar(depth: DepthMap, options: SaveOptions) -> Bar:
    """Colour bar of a depth map; it has labels only where values are depths."""
    limits = picture_range(depth, options)
    flat = "dark red" if options.colour_map == "grey" else "grey"
    ends = ("far", "near") if options.draw is Drawn.INVERSE_DEPTH else ("near", "far")
    numbered = depth.is_depth and limits.low > 0
    unit = " m" if depth.kind is DepthKind.METRIC else ""
    captions = {
        DepthKind.METRIC: "depth along the optical axis in metres",
        DepthKind.UP_TO_SCALE: "depth in an unknown unit, not in metres: only ratios hold",
    }
    caption = captions.get(depth.kind, "without labels, because the values are not depth")
    return Bar(
        facts=colour_facts(depth.kind, limits, options),
        colours=colours_of(options.colour_map),
        ticks=_ticks(limits, options.draw, unit) if numbered else ends,
        caption=f"{ends[0]} on the left, {ends[1]} on the right; {caption}"
        + (f"; {flat} where there is no depth" if not depth.valid.all() else ""),
    )


def colours_of(colour_map: str, steps: int = _STOPS) -> tuple[str, ...]:
    """Colours of a map at even distances, from the first to the last, as CSS writes them."""
    table = colour_table(colour_map)
    places = np.linspace(0, len(table) - 1, steps).round().astype(int)
    return tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in table[places].tolist())


def _ticks(limits: ColourRange, what: Drawn, unit: str) -> tuple[str, ...]:
    """Depths at even steps of the bar, also where the bar shows inverse depth."""
    numbers = np.linspace(limits.low, limits.high, _TICKS)
    depths = 1 / numbers if what is Drawn.INVERSE_DEPTH else numbers
    return tuple(f"{depth:.3g}{unit}" for depth in depths)
