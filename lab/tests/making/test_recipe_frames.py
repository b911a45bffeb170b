"""Frames of a recipe come in the shares that its stage asks for."""

import numpy as np
import pytest
import torch

from lab.making.distil.frames.frame_batches import Mix, make_batch
from lab.making.distil.frames.training_frames import Frame
from lab.making.recipe_frames import MixedSource
from lab.making.recipe_stage import RecipeStage
from rilievo.errors import OptionError


class Metres:
    """Frames of one log depth."""

    def __init__(self, log_depth: float) -> None:
        self._log_depth = log_depth

    def draw(self, random: np.random.Generator) -> Frame:
        normals = np.zeros((3, 48, 64), np.int8)
        normals[2] = -127
        return Frame(
            image=np.zeros((48, 64, 3), np.uint8),
            log_depth=np.full((48, 64), self._log_depth, np.float32),
            valid=np.ones((48, 64), bool),
            sky=np.zeros((48, 64), bool),
            normals=normals,
            normals_valid=np.ones((48, 64), bool),
            camera=(50.0, 52.0, 30.0, 25.0),
        )

    def __len__(self) -> int:
        return 1


def test_frames_and_areas_come_in_the_shares_of_the_stage() -> None:
    stage = RecipeStage(until=1.0, areas=(2048, 8192), shares=(0.75, 0.25), real=0.2, lessons=0.5)
    source = MixedSource(rendered=Metres(0), real=Metres(1), lessons=Metres(2), stage=stage)
    mix = Mix(source=source, stage=stage, size=8)
    batches = [make_batch(mix, seed=1, number=number) for number in range(80)]
    drawn = torch.cat([batch.log_depth[:, 0, 0] for batch in batches])
    for log_depth, share in ((0, 0.3), (1, 0.2), (2, 0.5)):
        assert (drawn == log_depth).float().mean().item() == pytest.approx(share, abs=0.07)
    large = [batch.valid[0].numel() > 4096 for batch in batches]
    assert np.mean(large) == pytest.approx(0.25, abs=0.12)
    with pytest.raises(OptionError, match="each area has a share"):
        RecipeStage(until=1.0, areas=(2048, 8192), real=0.2)
