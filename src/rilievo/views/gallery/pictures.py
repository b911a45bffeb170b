"""Pictures of one image: photograph, ground truth, and predictions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from rilievo.evaluate.thumbnails import (
    depth_limits,
    shrink,
    shrinkage,
    shrunk_depth,
)
from rilievo.io.colour import ColourRange, colourise, invalid_colour, normals_picture
from rilievo.io.jpeg import jpeg_bytes
from rilievo.io.palette import DEPTH_COLOURS
from rilievo.types import DepthKind, DepthMap
from rilievo.views.view_items import Column, ViewItem

_QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture.

    Attributes:
        title: Title above the picture, the same for all images; pictures to compare are chosen by
            it.
        words: Description of the picture, for screen readers.
        pixels: RGB pixels.
        ends: Values of the last and the first colour, the near one first; None without a scale.
        column: Model that it belongs to; None for photograph and ground truth.
    """

    title: str
    words: str
    pixels: UInt8[np.ndarray, "h w 3"]
    ends: tuple[str, str] | None = None
    column: Column | None = None

    def jpeg(self) -> bytes:
        """Encode the picture as JPEG."""
        # No chroma subsampling, because colours stand for values.
        return jpeg_bytes(Image.fromarray(self.pixels), quality=_QUALITY)


def pictures_of(item: ViewItem) -> Iterator[Picture]:
    """Yield all pictures of one image; metric depth is drawn on one scale, that of the truth."""
    small = Image.fromarray(item.photo).reduce(shrinkage(item.photo.shape[1]))
    yield Picture(title="Photograph", words="Photograph", pixels=np.asarray(small))
    yield from _depths(item)
    truth = item.truth
    if truth is not None and truth.normals is not None and truth.normals_valid is not None:
        yield _normals("True normals", truth.normals, truth.normals_valid)
    for each in item.shown:
        if each.seen is not None and each.seen.normals is not None:
            normals = each.seen.normals
            with np.errstate(invalid="ignore"):
                given = np.asarray(np.square(normals).sum(axis=0) > 0.5)
            yield _normals(f"{each.column.label}, normals", normals, given, each.column)


def _depths(item: ViewItem) -> Iterator[Picture]:
    true, limits = item.true_depth, None
    if true is not None and true.valid.any():
        small = shrunk_depth(true)
        limits = depth_limits(small)
        yield _depth("True depth", small, limits)
    for each in item.shown:
        if each.seen is None or each.seen.depth is None:
            continue
        small = shrunk_depth(each.seen.depth)
        shared = limits if small.kind is DepthKind.METRIC else None
        yield _depth(each.column.label, small, shared or depth_limits(small), each.column)


def _depth(
    title: str, small: DepthMap, limits: ColourRange, column: Column | None = None
) -> Picture:
    near, far = "near", "far"
    if small.kind is DepthKind.METRIC and limits.low > 0:
        near, far = f"{1 / limits.high:.3g} m", f"{1 / limits.low:.3g} m"
    return Picture(
        title=title,
        words=f"{title} in colours, bright for {near}, dark for {far}",
        pixels=colourise(small, colour_map=DEPTH_COLOURS, limits=limits),
        ends=(far, near),
        column=column,
    )


def _normals(
    title: str,
    normals: Float[np.ndarray, "3 h w"],
    valid: Bool[np.ndarray, "h w"],
    column: Column | None = None,
) -> Picture:
    small = shrink(normals, valid)
    lengths = np.linalg.norm(small.values, axis=0)
    pixels = normals_picture(small.values / np.maximum(lengths, np.float32(1e-6)))
    pixels[~small.valid] = invalid_colour(DEPTH_COLOURS)
    return Picture(
        title=title,
        words=f"{title} in colours: a wall seen head-on is light blue",
        pixels=pixels,
        column=column,
    )
