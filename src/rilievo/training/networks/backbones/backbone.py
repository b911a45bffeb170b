"""Backbones: images in, maps of features out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from rilievo.errors import InputError, ModelError, RilievoError
from rilievo.frozen import frozen
from rilievo.io.files.limits import reason
from rilievo.shapes import Float, Size
from rilievo.training.networks.backbones.facts import (
    Facts,
    Layer,
    Normalisation,
    Preset,
    choose_layers,
)
from rilievo.training.networks.features import (
    Features,
    Padding,
    is_out_of_memory,
    pad,
    padded_size,
    place,
)
from rilievo.training.tensors import Channels, Images, Resized


@frozen
class LayerOutputs:
    """Maps and class tokens of padded pixels."""

    maps: tuple[Float[Tensor, "b _c _h _w"], ...]
    tokens: tuple[Float[Tensor, "b _c"], ...] | None = None


class Backbone(nn.Module, ABC):
    """Frozen float32 network; images of a batch do not affect one another."""

    mean: Tensor
    std: Tensor
    resampling: ClassVar[str] = "bilinear"

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts
        normalisation = facts.normalisation
        for name, values in (("mean", normalisation.mean), ("std", normalisation.std)):
            constant = torch.tensor(values, dtype=torch.float32)[:, None, None]
            self.register_buffer(name, constant, persistent=False)

    @property
    def name(self) -> str:
        """Name that ``make_backbone`` takes."""
        return self.facts.name

    @property
    def patch(self) -> int:
        """Divisor of both sides [px]."""
        return self.facts.patch

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map."""
        return self.facts.channels

    @property
    def token_channels(self) -> tuple[int, ...] | None:
        """Channels of each class token; None if not taken."""
        return self.facts.channels if self.facts.tokens else None

    @property
    def strides(self) -> tuple[int, ...]:
        """Side of a cell of each map [px]."""
        if self.facts.resized is not None:
            return (self.facts.resized,) * len(self.facts.taken)
        return tuple(layer.stride for layer in self.facts.taken)

    def forward(self, image: Images) -> Features:
        """Compute features of RGB in 0..1."""
        facts, size = self.facts, (int(image.shape[-2]), int(image.shape[-1]))
        if image.device != self.mean.device:
            raise ModelError(
                f"backbone '{self.name}' is on {self.mean.device} but the images are on "
                f"{image.device}: move one of them"
            )
        padded = padded_size(size, facts.patch, facts.padding)
        box = place(size, facts.patch, facts.padding)
        if facts.fixed is not None and padded != facts.fixed:
            raise InputError(
                self._refusal_beginning(size) + f"it takes {_size_text(facts.fixed)} alone"
            )
        looked = self._look_or_refuse(pad((image - self.mean) / self.std, box, padded), size)
        maps = tuple(
            self._check_and_resize(layer, i, padded) for i, layer in enumerate(looked.maps)
        )
        return Features(maps=maps, tokens=looked.tokens, padded=padded, box=box)

    @abstractmethod
    def look(self, pixels: Images) -> LayerOutputs:
        """Run on normalised, padded pixels."""

    def _look_or_refuse(self, pixels: Images, size: Size) -> LayerOutputs:
        try:
            return self.look(pixels)
        except RilievoError:
            raise
        # Each library has its own error for a size that its positional embedding does not take.
        except (AssertionError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            raise InputError(self._refusal_beginning(size) + reason(error)) from error

    def _check_and_resize(self, layer: Channels, index: int, padded: Size) -> Resized:
        shape = (layer.shape[1], layer.shape[2], layer.shape[3])
        expected = self.facts.taken[index]
        size = (padded[0] // expected.stride, padded[1] // expected.stride)
        if shape != (expected.channels, *size):
            raise ModelError(
                f"backbone '{self.name}', layer {self.facts.layers[index]}: a map of "
                f"{shape[0]} x {shape[1]} x {shape[2]} (channels, height, width) for an image of "
                f"{_size_text(padded)}, but {expected.channels} x {size[0]} x {size[1]} was "
                "expected"
            )
        if self.facts.resized is None:
            return layer
        sides = (padded[0] // self.facts.resized, padded[1] // self.facts.resized)
        return nn.functional.interpolate(layer, sides, mode=self.resampling)

    def _refusal_beginning(self, size: Size) -> str:
        return f"backbone '{self.name}' does not take images of {_size_text(size)}: "


def _size_text(size: Size) -> str:
    return f"{size[0]} x {size[1]} pixels (height x width)"


@frozen
class BackboneRequest:
    """Name and settings of a backbone."""

    name: str
    pretrained: bool | Path = True
    layers: tuple[int, ...] | None = None
    tokens: bool | None = None
    preset: Preset = Preset.DEFAULT
    seed: int = 0


def facts_of(
    request: BackboneRequest,
    layers: Sequence[Layer],
    normalisation: Normalisation,
    positions: str,
    *,
    tokens: bool = False,
    fixed: Size | None = None,
    unpadded: bool = False,
    one_early: bool = False,
    patch: int | None = None,
    details: str = "",
) -> Facts:
    """Combine a family's layers, shallow to deep, with the request."""
    probe3d = request.preset is Preset.PROBE3D
    strides = [layer.stride for layer in layers]
    chosen = choose_layers(request.name, strides, request.layers)
    if probe3d and one_early and request.layers is None:
        chosen = tuple(max(0, layer - 1) for layer in chosen)
    padding = Padding.NONE if unpadded else Padding.OVER
    return Facts(
        name=request.name,
        patch=patch or max(strides),
        depth=len(layers),
        layers=chosen,
        taken=tuple(layers[layer] for layer in chosen),
        tokens=tokens,
        normalisation=normalisation,
        positions=positions,
        fixed=fixed,
        padding=padding if probe3d else Padding.MINIMAL,
        resized=16 if probe3d and len(set(strides)) > 1 else None,
        details=details,
    )
