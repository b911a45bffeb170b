"""Small pictures of photographs, depth, normals and errors, for pages about evaluations."""

import base64
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float, Float32, Mask, Pixels, UInt8, Vectors
from rilievo.io.map_pictures import (
    ANGLE_COLOURS,
    DEPTH_COLOURS,
    SIGNED_COLOURS,
    ColourRange,
    DrawnQuantity,
    colour_range,
    colourise,
    invalid_colour,
    normals_picture,
)
from rilievo.io.outputs.formats.colour_files import drawn_depth
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth

WIDTH = 640  # [px], largest width of a picture
PHOTOGRAPH, TRUE_DEPTH, TRUE_NORMALS = "Photograph", "True depth", "True normals"
_JPEG_QUALITY = 85
_MAX_DRAWN_ANGLE = 45.0
"""Angle between normals that has the last colour [degrees]; larger ones have it, too."""

_MAX_DRAWN_ERRORS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Relative errors of which one is chosen to have the last colour of error maps."""
_DEFAULT_MAX_DRAWN_ERROR = 0.25
"""Relative error with the last colour if no median error is known."""
_MIN_MAX_TO_MEDIAN_ERROR = 3
"""Least ratio of the error with the last colour to the median error of each model."""
_MAX_RANGE_GROWTH = 4
"""Factor by which predictions may widen the colour range of the true depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """What the colours of a picture mean.

    Attributes:
        ramp: Name of the colours: ``depth``, ``signed`` or ``angle``.
        marks: Labels at equal distances, from the left.
        has_sky: Whether the sky has a colour.
    """

    ramp: str
    marks: tuple[str, ...]
    has_sky: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One of the pictures that show an image and its predictions.

    Attributes:
        title: Title, by which readers of a page choose pictures.
        description: Text for screen readers.
        legend: Meaning of the colours, or None if they do not stand for numbers.
        model: Model whose prediction it shows, or None for the photograph and the ground truth.
    """

    title: str
    description: str
    pixels: Pixels
    legend: Legend | None = None
    model: str | None = None

    def jpeg(self) -> bytes:
        """Encode the picture as JPEG, with colours at full resolution, since they mean numbers."""
        return jpeg_bytes(Image.fromarray(self.pixels), quality=_JPEG_QUALITY)

    @property
    def uri(self) -> str:
        """The picture as a data URL."""
        return jpeg_uri(self.jpeg())


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedMaps:
    """Prediction of a model for an image."""

    depth: DepthMap | None = None
    normals: Vectors | None = None
    sky: Mask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """Entry of a page about one image, with its pictures.

    Attributes:
        label: Reason why it is shown, in one word.
        value: Score of the image, as text.
        numbers: Names and values of further scores, as text.
        fault: Reason why it cannot be shown, or None if it can.
    """

    name: str
    label: str
    value: str
    numbers: tuple[tuple[str, str], ...]
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockMeans:
    """Reduced map, with one pixel for each square block of the original.

    Attributes:
        values: Means of the valid pixels of each block; 0 if there are none.
        valid: Blocks with at least one valid pixel.
    """

    values: Float32[np.ndarray, "c h w"]
    valid: Mask


def jpeg_uri(jpeg: bytes) -> str:
    """Encode a JPEG file as a data URL."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def jpeg_bytes(image: Image.Image, *, quality: int, subsampling: int = 0) -> bytes:
    """Encode an image as JPEG, with optimised Huffman tables if Pillow can compute them.

    Args:
        image: RGB or grey image.
        quality: Quality of Pillow, 1 to 95.
        subsampling: Pillow's code for the chroma subsampling: 0 is 4:4:4, 2 is 4:2:0.
    """
    with_standard_tables = _encode_jpeg(image, quality, subsampling, optimize=False)
    # To optimise tables, Pillow uses a buffer of one byte per pixel, and fails if it is too small.
    if len(with_standard_tables) >= image.width * image.height:
        return with_standard_tables
    return _encode_jpeg(image, quality, subsampling, optimize=True)


def _encode_jpeg(image: Image.Image, quality: int, subsampling: int, *, optimize: bool) -> bytes:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality, subsampling=subsampling, optimize=optimize)
    return file.getvalue()


def average_blocks(values: Float[np.ndarray, "c h w"], valid: Mask) -> BlockMeans:
    """Average the valid pixels of a map over blocks, down to a width of at most ``WIDTH``."""
    height, width = valid.shape
    block_side = _block_side(width)
    first_rows = np.arange(0, height, block_side)
    first_columns = np.arange(0, width, block_side)
    # Invalid pixels are set to 0, so that they add nothing to the sums.
    valid_values = np.where(valid, values, np.float32(0))
    row_sums = np.add.reduceat(valid_values, first_rows, axis=1, dtype=np.float64)
    sums = np.add.reduceat(row_sums, first_columns, axis=2)
    row_counts = np.add.reduceat(valid.astype(np.int64), first_rows, axis=0)
    counts = np.add.reduceat(row_counts, first_columns, axis=1)
    means = sums / np.maximum(counts, 1)
    return BlockMeans(values=means.astype(np.float32), valid=counts > 0)


