"""Frames of a recipe: rendered ones, measured photographs and a teacher's lessons, mixed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lab.making.distil.distil_config import Stage
from lab.making.distil.frames.augment import random_crop
from lab.making.distil.frames.distil_frames import frames_held_out
from lab.making.distil.frames.frame_batches import Mix
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.frames.training_frames import Frame, FrameSource
from lab.making.nyu_frames import NyuFrames
from lab.making.recipe_stage import RecipeStage
from lab.making.turning import turned


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedSource:
    """Frames of several sources, by the shares of a stage.

    Attributes:
        lessons: Photographs with a teacher's depth.
    """

    rendered: FrameSource
    real: FrameSource | None = None
    lessons: FrameSource | None = None
    stage: RecipeStage

    def draw(self, random: np.random.Generator) -> Frame:
        """Return one frame."""
        return self._source(random).draw(random)

    def _source(self, random: np.random.Generator) -> FrameSource:
        """Choose a source by the shares of the stage."""
        chance = random.random()
        for source, share in ((self.real, self.stage.real), (self.lessons, self.stage.lessons)):
            if source is not None:
                if chance < share:
                    return source
                chance -= share
        return self.rendered

    def __len__(self) -> int:
        return len(self.rendered)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedWindow:
    """Windows of which a share is seen by a turned camera; the others are plain crops."""

    share: float

    def __call__(self, frame: Frame, shape: tuple[int, int], random: np.random.Generator) -> Frame:
        """Cut a window of ``shape`` out of ``frame``."""
        if self.share and random.random() < self.share:
            return turned(frame, shape, random)
        return random_crop(frame, shape, random)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFrames:
    """Frames that a recipe trains on and is validated with."""

    rendered: ShardPool
    real: NyuFrames | None = None
    lessons: ShardPool | None = None

    def scan(self) -> None:
        """Add the rendered shards that have appeared since the last scan."""
        self.rendered.scan()

    def mix(self, stage: Stage, *, size: int, blind: float = 0.0) -> Mix:
        """Return what batches of a stage are made from."""
        assert isinstance(stage, RecipeStage), "recipes have no other stages"
        source = MixedSource(
            rendered=self.rendered, real=self.real, lessons=self.lessons, stage=stage
        )
        return Mix(
            source=source,
            stage=stage,
            size=size,
            blind=blind,
            window=TurnedWindow(share=stage.turned),
        )

    def held_out(self) -> Mapping[str, list[Frame]]:
        """Return frames of every source that no batch has."""
        found = {"rendered": frames_held_out(self.rendered)}
        if self.real is not None:
            found["real"] = self.real.held_out
        return {name: frames for name, frames in found.items() if frames}

    def __len__(self) -> int:
        return len(self.rendered)
