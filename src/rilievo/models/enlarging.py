"""Enlarge fields bilinearly, except for pixels at steps, which stay sharp."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int

from rilievo.models.edges import window
from rilievo.models.resizing import resize

JUMP = 0.04
"""Least step between neighbours that is kept sharp."""

# The sizes are free: most functions here take one size and return another.
Field = Float32[np.ndarray, "_ _"]
Stack = Float32[np.ndarray, "_ _ _"]


def flat(values: Stack) -> Float32[np.ndarray, "_ _"]:
    """Flatten each field of a stack to one row."""
    return values.reshape(len(values), -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Some pixels of a fine picture, each with its four neighbours in a coarse one.

    Attributes:
        flat: Indices of the pixels in the flattened fine picture.
        corners: Indices of the neighbours in the flattened coarse picture, with their bilinear
            weights.
    """

    flat: Int[np.ndarray, "n"]
    corners: Sequence[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]]

    @classmethod
    def of(cls, chosen: Bool[np.ndarray, "a b"], size: tuple[int, int]) -> "Place":
        """Pixels of a picture of this ``size`` with a chosen pixel among their neighbours."""
        ups, downs, falls = _taps(chosen.shape[0], size[0])
        lefts, rights, slides = _taps(chosen.shape[1], size[1])
        flat = _with_chosen_taps(chosen, (ups, downs), (lefts, rights))
        rows, columns = np.divmod(flat, size[1])
        fall, slide, width = falls[rows], slides[columns], chosen.shape[1]
        corners = [
            (vertical[rows] * width + horizontal[columns], down * across)
            for vertical, down in ((ups, 1 - fall), (downs, fall))
            for horizontal, across in ((lefts, 1 - slide), (rights, slide))
        ]
        return cls(flat=flat, corners=corners)

    def sample(self, fields: Stack) -> Float32[np.ndarray, "_ _"]:
        """Sample fields of the coarse picture bilinearly at the pixels."""
        points = np.ascontiguousarray(flat(fields).T)
        total = np.zeros((self.flat.size, len(fields)), np.float32)
        for index, weight in self.corners:
            total += points[index] * weight[:, None]
        return np.ascontiguousarray(total.T)


def _with_chosen_taps(
    chosen: Bool[np.ndarray, "a b"],
    vertical: tuple[Int[np.ndarray, "h"], Int[np.ndarray, "h"]],
    horizontal: tuple[Int[np.ndarray, "w"], Int[np.ndarray, "w"]],
) -> Int[np.ndarray, "n"]:
    """Indices of the pixels with at least one chosen neighbour."""
    (ups, downs), (lefts, rights) = vertical, horizontal
    parts: list[np.ndarray] = []
    last, found = (-1, -1), np.zeros(0, np.int64)
    for row, taps in enumerate(zip(ups.tolist(), downs.tolist(), strict=True)):
        if taps != last:
            line = chosen[taps[0]] | chosen[taps[1]]
            last, found = taps, np.flatnonzero(line[lefts] | line[rights])
        if found.size:
            parts.append(found + row * lefts.size)
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _taps(
    source: int, target: int
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
    """The two pixels of a shorter line around every pixel of a line, and the second's weight."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    first = np.minimum(position.astype(np.int64), max(source - 2, 0))
    return first, np.minimum(first + 1, source - 1), (position - first).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Pixels of a larger picture at steps, with weights for neighbours on their own side only.

    Attributes:
        size: Size (height, width) of the larger picture.
        place: The pixels at steps.
        shares: Weights of each pixel's four neighbours; 0 for those on the other side.
    """

    size: tuple[int, int]
    place: Place
    shares: Sequence[Float32[np.ndarray, "n"]]

    @classmethod
    def of(cls, field: Field, ramp: Bool[np.ndarray, "a b"], size: tuple[int, int]) -> "Steps":
        """Find the pixels of the larger picture at steps of a field, where it was a ramp."""
        is_step = np.zeros_like(ramp)
        if field.shape != size:
            low, high = (window(field, join, 1) for join in (np.minimum, np.maximum))
            is_step = ramp & (high - low > JUMP)
        place = Place.of(is_step, size)
        points = field.reshape(-1)
        ends = [points[index] for index, _ in place.corners]
        middle = (np.minimum.reduce(ends) + np.maximum.reduce(ends)) / 2
        far = [end > middle for end in ends]
        weights = [weight for _, weight in place.corners]
        on_far = sum(weight * is_far for weight, is_far in zip(weights, far, strict=True)) > 0.5
        own = [weight * (is_far == on_far) for weight, is_far in zip(weights, far, strict=True)]
        total = np.add.reduce(own)
        return cls(size=size, place=place, shares=[share / total for share in own])

    def enlarge(self, values: Stack) -> Stack:
        """Enlarge bilinearly, except for the pixels at steps."""
        if values.shape[1:] == self.size:
            return values
        enlarged = [self._one(field) for field in values]
        return enlarged[0][None] if len(enlarged) == 1 else np.stack(enlarged)

    def _one(self, field: Field) -> Field:
        large = resize(np.ascontiguousarray(field), self.size)
        pairs = zip(self.place.corners, self.shares, strict=True)
        parts = [field.reshape(-1)[index] * share for (index, _), share in pairs]
        large.reshape(-1)[self.place.flat] = np.add.reduce(parts)
        return large