def _block_side(width: int) -> int:
    return max(1, math.ceil(width / WIDTH))


def photo_panel(pixels: Pixels, title: str = PHOTOGRAPH) -> Panel:
    """Make the picture of a photograph, in the size that ``average_blocks`` gives to maps."""
    reduced = Image.fromarray(pixels).reduce(_block_side(pixels.shape[1]))
    return Panel(title=title, description=title, pixels=np.asarray(reduced))


def choose_max_error(medians: list[float]) -> float:
    """Choose the relative error with the last colour, by the median error of each model.

    It is a round number, so that pages are easy to compare, and three times the largest median, so
    that the colours tell small and large errors of each model apart.
    """
    if not medians:
        return _DEFAULT_MAX_DRAWN_ERROR
    required = _MIN_MAX_TO_MEDIAN_ERROR * max(medians)
    return next((error for error in _MAX_DRAWN_ERRORS if error >= required), _MAX_DRAWN_ERRORS[-1])


def comparison_panels(
    truth: Truth | None,
    predictions: Mapping[str, PredictedMaps],
    max_error: float,
    *,
    depth: bool = True,
    normals: bool = True,
) -> Iterator[Panel]:
    """Draw the ground truth (if there is any) and the predictions of an image.

    The true depth and metric predictions share one colour range. The relative error ``max_error``
    has the last colour of error maps.
    """
    true_depth = _true_depth(truth)
    limits = _shared_colour_range(true_depth, predictions.values())
    if depth and true_depth is not None:
        yield depth_panel(TRUE_DEPTH, true_depth, limits=limits)
    if normals and truth and truth.normals is not None and truth.normals_valid is not None:
        yield _normals_panel(TRUE_NORMALS, truth.normals, truth.normals_valid, None)
    for model, maps in predictions.items():
        if maps.depth is not None:
            yield from _depth_panels(model, maps.depth, true_depth, limits, max_error, maps.sky)
        if maps.normals is not None:
            yield from _normals_panels(model, maps.normals, truth)


def _shared_colour_range(
    true_depth: DepthMap | None, predictions: Iterable[PredictedMaps]
) -> ColourRange | None:
    """Colour range [1/m] that covers the true depth and all metric predictions; None without truth.

    A prediction that is far off widens the range of the true depth by a limited factor, so that it
    cannot squeeze the truth into a few colours.
    """
    if true_depth is None:
        return None
    true_range = colour_range(_reduce_depth(true_depth))
    predicted_ranges = [
        _predicted_colour_range(maps.depth, maps.sky)
        for maps in predictions
        if maps.depth is not None and maps.depth.kind is DepthKind.METRIC
    ]
    lowest = min(each.low for each in (true_range, *predicted_ranges))
    highest = max(each.high for each in (true_range, *predicted_ranges))
    return ColourRange(
        low=max(lowest, true_range.low / _MAX_RANGE_GROWTH),
        high=min(highest, true_range.high * _MAX_RANGE_GROWTH),
    )


def _depth_panels(
    model: str,
    depth: DepthMap,
    true_depth: DepthMap | None,
    limits: ColourRange | None,
    max_error: float,
    sky: Mask | None,
) -> Iterator[Panel]:
    """Draw the depth of a model, and its error if both this depth and the true one are metric."""
    if true_depth is None or depth.kind is not DepthKind.METRIC:
        yield depth_panel(model, depth, model=model, sky=sky)
        return
    yield depth_panel(model, depth, limits, model=model, sky=sky)
    yield _depth_error_panel(model, true_depth, depth, max_error)


def _normals_panels(model: str, normals: Vectors, truth: Truth | None) -> Iterator[Panel]:
    """Draw the normals of a model, and their error if there are true normals."""
    # Pixels without a normal hold zeros or NaN, others unit vectors.
    with np.errstate(invalid="ignore"):
        has_normal = np.asarray(np.square(normals).sum(axis=0) > 0.5)
    yield _normals_panel(f"{model}, normals", normals, has_normal, model)
    if truth is not None and truth.normals is not None and truth.normals_valid is not None:
        yield _angle_panel(model, truth.normals, normals, has_normal & truth.normals_valid)


def depth_panel(
    title: str,
    depth: DepthMap,
    limits: ColourRange | None = None,
    *,
    model: str | None = None,
    sky: Mask | None = None,
) -> Panel:
    """Draw depth in colours, near in red. The legend of metric depth has distances in metres.

    ``limits`` is the colour range [1/m]; by default that of the depth map.
    """
    shown, shown_sky = drawn_depth(depth, sky)
    reduced = _reduce_depth(shown)
    reduced_sky = _reduce_sky(shown_sky)
    drawn_range = limits or colour_range(reduced, sky=reduced_sky)
    labels = _depth_labels(reduced.kind, drawn_range)
    return Panel(
        title=title,
        description=f"{title} in colours, from {labels[0]} to {labels[-1]}",
        pixels=colourise(reduced, colour_map=DEPTH_COLOURS, limits=drawn_range, sky=reduced_sky),
        legend=Legend(ramp="depth", marks=labels, has_sky=reduced_sky is not None),
        model=model,
    )


