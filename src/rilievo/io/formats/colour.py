"""Depth as a colour picture: 8-bit PNG, with a palette where every pixel is valid."""

from rilievo.io.colour import (
    ColourRange,
    Drawn,
    check_colour_map,
    colour_levels,
    colour_range,
    colour_table,
    colourise,
    invalid_colour,
    range_of,
)
from rilievo.io.facts import ColourFacts, FileFacts
from rilievo.io.png import write_png
from rilievo.io.writing import SaveOptions, WriteJob
from rilievo.types import DepthKind, DepthMap

_DRAWS = {
    (True, Drawn.INVERSE_DEPTH): "1/depth",
    (True, Drawn.DEPTH): "depth",
    (False, Drawn.INVERSE_DEPTH): "values",
    (False, Drawn.DEPTH): "-values",
}


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write the picture; near is bright unless the options say otherwise."""
    options = job.options
    limits = picture_range(depth, options)
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds="picture of depth",
        colour=colour_facts(depth.kind, limits, options),
    )
    text = {"Software": "rilievo", "rilievo": job.about.alone(facts)}
    if depth.valid.all():
        palette = colour_table(check_colour_map(options.colour_map))
        write_png(job.path, colour_levels(depth, limits, options.draw), text, palette=palette)
    else:  # their colour is not among the 256
        picture = colourise(depth, colour_map=options.colour_map, limits=limits, what=options.draw)
        write_png(job.path, picture, text)
    return facts


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
