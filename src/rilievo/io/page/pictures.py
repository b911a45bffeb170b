"""Pictures of a page: JPEG files, reduced to sizes that suit screens."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rilievo.geometry.lattice import places
from rilievo.io.colour import (
    ColourRange,
    Drawn,
    colourise,
    normals_picture,
)
from rilievo.io.facts import ColourFacts
from rilievo.io.formats.colour import colour_facts, picture_range
from rilievo.io.jpeg import jpeg_bytes
from rilievo.io.writing import SaveOptions
from rilievo.types import DepthKind, DepthMap, Photo, Prediction

_PHOTO_SIDE, _MAP_SIDE = 2048, 1024
_PHOTO_QUALITY, _MAP_QUALITY = 88, 90
_TICKS = 5
_STOPS = 17
NORMALS_TITLE = "Surface normals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture.

    Attributes:
        title: Title above the picture.
        words: Description of the picture, for screen readers.
        jpeg: Content of the JPEG file.
    """

    title: str
    words: str
    jpeg: bytes


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


def photo_picture(photo: Photo, options: SaveOptions) -> Picture:
    """The photograph, which is also the texture of the surface."""
    image = Image.fromarray(photo.pixels)
    side = min(_PHOTO_SIDE, options.texture_side)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return Picture(title="Photograph", words="The photograph", jpeg=_photo_jpeg(image))


def depth_picture(depth: DepthMap, options: SaveOptions) -> Picture:
    """Depth in the colours of the options."""
    grid = _grid(depth.shape)
    small = DepthMap(values=depth.values[grid], kind=depth.kind, valid=depth.valid[grid])
    picture = colourise(
        small,
        colour_map=options.colour_map,
        limits=picture_range(depth, options),
        what=options.draw,
    )
    bright = "near" if options.draw is Drawn.INVERSE_DEPTH else "far"
    words = f"Depth in colours of the map {options.colour_map}; its last colour is {bright}"
    return Picture(title="Depth", words=words, jpeg=_map_jpeg(picture))


def normals_pictures(prediction: Prediction) -> Picture | None:
    """The normals; None if there are none."""
    if prediction.normals is None:
        return None
    grid = _grid(prediction.shape)
    return Picture(
        title=NORMALS_TITLE,
        words="Directions of surfaces in colours: a wall seen head-on is light blue, a floor green",
        jpeg=_map_jpeg(normals_picture(np.ascontiguousarray(prediction.normals[:, *grid]))),
    )


def confidence_picture(prediction: Prediction) -> Picture | None:
    """The confidence; None if there is none."""
    if prediction.confidence is None:
        return None
    grey = np.rint(prediction.confidence[_grid(prediction.shape)] * np.float32(255))
    words = "Confidence of the model: white is highest, black is lowest"
    return Picture(title="Confidence", words=words, jpeg=_map_jpeg(grey.astype(np.uint8)))


def colour_bar(depth: DepthMap, options: SaveOptions) -> Bar:
    """Colour bar of a depth map; it has labels only where values are depths."""
    limits = picture_range(depth, options)
    ramp = DepthMap(values=np.linspace(0, 1, _STOPS, dtype=np.float32)[None], kind=DepthKind.AFFINE)
    whole = ColourRange(low=0.0, high=1.0)
    colours = colourise(ramp, colour_map=options.colour_map, limits=whole, what=Drawn.DEPTH)[0]
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
        colours=tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in colours.tolist()),
        ticks=_ticks(limits, options.draw, unit) if numbered else ends,
        caption=f"{ends[0]} on the left, {ends[1]} on the right; {caption}"
        + (f"; {flat} where there is no depth" if not depth.valid.all() else ""),
    )


def _ticks(limits: ColourRange, what: Drawn, unit: str) -> tuple[str, ...]:
    """Depths at even steps of the bar, also where the bar shows inverse depth."""
    numbers = np.linspace(limits.low, limits.high, _TICKS)
    depths = 1 / numbers if what is Drawn.INVERSE_DEPTH else numbers
    return tuple(f"{depth:.3g}{unit}" for depth in depths)


def _grid(shape: tuple[int, int]) -> tuple[slice, slice]:
    """Subsample evenly; averages across depth edges would show depths that do not exist."""
    step = -(-max(shape) // _MAP_SIDE)
    first, second = (slice(places(length, step).start, None, step) for length in shape)
    return first, second


def _photo_jpeg(image: Image.Image) -> bytes:
    return jpeg_bytes(image, quality=_PHOTO_QUALITY, subsampling=2)


def _map_jpeg(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    # No chroma subsampling, because colours stand for values.
    return jpeg_bytes(Image.fromarray(pixels), quality=_MAP_QUALITY)
