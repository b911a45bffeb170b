"""Sharp predictions: a network's output enlarged along the photograph's edges.

The sides of ramps are searched on a coarse grid, pixels are assigned to them at up to ``_FINE``
pixels, and larger photographs are filled from there, with edges drawn as lines between those
pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from rilievo.io.photographs.exif import assumed_camera
from rilievo.io.row_bands import bands
from rilievo.models.base import Inference, Model, WrappedModel, check_answer
from rilievo.models.processing.edge_snapping import agreed, calm, decide, sides, unexplained, window
from rilievo.models.resampling.answer_rule import Space
from rilievo.models.resampling.resizing import JUMP, Field, Stack, Steps, resize
from rilievo.models.resampling.sampling import shrink_roughly
from rilievo.models.speeds import infer_timed
from rilievo.prediction import Prediction
from rilievo.types import Camera, DepthKind, Photo

_LOW = 72_000
"""Number of pixels up to which an output has a low resolution: ripples of a few pixels are no
detail. Small outputs are enlarged up to it, and finer ones searched at it.
"""
_COARSE = 40_000
"""Number of pixels of the grid on which sides of outputs of low resolution are searched."""
_LARGEST_FACTOR = 4
"""Largest factor by which a small answer is enlarged first: windows would span whole objects."""
_FINE = 400_000
"""Most pixels that are assigned one by one."""
_PASSES = 3
_ENLARGED = 1.2
"""Least ratio of the photograph's sides to the network's at which sharpening is worthwhile."""
_AFFINE_SPAN = 1.5
"""Height to which the middle 96 % of affine values are scaled; for depth it is that of the
logarithm.
"""


class Sharpened(WrappedModel):
    """A model whose output is enlarged along the photograph's edges; its network is unchanged."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, {"sharp": True})

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the wrapped model, at the network's resolution; recorded speeds are that model's."""
        return infer_timed(self.model, photos)

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Resize a network's output to the photograph, and record what made it.

        Raises:
            ModelError: If the values are not valid for the model's kind of depth.
        """
        check_answer(inference, self.card)
        if self.card.resizing.space is Space.INVERSE:
            # Networks of inverse depth, such as those trained on video, stay smooth.
            return self.finish_checked(inference, photo)
        camera = photo.camera or inference.camera
        sharp = sharpen(inference, photo.pixels, self.card.kind, photo.shape, camera=camera)
        return self.finish_checked(sharp, photo)


