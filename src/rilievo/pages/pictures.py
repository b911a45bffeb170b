"""Small pictures of photographs, depth, normals and errors, for pages of evaluations."""

import base64
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
    Drawn,
    colour_range,
    colourise,
    invalid_colour,
    normals_picture,
)
from rilievo.io.outputs.skyline import extend_ground_to_sky, sky_behind_objects
from rilievo.io.photographs.jpeg import jpeg_bytes
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth

WIDTH = 640  # [px], that no picture exceeds
PHOTOGRAPH, TRUE_DEPTH, TRUE_NORMALS = "Photograph", "True depth", "True normals"
_JPEG_QUALITY = 85
_MAX_ANGLE = 45.0
"""Angle between normals with the last colour [degrees]."""

_ERROR_ENDS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Relative errors at which the colours of an error map may end."""
_DEFAULT_ERROR_END = 0.25
_ERROR_HEADROOM = 3  # ends of error maps over the median error
_MAX_RANGE_GROWTH = 4
"""Factor by which predictions may widen the colour range of the true depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """What the colours of a picture mean.

    Attributes:
        ramp: Name of the colours: ``depth``, ``signed`` or ``angle``.
        marks: Labels at even distances, from the left.
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
        words: Description for screen readers.
        legend: Meaning of the colours; None where they are no numbers.
        model: Model whose prediction it shows; None for the photograph and the ground truth.
    """

    title: str
    words: str
    pixels: Pixels
    legend: Legend | None = None
    model: str | None = None

    def jpeg(self) -> bytes:
        """Encode the picture as JPEG, without subsampled colours, as these stand for numbers."""
        return jpeg_bytes(Image.fromarray(self.pixels), quality=_JPEG_QUALITY)

    @property
    def uri(self) -> str:
        """Data URL."""
        return jpeg_uri(self.jpeg())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Prediction of a model for an image."""

    depth: DepthMap | None = None
    normals: Vectors | None = None
    sky: Mask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Image on a page, with its pictures.

    Attributes:
        label: Reason why it is shown, in a word.
        value: Score of the image, as text.
        numbers: Names and values of further scores.
        fault: Reason why it cannot be shown.
    """

    name: str
    label: str
    value: str
    numbers: tuple[tuple[str, str], ...]
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """Reduced map.

    Attributes:
        values: Mean of the valid pixels of each block.
        valid: Blocks with at least one valid pixel.
    """

    values: Float32[np.ndarray, "c h w"]
    valid: Mask