def _depth_labels(kind: DepthKind, limits: ColourRange) -> tuple[str, ...]:
    """Labels of the first colour of depth, the one in the middle, and the last one.

    Colours are linear in inverse depth, so the middle one stands for the mean of the limits [1/m].
    Without metres, or if the first colour stands for infinite depth, there are only words.
    """
    if kind is not DepthKind.METRIC or limits.low <= 0:
        return ("far", "near")
    farthest = 1 / limits.low
    at_mean_inverse_depth = 2 / (limits.low + limits.high)
    nearest = 1 / limits.high
    return tuple(f"{metres:.3g} m" for metres in (farthest, at_mean_inverse_depth, nearest))


def _true_depth(truth: Truth | None) -> DepthMap | None:
    if truth is None or truth.depth is None or truth.depth_valid is None:
        return None
    if not truth.depth_valid.any():
        return None
    return DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)


def _reduce_depth(depth: DepthMap) -> DepthMap:
    means = average_blocks(depth.values[None], depth.valid)
    return DepthMap(values=means.values[0], kind=depth.kind, valid=means.valid)


def _reduce_sky(sky: Mask | None) -> Mask | None:
    """Reduce a sky mask by majority vote in each block."""
    if sky is None:
        return None
    all_valid = np.ones(sky.shape, bool)
    sky_fraction = average_blocks(sky[None].astype(np.float32), all_valid).values[0]
    return sky_fraction > 0.5


def _predicted_colour_range(depth: DepthMap, sky: Mask | None) -> ColourRange:
    shown, shown_sky = drawn_depth(depth, sky)
    return colour_range(_reduce_depth(shown), sky=_reduce_sky(shown_sky))


def _depth_error_panel(
    model: str, true_depth: DepthMap, depth: DepthMap, max_error: float
) -> Panel:
    """Draw the signed relative error of depth, predicted / true - 1."""
    has_both = true_depth.valid & depth.valid
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.where(has_both, depth.values / true_depth.values - 1, 0)  # 0 is masked out
    percent = f"{100 * max_error:.0f}%"
    return Panel(
        title=f"{model}, error",
        description=f"Relative error of {model}: blue is too near, red is too far",
        pixels=_colour_values(
            error, has_both, ColourRange(low=-max_error, high=max_error), SIGNED_COLOURS
        ),
        legend=Legend(ramp="signed", marks=(f"−{percent} too near", f"+{percent} too far")),
        model=model,
    )


def _angle_panel(model: str, true_normals: Vectors, normals: Vectors, mask: Mask) -> Panel:
    """Draw the angle between true and predicted normals, from their dot product."""
    cosine = np.where(mask, np.einsum("chw,chw->hw", true_normals, normals), 0)  # 0 is masked out
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    limits = ColourRange(low=0.0, high=_MAX_DRAWN_ANGLE)
    angle_range = f"from 0° to {_MAX_DRAWN_ANGLE:.0f}° or more"
    return Panel(
        title=f"{model}, error of normals",
        description=f"Angle between the true normals and those of {model}, {angle_range}",
        pixels=_colour_values(angle, mask, limits, ANGLE_COLOURS),
        legend=Legend(
            ramp="angle", marks=("0°", f"{_MAX_DRAWN_ANGLE / 2:g}°", f"{_MAX_DRAWN_ANGLE:.0f}°+")
        ),
        model=model,
    )


def _normals_panel(
    title: str, normals: Float[np.ndarray, "3 h w"], valid: Mask, model: str | None
) -> Panel:
    """Draw normals in colours; the means of blocks are scaled back to unit length."""
    means = average_blocks(normals, valid)
    lengths = np.linalg.norm(means.values, axis=0)
    pixels = normals_picture(means.values / np.maximum(lengths, np.float32(1e-6)))
    pixels[~means.valid] = invalid_colour(DEPTH_COLOURS)
    description = f"{title} in colours: a wall seen head-on is light blue"
    return Panel(title=title, description=description, pixels=pixels, model=model)


def _colour_values(
    values: Float[np.ndarray, "h w"], valid: Mask, limits: ColourRange, colour_map: str
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Draw any values in colours, linearly between ``limits``."""
    means = average_blocks(values[None], valid)
    # ``colourise`` draws affine depth without converting it to inverse depth.
    as_depth = DepthMap(values=means.values[0], kind=DepthKind.AFFINE, valid=means.valid)
    return colourise(as_depth, colour_map=colour_map, limits=limits, quantity=DrawnQuantity.DEPTH)
