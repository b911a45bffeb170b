"""Convolutions merged with fixed batch normalisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.training.tensors import Channels, Convolved, Strided


def make_conv_norm(inputs: int, outputs: int, *after: nn.Module, stride: int = 1) -> nn.Sequential:
    """Make a 3×3 convolution, its norm, and ``after``."""
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
    """Convolve, normalise, and clamp to 0..``most``; gradients need merged layers."""
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
    """Convolve by a 1×1 layer."""
    return _convolve(conv, x, conv.weight, conv.bias) if torch.is_grad_enabled() else conv(x)


def _convolve(conv: nn.Conv2d, x: Channels, weight: Tensor, bias: Tensor | None) -> Strided:
    if conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.groups == 1:
        # A dilation says nothing of one place, but torch gives a dilated convolution to oneDNN, and
        # a plain one of few images on one thread to a slower path.
        return F.conv2d(x, weight, bias, dilation=2)
    return conv._conv_forward(x, weight, bias)
