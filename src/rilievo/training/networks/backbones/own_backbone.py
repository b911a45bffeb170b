"""Your own network as a backbone: one small class.

    class Mine(OwnBackbone):
        patch = 8
        available = (Layer(channels=32, stride=4), Layer(channels=64, stride=8))

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 32, 4, 4), nn.Conv2d(32, 64, 2, 2)

        def maps(self, pixels):
            first = self.first(pixels)
            return first, self.second(first)

``make_backbone("my_package.my_module:Mine", pretrained=Path("weights.safetensors"))`` makes it.
"""

import hashlib
import inspect
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.training.networks.backbones.backbone import (
    IMAGENET,
    Backbone,
    Facts,
    Layer,
    LayerOutputs,
    Normalisation,
    default_layers,
    layer_indices,
    no_tokens_error,
)
from rilievo.training.networks.frozen_norms import make_conv_norm
from rilievo.training.tensors import Images


class OwnBackbone(Backbone):
    """Base class of your own backbones, whose ``__init__`` takes no arguments.

    Attributes:
        patch: Number of which height and width are multiples [px]; a multiple of every stride.
        available: Shapes of all maps, from the shallowest layer to the deepest.
        normalisation: Normalisation of pixels.
        positions: How the network knows positions at other sizes, in words.
        fixed: Height and width of the input, if it takes one size alone [px].
        has_tokens: Whether ``class_tokens`` computes class tokens.
    """

    patch: ClassVar[int]  # pyright: ignore[reportIncompatibleMethodOverride]
    available: ClassVar[tuple[Layer, ...]]
    normalisation: ClassVar[Normalisation] = IMAGENET
    positions: ClassVar[str] = "none"
    fixed: ClassVar[tuple[int, int] | None] = None
    has_tokens: ClassVar[bool] = False

    def __init__(self) -> None:
        kind = type(self)
        name = f"{kind.__module__}:{kind.__qualname__}"
        if not getattr(kind, "patch", 0) or not getattr(kind, "available", ()):
            raise ModelError(f"backbone '{name}' does not say its 'patch' and 'available' layers")
        uneven = [layer.stride for layer in kind.available if kind.patch % layer.stride]
        if uneven:
            raise ModelError(f"backbone '{name}': patch {kind.patch} is no multiple of {uneven[0]}")
        layers = default_layers(name, [layer.stride for layer in kind.available])
        super().__init__(
            Facts(
                name=name,
                patch=kind.patch,
                depth=len(kind.available),
                layers=layers,
                taken=tuple(kind.available[layer] for layer in layers),
                normalisation=kind.normalisation,
                positions=kind.positions,
                fixed=kind.fixed,
                details=f"code {_source_file_sha256(kind)[:16]}",
            )
        )

    def set_layers(
        self, *, layers: Sequence[int] | None = None, tokens: bool | None = None
    ) -> None:
        """Choose the layers to take, and whether to take class tokens; None changes nothing."""
        facts = self.facts
        if tokens and not self.has_tokens:
            raise no_tokens_error(facts.name)
        chosen = facts.layers if layers is None else layer_indices(facts.name, layers, facts.depth)
        self.facts = replace(
            facts,
            layers=chosen,
            taken=tuple(self.available[layer] for layer in chosen),
            tokens=facts.tokens if tokens is None else tokens,
        )

    @abstractmethod
    def maps(self, pixels: Images) -> Sequence[Tensor]:
        """Compute the maps of all layers of ``available``, of normalised pixels."""

    def class_tokens(self, pixels: Images) -> Sequence[Tensor]:
        """Compute the class token of each layer, with as many channels as its map."""
        raise ModelError(f"backbone '{self.name}' says has_tokens but has no 'class_tokens'")

    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        """Compute the maps and class tokens of the layers that are taken."""
        maps, layers = self.maps(pixels), self.facts.layers
        if len(maps) != len(self.available):
            raise ModelError(
                f"backbone '{self.name}' gave {len(maps)} maps, but says {len(self.available)} "
                "layers are available"
            )
        tokens = None
        if self.facts.tokens:
            all_tokens = self.class_tokens(pixels)
            tokens = tuple(all_tokens[layer] for layer in layers)
        return LayerOutputs(maps=tuple(maps[layer] for layer in layers), tokens=tokens)


def _source_file_sha256(kind: type) -> str:
    try:
        source = Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError):
        # A class typed into an interpreter has no file: only its name is left.
        source = kind.__qualname__.encode()
    return hashlib.sha256(source).hexdigest()


class DepthCNN(OwnBackbone):
    """Small whole network for depth: four convolutions that halve, two that double.

    It has 0.2 million weights.
    """

    patch: ClassVar[int] = 16
    available: ClassVar[tuple[Layer, ...]] = (Layer(channels=64, stride=4),)
    widths: ClassVar[tuple[int, ...]] = (16, 32, 64, 128)

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *self.widths[:-1])
        self.down = nn.ModuleList(
            make_conv_norm(before, after, nn.ReLU(), stride=2)
            for before, after in zip(inputs, self.widths, strict=True)
        )
        last, middle, first = self.widths[-1], self.widths[-2], self.available[0].channels
        self.up = nn.ModuleList(
            (make_conv_norm(last, middle, nn.ReLU()), make_conv_norm(middle, first, nn.ReLU()))
        )

    def maps(self, pixels: Images) -> Sequence[Tensor]:
        """Compute the only map, at a quarter of the size."""
        for step in self.down:
            pixels = step(pixels)
        for step in self.up:
            pixels = step(nn.functional.interpolate(pixels, scale_factor=2.0, mode="nearest"))
        return (pixels,)


class NormalCNN(DepthCNN):
    """Small whole network for normals: a wider ``DepthCNN`` with 0.4 million weights."""

    widths: ClassVar[tuple[int, ...]] = (24, 48, 96, 192)


def count_parameters(network: nn.Module) -> int:
    """Number of weights of a network."""
    return sum(torch.numel(parameter) for parameter in network.parameters())
