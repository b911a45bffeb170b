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
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.errors.messages import count_text
from rilievo.training.networks.backbones.backbone import (
    IMAGENET,
    Backbone,
    BackboneProperties,
    Layer,
    LayerOutputs,
    Normalisation,
    default_layers,
    layer_indices,
    no_class_token_error,
)
from rilievo.training.networks.frozen_norms import make_conv_norm
from rilievo.training.tensors import Images


class OwnBackbone(Backbone):
    """Base class of your own backbones, whose ``__init__`` takes no arguments.

    Attributes:
        patch: Height and width are multiples of this, which is a multiple of every stride [px].
        available: Channels and stride of all maps, from the shallowest layer to the deepest.
        normalisation: Normalisation of pixels.
        positions: How the position embedding adapts to other sizes, in words.
        fixed: Height and width of the input if it takes only one size [px].
        has_tokens: Whether ``class_tokens`` computes class tokens.
    """

    patch: ClassVar[int]  # pyright: ignore[reportIncompatibleMethodOverride]
    available: ClassVar[tuple[Layer, ...]]
    normalisation: ClassVar[Normalisation] = IMAGENET
    positions: ClassVar[str] = "none"
    fixed: ClassVar[tuple[int, int] | None] = None
    has_tokens: ClassVar[bool] = False

    def __init__(self) -> None:
        own_class = type(self)
        name = f"{own_class.__module__}:{own_class.__qualname__}"
        own_class._check_class_attributes(name)
        selected_indices = default_layers(name, [layer.stride for layer in own_class.available])
        super().__init__(
            BackboneProperties(
                name=name,
                patch=own_class.patch,
                depth=len(own_class.available),
                layers=selected_indices,
                taken=tuple(own_class.available[index] for index in selected_indices),
                normalisation=own_class.normalisation,
                positions=own_class.positions,
                fixed=own_class.fixed,
                details=f"code {_source_file_sha256(own_class)[:16]}",
            )
        )

    @classmethod
    def _check_class_attributes(cls, name: str) -> None:
        """Raise ``ModelError`` if the layers of the backbone ``name`` are not described rightly."""
        if not getattr(cls, "patch", 0) or not getattr(cls, "available", ()):
            raise ModelError(
                f"backbone '{name}' does not define the class attributes 'patch' and 'available' "
                "(its layers)"
            )
        for layer in cls.available:
            if cls.patch % layer.stride:
                raise ModelError(
                    f"backbone '{name}': patch {cls.patch} is not a multiple of the stride "
                    f"{layer.stride}"
                )

    def select_features(
        self, *, layers: Sequence[int] | None = None, tokens: bool | None = None
    ) -> None:
        """Select layers, and whether to use class tokens; None keeps the current selection."""
        properties = self.properties
        if tokens and not self.has_tokens:
            raise no_class_token_error(properties.name)
        selected_indices = properties.layers
        if layers is not None:
            selected_indices = layer_indices(properties.name, layers, len(self.available))
        self.properties = replace(
            properties,
            layers=selected_indices,
            taken=tuple(self.available[index] for index in selected_indices),
            tokens=properties.tokens if tokens is None else tokens,
        )

    @abstractmethod
    def maps(self, pixels: Images) -> Sequence[Tensor]:
        """Compute the maps of all layers of ``available``, of normalised pixels."""

    def class_tokens(self, pixels: Images) -> Sequence[Tensor]:
        """Compute the class token of each layer, with as many channels as its map."""
        raise ModelError(
            f"backbone '{self.name}' sets has_tokens but does not define 'class_tokens'"
        )

    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        """Compute the maps and class tokens of the selected layers."""
        selected_indices = self.properties.layers
        all_maps = self.maps(pixels)
        if len(all_maps) != len(self.available):
            raise ModelError(
                f"backbone '{self.name}' returned {count_text(len(all_maps), 'map')}, but "
                f"'available' lists {count_text(len(self.available), 'layer')}"
            )
        selected_maps = tuple(all_maps[index] for index in selected_indices)
        if not self.properties.tokens:
            return LayerOutputs(maps=selected_maps)
        all_tokens = self.class_tokens(pixels)
        selected_tokens = tuple(all_tokens[index] for index in selected_indices)
        return LayerOutputs(maps=selected_maps, tokens=selected_tokens)


def _source_file_sha256(kind: type) -> str:
    try:
        source = Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError):
        # A class typed into an interpreter has no file: only its name is left.
        source = kind.__qualname__.encode()
    return hashlib.sha256(source).hexdigest()


class DepthCNN(OwnBackbone):
    """Small network for depth, trained from scratch; it has 0.2 million weights.

    Four convolutions halve the size, and two double it.
    """

    patch: ClassVar[int] = 16
    available: ClassVar[tuple[Layer, ...]] = (Layer(channels=64, stride=4),)
    widths: ClassVar[tuple[int, ...]] = (16, 32, 64, 128)

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            make_conv_norm(in_channels, out_channels, nn.ReLU(), stride=2)
            for in_channels, out_channels in pairwise((3, *self.widths))
        )
        up_widths = (self.widths[-1], self.widths[-2], self.available[0].channels)
        self.up = nn.ModuleList(
            make_conv_norm(in_channels, out_channels, nn.ReLU())
            for in_channels, out_channels in pairwise(up_widths)
        )

    def maps(self, pixels: Images) -> Sequence[Tensor]:
        """Compute the only map, at 1/4 of the image's size."""
        x = pixels
        for layer in self.down:
            x = layer(x)
        for layer in self.up:
            x = layer(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return (x,)


class NormalCNN(DepthCNN):
    """Small network for normals: a wider ``DepthCNN`` with 0.4 million weights."""

    widths: ClassVar[tuple[int, ...]] = (24, 48, 96, 192)


def count_parameters(network: nn.Module) -> int:
    """Number of weights of a network."""
    return sum(torch.numel(parameter) for parameter in network.parameters())
