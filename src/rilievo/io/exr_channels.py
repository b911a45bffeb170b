"""Channels of OpenEXR files, read within limits of memory.

The chunks of an OpenEXR file hold all channels, so the limit is for all channels together.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors.messages import count_text
from rilievo.io.files.limits import MAX_PIXELS, check_unpacked

MAX_EXR_BYTES = 2**29
"""Most bytes of all channels: one channel of the largest photograph, or 15 channels at 4K."""
_NUMBER_TYPES = (np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4"))
"""Types of numbers, in the order of OpenEXR's ``PixelType``."""


class ExrChannels:
    """Channels of an OpenEXR file's first part, as large as its display window.

    The display window is the picture, and the data window is the region whose pixels are stored. A
    render of a region stores only a part of the picture, and a render with overscan stores more
    than the picture.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ImportError: If OpenEXR is not installed.
            ValueError: If its channels have more than ``MAX_EXR_BYTES``, or if none of its pixels
                lie in the picture.
        """
        import OpenEXR

        # OpenEXR reads only files, whose paths may be Unicode or bytes.
        path_bytes = os.fsencode(path)
        _check_names(OpenEXR.File(path_bytes, separate_channels=True, header_only=True))
        self._file = OpenEXR.InputFile(path_bytes)
        self._header = self._file.header()
        channels = self._header["channels"]
        self._types = {name: _NUMBER_TYPES[channel.type.v] for name, channel in channels.items()}
        self.names = (*self._types,)

        data_window, display_window = self._header["dataWindow"], self._header["displayWindow"]
        self._stored_shape = _window_shape(data_window)
        self._picture_shape = _window_shape(display_window)
        # Row and column of the picture at which the first stored pixel lies.
        self._offset = (
            data_window.min.y - display_window.min.y,
            data_window.min.x - display_window.min.x,
        )
        self._check_size()

    def _check_size(self) -> None:
        """Raise ``ValueError`` if the pixels take too much memory, or none lies in the picture."""
        for height, width in (self._stored_shape, self._picture_shape):
            if height * width > MAX_PIXELS:
                raise ValueError(
                    f"it has {width} x {height} pixels; expected at most {MAX_PIXELS:,} in total"
                )
        bytes_per_pixel = sum(number_type.itemsize for number_type in self._types.values())
        check_unpacked(
            f"its image of {count_text(len(self.names), 'channel')}",
            *self._stored_shape,
            bytes_per_pixel,
            most_bytes=MAX_EXR_BYTES,
        )
        if min(self._overlap_shape) < 1:
            raise ValueError("its data window lies outside of its display window")

    @property
    def are_colours(self) -> bool:
        """Whether channels are R, G, B (and A) of one type."""
        has_one_type = len(set(self._types.values())) == 1
        return has_one_type and set(self.names) in (set("RGB"), set("RGBA"))

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes of the header: texts are bytes, numbers are numbers."""
        return self._header

    def attribute_text(self, name: str) -> str:
        """Text of an attribute.

        Raises:
            KeyError: If there is no such attribute.
            ValueError: If it is not a text in UTF-8.
        """
        content = self._header[name]
        if not isinstance(content, bytes):
            raise ValueError("its header is damaged")
        return content.decode()

    def read_colours(self) -> np.ndarray:
        """Read R, G, B (and A) as the last axis."""
        order = "RGBA"[: len(self.names)]
        return np.stack([self.read_channel(name) for name in order], axis=-1)

    def read_channel(self, name: str) -> np.ndarray:
        """Read a channel in its stored type.

        Pixels of the picture that are not stored are NaN, or 0 if the numbers are integers.
        """
        channel_bytes = self._file.channel(name)
        stored = np.frombuffer(channel_bytes, self._types[name]).reshape(self._stored_shape)
        if self._offset == (0, 0) and self._picture_shape == self._stored_shape:
            return stored

        missing = np.nan if stored.dtype.kind == "f" else 0
        picture = np.full(self._picture_shape, missing, stored.dtype)
        # The overlap of both windows begins at this pixel of the picture, and at this stored pixel.
        top, left = self._offset
        picture_row, picture_column = max(top, 0), max(left, 0)
        stored_row, stored_column = picture_row - top, picture_column - left
        height, width = self._overlap_shape
        overlap = stored[stored_row : stored_row + height, stored_column : stored_column + width]
        picture[picture_row : picture_row + height, picture_column : picture_column + width] = (
            overlap
        )
        return picture

    @property
    def _overlap_shape(self) -> tuple[int, int]:
        """How many rows and columns are stored and lie in the picture; below 1 for none."""
        top, left = self._offset
        rows, columns = self._stored_shape
        picture_rows, picture_columns = self._picture_shape
        return (
            min(top + rows, picture_rows) - max(top, 0),
            min(left + columns, picture_columns) - max(left, 0),
        )


def _check_names(file: Any) -> None:
    """Raise ``UnicodeDecodeError`` if a name in the header is not UTF-8.

    ``OpenEXR.InputFile`` ends the process there. ``OpenEXR.File`` raises: at once for names of
    attributes, and for names of channels when they are read.
    """
    for part in file.parts:
        for channel in part.header["channels"]:
            str(channel.name)


def _window_shape(window: Any) -> tuple[int, int]:
    """Height and width of a window of OpenEXR, whose limits are inclusive."""
    return window.max.y - window.min.y + 1, window.max.x - window.min.x + 1
