"""Frames of a run: those that it trains on, those held out."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from lab.making.distil.distil_config import Stage
from lab.making.distil.frames.frame_batches import Mix
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.frames.training_frames import Frame


@runtime_checkable
class RunFrames(Protocol):
    """All frames of a run, from which its batches are mixed."""

    def scan(self) -> None:
        """Add the frames that have appeared since the last scan."""
        ...

    def mix(self, stage: Stage, *, size: int, blind: float = 0.0) -> Mix:
        """Return what batches of a stage are made from; see ``Mix``."""
        ...

    def held_out(self) -> Mapping[str, list[Frame]]:
        """Return the frames to validate with, by the name of their set."""
        ...

    def __len__(self) -> int: ...


def frames_held_out(pool: ShardPool) -> list[Frame]:
    """Frames of the shard that a pool holds out; none where it has only one."""
    shard = pool.held_out
    return [] if shard is None else [shard.frame(index) for index in range(len(shard.image))]


class LessonFrames:
    """Photographs with a teacher's predictions."""

    def __init__(self, pool: ShardPool) -> None:
        self._pool = pool

    def scan(self) -> None:
        """Add the shards that have appeared since the last scan."""
        self._pool.scan()

    def mix(self, stage: Stage, *, size: int, blind: float = 0.0) -> Mix:
        """Return what batches of a stage are made from."""
        return Mix(source=self._pool, stage=stage, size=size, blind=blind)

    def held_out(self) -> Mapping[str, list[Frame]]:
        """Return the frames of the first shard, where there are several."""
        frames = frames_held_out(self._pool)
        return {"lessons": frames} if frames else {}

    def __len__(self) -> int:
        return len(self._pool)
