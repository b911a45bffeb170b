"""Convolutions with the norm behind them in one step: the same values and gradients."""

import pytest
import torch
from torch import Tensor, nn

from rilievo.training.networks.frozen_norms import convolve_and_norm, mix_channels

SHAPES = {
    "1x1": nn.Conv2d(8, 12, 1, bias=False),
    "1x1 of stride 2": nn.Conv2d(8, 12, 1, stride=2, bias=False),
    "3x3": nn.Conv2d(8, 12, 3, padding=1, bias=False),
    "depthwise": nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
    "grouped 1x1": nn.Conv2d(8, 12, 1, groups=4, bias=False),
}


@pytest.fixture(params=SHAPES)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv = SHAPES[request.param].double()
    norm = nn.BatchNorm2d(conv.out_channels).double().eval()
    torch.manual_seed(3)
    for each in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(each)
    nn.init.uniform_(norm.running_var, 0.2, 3)
    return conv, norm


def gradients(y: Tensor, *of: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), of)]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_values_and_gradients_are_those_of_the_layers(
    pair: tuple[nn.Conv2d, nn.BatchNorm2d], relu: bool, last: bool
) -> None:
    conv, norm = pair
    x = torch.randn(3, 8, 10, 14, dtype=torch.float64)
    x = (x.contiguous(memory_format=torch.channels_last) if last else x).requires_grad_()
    of = (x, conv.weight, norm.weight, norm.bias)
    apart = norm(conv(x))
    expected = gradients(torch.relu(apart) if relu else apart, *of)
    slopes = gradients(convolve_and_norm(conv, norm, x, relu=relu), *of)
    for one, other in zip(slopes, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_layer_that_mixes_has_its_values_and_gradients() -> None:
    conv, x = nn.Conv2d(6, 5, 1).double(), torch.randn(2, 6, 7, 9, dtype=torch.float64)
    of = (conv.weight, conv.bias)
    for one, other in zip(
        gradients(mix_channels(conv, x), *of), gradients(conv(x), *of), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_statistics_that_are_learned_are_not_folded() -> None:
    conv, norm = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4).train()
    convolve_and_norm(conv, norm, torch.randn(8, 4, 6, 6) + 3)
    assert norm.running_mean is not None
    assert norm.running_mean.abs().max() > 0


def test_without_gradients_the_layers_run_one_after_the_other() -> None:
    conv, norm = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4).eval()
    seen: list[str] = []
    conv.register_forward_hook(lambda *_: seen.append("conv"))
    norm.register_forward_hook(lambda *_: seen.append("norm"))
    with torch.no_grad():
        convolve_and_norm(conv, norm, torch.randn(1, 4, 5, 5))
    assert seen == ["conv", "norm"]