def sharpen(
    inference: Inference,
    pixels: UInt8[np.ndarray, "h w 3"],
    kind: DepthKind | None,
    size: tuple[int, int] | None = None,
    *,
    camera: Camera | None = None,
) -> Inference:
    """Enlarge an inference to the photograph's size, with ramps turned into steps at its edges.

    Where the network says how likely a step is, only ramps that it agrees to become steps.

    Args:
        inference: Output at the network's resolution. Without depth, or hardly smaller than the
            photograph, it is returned unchanged.
        pixels: Pixels of the photograph, sRGB.
        kind: Kind of the depth.
        size: Size (height, width) of the photograph; that of ``pixels`` if None.
        camera: Camera of the photograph; assumed if None. With it, normals tell receding ground
            from ramps.
    """
    height, width = size or pixels.shape[:2]
    depth = inference.depth
    if depth is None or kind is None or min(depth.shape) < 8:
        return inference
    if depth.size > _FINE:  # sharpening would coarsen it
        return inference
    if height < _ENLARGED * depth.shape[0] or width < _ENLARGED * depth.shape[1]:
        return inference
    space = _Space.of(depth, inference.valid, kind)
    if space is None:
        return inference
    guide = _Guide.of(pixels, (height, width))
    entered = space.enter(depth, inference.valid)
    ramps = None
    if kind.is_depth and inference.normals is not None:
        seen = camera or assumed_camera((height, width))
        focal = seen.focal_y * depth.shape[0] / height, seen.focal * depth.shape[1] / width
        normals = resize(inference.normals, depth.shape)
        ramps = unexplained(entered, normals, focal)
    if inference.steps is not None:
        sky = None if inference.sky is None else resize(inference.sky, depth.shape)
        allowed = agreed(resize(inference.steps, depth.shape), sky)
        ramps = allowed if ramps is None else ramps * allowed
    values, ramp = _sharp(entered[None], guide, ramps)
    steps = Steps.of(values[0], ramp, (height, width))

    def enlarge(fields: Stack) -> Stack:
        """Enlarge fields that follow the depth."""
        given = np.concatenate([entered[None], resize(fields, entered.shape)])
        return steps.enlarge(_sharp(given, guide, ramps)[0][1:])

    valid = inference.valid
    return replace(
        inference,
        depth=steps.enlarge(space.leave(values[0])[None])[0],
        valid=None if valid is None else resize(valid.astype(np.float32), (height, width)) > 0.5,
        enlarge=enlarge,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guide:
    """The photograph at the size at which pixels are assigned.

    Attributes:
        photo: Pixels, smaller than the photograph where that is large.
        colours: The same in 0..1.
    """

    photo: UInt8[np.ndarray, "a b 3"]
    colours: Stack

    @classmethod
    def of(cls, pixels: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> "_Guide":
        """Shrink a photograph of this size, or a reduced version of it."""
        photo = shrink_roughly(pixels, _size_within(size, _FINE))
        return cls(photo=photo, colours=_colours(photo))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """Space in which near is less and a step of 4 % has the same height everywhere."""

    scale: float
    """Factor for affine values, negative where large is near; 0 for depth."""
    shift: float

    @classmethod
    def of(
        cls, depth: Field, valid: Bool[np.ndarray, "h w"] | None, kind: DepthKind
    ) -> "_Space | None":
        """Space for an inference; None if it has a single value or none."""
        seen = depth if valid is None else depth[valid]
        if not seen.size:
            return None
        low, middle, high = np.percentile(seen, [2, 50, 98])
        if high <= low:
            return None
        if kind.is_depth:
            return cls(scale=0.0, shift=float(np.log(middle)))
        sign = -1 if kind is DepthKind.AFFINE_INVERSE else 1
        return cls(scale=sign * _AFFINE_SPAN / float(high - low), shift=float(middle))

    def enter(self, depth: Field, valid: Bool[np.ndarray, "h w"] | None) -> Field:
        """Convert to the space; invalid pixels get the values of their neighbours."""
        inside = np.ones(depth.shape, bool) if valid is None else valid
        given = np.where(inside, depth, np.float32(self.shift if self.scale else 1))
        if self.scale:
            field = (given - np.float32(self.shift)) * np.float32(self.scale)
        else:
            field = np.log(given) - np.float32(self.shift)
        return _filled(field, inside)

    def leave(self, field: Field) -> Field:
        """Convert back to depth values, written over the field."""
        for rows in bands(field.shape):
            band = field[rows]
            if self.scale:
                band /= np.float32(self.scale)
            band += np.float32(self.shift)
            if not self.scale:
                np.exp(band, out=band)
        return field


def _filled(field: Field, valid: Bool[np.ndarray, "h w"]) -> Field:
    """Fill invalid pixels with the means of their surroundings."""
    while not valid.all():
        weight = window(valid.astype(np.float32), np.add)
        total = window(np.where(valid, field, np.float32(0)), np.add)
        field = np.where(valid, field, total / np.maximum(weight, 1))
        valid = valid | (weight > 0)
    return field


def _size_of_search(size: tuple[int, ...], fine: tuple[int, int]) -> tuple[int, int]:
    """Size of the grid on which sides are searched."""
    height, width = size
    pixels = height * width
    enlarged = min(_LARGEST_FACTOR, int((_LOW / pixels) ** 0.5))
    if enlarged < 2:
        return _size_within(size, _COARSE if pixels <= _LOW else _LOW)
    return min(enlarged * height, fine[0]), min(enlarged * width, fine[1])


def _size_within(size: tuple[int, ...], most: int) -> tuple[int, int]:
    factor = min(1.0, (most / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _colours(pixels: UInt8[np.ndarray, "h w 3"]) -> Stack:
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.float32) / np.float32(255)


def _sharp(
    given: Stack, guide: _Guide, ramps: Field | None
) -> tuple[Stack, Bool[np.ndarray, "a b"]]:
    """The values on the fine grid, with ramps decided by the first; and where there are ramps."""
    fine = guide.photo.shape[:2]
    coarse = _size_of_search(given.shape[1:], fine)
    if coarse[0] > given.shape[1]:
        given = resize(given, coarse)
    colours = _colours(_boxed(guide.photo, coarse))
    values = resize(given, coarse)
    share = np.float32(1) if ramps is None else resize(ramps, coarse)
    fields = sides(values, colours)
    fields[0] *= share
    if given[0].size <= _LOW:
        gate = resize(fields[0], given.shape[1:])
        given = np.concatenate([calm(given[0], gate)[None], given[1:]])
        values = resize(given, coarse)
    for _ in range(_PASSES - 1):
        values = decide(fields, colours, values)
        fields = sides(values, colours)
        fields[0] *= share
    # An output finer than the grid keeps its detail where there is no ramp.
    source = values if given.shape[1:] == coarse else given
    fields = resize(fields, fine)
    values = decide(fields, guide.colours, resize(source, fine))
    _remove_specks(values)
    return values, fields[0] > 0


def _remove_specks(values: Stack) -> None:
    """Replace pixels that resemble at most one of eight neighbours by the median neighbour."""
    height, width = values.shape[1:]
    if min(height, width) < 3:
        return
    field = values[0]
    down, across = (np.abs(np.diff(field, axis=axis)) > JUMP for axis in (0, 1))
    count = np.zeros((height - 2, width - 2), np.int8)
    for edges in (down[:-1, 1:-1], down[1:, 1:-1], across[1:-1, :-1], across[1:-1, 1:]):
        count += edges
    places = np.flatnonzero(np.pad(count >= 3, 1))
    steps = [row * width + column for row in (-1, 0, 1) for column in (-1, 0, 1)]
    around = places + np.array(steps)[:, None]
    depths = field.reshape(-1)[around]
    alone = (np.abs(depths - depths[4]) <= JUMP).sum(axis=0) <= 2
    middle = np.argpartition(depths[:, alone], 4, axis=0)[4]
    chosen = np.take_along_axis(around[:, alone], middle[None], axis=0)[0]
    flat = values.reshape(len(values), -1)
    flat[:, places[alone]] = flat[:, chosen]


def _boxed(photo: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "a b 3"]:
    image = Image.fromarray(photo)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BOX))
