"""A temporary file of the network outputs of a video, kept between the two passes."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from rilievo.models.base import Inference

_STEPS = 65535
_UNIT = 32767


class Spool:
    """Network outputs of a video's frames in a file, in order.

    Numbers keep 16 bits. Positive depth has 65,536 steps of its logarithm from the nearest to the
    farthest of its frame (steps of 0.01 % if these are 1 to 500), other depth as many even steps;
    normals have steps of 1/32767, confidence of 1/65535. Valid numbers are restored within half a
    step.
    """

    def __init__(self, file: IO[bytes], *, is_positive: bool) -> None:
        self._file = file
        self._is_positive = is_positive
        self._record = np.dtype([])
        self.count = 0

    def append(self, answer: Inference, grey: UInt8[np.ndarray, "h w"] | None = None) -> None:
        """Append the output of the next frame; all frames have the same parts and sizes."""
        record = _record_of(answer, grey)
        assert not self.count or record == self._record, "a video has frames of one size"
        self._record = record
        row = np.zeros((), record)
        if answer.depth is not None:
            valid = np.ones(answer.depth.shape, bool) if answer.valid is None else answer.valid
            depth = _filled(answer.depth, valid)
            numbers = np.log(depth) if self._is_positive else depth
            low, high = float(numbers.min()), float(numbers.max())
            step = (high - low) / _STEPS or 1.0
            row["low"], row["step"], row["valid"] = low, step, valid
            row["depth"] = np.rint((numbers - np.float32(low)) / np.float32(step)).clip(0, _STEPS)
        if answer.normals is not None:
            row["normals"] = np.rint(answer.normals * np.float32(_UNIT))
        if grey is not None:
            row["grey"] = grey
        if answer.confidence is not None:
            row["confidence"] = np.rint(answer.confidence * np.float32(_STEPS))
        self._file.seek(self.count * record.itemsize)
        self._file.write(row.tobytes())
        self.count += 1

    def __iter__(self) -> Iterator[Inference]:
        return (self._answer(row) for row in self._rows())

    def with_greys(self) -> Iterator[tuple[Inference, UInt8[np.ndarray, "h w"] | None]]:
        """Yield the outputs and the brightness of the frames; None where it was not given."""
        is_grey = "grey" in (self._record.names or ())
        return ((self._answer(row), row["grey"] if is_grey else None) for row in self._rows())

    def _rows(self) -> Iterator[np.void]:
        for index in range(self.count):
            self._file.seek(index * self._record.itemsize)
            yield np.frombuffer(self._file.read(self._record.itemsize), self._record)[0]

    def _answer(self, row: np.void) -> Inference:
        names = self._record.names or ()
        return Inference(
            depth=self._depth(row) if "depth" in names else None,
            valid=_mask(row) if "depth" in names else None,
            normals=_scaled(row["normals"], _UNIT) if "normals" in names else None,
            confidence=_scaled(row["confidence"], _STEPS) if "confidence" in names else None,
        )

    def _depth(self, row: np.void) -> Float32[np.ndarray, "h w"]:
        numbers = row["depth"].astype(np.float32)
        numbers *= np.float32(row["step"])
        numbers += np.float32(row["low"])
        return np.exp(numbers, out=numbers) if self._is_positive else numbers


@contextmanager
def spooling(folder: Path, *, is_positive: bool) -> Iterator[Spool]:
    """Open a spool in an unnamed temporary file, which vanishes however the process ends.

    Args:
        folder: Folder with enough space: four bytes for each pixel of each network output, and
            six more with normals.
        is_positive: Whether depth is always positive.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Spool(file, is_positive=is_positive)


def _record_of(answer: Inference, grey: UInt8[np.ndarray, "h w"] | None) -> np.dtype:
    """Layout of one frame's record in the file."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
    if answer.depth is not None:
        fields += [("low", "f8"), ("step", "f8"), ("depth", "u2", answer.depth.shape)]
        # Always, because some models give a mask only for frames that have a hole.
        fields.append(("valid", "?", answer.depth.shape))
    if grey is not None:
        fields.append(("grey", "u1", grey.shape))
    if answer.normals is not None:
        fields.append(("normals", "i2", answer.normals.shape))
    if answer.confidence is not None:
        fields.append(("confidence", "u2", answer.confidence.shape))
    return np.dtype(fields)


def _filled(
    depth: Float32[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Fill invalid depth with the smallest valid number, so that steps span valid numbers only."""
    if valid.all():
        return depth
    least = depth[valid].min() if valid.any() else np.float32(1)
    return np.where(valid, depth, least)


def _mask(row: np.void) -> Bool[np.ndarray, "h w"] | None:
    """Mask of the pixels with depth; None if all have depth."""
    return None if row["valid"].all() else row["valid"]


def _scaled(stored: np.ndarray, unit: int) -> Float32[np.ndarray, "..."]:
    return stored.astype(np.float32) * np.float32(1 / unit)
