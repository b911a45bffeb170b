"""Convolutions that are merged with their batch normalisation while its statistics are fixed.

Training then computes and stores one map fewer for each layer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.training.tensors import Channels, Convolved, Strided


def make_conv_norm(inputs: int, outputs: int, *after: nn.Module, stride: int = 1) -> nn.Sequential:
    """Make a 3×3 convolution with its norm, followed by the modules ``after``."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *after)


def convolve_and_norm(
    conv: nn.Module,
    norm: nn.Module,
    x: Channels,
    *,
    relu: bool = False,
    most: float | None = None,
) -> Strided:
    """Convolve and normalise, by one convolution if gradients are needed and statistics are fixed.

    Args:
        conv: Convolution without a bias.
        norm: Its batch normalisation.
        x: Maps.
        relu: Whether to apply ReLU.
        most: Upper limit of the result, which is then at least 0; None for no limits.
    """
    if norm.training or not torch.is_grad_enabled():
        y = norm(conv(x))
        if most is not None:
            return F.hardtanh(y, 0.0, most)
        return torch.relu(y) if relu else y
    assert isinstance(conv, nn.Conv2d), "the layer before a norm"
    assert isinstance(norm, nn.BatchNorm2d), "a norm of maps"
    assert norm.running_mean is not None, "its statistics are kept"
    assert norm.running_var is not None, "its statistics are kept"
    assert conv.bias is None, "the norm has one"
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    bias = torch.addcmul(norm.bias, norm.running_mean, factor, value=-1)
    y = _convolve(conv, x, conv.weight * factor[:, None, None, None], bias)
    # The convolution does not need its own result for its gradient.
    if most is not None:
        return F.hardtanh_(y, 0.0, most)
    return y.relu_() if relu else y


def mix_channels(conv: nn.Conv2d, x: Channels) -> Convolved:
    """Apply a 1×1 convolution, by the fastest way of torch if gradients are needed."""
    return _convolve(conv, x, conv.weight, conv.bias) if torch.is_grad_enabled() else conv(x)


def _convolve(conv: nn.Conv2d, x: Channels, weight: Tensor, bias: Tensor | None) -> Strided:
    if conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.groups == 1:
        # A dilation does not change a 1×1 convolution. But torch computes a dilated one by oneDNN,
        # and another one, for few images on one thread, in a slower way.
        return F.conv2d(x, weight, bias, dilation=2)
    return conv._conv_forward(x, weight, bias)
