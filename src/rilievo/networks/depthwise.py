"""Depthwise convolutions that train fast on a CPU."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DepthwiseConv(nn.Conv2d):
    """A depthwise convolution that computes in float32 under CPU autocast to bfloat16.

    oneDNN's backward pass of large and of strided depthwise convolutions is 4 to 17 times slower
    in bfloat16 than in float32, even on processors with AMX; 3×3 without stride is not slower.
    The result has the type of the input, and weights load as those of ``nn.Conv2d``.
    """

    def __init__(self, channels: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )
        self._is_slow = kernel > 3 or stride > 1

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Return the convolved features."""
        if not (self._is_slow and input.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(input.dtype)
