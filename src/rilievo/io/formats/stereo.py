"""Stereo pictures for headsets, 3-D screens and coloured glasses: 8-bit RGB PNG."""

from rilievo.io.colour import ColourRange, Drawn, range_of
from rilievo.io.facts import FileFacts
from rilievo.io.png import write_png
from rilievo.io.stereo import StereoOptions, stereo_picture
from rilievo.io.writing import SaveOptions, WriteJob
from rilievo.types import DepthKind, DepthMap, Photo


def write(job: WriteJob, depth: DepthMap, photo: Photo) -> FileFacts:
    """Write the pair."""
    options = job.options
    limits = stereo_range(depth.kind, options)
    picture = stereo_picture(photo.pixels, depth, options.stereo, limits)
    facts = FileFacts(file=job.file, output=job.output, holds=holds(options.stereo))
    write_png(job.path, picture, {"Software": "rilievo", "rilievo": job.about.alone(facts)})
    return facts


def stereo_range(kind: DepthKind, options: SaveOptions) -> ColourRange | None:
    """Range of inverse depth, where the options name the nearest and farthest depth."""
    if options.colour_limits is None:
        return None
    return range_of(*options.colour_limits, kind, Drawn.INVERSE_DEPTH)


def holds(options: StereoOptions) -> str:
    """Describe the content of a file written with these options."""
    return (
        f"pictures for two eyes, {options.layout}; strength {options.strength:g}, "
        f"convergence {options.convergence:g}"
    )
