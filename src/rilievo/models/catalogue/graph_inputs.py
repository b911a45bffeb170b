"""Inputs of published networks, made from photographs as their family asks."""

import math
import mmap
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Shaped, UInt8
from rilievo.errors import OptionError
from rilievo.models.catalogue.families import InputForm, NetworkFamily
from rilievo.models.model_settings import read_settings
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import Grid, Preparation, bilinear_points, shrink
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

PICTURE, TOKENS = "picture", "tokens"
"""Roles of inputs (``NetworkFamily.inputs``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """Place of a resized photograph in a frame [px].

    Attributes:
        scale: Factor by which the photograph was resized.
    """

    top: int
    left: int
    height: int
    width: int
    scale: float

    def crop(self, field: Float32[np.ndarray, "*c h w"]) -> Float32[np.ndarray, "*c a b"]:
        """Crop a field of the frame to the photograph."""
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        return field[..., rows, columns]

    def paste(
        self,
        pixels: UInt8[np.ndarray, "a b 3"],
        frame: tuple[int, int],
        border: tuple[float, float, float],
    ) -> Float32[np.ndarray, "h w 3"]:
        """Resize a photograph and paste it into a frame whose border has one colour (0 to 255)."""
        image = np.empty((*frame, 3), np.float32)
        image[:] = border
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        size = (self.height, self.width)
        image[rows, columns] = bilinear_points(pixels, size, grid=Grid.CENTRES)
        return image


def letterbox(shape: tuple[int, int], frame: tuple[int, int]) -> Letterbox:
    """Place a photograph in the middle of a frame, as large as it fits; (height, width) [px]."""
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
class GraphInputs:
    """Inputs of a network for photographs of one size.

    Attributes:
        arrays: Inputs by role.
        size: Height and width of the picture that the network gets [px].
        letterbox: Place of the photograph in that picture; None if it fills the picture.
        is_rotated: Whether the photograph lies on its left side.
    """

    arrays: Arrays
    size: tuple[int, int]
    letterbox: Letterbox | None = None
    is_rotated: bool = False


class InputMaker(ABC):
    """Makes the inputs of a network from photographs.

    Attributes:
        settings: What influences the inputs, for the record of a prediction.
    """

    settings: Mapping[str, Setting]

    @abstractmethod
    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the input for a photograph of ``shape``, both (height, width) [px]."""

    @abstractmethod
    def make(self, photos: Sequence[Photo]) -> GraphInputs:
        """Make the inputs for photographs whose inputs have one size.

        Networks that take photographs one by one get a single one.
        """


class ResizedInput(InputMaker):
    """Photographs that are resized and normalised."""

    def __init__(self, family: NetworkFamily) -> None:
        self._family, self._preparation = family, _required_preparation(family)
        self.settings = {
            "sizing": str(self._preparation.sizing),
            "resampling": self._preparation.resampling.value,
        }

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size that the family's rule gives."""
        return self._preparation.size(shape)

    def make(self, photos: Sequence[Photo]) -> GraphInputs:
        """Resize and normalise photographs."""
        height, width = photos[0].shape
        is_rotated = self._family.rotates_portraits and height > width
        if is_rotated:
            [photo] = photos
            upright = np.ascontiguousarray(np.rot90(photo.pixels))
            pixels = self._preparation.pixels(upright)[None]
        else:
            pixels = np.stack(
                [self._preparation.pixels(photo.pixels, photo.shape) for photo in photos]
            )
        picture = normalise_pixels(pixels, self._preparation)
        if self._family.has_view_axis:
            picture = picture[:, None]
        size = (pixels.shape[1], pixels.shape[2])
        return GraphInputs(arrays={PICTURE: picture}, size=size, is_rotated=is_rotated)


