"""Base class of backbones, which compute maps of features from images."""

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
"""Red, green and blue."""
Run = Callable[[Tensor], object]
"""Function that runs a network on pixels; its result is not used."""


class Preset(StrEnum):
    """How images are prepared and maps are taken."""

    DEFAULT = "default"
    """As each network was trained."""
    PROBE3D = "probe3d"
    """As in Probe3D's program: it normalises as on ImageNet, pads one patch too many or refuses,
    takes MAE's layers one block early, and resizes pyramids to a sixteenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation of RGB in 0..1, by which pixels are normalised."""

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
"""No normalisation, for networks that do it themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Shape of the map that a layer computes.

    Attributes:
        channels: Number of its channels.
        stride: Side of the square of the image that a pixel of the map stands for [px].
    """

    channels: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Properties of a backbone, and the layers that are taken from it.

    Attributes:
        name: Name that ``make_backbone`` takes.
        patch: Number of which the height and width of its input are multiples [px].
        depth: Number of layers that it has.
        layers: Indices of the layers that are taken.
        taken: Shapes of their maps.
        tokens: Whether class tokens are taken too.
        normalisation: Normalisation of its input.
        positions: How it knows positions at other sizes, in words.
        fixed: Height and width of its input, if it takes one size alone [px].
        padding: How images are padded to multiples of ``patch``.
        resized: Stride to which Probe3D resizes pyramids [px]; None if maps are not resized.
        details: Further settings that features depend on, in words.
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
        """Number of channels of each map."""
        return tuple(layer.channels for layer in self.taken)


