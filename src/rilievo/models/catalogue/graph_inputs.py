"""Make the inputs of published networks from photographs, in the form of each family."""

import math
import mmap
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Shaped, UInt8
from rilievo.errors import OptionError
from rilievo.models.catalogue.table import InputForm, NetworkFamily
from rilievo.models.load_options import read_settings
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import Grid, Preparation, bilinear_points, shrink
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

PICTURE, TOKENS = "picture", "tokens"
"""Roles of inputs (``NetworkFamily.inputs``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """Where a resized photograph lies in a frame of fixed size [px].

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
        """Resize a photograph and paste it into a frame.

        Both sizes are (height, width); ``border`` is RGB from 0 to 255.
        """
        image = np.empty((*frame, 3), np.float32)
        image[:] = border
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        size = (self.height, self.width)
        image[rows, columns] = bilinear_points(pixels, size, grid=Grid.CENTRES)
        return image


def centred_letterbox(shape: tuple[int, int], frame: tuple[int, int]) -> Letterbox:
    """Place a photograph of ``shape`` in the middle of a frame, as large as it fits.

    Both sizes are (height, width) [px].
    """
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
        arrays: Input arrays by their names in the graph.
        size: Height and width of the network's input picture [px].
        letterbox: Where the photograph lies in that picture; None if it fills the picture.
        is_rotated: Whether the photograph was turned by 90° anticlockwise.
    """

    arrays: Arrays
    size: tuple[int, int]
    letterbox: Letterbox | None = None
    is_rotated: bool = False


class InputMaker(ABC):
    """Converter from photographs to the inputs of a network.

    Attributes:
        settings: Settings that influence the inputs, for the record of a prediction.
    """

    settings: Mapping[str, Setting]

    @abstractmethod
    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the input for a photograph of ``shape``, both (height, width) [px]."""

    @abstractmethod
    def make_inputs(self, photos: Sequence[Photo]) -> GraphInputs:
        """Make the inputs for a batch of photographs, whose inputs must have one size.

        For a network that runs one photograph at a time, the batch has a single photograph.
        """


class ResizedInput(InputMaker):
    """Resizes and normalises photographs."""

    def __init__(self, family: NetworkFamily) -> None:
        self._family = family
        self._preparation = _required_preparation(family)
        self.settings = {
            "sizing": str(self._preparation.sizing),
            "resampling": self._preparation.resampling.value,
        }

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size that the family's rule gives."""
        return self._preparation.size(shape)

    def make_inputs(self, photos: Sequence[Photo]) -> GraphInputs:
        """Resize and normalise photographs."""
        height, width = photos[0].shape
        is_portrait = height > width
        is_rotated = self._family.rotates_portraits and is_portrait
        if is_rotated:
            [photo] = photos  # networks that rotate portraits run one photograph at a time
            landscape = np.ascontiguousarray(np.rot90(photo.pixels))
            resized = self._preparation.pixels(landscape)[None]
        else:
            resized = np.stack(
                [self._preparation.pixels(photo.pixels, photo.shape) for photo in photos]
            )
        _, input_height, input_width, _ = resized.shape
        batch = normalise_pixels(resized, self._preparation)
        if self._family.has_view_axis:
            batch = batch[:, None]
        return GraphInputs(
            arrays={PICTURE: batch}, size=(input_height, input_width), is_rotated=is_rotated
        )


