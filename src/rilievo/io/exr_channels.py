"""Channels of OpenEXR files, within bounds.

Chunks of OpenEXR hold all channels, so the size of all of them is bounded.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.io.files.limits import MAX_PIXELS, check_unpacked

MAX_EXR_BYTES = 2**29
"""Most bytes of all channels: one of the largest photograph, or 15 at 4K."""
_TYPES = (np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4"))
"""Types of numbers, in the order of OpenEXR's numbers for them."""


class ExrChannels:
    """Channels of an OpenEXR file's first part, as large as its display window.

    The data window says where the stored pixels lie in the picture, which the display window is. A
    render of a region stores a part of the picture, and a render with overscan more than all of it.

    Attributes:
        names: Names of the channels.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ImportError: If OpenEXR is not installed.
            ValueError: If it states more than ``MAX_EXR_BYTES``, or if none of its pixels lie in
                the picture.
        """
        import OpenEXR

        # OpenEXR reads files, not bytes, and takes their names in Unicode or as bytes.
        name = os.fsencode(path)
        # InputFile ends the process where a name in the header is not UTF-8, and File refuses it.
        OpenEXR.File(name, separate_channels=True, header_only=True)
        self._file = OpenEXR.InputFile(name)
        self._header = self._file.header()
        channels = self._header["channels"]
        self._types = {name: _TYPES[channel.type.v] for name, channel in channels.items()}
        self.names = (*self._types,)

        data, display = self._header["dataWindow"], self._header["displayWindow"]
        self._stored_shape = _window_shape(data)
        self._picture_shape = _window_shape(display)
        self._offset = (data.min.y - display.min.y, data.min.x - display.min.x)
        self._check_size()

    def _check_size(self) -> None:
        check_unpacked("a channel", *self._stored_shape, most_bytes=MAX_PIXELS)
        bytes_per_pixel = sum(number_type.itemsize for number_type in self._types.values())
        check_unpacked(
            f"its image of {len(self.names)} channels",
            *self._stored_shape,
            bytes_per_pixel,
            most_bytes=MAX_EXR_BYTES,
        )
        check_unpacked("a channel of its picture", *self._picture_shape, most_bytes=MAX_PIXELS)
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
            KeyError: If there is none.
            ValueError: If it is not UTF-8.
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
        """Read a channel in its type.

        Pixels of the picture that are not stored are NaN, or 0 where the numbers are whole.
        """
        content = self._file.channel(name)
        stored = np.frombuffer(content, self._types[name]).reshape(self._stored_shape)
        if self._offset == (0, 0) and self._picture_shape == self._stored_shape:
            return stored

        missing = np.nan if stored.dtype.kind == "f" else 0
        picture = np.full(self._picture_shape, missing, stored.dtype)
        top, left = self._offset
        rows, columns = self._overlap_shape
        first_row, first_column = max(top, 0), max(left, 0)
        picture[first_row : first_row + rows, first_column : first_column + columns] = stored[
            first_row - top : first_row - top + rows,
            first_column - left : first_column - left + columns,
        ]
        return picture

    @property
    def _overlap_shape(self) -> tuple[int, int]:
        """Rows and columns that are stored and lie in the picture; below 1 if there are none."""
        top, left = self._offset
        rows, columns = self._stored_shape
        picture_rows, picture_columns = self._picture_shape
        return (
            min(top + rows, picture_rows) - max(top, 0),
            min(left + columns, picture_columns) - max(left, 0),
        )


def _window_shape(window: Any) -> tuple[int, int]:
    """Rows and columns of a window of OpenEXR, whose last row and column belong to it."""
    return window.max.y - window.min.y + 1, window.max.x - window.min.x + 1
