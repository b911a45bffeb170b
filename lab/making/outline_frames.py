"""Rendered frames and photographs of an outline head's training, in a device's memory."""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from lab.making.distil.frames.shards import read_shard
from lab.making.nyu_frames import COLUMNS, HELD_OUT, METRES_PER_STEP, ROWS
from rilievo.errors import InputError, RilievoError
from rilievo.io.files.names import printable

_PHOTOGRAPHS = 400
"""Largest number of photographs in memory."""
_HELD_OUT = 4
"""Frames of a shard that are held out."""
_SUFFIXES = (".jpg", ".jpeg", ".png")


class Frames(NamedTuple):
    """Batch of frames.

    Attributes:
        image: Pictures of 0..255.
        true: Log depth; infinite where there is sky, and NaN where it is unknown.
        plain: Frames without the faults of cameras.
        measured: Photographs with measured depth.
    """

    image: Float[Tensor, "b 3 h w"]
    true: Float[Tensor, "b 1 h w"]
    plain: Bool[Tensor, "b 1 1 1"]
    measured: Bool[Tensor, "b 1 1 1"]


class Photographs(NamedTuple):
    """Photographs in memory.

    Attributes:
        image: Pictures of 0..255.
        true: Measured log depth, NaN where it is unknown; None without.
    """

    image: UInt8[Tensor, "n 3 h w"]
    true: Float[Tensor, "n 1 h w"] | None

    def draw(self, count: int, random: np.random.Generator) -> Frames:
        """Return photographs with measured depth at random, half of them mirrored."""
        assert self.true is not None
        places = torch.from_numpy(random.integers(len(self.image), size=count))
        places = places.to(self.image.device)
        image, true = self.image[places].float(), self.true[places].float()
        mirror = torch.from_numpy(random.random((count, 1, 1, 1)) < 0.5).to(image.device)
        image, true = (torch.where(mirror, each.flip(-1), each) for each in (image, true))
        return Frames(image, true, torch.ones_like(mirror), torch.ones_like(mirror))


class FramePool:
    """Frames of the shards of a folder, or of its folders; shards that appear later come in.

    Attributes:
        size: (height, width) of frames [px].
        held_out: Frames that ``draw`` never gives: the first four of each of the first shards.
    """

    def __init__(
        self, folder: Path, size: tuple[int, int], device: torch.device, *, held_out: int
    ) -> None:
        self.size = size
        self.held_out = list[Frames]()
        self._folder, self._device, self._count = folder, device, held_out
        self._parts: list[tuple[Tensor, Tensor]] = []
        self._places: list[tuple[int, int]] = []
        self._read: set[Path] = set()

    def __len__(self) -> int:
        return len(self._places)

    def scan(self, most: int) -> int:
        """Read up to ``most`` new shards; returns the number of frames to draw from.

        A file that is no shard is skipped, as a run must not end by it.
        """
        for path in sorted(set(self._folder.rglob("shard-*.npz")) - self._read)[:most]:
            self._read.add(path)
            with suppress(RilievoError):
                self._add(path)
        return len(self)

    def draw(self, count: int, random: np.random.Generator) -> Frames:
        """Return frames at random."""
        places = [self._places[each] for each in random.integers(len(self._places), size=count)]
        image = torch.stack([self._parts[part][0][index] for part, index in places])
        true = torch.stack([self._parts[part][1][index] for part, index in places])
        return _batch(image, true)

    def _add(self, path: Path) -> None:
        shard = read_shard(path)
        image = torch.from_numpy(np.array(shard.image)).to(self._device).permute(0, 3, 1, 2)
        true = torch.from_numpy(np.array(shard.log_depth)).to(self._device)[:, None]
        if image.shape[-2:] != self.size:
            image, true = _resized(image, true, self.size)
        held = sum(len(each.image) for each in self.held_out)
        first = min(_HELD_OUT, self._count - held, len(image) // 2)
        if first > 0:
            self.held_out.append(_batch(image[:first], true[:first]))
        self._parts.append((image.contiguous(), true.contiguous()))
        part = len(self._parts) - 1
        self._places += [(part, index) for index in range(first, len(image))]


def _batch(image: Tensor, true: Tensor) -> Frames:
    neither = torch.zeros(len(image), 1, 1, 1, dtype=torch.bool, device=image.device)
    return Frames(image.float(), true.float(), neither, neither)


def joined(frames: Sequence[Frames]) -> Frames:
    """Batches in one."""
    return Frames(*(torch.cat(each) for each in zip(*frames, strict=True)))


def _resized(image: Tensor, true: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Means of pixels, and the nearest pixel's depth."""
    small = [
        F.interpolate(each.float(), size=size, mode="bilinear", antialias=True).round().byte()
        for each in image.split(16)
    ]
    depth = F.interpolate(true.float(), size=size, mode="nearest-exact")
    return torch.cat(small), depth.to(true.dtype)


def read_photographs(folder: Path, size: tuple[int, int], device: torch.device) -> Photographs:
    """Read photographs of a folder, or the training frames of NYU Depth V2's, without their border.

    Of those, the last 60 are left out, which other runs hold out, and their depth is read too.

    Raises:
        InputError: If there are none.
    """
    paths = _photographs(folder)
    paths = paths[:: max(1, math.ceil(len(paths) / _PHOTOGRAPHS))]
    if not paths:
        raise InputError(f"{printable(folder)}: no photographs in it (.jpg or .png)")
    measured = (folder / "train.txt").is_file()
    box = (COLUMNS.start, ROWS.start, COLUMNS.stop, ROWS.stop) if measured else None
    pictures = []
    for path in paths:
        with Image.open(path) as file:
            picture = file.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR, box)
        pictures.append(np.asarray(picture))
    image = torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).contiguous()
    if not measured:
        return Photographs(image, None)
    depth = np.stack([_measured_depth(folder / f"depth/{path.stem}.png", size) for path in paths])
    return Photographs(image, torch.from_numpy(depth)[:, None].to(device))


def _measured_depth(path: Path, size: tuple[int, int]) -> np.ndarray:
    with Image.open(path) as file:
        stored = np.asarray(file)[ROWS, COLUMNS]
    rows, columns = (
        ((np.arange(side) + 0.5) * old / side).astype(int)
        for side, old in zip(size, stored.shape, strict=True)
    )
    values = stored[rows][:, columns].astype(np.float32)
    # The stored depth saturates at 10 m: there it is only a lower bound.
    return np.where(values < 250, np.log((values + 0.5) * METRES_PER_STEP), np.nan)


def _photographs(folder: Path) -> Sequence[Path]:
    if (names := folder / "train.txt").is_file():
        return [folder / f"rgb/{each}.jpg" for each in names.read_text().split()[:-HELD_OUT]]
    return sorted(each for each in folder.rglob("*") if each.suffix.lower() in _SUFFIXES)
