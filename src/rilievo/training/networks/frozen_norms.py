"""Convolutions that are fused with their batch normalisation while its statistics are frozen.

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
    max_value: float | None = None,
) -> Strided:
    """Convolve and normalise, in one convolution if gradients are needed and statistics frozen.

    The result is clipped to 0 to ``max_value`` if there is one, or rectified with ``relu``.
    """
    if norm.training or not torch.is_grad_enabled():
        y = norm(conv(x))
        if max_value is not None:
            return F.hardtanh(y, 0.0, max_value)
        return torch.relu(y) if relu else y
    y = _convolve_with_frozen_norm(conv, norm, x)
    # In place, because the gradient of a convolution does not need its result.
    if max_value is not None:
        return F.hardtanh_(y, 0.0, max_value)
    return y.relu_() if relu else y


def _convolve_with_frozen_norm(conv: nn.Module, norm: nn.Module, x: Channels) -> Strided:
    """Convolve and normalise in one convolution, for a norm whose statistics do not change.

    Its weight is w * f and its bias b - mean * f, where f = gamma / sqrt(variance + eps).
    """
    assert isinstance(conv, nn.Conv2d), "a norm follows a convolution"
    assert isinstance(norm, nn.BatchNorm2d), "the norm is for feature maps"
    assert norm.running_mean is not None, "the norm keeps statistics"
    assert norm.running_var is not None, "the norm keeps statistics"
    assert conv.bias is None, "the norm has the only bias"
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    bias = torch.addcmul(norm.bias, norm.running_mean, factor, value=-1)
    return _convolve(conv, x, conv.weight * factor[:, None, None, None], bias)


def mix_channels(conv: nn.Conv2d, x: Channels) -> Convolved:
    """Apply a 1×1 convolution, in torch's fastest way if gradients are needed."""
    return _convolve(conv, x, conv.weight, conv.bias) if torch.is_grad_enabled() else conv(x)


def _convolve(conv: nn.Conv2d, x: Channels, weight: Tensor, bias: Tensor | None) -> Strided:
    """Convolve with the settings of ``conv``, but another weight and bias."""
    if conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.groups == 1:
        # A dilation has no effect on a 1×1 convolution, but makes torch use oneDNN, which is faster
        # for few images on one thread.
        return F.conv2d(x, weight, bias, dilation=2)
    return conv._conv_forward(x, weight, bias)
