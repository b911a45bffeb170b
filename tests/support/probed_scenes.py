"""Shared fixtures of tests of probes: a small dataset, small backbones, runs of a few steps."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from rilievo.training.networks.backbones import Layer, OwnBackbone
from rilievo.training.networks.blueprint import (
    BackboneChoice,
    Blueprint,
    DepthChoice,
    ProbeChoice,
    ProbeTarget,
)
from rilievo.training.probe.probe_config import DataChoice, ProbeConfig
from support.tiny_dataset import write_tiny

DATASET = "support.tiny_dataset:Tiny"
SIZE = (24, 32)


class Small(OwnBackbone):
    """Two layers of random convolutions, at an eighth of the image."""

    patch: ClassVar[int] = 8
    available: ClassVar[tuple[Layer, ...]] = (
        Layer(channels=8, stride=8),
        Layer(channels=8, stride=8),
    )

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 8, 3, 1, 1)
        self.drop = nn.Dropout(0.2)

    def maps(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first = torch.relu(self.first(pixels))
        return first, self.drop(torch.relu(self.second(first)))


class Broken(Small):
    """A backbone whose second layer is NaN."""

    def maps(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first, second = super().maps(pixels)
        return first, second * float("nan")


class Greedy(Small):
    """Computes with more than any memory holds."""

    def maps(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        torch.empty(10**15)
        return super().maps(pixels)


class Heavy(Small):
    """A backbone with so many channels that no memory holds a probe of them."""

    available: ClassVar[tuple[Layer, ...]] = (Layer(channels=10**13, stride=8),)


def small_config(
    root: Path, *, task: ProbeTarget = ProbeTarget.BOTH, backbone: str = "Small"
) -> ProbeConfig:
    """A run of six steps: six images, three epochs, batches of three."""
    return ProbeConfig(
        blueprint=Blueprint(
            backbone=BackboneChoice(name=f"support.probed_scenes:{backbone}", weights="random"),
            probe=ProbeChoice(kind="linear"),
            task=task,
            size=SIZE,
            depth=DepthChoice(bins=16),
        ),
        data=DataChoice(dataset=DATASET, root=str(root)),
        epochs=3,
        batch_size=3,
        learning_rate=1e-2,
    )


def scenes(root: Path, *, blind: int | None = None) -> Path:
    """The dataset on disk; the image of number ``blind`` has neither depth nor normals."""
    write_tiny(root)
    if blind is not None:
        for what in ("depth", "normals"):
            path = root / what / f"room{blind % 2}/{blind:03d}.npy"
            np.save(path, np.zeros_like(np.load(path)))
    return root


def with_seed(config: ProbeConfig, seed: int) -> ProbeConfig:
    return replace(config, seed=seed)
