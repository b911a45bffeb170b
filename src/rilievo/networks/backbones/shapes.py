"""Outputs of a network's layers: their shapes, found by a run without data, and their maps."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.io.limits import reason
from rilievo.networks.backbones.facts import Layer

Run = Callable[[Tensor], object]


class Taps:
    """Hooks on layers of a network that keep their outputs during one run."""

    def __init__(self, layers: Mapping[int, nn.Module]) -> None:
        self._kept: dict[int, Tensor] = {}
        self._hooks = [
            layer.register_forward_hook(self._keeper(index)) for index, layer in layers.items()
        ]

    def run(self, run: Run, pixels: Tensor) -> dict[int, Tensor]:
        """Call ``run`` on the pixels and return the output of each layer."""
        self._kept.clear()
        run(pixels)
        kept = dict(self._kept)
        self._kept.clear()
        return kept

    def remove(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    def _keeper(self, index: int) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            while not isinstance(output, Tensor):
                output = output[0]
            self._kept[index] = output

        return keep


def dry_run(name: str, run: Callable[[Tensor], dict[int, Tensor]], size: tuple[int, int]) -> Any:
    """Shapes of the outputs of ``run`` for one image of ``size``; no numbers are computed.

    Raises:
        ModelError: If the network cannot be run on images alone.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with _silent(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            kept = run(torch.zeros(1, 3, *size))
            return {index: tuple(each.shape) for index, each in kept.items()}
    # A network that needs more than images may raise anything.
    except Exception as error:
        raise ModelError(
            f"backbone '{name}': its layers give no features of an image alone: {reason(error)}"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Silence torch's many-line report of a failed run: the error says it in one line."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def layer_of(
    name: str,
    shape: tuple[int, ...],
    size: tuple[int, int],
    *,
    patch: int | None,
    channels_last: bool,
) -> Layer:
    """Derive channels and stride of a layer's map from the shape of its output.

    Args:
        name: Name of the backbone.
        shape: Shape of the layer's output for one image.
        size: (height, width) of the image [px].
        patch: Patch of a network with one grid [px]; None if each layer has its own.
        channels_last: Whether maps have their channels last.

    Raises:
        ModelError: If the output is not spatial.
    """
    height, width = size
    if len(shape) == 4:
        rows, channels = (shape[1], shape[3]) if channels_last else (shape[2], shape[1])
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


def as_map(output: Tensor, layer: Layer, size: tuple[int, int], *, channels_last: bool) -> Tensor:
    """A layer's output as (batch, channels, height, width), without tokens that are no patch.

    Args:
        output: (batch, tokens, channels), the patches last and row by row, or a map.
        layer: The layer that gave it.
        size: (height, width) of the image [px].
        channels_last: Whether maps have their channels last.
    """
    if output.ndim == 4:
        return output.permute(0, 3, 1, 2) if channels_last else output
    rows, columns = size[0] // layer.stride, size[1] // layer.stride
    patches = output[:, -rows * columns :]
    return patches.transpose(1, 2).unflatten(2, (rows, columns))