class LetterboxedInput(InputMaker):
    """Resizes a photograph into a frame of fixed size, whose border has the mean colour."""

    def __init__(self, preparation: Preparation, *, needs_normalisation: bool) -> None:
        """Keep the size of the frame, and the mean and deviation of colours as levels (0 to 255).

        ``needs_normalisation`` says that the network does not normalise its input itself.
        """
        self._frame = (preparation.sizing.height, preparation.sizing.width)
        self._mean = _mean_levels(preparation)
        self._std = [255 * channel for channel in preparation.std]
        self._needs_normalisation = needs_normalisation
        self.settings = {"normalised": needs_normalisation}

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the frame, for all photographs."""
        return self._frame

    def make_inputs(self, photos: Sequence[Photo]) -> GraphInputs:
        """Resize a photograph into the frame."""
        [photo] = photos
        letterbox = centred_letterbox(photo.shape, self._frame)
        image = letterbox.paste(photo.pixels, self._frame, self._mean)
        if self._needs_normalisation:
            image = (image - np.array(self._mean, np.float32)) / np.array(self._std, np.float32)
        arrays = {PICTURE: image.transpose(2, 0, 1)[None]}
        return GraphInputs(arrays=arrays, size=self._frame, letterbox=letterbox)


class PatchInput(InputMaker):
    """Passes a photograph at its own size; the network itself resizes it to a number of patches."""

    def __init__(self, family: NetworkFamily, token_count: int) -> None:
        self._token_count = token_count
        self._max_pixels = token_count * family.patch_side**2
        self.settings = {"tokens": token_count}

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the photograph, or the size that the patches cover if that is smaller."""
        return size_within_pixels(shape, self._max_pixels)

    def make_inputs(self, photos: Sequence[Photo]) -> GraphInputs:
        """Shrink a photograph if necessary, and scale its levels to 0 to 1."""
        [photo] = photos
        size = self.size(photo.shape)
        pixels = photo.pixels if size == photo.shape else shrink(photo.pixels, size)
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        arrays = {PICTURE: image, TOKENS: np.array(self._token_count, np.int64)}
        return GraphInputs(arrays=arrays, size=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Settings of a network that resizes photographs itself."""

    tokens: int = 1200
    """Number of image patches, from 1200 (fast) to 3600 (sharp, the authors' default). The time
    grows slightly faster than this number.
    """

    def __post_init__(self) -> None:
        if not 100 <= self.tokens <= 10_000:
            raise OptionError(f"tokens must be 100 to 10000, got {self.tokens}")


def make_input_maker(
    family: NetworkFamily, path: Path, settings: Mapping[str, Setting], model: str
) -> InputMaker:
    """Make the ``InputMaker`` for a network, by the input form of its family.

    ``path`` is the file of the network. Some files of a family normalise the pixels themselves.
    """
    if family.input_form is InputForm.RESIZED:
        return ResizedInput(family)
    if family.input_form is InputForm.LETTERBOXED:
        preparation = _required_preparation(family)
        # Networks that normalise their input have the mean colour among their constants.
        is_normalised_inside = contains_floats(path, _mean_levels(preparation))
        return LetterboxedInput(preparation, needs_normalisation=not is_normalised_inside)
    return PatchInput(family, read_settings(TokenSettings, settings, model).tokens)


def normalise_pixels(
    pixels: Shaped[np.ndarray, "b h w 3"], preparation: Preparation
) -> Float32[np.ndarray, "b 3 h w"]:
    """Normalise pixels of 0 to 255 by mean and deviation, and move the channels to the front.

    (rescale * pixels - mean) / std is computed as pixels * scale - shift.
    """
    scale = np.float32(preparation.rescale) / np.array(preparation.std, np.float32)
    shift = np.array(preparation.mean, np.float32) / np.array(preparation.std, np.float32)
    count, height, width, _ = pixels.shape
    # Channel by channel takes a fifth of the time of a transposed copy.
    images = np.empty((count, 3, height, width), np.float32)
    for channel in range(3):
        np.multiply(pixels[..., channel], scale[channel], out=images[:, channel])
        images[:, channel] -= shift[channel]
    return images


def size_within_pixels(shape: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """Reduce (height, width) to about ``max_pixels`` pixels; never enlarge it."""
    scale = math.sqrt(max_pixels / (shape[0] * shape[1]))
    if scale >= 1:
        return shape
    height, width = (max(1, round(side * scale)) for side in shape)
    return height, width


def contains_floats(path: Path, values: Sequence[float]) -> bool:
    """Whether a file contains these numbers one after the other, as floats of 16, 32 or 64 bits."""
    byte_patterns = [np.array(values).astype(dtype).tobytes() for dtype in ("<f4", "<f2", "<f8")]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(pattern) >= 0 for pattern in byte_patterns)


def _mean_levels(preparation: Preparation) -> tuple[float, float, float]:
    """Mean colour as levels from 0 to 255."""
    red, green, blue = (255 * channel for channel in preparation.mean)
    return red, green, blue


def _required_preparation(family: NetworkFamily) -> Preparation:
    assert family.preparation is not None, "only families that take patches have no preparation"
    return family.preparation