class LetterboxedInput(InputMaker):
    """Photographs in a frame of fixed size, whose border has the mean colour."""

    def __init__(self, family: NetworkFamily, path: Path) -> None:
        """Read from the network's file at ``path`` whether the network itself normalises."""
        preparation = _required_preparation(family)
        self._frame = preparation.sizing.height, preparation.sizing.width
        red, green, blue = (255 * channel for channel in preparation.mean)
        self._mean = (red, green, blue)
        self._std = [255 * channel for channel in preparation.std]
        # A network that normalises has the mean colour among its constants.
        self._is_normalised_here = not contains_floats(path, self._mean)
        self.settings = {"normalised": self._is_normalised_here}

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the frame, for all photographs."""
        return self._frame

    def make(self, photos: Sequence[Photo]) -> GraphInputs:
        """Resize a photograph into the frame."""
        [photo] = photos
        box = letterbox(photo.shape, self._frame)
        image = box.paste(photo.pixels, self._frame, self._mean)
        if self._is_normalised_here:
            image = (image - np.array(self._mean, np.float32)) / np.array(self._std, np.float32)
        arrays = {PICTURE: image.transpose(2, 0, 1)[None]}
        return GraphInputs(arrays=arrays, size=self._frame, letterbox=box)


class PatchInput(InputMaker):
    """Photographs at their own size, which the network resizes to a number of patches."""

    def __init__(self, family: NetworkFamily, tokens: int) -> None:
        self._tokens, self._max_area = tokens, tokens * family.patch_side**2
        self.settings = {"tokens": tokens}

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the photograph, reduced if the patches cover fewer pixels."""
        return size_within_area(shape, self._max_area)

    def make(self, photos: Sequence[Photo]) -> GraphInputs:
        """Shrink a photograph, with levels of 0 to 1."""
        [photo] = photos
        size = self.size(photo.shape)
        pixels = photo.pixels if size == photo.shape else shrink(photo.pixels, size)
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        arrays = {PICTURE: image, TOKENS: np.array(self._tokens, np.int64)}
        return GraphInputs(arrays=arrays, size=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Settings of a network that resizes photographs itself."""

    tokens: int = 1200
    """Number of image patches, 1200 (fast) to 3600 (sharp, the authors' default). Time grows
    slightly faster.
    """

    def __post_init__(self) -> None:
        if not 100 <= self.tokens <= 10_000:
            raise OptionError(f"tokens is 100 to 10000, got {self.tokens}")


def input_maker(
    family: NetworkFamily, path: Path, settings: Mapping[str, Setting], model: str
) -> InputMaker:
    """Choose how the inputs of a network are made.

    Args:
        family: Family of the network.
        path: File of the network.
        settings: Settings that the user chose.
        model: Name of the model, for messages.
    """
    if family.input_form is InputForm.RESIZED:
        return ResizedInput(family)
    if family.input_form is InputForm.LETTERBOXED:
        return LetterboxedInput(family, path)
    return PatchInput(family, read_settings(TokenSettings, settings, model).tokens)


def normalise_pixels(
    pixels: Shaped[np.ndarray, "b h w 3"], preparation: Preparation
) -> Float32[np.ndarray, "b 3 h w"]:
    """Normalise pixels of 0 to 255 by mean and deviation, and move the channels to the front."""
    scale = np.float32(preparation.rescale) / np.array(preparation.std, np.float32)
    shift = np.array(preparation.mean, np.float32) / np.array(preparation.std, np.float32)
    count, height, width, _ = pixels.shape
    # One channel at a time: a fifth of the time of all of them, transposed and copied.
    image = np.empty((count, 3, height, width), np.float32)
    for channel in range(3):
        np.multiply(pixels[..., channel], scale[channel], out=image[:, channel])
        image[:, channel] -= shift[channel]
    return image


def size_within_area(shape: tuple[int, int], area: int) -> tuple[int, int]:
    """Reduce (height, width) to an area [px]; never enlarge it."""
    scale = math.sqrt(area / (shape[0] * shape[1]))
    if scale >= 1:
        return shape
    height, width = (max(1, round(side * scale)) for side in shape)
    return height, width


def contains_floats(path: Path, values: Sequence[float]) -> bool:
    """Whether a file contains these numbers in a row, as floats of 16, 32 or 64 bits."""
    patterns = [np.array(values).astype(dtype).tobytes() for dtype in ("<f4", "<f2", "<f8")]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(pattern) >= 0 for pattern in patterns)


def _required_preparation(family: NetworkFamily) -> Preparation:
    assert family.preparation is not None, "only patches go without a preparation"
    return family.preparation
