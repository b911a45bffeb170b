"""Channels of OpenEXR files.

Chunks hold all channels, which are unpacked for one, so their size is bounded.
"""

import os
from pathlib import Path

import numpy as np

from rilievo.io.files.limits import MAX_PIXELS, check_unpacked

MOST_BYTES = 2**29
"""Most bytes: a channel of the largest photograph, or 15 at 4K."""
_TYPES = (np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4"))


class ExrChannels:
    """Channels of the first part of a file."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ImportError: If OpenEXR is not installed.
            ValueError: If it states more than ``MOST_BYTES``.
        """
        import OpenEXR

        # OpenEXR reads files, not bytes, and takes their names in Unicode or as bytes.
        name = os.fsencode(path)
        # InputFile ends the process where a name in the header is not UTF-8, and File refuses it.
        OpenEXR.File(name, separate_channels=True, header_only=True)
        self._file = OpenEXR.InputFile(name)
        self._header = self._file.header()
        window = self._header["dataWindow"]
        self._shape = (window.max.y - window.min.y + 1, window.max.x - window.min.x + 1)
        stored = self._header["channels"]
        self._types = {name: _TYPES[channel.type.v] for name, channel in stored.items()}
        self.names = (*self._types,)
        check_unpacked("a channel", *self._shape, most_bytes=MAX_PIXELS)
        every = sum(kind.itemsize for kind in self._types.values())
        check_unpacked(
            f"its image of {len(self.names)} channels", *self._shape, every, most_bytes=MOST_BYTES
        )

    @property
    def are_colours(self) -> bool:
        """Whether channels are R, G, B (and A) of one type."""
        return {*self.names} in ({*"RGB"}, {*"RGBA"}) and len({*self._types.values()}) == 1

    def colours(self) -> np.ndarray:
        """Read R, G, B (and A) as the last axis."""
        order = "RGBA"[: len(self.names)]
        return np.stack([self.read(name) for name in order], axis=-1)

    def text(self, name: str) -> str:
        """Text of an attribute.

        Raises:
            KeyError: If there is none.
            ValueError: If it is no text in UTF-8.
        """
        content = self._header[name]
        if not isinstance(content, bytes):
            raise ValueError("its header is damaged")
        return content.decode()

    def read(self, name: str) -> np.ndarray:
        """Read a channel in its type."""
        content = self._file.channel(name)
        return np.frombuffer(content, self._types[name]).reshape(self._shape)
