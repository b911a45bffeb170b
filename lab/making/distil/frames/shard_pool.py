"""Training frames of a folder of shards, drawn at random."""

from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path

import numpy as np

from lab.making.distil.frames.shards import KINDS, Shard, check_shards, read_shard
from lab.making.distil.frames.training_frames import Frame
from rilievo.errors import InputError

_OUTDOORS_BEYOND = 15.0  # metres: no rendered room is longer


class ShardPool:
    """Every frame of the shards below a folder (about 0.4 MB a frame of 256×192), read when drawn.

    Attributes:
        outdoors: Share of the frames drawn that show something farther than a room, or sky; None
            for all frames alike.
        held_out: Shard kept for validation, the first by path; None if there is only one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        outdoors: float | None = None,
        names: Sequence[str] | None = None,
        holds_out: bool = True,
    ) -> None:
        """Open a folder with all of its shards, or with those of some ``names`` alone.

        ``holds_out`` tells whether a shard is kept for validation.
        """
        check_shards(folder)
        self.folder = folder
        self.outdoors = outdoors
        self.held_out: Shard | None = None
        self._holds_out = holds_out
        self._paths: set[Path] = set()
        self._near: list[tuple[Shard, int]] = []
        self._far: list[tuple[Shard, int]] = []
        self.add(self.missing() if names is None else names)
        if not len(self) and names is None:
            raise InputError(f"{folder}: no shard-*.npz with frames to train on; render some first")

    def scan(self) -> None:
        """Add the shards that have appeared since the last scan."""
        self.add(self.missing())

    def missing(self) -> list[str]:
        """Names of the shards in the folder that are not in the pool yet, in order."""
        # Path.rglob does not follow links to folders on every Python version.
        names = glob("**/shard-*.npz", root_dir=self.folder, recursive=True)
        return sorted(name for name in names if self.folder / name not in self._paths)

    def add(self, names: Sequence[str]) -> None:
        """Add shards by their names in the folder, in that order."""
        found = [self.folder / name for name in names]
        for path in found:
            if path in self._paths:
                continue
            self._paths.add(path)
            shard = read_shard(path)
            is_first = path == found[0] and len(found) > 1 and not len(self)
            if is_first and self._holds_out and self.held_out is None:
                self.held_out = shard
                continue
            farthest = shard.log_depth[:, ::4, ::4].max(axis=(1, 2))
            for index, log_depth in enumerate(farthest):
                is_depth = KINDS[shard.kind[index]].is_depth
                is_far = is_depth and float(log_depth) > np.log(_OUTDOORS_BEYOND)
                (self._far if is_far else self._near).append((shard, index))

    def draw(self, random: np.random.Generator) -> Frame:
        """Return one frame at random, from outdoors with the chosen share."""
        share = len(self._far) / len(self) if self.outdoors is None else self.outdoors
        is_far = random.random() < share
        frames = (self._far if is_far else self._near) or self._far or self._near
        shard, index = frames[int(random.integers(len(frames)))]
        return shard.frame(index)

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame once: first those of rooms, then those from outdoors."""
        for shard, index in (*self._near, *self._far):
            yield shard.frame(index)

    def __len__(self) -> int:
        return len(self._near) + len(self._far)
