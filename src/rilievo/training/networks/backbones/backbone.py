"""Base class of backbones: images in, maps of features out."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import InputError, ModelError, OptionError, RilievoError
from rilievo.io.files.limits import reason
from rilievo.training.networks.features import (
    Features,
    Padding,
    box_in_padded,
    is_out_of_memory,
    pad,
    padded_size,
)
from rilievo.training.tensors import Channels, Images, Resized

Colour = tuple[float, float, float]
Run = Callable[[Tensor], object]


class Preset(StrEnum):
    """Treatment of images and maps.

    ``PROBE3D`` normalises as ImageNet, pads one patch too many or refuses, takes MAE's layers one
    block early, and resizes pyramids to a sixteenth.
    """

    DEFAULT = "default"
    PROBE3D = "probe3d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Mean and deviation of RGB in 0..1."""

    mean: Colour
    std: Colour

    def __post_init__(self) -> None:
        if min(self.std) <= 0:
            raise OptionError(f"a normalisation's deviations must be above 0, found {self.std}")


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
HALF = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLIP = Normalisation(
    mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)
NONE = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Channels of a map, and side of a cell [px]."""

    channels: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Properties of one backbone, and the layers taken from it.

    Attributes:
        patch: Divisor of both sides of its input [px].
        fixed: The only size [px], if any.
        resized: Stride [px] of Probe3D's resized pyramids.
        details: Settings that features also depend on.
    """

    name: str
    patch: int
    depth: int
    layers: tuple[int, ...]
    taken: tuple[Layer, ...]
    tokens: bool = False
    normalisation: Normalisation
    positions: str
    fixed: Size | None = None
    padding: Padding = Padding.MINIMAL
    resized: int | None = None
    details: str = ""

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map."""
        return tuple(layer.channels for layer in self.taken)


def default_layers(name: str, strides: Sequence[int]) -> tuple[int, ...]:
    """Choose the ends of the four quarters (2, 5, 8 and 11 of twelve), or a pyramid's last four."""
    count = len(strides)
    if not count:
        raise OptionError(f"backbone '{name}' has no layer with features at places of the image")
    if count <= 4 or len(set(strides)) > 1:
        return tuple(range(max(0, count - 4), count))
    return (count // 4 - 1, count // 2 - 1, 3 * count // 4 - 1, count - 1)


def layers_or_default(
    name: str, strides: Sequence[int], layers: Sequence[int] | None
) -> tuple[int, ...]:
    """Check ``layers``, or choose the default."""
    spread = default_layers(name, strides)
    return spread if layers is None else layer_indices(name, layers, len(strides))


def layer_indices(name: str, layers: Sequence[int], depth: int) -> tuple[int, ...]:
    """Convert ascending layers to indices; -1 is the last."""
    counted = tuple(layer + depth if layer < 0 else layer for layer in layers)
    wrong = [layer for layer, place in zip(layers, counted, strict=True) if not 0 <= place < depth]
    if wrong or not counted:
        missing = f"layer {', '.join(map(str, wrong))}" if wrong else "features of no layers"
        raise OptionError(
            f"backbone '{name}' has no {missing}; its {depth} layers are "
            f"{', '.join(map(str, range(depth)))}"
        )
    if list(counted) != sorted(set(counted)):
        raise OptionError(
            f"layers {', '.join(map(str, layers))} of backbone '{name}' do not ascend: "
            "name each once, the shallowest first"
        )
    return counted


def no_tokens_error(name: str) -> OptionError:
    """Error for missing class tokens."""
    return OptionError(f"backbone '{name}' has no class token to take: leave tokens off (dense)")


def find_preset(preset: str) -> Preset:
    """Find a preset by name."""
    try:
        return Preset(preset)
    except ValueError as error:
        raise OptionError(f"no preset '{preset}'; known: {', '.join(Preset)}") from error


class Taps:
    """Hooks that keep the outputs of layers."""

    def __init__(self, layers: Mapping[int, nn.Module]) -> None:
        self._kept: dict[int, Tensor] = {}
        self._hooks = [
            layer.register_forward_hook(self._make_hook(index)) for index, layer in layers.items()
        ]

    def run(self, run: Run, pixels: Tensor) -> dict[int, Tensor]:
        """Run a network, and return each layer's output."""
        self._kept.clear()
        run(pixels)
        outputs = dict(self._kept)
        self._kept.clear()
        return outputs

    def remove(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    def _make_hook(self, index: int) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            while not isinstance(output, Tensor):
                output = output[0]
            self._kept[index] = output

        return keep


def output_shapes_by_layer(
    name: str, run: Callable[[Tensor], dict[int, Tensor]], size: Size
) -> Any:
    """Run without computing numbers."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with _silence_fake_tensors(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            outputs = run(torch.zeros(1, 3, *size))
            return {index: tuple(output.shape) for index, output in outputs.items()}
    # A network that needs more than images may raise anything.
    except Exception as error:
        raise ModelError(
            f"backbone '{name}': its layers give no features of an image alone: {reason(error)}"
        ) from error


@contextmanager
def _silence_fake_tensors() -> Iterator[None]:
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def layer_from_shape(
    name: str,
    shape: tuple[int, ...],
    size: Size,
    *,
    patch: int | None,
) -> Layer:
    """Derive channels and stride; ``ModelError`` if ``shape`` is not spatial."""
    height, width = size
    if len(shape) == 4:
        is_last = patch is not None and shape[1:3] == (height // patch, width // patch)
        rows, channels = (shape[1], shape[3]) if is_last else (shape[2], shape[1])
        return Layer(channels=channels, stride=height // rows)
    if len(shape) == 3:
        if patch is not None and shape[1] >= (height // patch) * (width // patch):
            return Layer(channels=shape[2], stride=patch)
        stride = math.isqrt(height * width // shape[1])
        if (height // stride) * (width // stride) == shape[1]:
            return Layer(channels=shape[2], stride=stride)
    raise ModelError(
        f"backbone '{name}' has no spatial features: a layer gives {shape} for an image of {size}"
    )


def to_channels_first(output: Tensor, layer: Layer, size: Size) -> Tensor:
    """Convert an output, of which patches come last among tokens."""
    if output.ndim == 4:
        return output if output.shape[1] == layer.channels else output.permute(0, 3, 1, 2)
    rows, columns = size[0] // layer.stride, size[1] // layer.stride
    patches = output[:, -rows * columns :]
    return patches.transpose(1, 2).unflatten(2, (rows, columns))


@dataclass(frozen=True, slots=True, kw_only=True)
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

    def stored_weights(self) -> Mapping[str, Tensor]:
        """Tensors under the names that a run stores, which outlive the releases of a library."""
        return self.state_dict()

    def weights_of_stored(self, stored: Mapping[str, Tensor], path: Path) -> Mapping[str, Tensor]:
        """Stored tensors under the names of this network's modules.

        Args:
            stored: Tensors by ``stored_weights``, perhaps of another release of a library.
            path: Their file, for messages.

        Raises:
            ModelError: If they are of another network.
        """
        return stored

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
        box = box_in_padded(size, facts.patch, facts.padding)
        if facts.fixed is not None and padded != facts.fixed:
            raise InputError(
                self._size_refusal_beginning(size) + f"it takes {_size_text(facts.fixed)} alone"
            )
        looked = self._outputs_or_input_error(
            pad((image - self.mean) / self.std, box, padded), size
        )
        maps = tuple(
            self._check_and_resize_map(layer, i, padded) for i, layer in enumerate(looked.maps)
        )
        return Features(maps=maps, tokens=looked.tokens, padded=padded, box=box)

    @abstractmethod
    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        """Compute the maps and class tokens taken."""

    def _outputs_or_input_error(self, pixels: Images, size: Size) -> LayerOutputs:
        try:
            return self.layer_outputs(pixels)
        except RilievoError:
            raise
        # Each library has its own error for a size that its positional embedding does not take.
        except (AssertionError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            raise InputError(self._size_refusal_beginning(size) + reason(error)) from error

    def _check_and_resize_map(self, layer: Channels, index: int, padded: Size) -> Resized:
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

    def _size_refusal_beginning(self, size: Size) -> str:
        return f"backbone '{self.name}' does not take images of {_size_text(size)}: "


def _size_text(size: Size) -> str:
    return f"{size[0]} x {size[1]} pixels (height x width)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneRequest:
    """Name and settings of a backbone."""

    name: str
    pretrained: bool | Path = True
    layers: tuple[int, ...] | None = None
    tokens: bool | None = None
    preset: Preset = Preset.DEFAULT
    seed: int = 0


def make_facts(
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
    chosen = layers_or_default(request.name, strides, request.layers)
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