def jpeg_uri(jpeg: bytes) -> str:
    """Encode a JPEG file as a data URL."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def shrink(values: Float[np.ndarray, "c h w"], valid: Mask) -> Shrunk:
    """Average the valid pixels of a map over blocks, down to a width of at most ``WIDTH``."""
    block_side = _block_side(valid.shape[1])
    first_rows, first_columns = (np.arange(0, side, block_side) for side in valid.shape)
    valid_values = np.where(valid, values, np.float32(0))
    row_sums = np.add.reduceat(valid_values, first_rows, axis=1, dtype=np.float64)
    sums = np.add.reduceat(row_sums, first_columns, axis=2)
    row_counts = np.add.reduceat(valid.astype(np.int64), first_rows, axis=0)
    counts = np.add.reduceat(row_counts, first_columns, axis=1)
    return Shrunk(values=(sums / np.maximum(counts, 1)).astype(np.float32), valid=counts > 0)


def _block_side(width: int) -> int:
    return max(1, math.ceil(width / WIDTH))


def photo_panel(pixels: Pixels, title: str = PHOTOGRAPH) -> Panel:
    """Make the picture of a photograph, as small as maps of ``shrink``."""
    small = Image.fromarray(pixels).reduce(_block_side(pixels.shape[1]))
    return Panel(title=title, words=title, pixels=np.asarray(small))


def end_of_error_colours(medians: list[float]) -> float:
    """Choose the relative error at which the colours of error maps end.

    Args:
        medians: Median relative error of each model.
    """
    if not medians:
        return _DEFAULT_ERROR_END
    needed = _ERROR_HEADROOM * max(medians)
    return next((end for end in _ERROR_ENDS if end >= needed), _ERROR_ENDS[-1])


def comparison_panels(
    truth: Truth | None,
    answers: Mapping[str, Answer],
    end: float,
    *,
    depth: bool = True,
    normals: bool = True,
) -> Iterator[Panel]:
    """Draw the ground truth and the predictions of an image; depths in metres share their colours.

    Args:
        truth: Ground truth, if there is one.
        answers: Predictions by model.
        end: Relative error with the last colour.
        depth: Whether the true depth is drawn.
        normals: Whether the true normals are drawn.
    """
    true = _true_depth(truth)
    limits = _shared_colour_range(true, answers.values())
    if depth and true is not None:
        yield depth_panel(TRUE_DEPTH, true, limits=limits)
    if normals and truth and truth.normals is not None and truth.normals_valid is not None:
        yield _normals_panel(TRUE_NORMALS, truth.normals, truth.normals_valid, None)
    for model, answer in answers.items():
        if answer.depth is not None:
            yield from _depth_panels(model, answer.depth, true, limits, end, answer.sky)
        if answer.normals is not None:
            yield from _normals_panels(model, answer.normals, truth)


def _shared_colour_range(true: DepthMap | None, answers: Iterable[Answer]) -> ColourRange | None:
    """Find the colour range of the truth and of all metric predictions; None without a truth."""
    if true is None:
        return None
    truth = colour_range(_shrink_depth(true))
    ranges = [
        _colour_range_of_shrunk(answer.depth, answer.sky)
        for answer in answers
        if answer.depth is not None and answer.depth.kind is DepthKind.METRIC
    ]
    low = min(span.low for span in (truth, *ranges))
    high = max(span.high for span in (truth, *ranges))
    # A prediction that is off by more must not leave the truth without colours.
    return ColourRange(
        low=max(low, truth.low / _MAX_RANGE_GROWTH),
        high=min(high, truth.high * _MAX_RANGE_GROWTH),
    )


def _depth_panels(
    model: str,
    depth: DepthMap,
    true: DepthMap | None,
    limits: ColourRange | None,
    end: float,
    sky: Mask | None,
) -> Iterator[Panel]:
    is_comparable = true is not None and depth.kind is DepthKind.METRIC
    yield depth_panel(model, depth, limits if is_comparable else None, model, sky=sky)
    if true is not None and is_comparable:
        yield _depth_error_panel(model, true, depth, end)


def _normals_panels(model: str, normals: Vectors, truth: Truth | None) -> Iterator[Panel]:
    with np.errstate(invalid="ignore"):
        has_normal = np.asarray(np.square(normals).sum(axis=0) > 0.5)
    yield _normals_panel(f"{model}, normals", normals, has_normal, model)
    if truth is not None and truth.normals is not None and truth.normals_valid is not None:
        yield _angle_panel(model, truth.normals, normals, has_normal & truth.normals_valid)


def depth_panel(
    title: str,
    depth: DepthMap,
    limits: ColourRange | None = None,
    model: str | None = None,
    *,
    sky: Mask | None = None,
) -> Panel:
    """Draw depth in colours, near in red; depth in metres has a legend with numbers."""
    sky = sky_behind_objects(depth, sky)
    small = _shrink_depth(extend_ground_to_sky(depth, sky))
    small_sky = _shrink_sky(sky)
    limits = limits or colour_range(small, sky=small_sky)
    marks = ("far", "near")
    if small.kind is DepthKind.METRIC and limits.low > 0:
        far, near = 1 / limits.low, 1 / limits.high
        middle = 2 / (limits.low + limits.high)
        marks = tuple(f"{metres:.3g} m" for metres in (far, middle, near))
    return Panel(
        title=title,
        words=f"{title} in colours, from {marks[0]} to {marks[-1]}",
        pixels=colourise(small, colour_map=DEPTH_COLOURS, limits=limits, sky=small_sky),
        legend=Legend(ramp="depth", marks=marks, has_sky=small_sky is not None),
        model=model,
    )


def _true_depth(truth: Truth | None) -> DepthMap | None:
    if truth is None or truth.depth is None or truth.depth_valid is None:
        return None
    if not truth.depth_valid.any():
        return None
    return DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)


def _shrink_depth(depth: DepthMap) -> DepthMap:
    small = shrink(depth.values[None], depth.valid)
    return DepthMap(values=small.values[0], kind=depth.kind, valid=small.valid)


def _shrink_sky(sky: Mask | None) -> Mask | None:
    if sky is None:
        return None
    return shrink(sky[None].astype(np.float32), np.ones(sky.shape, bool)).values[0] > 0.5


def _colour_range_of_shrunk(depth: DepthMap, sky: Mask | None) -> ColourRange:
    sky = sky_behind_objects(depth, sky)
    return colour_range(_shrink_depth(extend_ground_to_sky(depth, sky)), sky=_shrink_sky(sky))


def _depth_error_panel(model: str, true: DepthMap, depth: DepthMap, end: float) -> Panel:
    both = true.valid & depth.valid
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.where(both, depth.values / true.values - 1, 0)
    return Panel(
        title=f"{model}, error",
        words=f"Relative error of {model}: blue is too near, red is too far",
        pixels=_colour_numbers(error, both, ColourRange(low=-end, high=end), SIGNED_COLOURS),
        legend=Legend(
            ramp="signed", marks=(f"−{100 * end:.0f} % too near", f"+{100 * end:.0f} % too far")
        ),
        model=model,
    )


def _angle_panel(
    model: str,
    true: Vectors,
    normals: Vectors,
    mask: Mask,
) -> Panel:
    cosine = np.where(mask, np.einsum("chw,chw->hw", true, normals), 0)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    limits = ColourRange(low=0.0, high=_MAX_ANGLE)
    return Panel(
        title=f"{model}, error of normals",
        words=f"Angle between true normals and {model}'s, from 0° to {_MAX_ANGLE:.0f}° and more",
        pixels=_colour_numbers(angle, mask, limits, ANGLE_COLOURS),
        legend=Legend(ramp="angle", marks=("0°", f"{_MAX_ANGLE / 2:g}°", f"{_MAX_ANGLE:.0f}°+")),
        model=model,
    )


def _normals_panel(
    title: str,
    normals: Float[np.ndarray, "3 h w"],
    valid: Mask,
    model: str | None,
) -> Panel:
    small = shrink(normals, valid)
    lengths = np.linalg.norm(small.values, axis=0)
    pixels = normals_picture(small.values / np.maximum(lengths, np.float32(1e-6)))
    pixels[~small.valid] = invalid_colour(DEPTH_COLOURS)
    words = f"{title} in colours: a wall seen head-on is light blue"
    return Panel(title=title, words=words, pixels=pixels, model=model)


def _colour_numbers(
    values: Float[np.ndarray, "h w"],
    valid: Mask,
    limits: ColourRange,
    colour_map: str,
) -> UInt8[np.ndarray, "h2 w2 3"]:
    small = shrink(values[None], valid)
    # Declared as affine depth, so that the numbers are drawn as they are.
    numbers = DepthMap(values=small.values[0], kind=DepthKind.AFFINE, valid=small.valid)
    return colourise(numbers, colour_map=colour_map, limits=limits, quantity=Drawn.DEPTH)
