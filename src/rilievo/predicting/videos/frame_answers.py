"""Network outputs of a video, in a file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Mask, UInt8
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import unwritable
from rilievo.io.files.machine import check_disk_space
from rilievo.models.base import Inference

_STEPS = 65535
_FEW_STEPS = 255
_UNIT = 32767


@dataclass(slots=True)
class AnswerLayout:
    """Layout of consecutive answers, and their number."""

    record: np.dtype
    count: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of these frames."""
        return self.count * self.record.itemsize


class StoredAnswers:
    """Network outputs of frames in a file.

    Depth has 16 bits over its frame's range, logarithmic (0.01 % from 1 to 500) if positive;
    normals 1/32767, confidence 1/65535, sky 1/255.
    """

    def __init__(self, file: IO[bytes], *, is_positive: bool) -> None:
        self._file = file
        self._is_positive = is_positive
        self.layouts: list[AnswerLayout] = []
        self.folder, self.expected = Path(), 0

    def expect(self, folder: Path, frames: int) -> None:
        """Set what the first ``append`` compares with free space."""
        self.folder, self.expected = folder, frames

    @property
    def count(self) -> int:
        """Number of frames."""
        return sum(layout.count for layout in self.layouts)

    @property
    def end(self) -> int:
        """Bytes of all frames."""
        return sum(layout.bytes for layout in self.layouts)

    def append(self, answer: Inference, grey: UInt8[np.ndarray, "h w"] | None = None) -> None:
        """Append the next frame."""
        record = _row_dtype(answer, grey)
        if not self.count and self.expected:
            check_disk_space(
                self.folder,
                self.expected * record.itemsize,
                f"the answers of {self.expected:,} frames",
                Text(
                    "choose another folder with ",
                    OptionName("output"),
                    ", or a lower ",
                    OptionName("fps"),
                ),
            )
        row = np.zeros((), record)
        if answer.depth is not None:
            valid = np.ones(answer.depth.shape, bool) if answer.valid is None else answer.valid
            depth = _fill_invalid(answer.depth, valid)
            numbers = np.log(depth) if self._is_positive else depth
            low, high = float(numbers.min()), float(numbers.max())
            step = (high - low) / _STEPS or 1.0
            row["low"], row["step"], row["valid"] = low, step, valid
            row["depth"] = np.rint((numbers - np.float32(low)) / np.float32(step)).clip(0, _STEPS)
        if answer.normals is not None:
            # Where there are none, they are NaN.
            row["normals"] = np.rint(np.nan_to_num(answer.normals) * np.float32(_UNIT))
        if grey is not None:
            row["grey"] = grey
        if answer.confidence is not None:
            row["confidence"] = np.rint(answer.confidence * np.float32(_STEPS))
        if answer.sky is not None:
            row["sky"] = np.rint(answer.sky * np.float32(_FEW_STEPS))
        self._file.seek(self.end)
        self._file.write(row.tobytes())
        if not self.layouts or self.layouts[-1].record != record:
            self.layouts.append(AnswerLayout(record))
        self.layouts[-1].count += 1

    def __iter__(self) -> Iterator[tuple[Inference, UInt8[np.ndarray, "h w"] | None]]:
        return (
            (self._answer_of_row(row), row["grey"] if "grey" in _column_names(row) else None)
            for row in self._stored_rows()
        )

    def _stored_rows(self) -> Iterator[np.void]:
        place = 0
        for layout in self.layouts:
            for _ in range(layout.count):
                self._file.seek(place)
                row = self._file.read(layout.record.itemsize)
                place += len(row)
                yield np.frombuffer(row, layout.record)[0]

    def _answer_of_row(self, row: np.void) -> Inference:
        names = _column_names(row)
        return Inference(
            depth=self._depth_of_row(row) if "depth" in names else None,
            valid=_valid_mask(row) if "depth" in names else None,
            normals=_divide_as_float32(row["normals"], _UNIT) if "normals" in names else None,
            confidence=_divide_as_float32(row["confidence"], _STEPS)
            if "confidence" in names
            else None,
            sky=_divide_as_float32(row["sky"], _FEW_STEPS) if "sky" in names else None,
        )

    def _depth_of_row(self, row: np.void) -> Field:
        numbers = row["depth"].astype(np.float32)
        numbers *= np.float32(row["step"])
        numbers += np.float32(row["low"])
        return np.exp(numbers, out=numbers) if self._is_positive else numbers


@contextmanager
def open_stored_answers(folder: Path, *, is_positive: bool) -> Iterator[StoredAnswers]:
    """Open storage in an unnamed temporary file."""
    with nameless_file(folder) as file:
        yield StoredAnswers(file, is_positive=is_positive)


def nameless_file(folder: Path) -> IO[bytes]:
    """Open a file that ``os.link`` may name on Linux.

    Raises:
        OutputError: If the folder cannot be written.
    """
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # some file systems have no such files
            return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), "w+b")
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def _row_dtype(answer: Inference, grey: UInt8[np.ndarray, "h w"] | None) -> np.dtype:
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
    if answer.sky is not None:
        fields.append(("sky", "u1", answer.sky.shape))
    return np.dtype(fields)


def _column_names(row: np.void) -> tuple[str, ...]:
    return row.dtype.names or ()


def _fill_invalid(depth: Field, valid: Mask) -> Field:
    """Depth with its least valid number where invalid."""
    if valid.all():
        return depth
    least = depth[valid].min() if valid.any() else np.float32(1)
    return np.where(valid, depth, least)


def _valid_mask(row: np.void) -> Mask | None:
    """Mask of valid pixels; None where all are."""
    return None if row["valid"].all() else row["valid"]


def _divide_as_float32(stored: np.ndarray, unit: int) -> Float32[np.ndarray, "..."]:
    return stored.astype(np.float32) * np.float32(1 / unit)
