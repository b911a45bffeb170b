"""Inputs of published graphs, rows ``[[graphs]]`` of ``known.toml``, made of photographs."""

import json
import math
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Shaped, UInt8
from rilievo.errors import OptionError
from rilievo.io.json_record import from_json
from rilievo.models.card import known_models
from rilievo.models.model_settings import read_settings
from rilievo.models.resampling.inference import PLAIN, Arrays, Resizing
from rilievo.models.resampling.preparation import Grid, Preparation, bilinear_points, shrink
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo


class Feeding(StrEnum):
    """Way from a photograph to a graph's input (``feeding.FEEDERS``)."""

    PICTURE = "picture"
    LETTERBOX = "letterbox"
    """Resized to fit into a frame of the mean colour."""
    PATCHES = "patches"
    """Fed at its own size, with the number of patches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """Row of the table of graphs.

    Attributes:
        preparation: Size, filter, mean and deviation; None for patches.
        inputs: Names by role, ``picture`` and ``tokens``; empty for a single one.
        turned: Whether upright photographs are laid on their side.
        views: Whether an axis of views follows the batch.
        any_depth: Whether a single output is depth.
        reading: Key of ``POST_FUNCTIONS``.
        focal: Focal length for which depth is metric [px]; 0 if none.
        sky: Least value of a sky pixel; 0 if none.
        farthest: End of the range [m of that camera]; 0 if none.
        patch: Side of a patch [px].
    """

    name: str
    feeding: Feeding = Feeding.PICTURE
    preparation: Preparation | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    turned: bool = False
    views: bool = False
    one_by_one: bool = False
    outputs: Mapping[str, tuple[str, ...]]
    any_depth: bool = False
    reading: str
    sky: float = 0.0
    focal: float = 0.0
    farthest: float = 0.0
    patch: int = 0
    resizing: Resizing = PLAIN
    settings: str | None = None


@cache
def graph_facts(name: str) -> GraphFacts:
    """Facts of the graphs of one name."""
    [row] = [row for row in known_models("graphs") if row["name"] == name]
    return from_json(GraphFacts, json.dumps(row))


PICTURE, TOKENS = "picture", "tokens"

Given = Mapping[str, Setting]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """Position of a photograph in the frame [px]."""

    top: int
    left: int
    height: int
    width: int
    scale: float

    def inside(self, field: Float32[np.ndarray, "*c h w"]) -> Float32[np.ndarray, "*c a b"]:
        """Crop a field of the frame to the photograph."""
        rows = slice(self.top, self.top + self.height)
        return field[..., rows, self.left : self.left + self.width]

    def framed(
        self,
        pixels: UInt8[np.ndarray, "a b 3"],
        frame: tuple[int, int],
        colour: tuple[float, float, float],
    ) -> Float32[np.ndarray, "h w 3"]:
        """Resize pixels into a frame of one colour (0..255)."""
        image = np.empty((*frame, 3), np.float32)
        image[:] = colour
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        size = (self.height, self.width)
        image[rows, columns] = bilinear_points(pixels, size, grid=Grid.CENTRES)
        return image


def letterbox(shape: tuple[int, int], frame: tuple[int, int]) -> Letterbox:
    """Place a photograph in the middle of a frame."""
    scale = min(frame[0] / shape[0], frame[1] / shape[1])
    height, width = max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))
    return Letterbox(
        top=(frame[0] - height) // 2,
        left=(frame[1] - width) // 2,
        height=height,
        width=width,
        scale=scale,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """Inputs of a graph, by role, for photographs of one size.

    Attributes:
        place: Position; None where it fills the picture.
        turned: Whether the photograph lies on its left side.
    """

    inputs: Arrays
    size: tuple[int, int]
    place: Letterbox | None = None
    turned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeder:
    """Maker of a graph's inputs."""

    size: Callable[[tuple[int, int]], tuple[int, int]]
    feed: Callable[[Sequence[Photo]], Fed]
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Settings of a graph that resizes photographs itself."""

    tokens: int = 1200
    """Number of image patches, 1200 (fast) to 3600 (sharp, the authors' default). Time grows
    slightly
    faster.
    """

    def __post_init__(self) -> None:
        if not 100 <= self.tokens <= 10_000:
            raise OptionError(f"tokens is 100 to 10000, got {self.tokens}")


def normalise_pixels(
    pixels: Shaped[np.ndarray, "b h w 3"], preparation: Preparation
) -> Float32[np.ndarray, "b 3 h w"]:
    """Normalise pixels of 0 to 255, channels first."""
    scale = np.float32(preparation.rescale) / np.array(preparation.std, np.float32)
    shift = np.array(preparation.mean, np.float32) / np.array(preparation.std, np.float32)
    count, height, width, _ = pixels.shape
    # One channel at a time: a fifth of the time of all of them, transposed and copied.
    image = np.empty((count, 3, height, width), np.float32)
    for channel in range(3):
        np.multiply(pixels[..., channel], scale[channel], out=image[:, channel])
        image[:, channel] -= shift[channel]
    return image


def _picture_feeder(_path: Path, facts: GraphFacts, _given: Given, _model: str) -> Feeder:
    preparation = _required_preparation(facts)

    def feed(photos: Sequence[Photo]) -> Fed:
        if facts.turned and photos[0].shape[0] > photos[0].shape[1]:
            [photo] = photos
            pixels = preparation.pixels(np.ascontiguousarray(np.rot90(photo.pixels)))[None]
            turned = True
        else:
            pixels = np.stack([preparation.pixels(image.pixels, image.shape) for image in photos])
            turned = False
        picture = normalise_pixels(pixels, preparation)
        inputs = {PICTURE: picture[:, None] if facts.views else picture}
        return Fed(inputs=inputs, size=(pixels.shape[1], pixels.shape[2]), turned=turned)

    sizing, resampling = str(preparation.sizing), preparation.resampling.value
    settings = {"sizing": sizing, "resampling": resampling}
    return Feeder(size=preparation.size, feed=feed, settings=settings)


def _letterbox_feeder(path: Path, facts: GraphFacts, _given: Given, _model: str) -> Feeder:
    preparation = _required_preparation(facts)
    frame = preparation.sizing.height, preparation.sizing.width
    red, green, blue = (255 * channel for channel in preparation.mean)
    mean, std = (red, green, blue), [255 * channel for channel in preparation.std]
    normalises = holds_colour(path, mean)

    def feed(photos: Sequence[Photo]) -> Fed:
        [photo] = photos
        place = letterbox(photo.shape, frame)
        image = place.framed(photo.pixels, frame, mean)
        if not normalises:
            image = (image - np.array(mean, np.float32)) / np.array(std, np.float32)
        return Fed(inputs={PICTURE: image.transpose(2, 0, 1)[None]}, size=frame, place=place)

    return Feeder(size=lambda _: frame, feed=feed, settings={"normalised": not normalises})


def _patch_feeder(_path: Path, facts: GraphFacts, inputs: Given, model: str) -> Feeder:
    tokens = read_settings(TokenSettings, inputs, model).tokens
    area = tokens * facts.patch**2

    def feed(photos: Sequence[Photo]) -> Fed:
        [photo] = photos
        size = size_within_area(photo.shape, area)
        pixels = photo.pixels if size == photo.shape else shrink(photo.pixels, size)
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        return Fed(inputs={PICTURE: image, TOKENS: np.array(tokens, np.int64)}, size=size)

    return Feeder(
        size=lambda shape: size_within_area(shape, area), feed=feed, settings={"tokens": tokens}
    )


def _required_preparation(facts: GraphFacts) -> Preparation:
    assert facts.preparation is not None, "only patches go without a preparation"
    return facts.preparation


def size_within_area(shape: tuple[int, int], area: int) -> tuple[int, int]:
    """Size reduced to an area [px], never enlarged."""
    scale = math.sqrt(area / (shape[0] * shape[1]))
    if scale >= 1:
        return shape
    height, width = (max(1, round(side * scale)) for side in shape)
    return height, width


def holds_colour(path: Path, colour: Sequence[float]) -> bool:
    """Whether a graph's bytes hold a colour as floats."""
    wanted = [np.array(colour).astype(kind).tobytes() for kind in ("<f4", "<f2", "<f8")]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(pattern) >= 0 for pattern in wanted)


FEEDERS: Mapping[Feeding, Callable[[Path, GraphFacts, Given, str], Feeder]] = {
    Feeding.PICTURE: _picture_feeder,
    Feeding.LETTERBOX: _letterbox_feeder,
    Feeding.PATCHES: _patch_feeder,
}
