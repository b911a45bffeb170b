"""Features of one image as bytes and back: 16-bit floats.

A file is a header of 128 bytes, then for each layer its map (channels, rows, columns), and its
class token where there is one, all little-endian. Numbers of maps are rounded to 11 bits, by at
most 1/2048 of each (above 6e-5). A class token is stored in float32 and once, not at every cell of
the map.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.checks import HEADER, HEADER_BYTES, MAGIC, with_checksum
from rilievo.io.files.limits import printable
from rilievo.shapes import Float

VERSION = 1


@frozen
class Stamp:
    """Identification of the features in a file: sha256 of the image, and of all else."""

    identity: bytes
    image: bytes


@frozen
class Layout:
    """Layout of the files of all images of one size.

    Attributes:
        shapes: (channels, rows, columns) of each layer's map.
        tokens: Whether each layer has a class token, of as many channels.
    """

    shapes: tuple[tuple[int, int, int], ...]
    tokens: bool

    @property
    def fields(self) -> np.dtype:
        """Fields ``values0``, ``token0``, ``values1``, ..., each at a multiple of four bytes."""
        names, formats, offsets, end = [], [], [], 0
        for index, shape in enumerate(self.shapes):
            parts = {"values": np.dtype(("<f2", shape))}
            if self.tokens:
                parts["token"] = np.dtype(("<f4", shape[:1]))
            for name, part in parts.items():
                names.append(f"{name}{index}")
                formats.append(part)
                offsets.append(end)
                end += part.itemsize + -part.itemsize % 4
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": end})

    @property
    def bytes_each(self) -> int:
        """Size of a file [bytes]."""
        return HEADER_BYTES + self.fields.itemsize


@frozen
class StoredFeatures:
    """Features of one image as stored, mapped into memory; fields are those of the layout."""

    numbers: np.ndarray
    layout: Layout

    def into(self, target: Float[Tensor, "c h w"], layer: int) -> None:
        """Decode the numbers of one layer into a map of a batch."""
        target.copy_(torch.from_numpy(self.numbers[f"values{layer}"]))

    def class_token(self, layer: int) -> Float[Tensor, " c"]:
        """Return the class token of one layer; call it only where the layout has tokens."""
        return torch.from_numpy(self.numbers[f"token{layer}"])


def pack(
    maps: Sequence[Float[Tensor, "_c _h _w"]],
    tokens: Sequence[Float[Tensor, "_c"]] | None,
    layout: Layout,
    stamp: Stamp,
) -> bytes:
    """Encode the file of one image.

    Raises ``InputError`` if a number is not finite, or too large for 16-bit floats.
    """
    numbers = np.zeros((), layout.fields)
    for index, layer in enumerate(maps):
        values = layer.detach().float().cpu().numpy()
        if not np.isfinite(values).all():
            raise InputError(f"features of layer {index} hold numbers that are not finite")
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise InputError(
                f"features of layer {index} reach {np.abs(values).max():.3g}, too large for 16-bit "
                "floats: train without the cache (enabled = false in [cache])"
            )
        numbers[f"values{index}"][...] = values
        if tokens is not None:
            numbers[f"token{index}"][...] = tokens[index].detach().float().cpu().numpy()
    payload = numbers.tobytes()
    header = HEADER.pack(MAGIC, VERSION, b"fp16", stamp.identity, stamp.image, len(payload))
    return with_checksum(header, payload)


def unpack(path: Path, layout: Layout, stamp: Stamp) -> StoredFeatures:
    """Open a file, after checking its length, image and backbone."""
    name = printable(path)
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    size = path.stat().st_size
    if size != layout.bytes_each or not head.startswith(MAGIC):
        raise InputError(
            f"{name}: no kept features, or not the {layout.bytes_each} bytes that were expected; "
            "remove it to have it made again"
        )
    # The identity covers the version too.
    _, _, _, identity, image, _ = HEADER.unpack_from(head)
    if identity != stamp.identity or image != stamp.image:
        what = "another backbone or setting" if identity != stamp.identity else "another image"
        raise InputError(f"{name}: features of {what}; remove it to have it made again")
    numbers = np.memmap(path, layout.fields, mode="c", offset=HEADER_BYTES, shape=())
    return StoredFeatures(numbers=numbers, layout=layout)
