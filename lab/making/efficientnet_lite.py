"""The EfficientNet-Lite2 encoder.

M. Tan and Q. Le, "EfficientNet", ICML 2019, in Google's variant without squeeze-and-excitation and
with ReLU6. Submodules carry the names of ML Illustrated's PyTorch port, so that its published
weights load by name. Strided convolutions pad as TensorFlow does, one more below and to the right,
since the weights were trained so.
"""

from collections.abc import Iterator
from pathlib import Path

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.io.files.names import printable
from rilievo.training.networks.frozen_norms import convolve_and_norm
from rilievo.training.networks.gluon_weights import fill_from_arrays, read_gluon_arrays
from rilievo.training.networks.mobilenetv2 import DepthwiseConv

MEAN, DEVIATION = 127.0, 128.0
"""Number taken off each colour in 0..255, and the one that the rest is divided by."""
_STEM = 32
_GROUPS = (
    (1, 16, 1, 1, 3),
    (3, 24, 2, 6, 3),
    (3, 48, 2, 6, 5),
    (4, 88, 2, 6, 3),
    (4, 120, 1, 6, 5),
    (5, 208, 2, 6, 5),
    (1, 352, 1, 6, 3),
)
"""Blocks, output channels, stride of the first, expansion and kernel of each group."""
_LAST_OF_SIZE = (0, 3, 6, 14, 20)
_PATTERN = "efficientnet_lite2_*.npz"
_EPS = 1e-3


def _same(kernel: int) -> tuple[int, int]:
    """Padding (before, after) of an image of even sides for a stride of 2."""
    return (kernel - 2) // 2, kernel // 2


class _Stem(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(3, _STEM, 3, 2, 0, bias=False)

    def _conv_forward(
        self, input: Float[Tensor, "b c h w"], weight: Tensor, bias: Tensor | None
    ) -> Float[Tensor, "b d h2 w2"]:
        before, after = _same(3)
        return super()._conv_forward(F.pad(input, (before, after, before, after)), weight, bias)


class _Depthwise(DepthwiseConv):
    """Depthwise convolution; a strided one pads as TensorFlow does."""

    def __init__(self, channels: int, kernel: int, *, stride: int) -> None:
        super().__init__(channels, kernel, stride=stride)
        self._is_strided = stride > 1
        if self._is_strided:
            self.padding = (0, 0)

    def _conv_forward(
        self, input: Float[Tensor, "b c h w"], weight: Tensor, bias: Tensor | None
    ) -> Float[Tensor, "b d h2 w2"]:
        if self._is_strided:
            before, after = _same(self.kernel_size[0])
            input = F.pad(input, (before, after, before, after))
        return super()._conv_forward(input, weight, bias)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPS, momentum=0.03)


class LiteBlock(nn.Module):
    """1×1 expansion, depthwise, linear 1×1 projection; plus its input where shapes agree."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int, expansion: int, kernel: int
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = _Depthwise(hidden, kernel, stride=stride)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Return features of the output width, smaller by the stride."""
        y = x
        if self.expands:
            y = convolve_and_norm(self._expand_conv, self._bn0, y, relu=True, max_value=6.0)
        y = convolve_and_norm(self._depthwise_conv, self._bn1, y, relu=True, max_value=6.0)
        y = convolve_and_norm(self._project_conv, self._bn2, y)
        return x + y if self.is_residual else y


class EfficientNetLite2(nn.Module):
    """Features at 1/2 to 1/32 of the image."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Stem()
        self._bn0 = _norm(_STEM)
        self._blocks = nn.ModuleList()
        inputs, channels = _STEM, [_STEM]
        for count, outputs, stride, expansion, kernel in _GROUPS:
            for place in range(count):
                self._blocks.append(
                    LiteBlock(
                        inputs,
                        outputs,
                        stride=1 if place else stride,
                        expansion=expansion,
                        kernel=kernel,
                    )
                )
                inputs = outputs
                if len(self._blocks) - 1 in _LAST_OF_SIZE:
                    channels.append(outputs)
        self.channels = tuple(channels)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Encode RGB images, less ``MEAN`` and over ``DEVIATION``; sides are multiples of 32.

        Returns:
            The first convolution's features at 1/2 of the image, then the last features of every
            size: 1/2, 1/4, 1/8, 1/16, 1/32.
        """
        x = convolve_and_norm(self._conv_stem, self._bn0, image, relu=True, max_value=6.0)
        levels = [x]
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in _LAST_OF_SIZE:
                levels.append(x)
        return tuple(levels)


def load_published_lite(encoder: EfficientNetLite2, folder: Path) -> None:
    """Fill ``encoder`` with ImageNet weights of a folder with ``efficientnet_lite2_*.npz``.

    Raises:
        ModelError: If a file is unreadable, or an array is missing or of another shape.
    """
    arrays = read_gluon_arrays(folder, sorted(folder.glob(_PATTERN)))
    where = f"{printable(folder)} ({_PATTERN}, EfficientNet-Lite2 of ML Illustrated)"
    fill_from_arrays(encoder, dict(_names(encoder)), arrays, where)


def _names(encoder: nn.Module) -> Iterator[tuple[str, str]]:
    for name in encoder.state_dict():
        if not name.endswith("num_batches_tracked"):
            yield name, name
