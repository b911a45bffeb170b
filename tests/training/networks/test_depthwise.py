"""Depthwise convolutions: float32 where bfloat16 is slow to train."""

import pytest
import torch

from rilievo.training.networks.mobilenetv2 import DepthwiseConv


def gradients(
    layer: torch.nn.Conv2d, x: torch.Tensor, *, autocast: bool
) -> tuple[torch.Tensor, ...]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y = layer(x)
    return y, *torch.autograd.grad(y.float().square().sum(), (x, layer.weight))


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (3, 2), (5, 2)])
def test_slow_shapes_compute_in_float32_and_return_what_they_were_given(
    kernel: int, stride: int
) -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv(8, kernel, stride=stride)
    x = torch.randn(2, 8, 16, 24).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    # Weights are not rounded to 8 bits on the way: only the result is.
    assert torch.equal(y, layer(x.float()).bfloat16())


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2)])
def test_gradients_agree_with_float32_within_bfloat16(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv(8, kernel, stride=stride)
    x = torch.randn(2, 8, 16, 24)
    for mixed, exact in zip(
        gradients(layer, x, autocast=True), gradients(layer, x, autocast=False), strict=True
    ):
        assert (mixed - exact).norm() / exact.norm() < 0.02


def test_weights_are_those_of_a_plain_convolution() -> None:
    plain = torch.nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False)
    layer = DepthwiseConv(8, 3, stride=2)
    layer.load_state_dict(plain.state_dict())
    x = torch.randn(1, 8, 16, 16)
    assert torch.equal(layer(x), plain(x))
