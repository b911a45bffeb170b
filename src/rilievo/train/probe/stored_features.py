"""Features of one image as bytes and back: 16-bit floats, or 8-bit integers with scales.

A file is a header of 128 bytes, then for each layer its map (channels, rows, columns), and its
scales and class token where there are some, all little-endian. A class token is stored once, not
at every cell of the map.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rilievo.errors import InputError
from rilievo.io.cached_files import HEADER, HEADER_BYTES, MAGIC, with_checksum
from rilievo.io.limits import printable

VERSION = 1


class Storage(StrEnum):
    """Number format of stored features.

    ``FP16`` rounds to 11 bits: by at most 1/2048 of each number (above 6e-5). ``INT8`` takes half
    of the space and rounds by at most 1/254 of the largest magnitude that the channel has in the
    image. Class tokens are stored in float32.
    """

    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Identification of the features in a file: sha256 of the image, and of all else."""

    identity: bytes
    image: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MapShape:
    """Shape of one layer's map."""

    channels: int
    rows: int
    columns: int

    @property
    def numbers(self) -> int:
        """Count of numbers in the map."""
        return self.channels * self.rows * self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Layout of the files of all images of one size.

    Attributes:
        tokens: Whether each layer has a class token, of as many channels.
    """

    shapes: tuple[MapShape, ...]
    tokens: bool
    storage: Storage

    @property
    def bytes_each(self) -> int:
        """Size of a file [bytes]."""
        return HEADER_BYTES + sum(map(self.layer_bytes, self.shapes))

    def layer_bytes(self, shape: MapShape) -> int:
        """Size of one layer in a file [bytes]."""
        width = 2 if self.storage is Storage.FP16 else 1
        scales = 4 * shape.channels if self.storage is Storage.INT8 else 0
        # Scales and tokens begin at multiples of four bytes.
        return _rounded_up(width * shape.numbers) + scales + 4 * shape.channels * self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One layer of one image as stored, mapped into memory.

    Values are (channels, rows, columns), float16 or int8 with a scale for each channel.
    """

    values: np.ndarray
    scales: np.ndarray | None
    token: np.ndarray | None

    def into(self, target: Float[Tensor, "c h w"]) -> None:
        """Decode the numbers into a map of a batch."""
        target.copy_(torch.from_numpy(self.values))
        if self.scales is not None:
            target.mul_(torch.from_numpy(self.scales).to(target.device)[:, None, None])

    def class_token(self) -> Float[Tensor, " c"]:
        """Return the class token; call it only where the layout has tokens."""
        assert self.token is not None, "asked for where the layout has tokens"
        return torch.from_numpy(self.token)


def pack(
    maps: Sequence[Float[Tensor, "_c _h _w"]],
    tokens: Sequence[Float[Tensor, "_c"]] | None,
    layout: Layout,
    stamp: Stamp,
) -> bytes:
    """Encode the file of one image.

    Raises ``InputError`` if a number is not finite, or too large for 16-bit floats.
    """
    parts: list[bytes] = []
    for index, layer in enumerate(maps):
        values = layer.detach().float().cpu().numpy()
        if not np.isfinite(values).all():
            raise InputError(f"features of layer {index} hold numbers that are not finite")
        parts += _encoded(values, index, layout.storage)
        if tokens is not None:
            parts.append(tokens[index].detach().float().cpu().numpy().astype("<f4").tobytes())
    payload = b"".join(parts)
    kind = layout.storage.value.encode()
    header = HEADER.pack(MAGIC, VERSION, kind, stamp.identity, stamp.image, len(payload))
    return with_checksum(header, payload)


def unpack(path: Path, layout: Layout, stamp: Stamp) -> tuple[Stored, ...]:
    """Open the layers of a file, after checking its length, image and backbone."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    _check(path, head, layout, stamp)
    data = np.memmap(path, np.uint8, mode="c", offset=0)
    if len(data) != layout.bytes_each:
        raise InputError(
            f"{printable(path)}: is {len(data)} bytes but {layout.bytes_each} were expected: "
            "truncated; remove it, and it is made again"
        )
    layers, start = [], HEADER_BYTES
    for shape in layout.shapes:
        layers.append(_decoded(data, start, shape, layout))
        start += layout.layer_bytes(shape)
    return tuple(layers)


def _check(path: Path, head: bytes, layout: Layout, stamp: Stamp) -> None:
    name = printable(path)
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        raise InputError(f"{name}: no kept features, or truncated; remove it to have it made again")
    _, version, kind, identity, image, length = HEADER.unpack_from(head)
    if version != VERSION:
        raise InputError(
            f"{name}: features kept in version {version} of their format, this one is {VERSION}: "
            "remove the folder, or keep to the rilievo that made it"
        )
    if identity != stamp.identity or image != stamp.image:
        what = "another backbone or setting" if identity != stamp.identity else "another image"
        raise InputError(f"{name}: features of {what}; remove it to have it made again")
    expected = layout.bytes_each - HEADER_BYTES
    if kind != layout.storage.value.encode() or length != expected:
        raise InputError(f"{name}: features of another shape; remove it to have it made again")


def _encoded(values: np.ndarray, index: int, storage: Storage) -> list[bytes]:
    if storage is Storage.FP16:
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise InputError(
                f"features of layer {index} reach {np.abs(values).max():.3g}, too large for 16-bit "
                "floats: keep them as int8"
            )
        return [_padded(values.astype("<f2").tobytes())]
    scales = np.abs(values).max(axis=(1, 2)) / np.float32(127)
    steps = values / np.where(scales > 0, scales, 1)[:, None, None]
    return [_padded(np.rint(steps).astype("i1").tobytes()), scales.astype("<f4").tobytes()]


def _decoded(data: np.ndarray, start: int, shape: MapShape, layout: Layout) -> Stored:
    numbers, kind = shape.numbers, "<f2" if layout.storage is Storage.FP16 else "i1"
    width = np.dtype(kind).itemsize
    values = data[start : start + width * numbers].view(kind)
    start += _rounded_up(width * numbers)
    scales = token = None
    if layout.storage is Storage.INT8:
        scales = data[start : start + 4 * shape.channels].view("<f4")
        start += 4 * shape.channels
    if layout.tokens:
        token = data[start : start + 4 * shape.channels].view("<f4")
    return Stored(
        values=values.reshape(shape.channels, shape.rows, shape.columns),
        scales=scales,
        token=token,
    )


def _rounded_up(count: int) -> int:
    return count + -count % 4


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
