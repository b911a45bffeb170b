"""Answers as sharp as the photograph: a network's answer enlarged along the photograph's edges.

Sides of ramps are looked for on a coarse grid, pixels are decided at up to ``_FINE`` pixels, and a
larger photograph is filled from there, its edges drawn as lines between those pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from rilievo.models.base import Enlarge, Inference, Model, check_answer, resize
from rilievo.models.edges import calm, decide, sides, window
from rilievo.models.enlarging import JUMP, Field, Place, Stack, Steps, flat
from rilievo.models.sampling import shrink
from rilievo.models.speeds import infer_timed
from rilievo.types import DepthKind, Photo, Prediction

_COARSE = 72_000
"""Pixels of the grid on which sides are looked for."""
_FINE = 400_000
"""Pixels that are decided one by one."""
_PASSES = 3
_ENLARGED = 1.2
"""Least ratio of the photograph's sides to the network's for which there is anything to gain."""
_AFFINE_SPAN = 1.5
"""Height that the middle 96 % of affine values are given; of depth it is the logarithm's."""


class Sharpened(Model):
    """A model whose answers are brought to the photograph's size along the photograph's edges."""

    def __init__(self, model: Model) -> None:
        """Wrap ``model``; its network answers as before."""
        self._model = model
        self.card, self.weights_sha256 = model.card, model.weights_sha256
        self.settings = {**model.settings, "sharp": True}
        self.concurrent = model.concurrent

    def interrupt(self) -> None:
        """Interrupt the wrapped model."""
        self._model.interrupt()

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the wrapped model, at the network's resolution; its speed is that model's."""
        return infer_timed(self._model, photos)

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Bring a network's answer to the photograph's size, and say what made it.

        Raises:
            ModelError: If the network's numbers are not what its kind promises.
        """
        check_answer(inference, self.card)
        return super().finish(sharpen(inference, photo.pixels, self.card.kind), photo)


def sharpen(
    inference: Inference, pixels: UInt8[np.ndarray, "h w 3"], kind: DepthKind | None
) -> Inference:
    """The answer at the photograph's size, its ramps turned into steps at the photograph's edges.

    Args:
        inference: At the network's resolution. Without depth, or hardly smaller than the
            photograph, it comes back as it is.
        pixels: The photograph, sRGB.
        kind: Of the depth.
    """
    height, width, _ = pixels.shape
    depth = inference.depth
    if depth is None or kind is None or min(depth.shape) < 8:
        return inference
    if depth.size > _FINE:  # finer than what is decided here, which would coarsen it
        return inference
    if height < _ENLARGED * depth.shape[0] or width < _ENLARGED * depth.shape[1]:
        return inference
    space = _Space.of(depth, inference.valid, kind)
    if space is None:
        return inference
    given = [space.enter(depth, inference.valid)]
    given += [] if inference.normals is None else list(inference.normals)
    given += [] if inference.confidence is None else [inference.confidence]
    values, enlarge = _sharp(np.stack(_of_size(given, depth.shape)), pixels)
    valid = inference.valid
    return replace(
        inference,
        depth=space.leave(enlarge(values[:1])[0]),
        valid=None if valid is None else resize(valid.astype(np.float32), (height, width)) > 0.5,
        normals=None if inference.normals is None else values[1:4],
        confidence=None if inference.confidence is None else np.clip(values[-1], 0, 1),
        enlarge=enlarge,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """Numbers in which a step of 4 % is one, near being less: the logarithm of depth, for one."""

    scale: float
    """Factor of affine values, negative where large is near; 0 of depth."""
    shift: float

    @classmethod
    def of(
        cls, depth: Field, valid: Bool[np.ndarray, "h w"] | None, kind: DepthKind
    ) -> "_Space | None":
        """The space of an answer; None where it is one number or none."""
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
        """Values where ``valid``, and those of their neighbours elsewhere."""
        inside = np.ones(depth.shape, bool) if valid is None else valid
        given = np.where(inside, depth, np.float32(self.shift if self.scale else 1))
        if self.scale:
            field = (given - np.float32(self.shift)) * np.float32(self.scale)
        else:
            field = np.log(given) - np.float32(self.shift)
        return _filled(field, inside)

    def leave(self, field: Field) -> Field:
        """The numbers of the answer."""
        if self.scale:
            return field / np.float32(self.scale) + np.float32(self.shift)
        return np.exp(field + np.float32(self.shift))


def _filled(field: Field, valid: Bool[np.ndarray, "h w"]) -> Field:
    """The field, with the means of what is near where it is not valid."""
    while not valid.all():
        weight = window(valid.astype(np.float32), np.add)
        total = window(np.where(valid, field, np.float32(0)), np.add)
        field = np.where(valid, field, total / np.maximum(weight, 1))
        valid = valid | (weight > 0)
    return field


def _of_size(fields: Sequence[Field], size: tuple[int, int]) -> list[Field]:
    return [resize(np.ascontiguousarray(field), size) for field in fields]


def _size_within(size: tuple[int, ...], most: int) -> tuple[int, int]:
    factor = min(1.0, (most / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _colours(pixels: UInt8[np.ndarray, "h w 3"]) -> Stack:
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.float32) / np.float32(255)


def _sharp(given: Stack, pixels: UInt8[np.ndarray, "h w 3"]) -> tuple[Stack, Enlarge]:
    """The values on the fine grid, of which the first decides; and how they are enlarged."""
    whole = (pixels.shape[0], pixels.shape[1])
    fine = _size_within(whole, _FINE)
    photo = shrink(pixels, fine)
    coarse = _size_within(given.shape[1:], _COARSE)
    colours = _colours(_boxed(photo, coarse))
    values = np.stack(_of_size(list(given), coarse))
    fields = sides(values, colours)
    if given.shape[1:] == coarse:
        values[0] = calm(values[0], fields[0])
    for _ in range(_PASSES - 1):
        values = decide(fields, colours, values)
        fields = sides(values, colours)
    # A finer answer than the grid keeps its detail where there is no ramp.
    source = values if given.shape[1:] == coarse else given
    values = np.stack(_of_size(list(source), fine))
    place = Place.of(fields[0] > 0, fine)
    here = place.flat
    decided = decide(
        place.sample(fields), _colours(photo).reshape(3, -1)[:, here], flat(values)[:, here]
    )
    flat(values)[:, here] = decided
    _remove_specks(values)
    ramp = np.zeros(fine, bool)
    ramp.flat[here] = True
    return values, Steps.of(values[0], ramp, whole).enlarge


def _remove_specks(values: Stack) -> None:
    """Give pixels that at most one of eight neighbours is like the values of the median one."""
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
    flat(values)[:, places[alone]] = flat(values)[:, chosen]


def _boxed(photo: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "a b 3"]:
    image = Image.fromarray(photo)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BOX))
