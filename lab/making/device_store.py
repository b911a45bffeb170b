"""Training frames in the memory of the device, of one size each store, drawn by their kinds.

A GPU sees a hundred times the images of a processor's core, so frames lie beside it as bytes and
are cut, turned and degraded there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float32, Int8, UInt8
from torch import Tensor

from lab.making.carried_frames import SUFFIX, CarriedFrames, read_carried
from lab.making.distil.frames.shards import read_shard
from lab.making.distil.frames.training_frames import FARTHEST
from rilievo.errors import RilievoError

EMPTY = 1
"""Bit of a pixel without a known depth."""
SKY = 2
"""Bit of a pixel that sees no surface."""
NO_NORMAL = 4
"""Bit of a pixel without a known normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFrames:
    """Frames of one size, as tensors on the device.

    Attributes:
        image: sRGB.
        log_depth: Natural logarithm of depth [m]; 0 where there is none.
        marks: Bits ``EMPTY``, ``SKY`` and ``NO_NORMAL`` of every pixel.
        normals: 127 times the unit normal.
        camera: fx, fy, cx, cy [px].
        is_rendered: Whether sky is known to the pixel.
    """

    image: UInt8[Tensor, "n 3 h w"]
    log_depth: Float32[Tensor, "n h w"]
    marks: UInt8[Tensor, "n h w"]
    normals: Int8[Tensor, "n 3 h w"]
    camera: Float32[Tensor, "n 4"]
    is_rendered: bool

    def __len__(self) -> int:
        return len(self.image)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width [px]."""
        height, width = self.image.shape[2:]
        return height, width


@dataclass(slots=True)
class FrameStore:
    """Frames of all sizes and kinds, to which shards are added while a run goes on.

    Attributes:
        device: Device that holds the frames.
        chunks: Frames by their kind; a kind may have several chunks, of other sizes too.
    """

    device: torch.device
    chunks: dict[str, list[StoredFrames]] = field(default_factory=dict)
    paths: set[Path] = field(default_factory=set)

    def scan(self, folder: Path, *, most: int | None = None) -> int:
        """Add the files below ``folder`` that are new; their kind is the first part of the path.

        Files that cannot be read yet are skipped until the next scan.

        Args:
            folder: Folder of shards, such as ``corridors-3/shard-00000.npz``, and of carried
                frames, such as ``corridors-3.frames``.
            most: Largest number of files to add; None for all.

        Returns:
            The number of frames added.
        """
        paths = {*folder.glob("**/shard-*.npz"), *folder.glob(f"**/*{SUFFIX}")} - self.paths
        added = 0
        for path in sorted(paths)[:most]:
            try:
                frames = read_carried(path) if path.suffix == SUFFIX else _frames_of(path)
            except (RilievoError, OSError, ValueError, BadZipFile):
                continue
            self.paths.add(path)
            self._add(kind_of(path, folder), frames)
            added += len(frames.image)
        return added

    def _add(self, kind: str, carried: CarriedFrames) -> None:
        log_depth, normals = carried.log_depth, carried.normals
        sky, empty = np.isposinf(log_depth), ~np.isfinite(log_depth)
        marks = empty * np.uint8(EMPTY) | sky * np.uint8(SKY)
        marks |= ~normals.any(axis=1) * np.uint8(NO_NORMAL)
        clipped = np.where(empty, 0, np.minimum(log_depth, np.float32(np.log(FARTHEST))))

        def placed(array: np.ndarray, dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(np.array(array, order="C")).to(self.device, dtype)

        frames = StoredFrames(
            image=placed(carried.image.transpose(0, 3, 1, 2), torch.uint8),
            log_depth=placed(clipped, torch.float16),
            marks=placed(marks, torch.uint8),
            normals=placed(normals, torch.int8),
            camera=placed(carried.camera, torch.float32),
            is_rendered=carried.is_rendered,
        )
        self.chunks.setdefault(kind, []).append(frames)

    def joined(self) -> None:
        """Join the chunks of each kind and size, so that draws read few tensors."""
        for kind, chunks in self.chunks.items():
            sizes: dict[tuple[int, int], list[StoredFrames]] = {}
            for chunk in chunks:
                sizes.setdefault(chunk.size, []).append(chunk)
            self.chunks[kind] = [
                group[0] if len(group) == 1 else _concatenated(group) for group in sizes.values()
            ]

    def counts(self) -> Mapping[str, int]:
        """Number of frames of each kind."""
        return {kind: sum(map(len, chunks)) for kind, chunks in sorted(self.chunks.items())}

    def pools(self, *, wide: bool) -> Iterator[tuple[str, StoredFrames]]:
        """Yield kinds with their frames: natively wide ones, or those of other aspects."""
        for kind, chunks in self.chunks.items():
            for chunk in chunks:
                height, width = chunk.size
                if (width > 1.6 * height) == wide:
                    yield kind, chunk


def kind_of(path: Path, folder: Path) -> str:
    """Kind of a file's frames: the first part of its path, without numbers at the end."""
    return path.relative_to(folder).parts[0].removesuffix(SUFFIX).rstrip("-0123456789")


def _frames_of(path: Path) -> CarriedFrames:
    """Frames of one shard; sky is all that has no depth."""
    shard = read_shard(path)
    focal = np.asarray(shard.focal, np.float32)
    height, width = shard.log_depth.shape[1:]
    middle = np.full((len(focal), 2), ((width - 1) / 2, (height - 1) / 2), np.float32)
    return CarriedFrames(
        image=np.asarray(shard.image),
        log_depth=np.asarray(shard.log_depth, np.float32),
        normals=np.asarray(shard.normals),
        camera=np.concatenate([focal[:, None], focal[:, None], middle], axis=1),
        is_rendered=shard.is_rendered,
    )


def _concatenated(chunks: Sequence[StoredFrames]) -> StoredFrames:
    def joined(name: str) -> Tensor:
        return torch.cat([getattr(chunk, name) for chunk in chunks])

    return StoredFrames(
        image=joined("image"),
        log_depth=joined("log_depth"),
        marks=joined("marks"),
        normals=joined("normals"),
        camera=joined("camera"),
        is_rendered=chunks[0].is_rendered,
    )
