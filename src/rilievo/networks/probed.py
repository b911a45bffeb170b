"""A backbone with its probe and what reads it: from images to depth and normals."""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.networks.backbones import Backbone, make_backbone
from rilievo.networks.backbones.weights import seeded
from rilievo.networks.blueprint import PRETRAINED, RANDOM, Blueprint
from rilievo.networks.features import Features
from rilievo.networks.probes import (
    DepthHead,
    DepthReading,
    Logits,
    NormalsHead,
    NormalsReading,
    Probe,
    make_probe,
)
from rilievo.networks.probes.expectation import expectation
from rilievo.networks.probes.heads import bin_centres
from rilievo.networks.probes.logits import enlarged, placed


class Answer(NamedTuple):
    """What is read out of a batch of images.

    Attributes:
        depth: In the unit of the blueprint; None where it reads none.
        normals: Unit, camera frame, towards the camera; None where it reads none.
        kappa: How sure the normals are, above 0.01; None where nothing says so.
    """

    depth: Float[Tensor, "b h w"] | None
    normals: Float[Tensor, "b 3 h w"] | None
    kappa: Float[Tensor, "b h w"] | None


class Probed(nn.Module):
    """A backbone and its probe.

    Attributes:
        blueprint: What it is made of.
        backbone: What is probed.
        probe: What reads it.
    """

    def __init__(self, blueprint: Blueprint, backbone: Backbone, probe: Probe) -> None:
        super().__init__()
        self.blueprint, self.backbone, self.probe = blueprint, backbone, probe
        self.depth_head = DepthHead(_depth_reading(blueprint))
        self.normals_head = NormalsHead(NormalsReading(uncertainty=blueprint.uncertainty))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Answer:
        """The answer for RGB images in [0, 1], at their size."""
        return self.read(self.backbone(image), (int(image.shape[-2]), int(image.shape[-1])))

    def read(self, features: Features, size: tuple[int, int]) -> Answer:
        """The answer for features.

        Args:
            features: Of the backbone.
            size: (height, width) of the answer [px].
        """
        logits, task = self.probe.logits(features), self.blueprint.task
        depth_channels = self.blueprint.depth_channels
        depth = normals = kappa = None
        if task.has_depth:
            depth = self._depth(logits.channels(0, depth_channels), size)
        if task.has_normals:
            last = depth_channels + self.blueprint.normals_channels
            normals, kappa = self.normals_head(logits.channels(depth_channels, last), size)
        return Answer(depth=depth, normals=normals, kappa=kappa)

    def _depth(self, logits: Logits, size: tuple[int, int]) -> Float[Tensor, "b h w"]:
        reading = self.depth_head.reading
        if not torch.onnx.is_in_onnx_export() or reading.form != "bins":
            return self.depth_head(logits, size)
        # A graph knows no strips of rows: it has the map of all bins, and its runtime's memory.
        shares = enlarged(logits).permute(0, 2, 3, 1).float()
        centres = bin_centres(reading).to(shares)
        depth = expectation(shares, centres, reading.normalisation)
        return placed(depth[:, None], logits, size)[:, 0]


def make_chosen_backbone(blueprint: Blueprint) -> Backbone:
    """The backbone of a blueprint, frozen.

    Raises:
        RilievoError: If there is none, or its weights cannot be had.
    """
    choice = blueprint.backbone
    weights = {PRETRAINED: True, RANDOM: False}.get(choice.weights)
    return make_backbone(
        choice.name,
        layers=choice.layers,
        tokens=choice.tokens,
        pretrained=Path(choice.weights) if weights is None else weights,
        preset="default" if blueprint.treatment == "default" else "probe3d",
        seed=choice.seed,
    )


def make_chosen_probe(blueprint: Blueprint, backbone: Backbone, *, seed: int) -> Probe:
    """The probe of a blueprint with fresh weights.

    Raises:
        OptionError: If the probe does not take what is asked of it.
    """
    tokens = backbone.token_channels
    with seeded(seed):
        return make_probe(
            blueprint.probe.kind,  # pyright: ignore[reportArgumentType]
            backbone.channels,
            tokens[0] if tokens else 0,
            blueprint.depth_channels + blueprint.normals_channels,
            preset=blueprint.treatment,  # pyright: ignore[reportArgumentType]
            hidden=blueprint.probe.hidden,
        )


def _depth_reading(blueprint: Blueprint) -> DepthReading:
    choice = blueprint.depth
    return DepthReading(
        form=choice.form.value,  # pyright: ignore[reportArgumentType]
        bins=choice.bins,
        spacing=choice.spacing,  # pyright: ignore[reportArgumentType]
        normalisation=choice.normalisation,  # pyright: ignore[reportArgumentType]
        least=choice.least,
        most=choice.largest,
    )
