"""Storage of a network's answers to the frames of a video, between the two passes."""

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

_UINT16_STEPS = 65535
_UINT8_STEPS = 255
_INT16_STEPS = 32767

_Grey = UInt8[np.ndarray, "h w"]


@dataclass(slots=True)
class AnswerLayout:
    """Layout of consecutive frames in the file, and their number."""

    record: np.dtype
    count: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of these frames."""
        return self.count * self.record.itemsize


class StoredAnswers:
    """Answers of a network to the frames of a video, in a file.

    Iteration yields the answer and the brightness (or None) of each frame. Depth has 16 bits over
    its frame's range, logarithmic (0.01 % from 1 to 500) if it is positive; normals have steps of
    1/32767, confidence of 1/65535 and sky of 1/255.
    """

    def __init__(self, file: IO[bytes], *, is_positive: bool) -> None:
        """Store answers in an open file; ``is_positive`` says that all depth is positive."""
        self._file = file
        self._is_positive = is_positive
        self.layouts: list[AnswerLayout] = []
        self._folder, self._expected_frames = Path(), 0

    def expect(self, folder: Path, frames: int) -> None:
        """Set the number of frames for which the folder needs free space; 0 if unknown."""
        self._folder, self._expected_frames = folder, frames

    @property
    def count(self) -> int:
        """Number of frames."""
        return sum(layout.count for layout in self.layouts)

    @property
    def end(self) -> int:
        """Bytes of all frames."""
        return sum(layout.bytes for layout in self.layouts)

    def append(self, answer: Inference, grey: _Grey | None = None) -> None:
        """Append the answer to the next frame, with the frame's brightness if that is needed.

        Raises:
            OutputError: If the disk has no space for all expected frames.
        """
        record = _row_dtype(answer, grey)
        if not self.count and self._expected_frames:
            check_disk_space(
                self._folder,
                self._expected_frames * record.itemsize,
                f"the answers of {self._expected_frames:,} frames",
                Text(
                    "choose another folder with ",
                    OptionName("output"),
                    ", or a lower ",
                    OptionName("fps"),
                ),
            )
        self._file.seek(self.end)
        self._file.write(self._make_row(answer, grey, record).tobytes())
        if not self.layouts or self.layouts[-1].record != record:
            self.layouts.append(AnswerLayout(record))
        self.layouts[-1].count += 1

    def _make_row(self, answer: Inference, grey: _Grey | None, record: np.dtype) -> np.ndarray:
        """Row of a frame, in which all maps are rounded to whole numbers."""
        row = np.zeros((), record)
        if answer.depth is not None:
            valid = np.ones(answer.depth.shape, bool) if answer.valid is None else answer.valid
            depth = _fill_invalid(answer.depth, valid)
            values = np.log(depth) if self._is_positive else depth
            low, high = float(values.min()), float(values.max())
            step = (high - low) / _UINT16_STEPS or 1.0
            steps = np.rint((values - np.float32(low)) / np.float32(step))
            row["low"], row["step"], row["valid"] = low, step, valid
            row["depth"] = steps.clip(0, _UINT16_STEPS)
        if answer.normals is not None:
            # Where there are none, they are NaN.
            row["normals"] = np.rint(np.nan_to_num(answer.normals) * np.float32(_INT16_STEPS))
        if grey is not None:
            row["grey"] = grey
        if answer.confidence is not None:
            row["confidence"] = np.rint(answer.confidence * np.float32(_UINT16_STEPS))
        if answer.sky is not None:
            row["sky"] = np.rint(answer.sky * np.float32(_UINT8_STEPS))
        return row

    def __iter__(self) -> Iterator[tuple[Inference, _Grey | None]]:
        for row in self._stored_rows():
            grey = row["grey"] if "grey" in _column_names(row) else None
            yield self._answer_of_row(row), grey

    def _stored_rows(self) -> Iterator[np.void]:
        """Yield the rows of all frames in order."""
        position = 0
        for layout in self.layouts:
            for _ in range(layout.count):
                self._file.seek(position)
                row = self._file.read(layout.record.itemsize)
                position += len(row)
                yield np.frombuffer(row, layout.record)[0]

    def _answer_of_row(self, row: np.void) -> Inference:
        """Answer of a frame, from the whole numbers of its row."""
        columns = _column_names(row)
        has_depth = "depth" in columns

        def fractions(column: str, steps: int) -> Float32[np.ndarray, "..."] | None:
            if column not in columns:
                return None
            return row[column].astype(np.float32) * np.float32(1 / steps)

        return Inference(
            depth=self._depth_of_row(row) if has_depth else None,
            valid=_valid_mask(row) if has_depth else None,
            normals=fractions("normals", _INT16_STEPS),
            confidence=fractions("confidence", _UINT16_STEPS),
            sky=fractions("sky", _UINT8_STEPS),
        )

    def _depth_of_row(self, row: np.void) -> Field:
        values = row["depth"].astype(np.float32)
        values *= np.float32(row["step"])
        values += np.float32(row["low"])
        return np.exp(values, out=values) if self._is_positive else values


@contextmanager
def open_stored_answers(folder: Path, *, is_positive: bool) -> Iterator[StoredAnswers]:
    """Store answers in an unnamed temporary file in a folder."""
    with nameless_file(folder) as file:
        yield StoredAnswers(file, is_positive=is_positive)


def nameless_file(folder: Path) -> IO[bytes]:
    """Open a temporary file without a name, which ``os.link`` may give it on Linux.

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


def _row_dtype(answer: Inference, grey: _Grey | None) -> np.dtype:
    """Layout of a frame's row, which has columns for those parts that the answer has."""
    columns: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
    if answer.depth is not None:
        columns += [("low", "f8"), ("step", "f8"), ("depth", "u2", answer.depth.shape)]
        # Always, because some models give a mask only for frames that have a hole.
        columns.append(("valid", "?", answer.depth.shape))
    if grey is not None:
        columns.append(("grey", "u1", grey.shape))
    if answer.normals is not None:
        columns.append(("normals", "i2", answer.normals.shape))
    if answer.confidence is not None:
        columns.append(("confidence", "u2", answer.confidence.shape))
    if answer.sky is not None:
        columns.append(("sky", "u1", answer.sky.shape))
    return np.dtype(columns)


def _column_names(row: np.void) -> tuple[str, ...]:
    return row.dtype.names or ()


def _fill_invalid(depth: Field, valid: Mask) -> Field:
    """Depth whose invalid pixels have the least valid number, so that its range stays small."""
    if valid.all():
        return depth
    least = depth[valid].min() if valid.any() else np.float32(1)
    return np.where(valid, depth, least)


def _valid_mask(row: np.void) -> Mask | None:
    """Mask of valid pixels; None if all are valid."""
    return None if row["valid"].all() else row["valid"]
