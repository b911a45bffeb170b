"""Base class of backbones, which compute feature maps from images."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

_PROBE3D_PYRAMID_STRIDE = 16
"""Stride to which Probe3D resizes the maps of a pyramid [px]."""
Colour = tuple[float, float, float]
"""Red, green and blue."""
RunNetwork = Callable[[Tensor], object]
"""Function that runs a network on pixels; its result is not used."""


class Preset(StrEnum):
    """How images are prepared and feature maps are taken."""

    DEFAULT = "default"
    """As each network was trained."""
    PROBE3D = "probe3d"
    """As in Probe3D's program: it normalises as on ImageNet, pads one patch too many or refuses,
    takes MAE's layers one block early, and resizes pyramids to a sixteenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation of RGB in 0..1; the input is (pixels - mean) / std."""

    mean: Colour
    std: Colour

    def __post_init__(self) -> None:
        if min(self.std) <= 0:
            raise OptionError(
                f"the standard deviations of a normalisation must be above 0, got {self.std}"
            )


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
HALF = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLIP = Normalisation(
    mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)
NONE = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""No normalisation, for networks that do it themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Channels and stride of the feature map that a layer computes.

    The stride is the side of the square of the image that one pixel of the map stands for [px].
    """

    channels: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneProperties:
    """Properties of a backbone, and the layers whose features are selected.

    They are stored with cached features under the names of the fields.

    Attributes:
        name: Name that ``make_backbone`` takes.
        patch: Number of pixels of which the height and width of the input are multiples.
        depth: Count of all layers of the network.
        layers: Indices of the selected layers.
        taken: Channels and strides of the selected layers.
        tokens: Whether the class tokens of these layers are selected too.
        normalisation: Normalisation of the input.
        positions: Description of how the position embedding adapts to other sizes.
        fixed: The only (height, width) that the network takes [px]; None if it takes any.
        padding: How images are padded to multiples of ``patch``.
        resized: Stride to which Probe3D resizes pyramids [px]; None if maps are not resized.
        details: Description of further settings that features depend on.
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
    """Choose four layers of the backbone ``name``, given the strides of all its layers.

    They are the last of each quarter of the network (2, 5, 8 and 11 of twelve), or the last four
    of a pyramid, whose strides differ.
    """
    layer_count = len(strides)
    if not layer_count:
        raise OptionError(
            f"backbone '{name}' has no layer with spatial features: choose another backbone"
        )
    is_pyramid = len(set(strides)) > 1
    if layer_count <= 4 or is_pyramid:
        return tuple(range(max(0, layer_count - 4), layer_count))
    return (layer_count // 4 - 1, layer_count // 2 - 1, 3 * layer_count // 4 - 1, layer_count - 1)


def resolve_layers(
    name: str, strides: Sequence[int], layers: Sequence[int] | None
) -> tuple[int, ...]:
    """Indices of the requested layers, or of ``default_layers`` if none were requested."""
    defaults = default_layers(name, strides)
    return defaults if layers is None else layer_indices(name, layers, len(strides))


def layer_indices(name: str, layers: Sequence[int], layer_count: int) -> tuple[int, ...]:
    """Convert layers of the backbone ``name`` to indices; negative ones count from the end.

    Raises:
        OptionError: If a layer does not exist, or the layers do not ascend.
    """
    known_layers = _join_numbers(range(layer_count))
    if not layers:
        raise OptionError(
            f"backbone '{name}' needs at least one layer to take features from; known layers: "
            f"{known_layers}"
        )
    unknown = [layer for layer in layers if not -layer_count <= layer < layer_count]
    if unknown:
        raise OptionError(
            f"backbone '{name}' has no layer {_join_numbers(unknown)}; known layers: {known_layers}"
        )

    indices = tuple(layer + layer_count if layer < 0 else layer for layer in layers)
    if list(indices) != sorted(set(indices)):
        raise OptionError(
            f"layers {_join_numbers(layers)} of backbone '{name}' are not in ascending order: list "
            "each layer once, the shallowest first"
        )
    return indices


def _join_numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def no_class_token_error(name: str) -> OptionError:
    """Error for a backbone that has no class tokens to take."""
    return OptionError(f"backbone '{name}' has no class token: set 'tokens' to false")


def find_preset(preset: str) -> Preset:
    """Find a preset by its name; ``OptionError`` if there is none."""
    try:
        return Preset(preset)
    except ValueError as error:
        raise OptionError(f"no preset '{preset}'; known: {', '.join(Preset)}") from error


class LayerRecorder:
    """Forward hooks that record the outputs of some layers of a network."""

    def __init__(self, layers: Mapping[int, nn.Module]) -> None:
        self._outputs: dict[int, Tensor] = {}
        self._hooks = [
            layer.register_forward_hook(self._make_hook(index)) for index, layer in layers.items()
        ]

    def record_outputs(self, run_network: RunNetwork, pixels: Tensor) -> dict[int, Tensor]:
        """Run the network on pixels, and return the output of each layer by its index."""
        self._outputs.clear()
        run_network(pixels)
        outputs = dict(self._outputs)
        self._outputs.clear()
        return outputs

    def remove(self) -> None:
        """Remove the hooks from the network."""
        for hook in self._hooks:
            hook.remove()

    def _make_hook(self, index: int) -> Callable[[nn.Module, Any, Any], None]:
        """Make the hook of the layer ``index``."""

        def record(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            # Some layers return their map in tuples.
            while not isinstance(output, Tensor):
                output = output[0]
            self._outputs[index] = output

        return record


def output_shapes_by_layer(
    name: str, record_outputs: Callable[[Tensor], dict[int, Tensor]], size: Size
) -> dict[int, tuple[int, ...]]:
    """Find the shape of each layer's output for an image of a size, without computing it.

    ``record_outputs`` runs the network ``name`` on pixels, and returns its outputs by layer.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        # Fake tensors have shapes but no numbers.
        with _silence_fake_tensors(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            outputs = record_outputs(torch.zeros(1, 3, *size))
            return {index: tuple(output.shape) for index, output in outputs.items()}
    # A network that needs other inputs too may raise anything.
    except Exception as error:
        raise ModelError(
            f"backbone '{name}' cannot run with an image as its only input: {reason(error)}"
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

    The output is a map, with channels first or last, or a sequence of tokens. ``patch`` is the side
    of a patch [px], or None for a network without patches; ``size`` is the (height, width) of the
    image [px].
    """
    layer = None
    if len(shape) == 4:
        layer = _layer_from_map_shape(shape, size, patch=patch)
    elif len(shape) == 3:
        layer = _layer_from_token_shape(shape, size, patch=patch)
    if layer is None:
        raise ModelError(
            f"backbone '{name}' has no spatial features: a layer returns the shape {shape} for an "
            f"image of {_size_text(size)}"
        )
    return layer


def _layer_from_map_shape(shape: tuple[int, ...], size: Size, *, patch: int | None) -> Layer:
    """Layer of a map (b, c, h, w), or (b, h, w, c) if the two in the middle count patches."""
    height, width = size
    if patch is not None and shape[1:3] == (height // patch, width // patch):
        return Layer(channels=shape[3], stride=height // shape[1])
    return Layer(channels=shape[1], stride=height // shape[2])


def _layer_from_token_shape(
    shape: tuple[int, ...], size: Size, *, patch: int | None
) -> Layer | None:
    """Layer of a sequence of tokens (b, n, c); None if they do not cover the image."""
    height, width = size
    _, token_count, channels = shape
    # Class and register tokens may come in addition to the patches.
    if patch is not None and token_count >= (height // patch) * (width // patch):
        return Layer(channels=channels, stride=patch)
    # Tokens of a later stage of a pyramid, each of which covers a square of the image.
    stride = math.isqrt(height * width // token_count)
    covers_image = (height // stride) * (width // stride) == token_count
    return Layer(channels=channels, stride=stride) if covers_image else None


def to_channels_first(output: Tensor, layer: Layer, size: Size) -> Tensor:
    """Convert the output of a layer, a map or tokens, to a map with channels first.

    The tokens of patches come after class and register tokens. ``size`` is the image's [px].
    """
    if output.ndim == 4:
        return output if output.shape[1] == layer.channels else output.permute(0, 3, 1, 2)
    rows = size[0] // layer.stride
    columns = size[1] // layer.stride
    patches = output[:, -rows * columns :]
    return patches.transpose(1, 2).unflatten(2, (rows, columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOutputs:
    """Maps of the selected layers, and their class tokens; None if these are not selected."""

    maps: tuple[Float[Tensor, "b _c _h _w"], ...]
    tokens: tuple[Float[Tensor, "b _c"], ...] | None = None


class Backbone(nn.Module, ABC):
    """Network whose features are taken.

    It is frozen and computes in float32, and the images of a batch do not affect one another. An
    instance normalises its input by the buffers ``mean`` and ``std``. ``resampling`` is how Probe3D
    resizes its pyramids.
    """

    mean: Tensor
    std: Tensor
    resampling: ClassVar[str] = "bilinear"

    def __init__(self, properties: BackboneProperties) -> None:
        super().__init__()
        self.properties = properties
        normalisation = properties.normalisation
        for name, values in (("mean", normalisation.mean), ("std", normalisation.std)):
            constant = torch.tensor(values, dtype=torch.float32)[:, None, None]
            self.register_buffer(name, constant, persistent=False)

    def stored_weights(self) -> Mapping[str, Tensor]:
        """Tensors under the names that a run stores, which are the same in all library releases."""
        return self.state_dict()

    def rename_stored_weights(
        self, stored: Mapping[str, Tensor], path: Path
    ) -> Mapping[str, Tensor]:
        """Rename stored tensors to this network's parameters; undoes ``stored_weights``.

        Args:
            stored: Result of ``stored_weights``, perhaps with another release of a library.
            path: Their file, for messages.

        Raises:
            ModelError: If they belong to a different network.
        """
        return stored

    @property
    def name(self) -> str:
        """Name that ``make_backbone`` takes."""
        return self.properties.name

    @property
    def patch(self) -> int:
        """The height and width of its input are multiples of this [px]."""
        return self.properties.patch

    @property
    def channels(self) -> tuple[int, ...]:
        """Number of channels of each map."""
        return self.properties.channels

    @property
    def token_channels(self) -> tuple[int, ...] | None:
        """Number of channels of each class token; None if tokens are not taken."""
        return self.properties.channels if self.properties.tokens else None

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each map [px]; see ``Layer``."""
        if self.properties.resized is not None:
            return (self.properties.resized,) * len(self.properties.taken)
        return tuple(layer.stride for layer in self.properties.taken)

    def forward(self, image: Images) -> Features:
        """Pad and normalise images, which are RGB in 0..1, and compute their features.

        Raises:
            InputError: If the network does not take images of this size.
            ModelError: If it computes other maps than expected.
        """
        properties = self.properties
        size = (int(image.shape[-2]), int(image.shape[-1]))
        if image.device != self.mean.device:
            raise ModelError(
                f"backbone '{self.name}' is on {self.mean.device} but the images are on "
                f"{image.device}: move one of them"
            )
        padded = padded_size(size, properties.patch, properties.padding)
        box = box_in_padded(size, properties.patch, properties.padding)
        if properties.fixed is not None and padded != properties.fixed:
            only_size = _size_text(properties.fixed)
            raise self._size_error(size, f"it only takes {only_size}, so choose this size")
        normalised = (image - self.mean) / self.std
        outputs = self._compute_outputs(pad(normalised, box, padded), size)
        maps: list[Tensor] = []
        for index, feature_map in enumerate(outputs.maps):
            self._check_map_shape(feature_map, index, padded)
            maps.append(self._resize_map(feature_map, padded))
        return Features(maps=tuple(maps), tokens=outputs.tokens, padded=padded, box=box)

    @abstractmethod
    def layer_outputs(self, pixels: Images) -> LayerOutputs:
        """Compute the selected maps and class tokens of normalised and padded pixels."""

    def _compute_outputs(self, pixels: Images, size: Size) -> LayerOutputs:
        """Compute ``layer_outputs``; ``InputError`` if the network does not take this size."""
        try:
            return self.layer_outputs(pixels)
        except RilievoError:
            raise
        # Each library has its own error for a size that its positional embedding does not take.
        except (AssertionError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            raise self._size_error(size, reason(error)) from error

    def _check_map_shape(self, feature_map: Channels, index: int, padded: Size) -> None:
        """Raise ``ModelError`` if the map of the selected layer ``index`` has another shape."""
        shape = tuple(feature_map.shape[1:])
        layer = self.properties.taken[index]
        padded_height, padded_width = padded
        expected = (layer.channels, padded_height // layer.stride, padded_width // layer.stride)
        if shape == expected:
            return
        shape_text, expected_text = (" x ".join(map(str, sides)) for sides in (shape, expected))
        raise ModelError(
            f"backbone '{self.name}', layer {self.properties.layers[index]}: returned a map of "
            f"{shape_text} (channels, height, width) for an image of {_size_text(padded)}; "
            f"expected {expected_text}"
        )

    def _resize_map(self, feature_map: Channels, padded: Size) -> Resized:
        """Resize the map of a pyramid with Probe3D's preset; other maps stay the same."""
        stride = self.properties.resized
        if stride is None:
            return feature_map
        new_size = (padded[0] // stride, padded[1] // stride)
        return nn.functional.interpolate(feature_map, new_size, mode=self.resampling)

    def _size_error(self, size: Size, cause: str) -> InputError:
        return InputError(
            f"backbone '{self.name}' does not take images of {_size_text(size)}: {cause}"
        )


def _size_text(size: Size) -> str:
    return f"{size[0]} x {size[1]} pixels (height x width)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneRequest:
    """Arguments of ``make_backbone``, which explains them."""

    name: str
    pretrained: bool | Path = True
    layers: tuple[int, ...] | None = None
    tokens: bool | None = None
    preset: Preset = Preset.DEFAULT
    seed: int = 0


def make_properties(
    request: BackboneRequest,
    layers: Sequence[Layer],
    normalisation: Normalisation,
    *,
    positions: str,
    with_class_tokens: bool = False,
    fixed_size: Size | None = None,
    refuses_padding: bool = False,
    selects_one_block_early: bool = False,
    patch: int | None = None,
    details: str = "",
) -> BackboneProperties:
    """Combine the properties of a network with the request; see ``BackboneProperties``.

    ``layers`` are all layers of the network, from the shallowest to the deepest. ``patch`` is the
    largest stride by default. Two arguments only matter for Probe3D's preset: it refuses images
    that need padding if ``refuses_padding``, and by default selects the layers before those of the
    default preset if ``selects_one_block_early``.
    """
    is_probe3d = request.preset is Preset.PROBE3D
    strides = [layer.stride for layer in layers]
    selected_indices = resolve_layers(request.name, strides, request.layers)
    if is_probe3d and selects_one_block_early and request.layers is None:
        selected_indices = tuple(max(0, index - 1) for index in selected_indices)
    probe3d_padding = Padding.NONE if refuses_padding else Padding.OVER
    is_pyramid = len(set(strides)) > 1
    return BackboneProperties(
        name=request.name,
        patch=patch or max(strides),
        depth=len(layers),
        layers=selected_indices,
        taken=tuple(layers[index] for index in selected_indices),
        tokens=with_class_tokens,
        normalisation=normalisation,
        positions=positions,
        fixed=fixed_size,
        padding=probe3d_padding if is_probe3d else Padding.MINIMAL,
        resized=_PROBE3D_PYRAMID_STRIDE if is_probe3d and is_pyramid else None,
        details=details,
    )