def default_layers(name: str, strides: Sequence[int]) -> tuple[int, ...]:
    """Choose four layers to take, by the strides of all layers.

    They are the last ones of each quarter of the network (2, 5, 8 and 11 of twelve), or the last
    four of a pyramid. ``name`` is that of the backbone, for errors.

    Raises:
        OptionError: If there are no layers.
    """
    count = len(strides)
    if not count:
        raise OptionError(f"backbone '{name}' has no layer with features at places of the image")
    if count <= 4 or len(set(strides)) > 1:
        return tuple(range(max(0, count - 4), count))
    return (count // 4 - 1, count // 2 - 1, 3 * count // 4 - 1, count - 1)


def layers_or_default(
    name: str, strides: Sequence[int], layers: Sequence[int] | None
) -> tuple[int, ...]:
    """Indices of the layers that were asked for, or by default those of ``default_layers``."""
    defaults = default_layers(name, strides)
    return defaults if layers is None else layer_indices(name, layers, len(strides))


def layer_indices(name: str, layers: Sequence[int], depth: int) -> tuple[int, ...]:
    """Convert ascending layers of a backbone, of which -1 is the last one, to indices from 0.

    ``depth`` is the number of layers that it has, and ``name`` its name, for errors.

    Raises:
        OptionError: If there is no such layer, or they do not ascend.
    """
    indices = tuple(layer + depth if layer < 0 else layer for layer in layers)
    wrong = [layer for layer, index in zip(layers, indices, strict=True) if not 0 <= index < depth]
    if wrong or not indices:
        missing = f"layer {', '.join(map(str, wrong))}" if wrong else "features of no layers"
        raise OptionError(
            f"backbone '{name}' has no {missing}; its {depth} layers are "
            f"{', '.join(map(str, range(depth)))}"
        )
    if list(indices) != sorted(set(indices)):
        raise OptionError(
            f"layers {', '.join(map(str, layers))} of backbone '{name}' do not ascend: "
            "name each once, the shallowest first"
        )
    return indices


def no_tokens_error(name: str) -> OptionError:
    """Error for a backbone that has no class tokens to take."""
    return OptionError(f"backbone '{name}' has no class token to take: leave tokens off (dense)")


def find_preset(preset: str) -> Preset:
    """Find a preset by its name; ``OptionError`` if there is none."""
    try:
        return Preset(preset)
    except ValueError as error:
        raise OptionError(f"no preset '{preset}'; known: {', '.join(Preset)}") from error


class Taps:
    """Hooks that record the outputs of some layers of a network."""

    def __init__(self, layers: Mapping[int, nn.Module]) -> None:
        self._outputs: dict[int, Tensor] = {}
        self._hooks = [
            layer.register_forward_hook(self._make_hook(index)) for index, layer in layers.items()
        ]

    def run(self, run: Run, pixels: Tensor) -> dict[int, Tensor]:
        """Run a network on pixels, and return the output of each layer by its index."""
        self._outputs.clear()
        run(pixels)
        outputs = dict(self._outputs)
        self._outputs.clear()
        return outputs

    def remove(self) -> None:
        """Remove the hooks from the network."""
        for hook in self._hooks:
            hook.remove()

    def _make_hook(self, index: int) -> Callable[[nn.Module, Any, Any], None]:
        def record(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            # Some layers return their map in tuples.
            while not isinstance(output, Tensor):
                output = output[0]
            self._outputs[index] = output

        return record


def output_shapes_by_layer(
    name: str, run: Callable[[Tensor], dict[int, Tensor]], size: Size
) -> Any:
    """Find the shape of each layer's output for an image of a size, without computing numbers.

    ``run`` returns the outputs by layer, and ``name`` is that of the backbone, for errors.

    Raises:
        ModelError: If the network does not run on an image alone.
    """
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
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = was_disabled


def layer_from_shape(
    name: str,
    shape: tuple[int, ...],
    size: Size,
    *,
    patch: int | None,
) -> Layer:
    """Find the channels and the stride of a layer from the shape of its output.

    Args:
        name: Name of the backbone, for errors.
        shape: Shape of the output: a map, with channels first or last, or a sequence of tokens.
        size: Height and width of the image [px].
        patch: Side of a patch, if the network has patches [px].

    Raises:
        ModelError: If the output has no positions in the image.
    """
    height, width = size
    if len(shape) == 4:
        is_channels_last = patch is not None and shape[1:3] == (height // patch, width // patch)
        rows, channels = (shape[1], shape[3]) if is_channels_last else (shape[2], shape[1])
        return Layer(channels=channels, stride=height // rows)
    if len(shape) == 3:
        _, token_count, channels = shape
        if patch is not None and token_count >= (height // patch) * (width // patch):
            return Layer(channels=channels, stride=patch)
        stride = math.isqrt(height * width // token_count)
        if (height // stride) * (width // stride) == token_count:
            return Layer(channels=channels, stride=stride)
    raise ModelError(
        f"backbone '{name}' has no spatial features: a layer gives {shape} for an image of {size}"
    )


def to_channels_first(output: Tensor, layer: Layer, size: Size) -> Tensor:
    """Convert the output of a layer to a map with channels first.

    Args:
        output: Map, or tokens of which those of the patches come last.
        layer: Shape of the map.
        size: Height and width of the image [px].
    """
    if output.ndim == 4:
        return output if output.shape[1] == layer.channels else output.permute(0, 3, 1, 2)
    rows, columns = size[0] // layer.stride, size[1] // layer.stride
    patches = output[:, -rows * columns :]
    return patches.transpose(1, 2).unflatten(2, (rows, columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOutputs:
    """Maps of the layers that are taken, and their class tokens; None without tokens."""

    maps: tuple[Float[Tensor, "b _c _h _w"], ...]
    tokens: tuple[Float[Tensor, "b _c"], ...] | None = None


class Backbone(nn.Module, ABC):
    """Network whose features are taken.

    It is frozen and computes in float32, and the images of a batch do not affect one another.

    Attributes:
        facts: Its properties, and the layers that are taken.
        mean: Mean of the normalisation of its input.
        std: Standard deviation of that normalisation.
        resampling: How Probe3D resizes its pyramids.
    """

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
        """Number of which the height and width of its input are multiples [px]."""
        return self.facts.patch

    @property
    def channels(self) -> tuple[int, ...]:
        """Number of channels of each map."""
        return self.facts.channels

    @property
    def token_channels(self) -> tuple[int, ...] | None:
        """Number of channels of each class token; None if tokens are not taken."""
        return self.facts.channels if self.facts.tokens else None

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each map [px]; see ``Layer``."""
        if self.facts.resized is not None:
            return (self.facts.resized,) * len(self.facts.taken)
        return tuple(layer.stride for layer in self.facts.taken)

    def forward(self, image: Images) -> Features:
        """Compute features of RGB in 0..1.

        Raises:
            InputError: If the network does not take images of this size.
            ModelError: If it computes other maps than expected.
        """
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
        normalised = (image - self.mean) / self.std
        outputs = self._outputs_or_input_error(pad(normalised, box, padded), size)
        maps = tuple(
            self._check_and_resize_map(feature_map, index, padded)
            for index, feature_map in enumerate(outputs.maps)
        )
        return Features(maps=maps, tokens=outputs.tokens, padded=padded, box=box)

    @abstractmethod
    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        """Compute the maps and class tokens that are taken, of normalised and padded pixels."""

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

    def _check_and_resize_map(self, feature_map: Channels, index: int, padded: Size) -> Resized:
        shape = (feature_map.shape[1], feature_map.shape[2], feature_map.shape[3])
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
            return feature_map
        sides = (padded[0] // self.facts.resized, padded[1] // self.facts.resized)
        return nn.functional.interpolate(feature_map, sides, mode=self.resampling)

    def _size_refusal_beginning(self, size: Size) -> str:
        return f"backbone '{self.name}' does not take images of {_size_text(size)}: "


def _size_text(size: Size) -> str:
    return f"{size[0]} x {size[1]} pixels (height x width)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneRequest:
    """Name and settings of a backbone that is to be made.

    Attributes:
        name: Name, such as timm/MODEL.
        pretrained: True for published weights, False for random ones, or a file of weights.
        layers: Layers to take; None for the default ones.
        tokens: Whether to take class tokens; None for those of DINO alone.
        preset: How images are prepared and maps are taken.
        seed: Seed of random weights, and of a diffusion model's noise.
    """

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
    refuses_padding: bool = False,
    one_block_early: bool = False,
    patch: int | None = None,
    details: str = "",
) -> Facts:
    """Combine the properties of a network, see ``Facts``, with what was asked for.

    ``layers`` are the shapes of all layers, from the shallowest to the deepest. ``patch`` is the
    largest stride by default. ``refuses_padding`` and ``one_block_early`` tell what Probe3D does
    with this network: it refuses images that need padding, or takes the layers one block early.
    """
    is_probe3d = request.preset is Preset.PROBE3D
    strides = [layer.stride for layer in layers]
    chosen = layers_or_default(request.name, strides, request.layers)
    if is_probe3d and one_block_early and request.layers is None:
        chosen = tuple(max(0, layer - 1) for layer in chosen)
    padding = Padding.NONE if refuses_padding else Padding.OVER
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
        padding=padding if is_probe3d else Padding.MINIMAL,
        resized=16 if is_probe3d and len(set(strides)) > 1 else None,
        details=details,
    )
