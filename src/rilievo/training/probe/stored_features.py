"""Features of one image as bytes and back: 16-bit floats, or 8-bit integers with scales.

A file is a header of 128 bytes, then for each layer its map (channels, rows, columns), and its
scales and class token where there are some, all little-endian. A class token is stored once, not
at every cell of the map.
"""

from collections.abc import Sequence
from enum import StrEnum
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


class Storage(StrEnum):
    """Number format of stored features.

    ``FP16`` rounds to 11 bits: by at most 1/2048 of each number (above 6e-5). ``INT8`` takes half
    of the space and rounds by at most 1/254 of the largest magnitude that the channel has in the
    image. Class tokens are stored in float32.
    """

    FP16 = "fp16"
    INT8 = "int8"


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
    storage: Storage

    @property
    def fields(self) -> np.dtype:
        """Fields ``values0``, ``scales0``, ``token0``, ..., each at a multiple of four bytes."""
        names, formats, offsets, end = [], [], [], 0
        for index, shape in enumerate(self.shapes):
            parts = {"values": np.dtype(("<f2" if self.storage is Storage.FP16 else "i1", shape))}
            if self.storage is Storage.INT8:
                parts["scales"] = np.dtype(("<f4", shape[:1]))
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
class Stored:
    """Features of one image as stored, mapped into memory; fields are those of the layout."""

    numbers: np.ndarray
    layout: Layout

    def into(self, target: Float[Tensor, "c h w"], layer: int) -> None:
        """Decode the numbers of one layer into a map of a batch."""
        target.copy_(torch.from_numpy(self.numbers[f"values{layer}"]))
        if self.layout.storage is Storage.INT8:
            scales = torch.from_numpy(self.numbers[f"scales{layer}"])
            target.mul_(scales.to(target.device)[:, None, None])

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
        if layout.storage is Storage.INT8:
            scales = np.abs(values).max(axis=(1, 2)) / np.float32(127)
            numbers[f"scales{index}"][...] = scales
            values = np.rint(values / np.where(scales > 0, scales, 1)[:, None, None])
        elif np.abs(values).max() > np.finfo(np.float16).max:
            raise InputError(
                f"features of layer {index} reach {np.abs(values).max():.3g}, too large for 16-bit "
                "floats: keep them as int8"
            )
        numbers[f"values{index}"][...] = values
        if tokens is not None:
            numbers[f"token{index}"][...] = tokens[index].detach().float().cpu().numpy()
    payload, kind = numbers.tobytes(), layout.storage.value.encode()
    header = HEADER.pack(MAGIC, VERSION, kind, stamp.identity, stamp.image, len(payload))
    return with_checksum(header, payload)


def unpack(path: Path, layout: Layout, stamp: Stamp) -> Stored:
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
    # The identity covers version and storage too.
    _, _, _, identity, image, _ = HEADER.unpack_from(head)
    if identity != stamp.identity or image != stamp.image:
        what = "another backbone or setting" if identity != stamp.identity else "another image"
        raise InputError(f"{name}: features of {what}; remove it to have it made again")
    numbers = np.memmap(path, layout.fields, mode="c", offset=HEADER_BYTES, shape=())
    return Stored(numbers=numbers, layout=layout)
