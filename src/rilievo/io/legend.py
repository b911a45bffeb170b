"""Colour bar of a depth picture: its colours, and the depths that they stand for."""

from dataclasses import dataclass

import numpy as np

from rilievo.io.colour import ColourRange, Drawn, check_colour_map, colour_table
from rilievo.io.facts import ColourFacts
from rilievo.io.formats.colour import colour_facts, picture_range
from rilievo.io.writing import SaveOptions
from rilievo.types import DepthKind, DepthMap

_TICKS = 5
_STOPS = 17


@dataclass(frozen=True, slots=True, kw_only=True)
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
    table = colour_table(check_colour_map(colour_map))
    places = np.linspace(0, len(table) - 1, steps).round().astype(int)
    return tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in table[places].tolist())


def _ticks(limits: ColourRange, what: Drawn, unit: str) -> tuple[str, ...]:
    """Depths at even steps of the bar, also where the bar shows inverse depth."""
    numbers = np.linspace(limits.low, limits.high, _TICKS)
    depths = 1 / numbers if what is Drawn.INVERSE_DEPTH else numbers
    return tuple(f"{depth:.3g}{unit}" for depth in depths)
