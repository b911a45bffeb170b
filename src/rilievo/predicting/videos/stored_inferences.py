"""Store a network's inferences of the frames of a video, between the two passes."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Mask, UInt8
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.io.files.atomic import unwritable
from rilievo.io.files.machine import check_disk_space
from rilievo.models.base import Inference

_UINT16_STEPS = 65535
_UINT8_STEPS = 255
_INT16_STEPS = 32767

_Grey = UInt8[np.ndarray, "h w"]


@dataclass(slots=True)
class RowLayout:
    """Layout of the rows of consecutive frames in the file, and their number."""

    record: np.dtype
    count: int = 0

    @property
    def bytes(self) -> int:
        """Size of these rows."""
        return self.count * self.record.itemsize


class StoredInferences:
    """Inferences of the frames of a video, quantized and stored in a file.

    Iteration yields the inference and the brightness (or None) of each frame. Depth has 16 bits
    over the range of its frame, and is logarithmic if it is positive (errors of 0.01% from 1 to
    500). Normals have steps of 1/32767, confidence of 1/65535 and sky of 1/255.
    """

    def __init__(self, file: IO[bytes], *, is_positive: bool) -> None:
        """Store inferences in an open file; ``is_positive`` says that all depth is positive."""
        self._file = file
        self._is_positive = is_positive
        self.layouts: list[RowLayout] = []
        self._folder = Path()
        self._expected_frame_count = 0

    def check_space_for(self, frame_count: int, folder: Path) -> None:
        """Let the first ``append`` check whether the folder has space for so many frames.

        Only then is it known how large a frame is. 0 means that the number of frames is unknown,
        and nothing is checked.
        """
        self._folder = folder
        self._expected_frame_count = frame_count

    @property
    def count(self) -> int:
        """Number of frames."""
        return sum(layout.count for layout in self.layouts)

    @property
    def end(self) -> int:
        """Position after the rows of all frames [bytes]."""
        return sum(layout.bytes for layout in self.layouts)

    def append(self, inference: Inference, grey: _Grey | None = None) -> None:
        """Append the inference of the next frame, with the frame's brightness if that is needed.

        Raises:
            OutputError: If the disk has no space for all expected frames.
        """
        row_dtype = _row_dtype(inference, grey)
        is_first_frame = self.count == 0
        if is_first_frame and self._expected_frame_count:
            self._check_disk_space(row_dtype)
        self._file.seek(self.end)
        self._file.write(self._make_row(inference, grey, row_dtype).tobytes())
        # Frames that follow each other mostly have the same layout, which is kept once for all.
        has_new_layout = not self.layouts or self.layouts[-1].record != row_dtype
        if has_new_layout:
            self.layouts.append(RowLayout(row_dtype))
        self.layouts[-1].count += 1

    def _check_disk_space(self, row_dtype: np.dtype) -> None:
        """Raise ``OutputError`` if the expected frames need more space than the disk has."""
        check_disk_space(
            self._folder,
            self._expected_frame_count * row_dtype.itemsize,
            f"the predictions for {count_text(self._expected_frame_count, 'frame')}",
            Text(
                "choose another folder with ",
                OptionName("output"),
                ", or a lower ",
                OptionName("fps"),
            ),
        )

    def _make_row(self, inference: Inference, grey: _Grey | None, record: np.dtype) -> np.ndarray:
        """Make the row of a frame, in which all maps are quantized to integers."""
        row = np.zeros((), record)
        if inference.depth is not None:
            self._write_depth_to_row(row, inference.depth, inference.valid)
        if inference.normals is not None:
            # Pixels without a normal are NaN.
            row["normals"] = np.rint(np.nan_to_num(inference.normals) * np.float32(_INT16_STEPS))
        if grey is not None:
            row["grey"] = grey
        if inference.confidence is not None:
            row["confidence"] = np.rint(inference.confidence * np.float32(_UINT16_STEPS))
        if inference.sky is not None:
            row["sky"] = np.rint(inference.sky * np.float32(_UINT8_STEPS))
        return row

    def _write_depth_to_row(self, row: np.ndarray, depth: Field, valid: Mask | None) -> None:
        """Write depth to a row as integers from the least value (0) to the largest (65535).

        Of positive depth, these are the values of its logarithm. ``valid`` is None if all pixels
        are valid.
        """
        if valid is None:
            valid = np.ones(depth.shape, bool)
        depth = _fill_invalid(depth, valid)
        values = np.log(depth) if self._is_positive else depth
        low = float(values.min())
        high = float(values.max())
        step = (high - low) / _UINT16_STEPS or 1.0  # any step will do for constant depth
        codes = np.rint((values - np.float32(low)) / np.float32(step))
        row["low"] = low
        row["step"] = step
        row["valid"] = valid
        row["depth"] = codes.clip(0, _UINT16_STEPS)

    def __iter__(self) -> Iterator[tuple[Inference, _Grey | None]]:
        for row in self._stored_rows():
            grey = row["grey"] if "grey" in _column_names(row) else None
            yield self._inference_from_row(row), grey

    def _stored_rows(self) -> Iterator[np.void]:
        """Yield the rows of all frames in order."""
        position = 0
        for layout in self.layouts:
            for _ in range(layout.count):
                self._file.seek(position)
                row = self._file.read(layout.record.itemsize)
                position += len(row)
                yield np.frombuffer(row, layout.record)[0]

    def _inference_from_row(self, row: np.void) -> Inference:
        """Decode the inference of a frame from its row."""
        columns = _column_names(row)
        has_depth = "depth" in columns

        def decode_map(column: str, steps: int) -> Float32[np.ndarray, "..."] | None:
            """Decode a map whose code ``steps`` means 1; None if it was not stored."""
            if column not in columns:
                return None
            return row[column].astype(np.float32) * np.float32(1 / steps)

        return Inference(
            depth=self._depth_from_row(row) if has_depth else None,
            valid=_valid_mask(row) if has_depth else None,
            normals=decode_map("normals", _INT16_STEPS),
            confidence=decode_map("confidence", _UINT16_STEPS),
            sky=decode_map("sky", _UINT8_STEPS),
        )

    def _depth_from_row(self, row: np.void) -> Field:
        """Decode depth: low + step * code, of which positive depth is the exponential."""
        values = row["depth"].astype(np.float32)
        values *= np.float32(row["step"])
        values += np.float32(row["low"])
        return np.exp(values, out=values) if self._is_positive else values


@contextmanager
def open_stored_inferences(folder: Path, *, is_positive: bool) -> Iterator[StoredInferences]:
    """Open an empty store in an unnamed temporary file in a folder."""
    with nameless_file(folder) as file:
        yield StoredInferences(file, is_positive=is_positive)


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


def _row_dtype(inference: Inference, grey: _Grey | None) -> np.dtype:
    """Make the layout of a frame's row, which has columns for the parts of its inference."""
    columns: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
    if inference.depth is not None:
        columns += [("low", "f8"), ("step", "f8"), ("depth", "u2", inference.depth.shape)]
        # Always, because some models return a mask only for frames that have holes.
        columns.append(("valid", "?", inference.depth.shape))
    if grey is not None:
        columns.append(("grey", "u1", grey.shape))
    if inference.normals is not None:
        columns.append(("normals", "i2", inference.normals.shape))
    if inference.confidence is not None:
        columns.append(("confidence", "u2", inference.confidence.shape))
    if inference.sky is not None:
        columns.append(("sky", "u1", inference.sky.shape))
    return np.dtype(columns)


def _column_names(row: np.void) -> tuple[str, ...]:
    return row.dtype.names or ()


def _fill_invalid(depth: Field, valid: Mask) -> Field:
    """Fill invalid pixels with the least valid depth, so that they do not widen the range."""
    if valid.all():
        return depth
    least_depth = depth[valid].min() if valid.any() else np.float32(1)
    return np.where(valid, depth, least_depth)


def _valid_mask(row: np.void) -> Mask | None:
    """Return the mask of valid pixels; None if all are valid."""
    return None if row["valid"].all() else row["valid"]
