"""Networks of a few thousand weights, by the names that stored runs have for them."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.numpy import save_file
from torch import nn

from making.recipe_stage import RecipeStage
from making.recipes import Recipe
from rilievo.training.distil.distil_config import TrainConfig
from rilievo.training.networks.widths import Widths


class _Info:
    def channels(self) -> list[int]:
        return [8]

    def reduction(self) -> list[int]:
        return [2]


class NarrowEncoder(nn.Module):
    """One convolution, which gives features at half the image's size."""

    feature_info = _Info()

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [torch.relu(self.conv(image))]


@timm.models.register_model
def narrow_for_tests(pretrained: bool = False, **options: Any) -> NarrowEncoder:
    """The encoder ``timm/narrow_for_tests``."""
    sizes = {"img_size", "dynamic_img_size"} & options.keys()
    if sizes:
        raise TypeError(f"takes no {', '.join(sizes)}")
    return NarrowEncoder()


def narrow_recipe() -> Recipe:
    """Six steps of an embedded model's network with as few layers and channels as it can have."""
    stages = (
        RecipeStage(until=0.5, areas=(2048,), real=0.0),
        RecipeStage(until=1.0, areas=(2048,), real=0.0, lessons=0.5),
    )
    return Recipe(
        config=TrainConfig(
            steps=6,
            stages=stages,
            batch_size=2,
            warm_up_steps=2,
            confidence_steps=0,
            precision="fp32",
        ),
        widths=Widths(blocks=1, decoder=(8,)),
    )


def write_depth_cnn(path: Path) -> None:
    """Write weights for the network ``depth-cnn``: fractions that are exact on any processor."""
    state = {}
    for part, widths in (("down", (3, 16, 32, 64, 128)), ("up", (128, 64, 64))):
        for step, (inputs, outputs) in enumerate(pairwise(widths)):
            shape, fan = (outputs, inputs, 3, 3), 9 * inputs
            numbers = (np.arange(math.prod(shape)) * 7919 % 1009 - 504) / 256
            numbers = numbers * 2.0 ** -round(math.log2(fan) / 2)
            state[f"{part}.{step}.0.weight"] = numbers.reshape(shape).astype(np.float32)
            for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0)):
                state[f"{part}.{step}.1.{name}"] = np.full(outputs, value, np.float32)
            state[f"{part}.{step}.1.running_var"] = np.ones(outputs, np.float32)
            state[f"{part}.{step}.1.num_batches_tracked"] = np.zeros((), np.int64)
    save_file(state, path)
