"""Convolutions of doubled maps against whole maps, with their gradients."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rilievo.training.networks.video.decoder import ConvELU
from rilievo.training.networks.video.doubled_convolution import double_and_convolve

pytestmark = pytest.mark.usefixtures("one_thread")


def whole(x: Tensor, skip: Tensor | None, weight: Tensor, bias: Tensor) -> Tensor:
    """The convolution of the map in which each pixel stands four times."""
    large = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    joined = large if skip is None else torch.cat([large, skip], dim=1)
    return F.conv2d(F.pad(joined, (1, 1, 1, 1), mode="reflect"), weight, bias)


def layer(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 6)),
    channels=st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(1, 5)),
    last=st.booleans(),
)
def test_a_convolution_of_a_doubled_map_is_that_of_the_large_map_and_so_are_its_gradients(
    size: tuple[int, int], channels: tuple[int, int, int], last: bool
) -> None:
    form = torch.channels_last if last else torch.contiguous_format
    (height, width), (inputs, skipped, outputs) = size, channels
    x = torch.randn(2, inputs, height, width).double().to(memory_format=form)
    skip = torch.randn(2, skipped, 2 * height, 2 * width).double() if skipped else None
    convolution = layer(inputs + skipped, outputs).double().to(memory_format=form)
    differentiable = [x.requires_grad_(), *convolution.parameters()]
    if skip is not None:
        differentiable.append(skip.requires_grad_())
    ours = double_and_convolve(x, skip, convolution)
    plain = whole(x, skip, *convolution.parameters())
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)
    upstream = torch.randn_like(plain)
    found, expected = (
        torch.autograd.grad(each, differentiable, upstream) for each in (ours, plain)
    )
    for mine, right in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("skipped", [0, 3])
@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
def test_maps_have_the_layout_of_the_weights(form: torch.memory_format, skipped: int) -> None:
    x = torch.randn(2, 4, 5, 6).to(memory_format=form).requires_grad_()
    skip = torch.randn(2, skipped, 10, 12).to(memory_format=form) if skipped else None
    convolution = layer(4 + skipped, 7).to(memory_format=form)
    large = double_and_convolve(x, skip, convolution)
    large.sum().backward()
    assert x.grad is not None
    assert large.is_contiguous(memory_format=form)
    assert x.grad.is_contiguous(memory_format=form)


@pytest.mark.parametrize("skipped", [0, 64])
def test_in_single_precision_it_is_as_near_to_the_true_values_as_the_whole_map(
    skipped: int,
) -> None:
    x = torch.randn(2, 64, 12, 20)
    skip = torch.randn(2, skipped, 24, 40) if skipped else None
    convolution = layer(64 + skipped, 32)
    tensors = [x, *convolution.parameters(), *([] if skip is None else [skip])]

    def gradients(y: Tensor, by: list[Tensor], upstream: Tensor) -> tuple[Tensor, ...]:
        return (y, *torch.autograd.grad(y, by, upstream))

    for each in tensors:
        each.requires_grad_()
    exact = [each.detach().double().requires_grad_() for each in tensors]
    upstream = torch.randn(2, 32, 24, 40)
    ours = gradients(double_and_convolve(x, skip, convolution), tensors, upstream)
    plain = gradients(whole(x, skip, *convolution.parameters()), tensors, upstream)
    place = whole(exact[0], exact[3] if skipped else None, exact[1], exact[2])
    true = gradients(place, exact, upstream.double())
    for mine, theirs, right in zip(ours, plain, true, strict=True):
        errors = [
            float((each - right).detach().norm() / right.detach().norm()) for each in (mine, theirs)
        ]
        assert errors[0] < max(2 * errors[1], 3e-7)


def test_a_prediction_has_the_bits_of_the_whole_map() -> None:
    x, skip = torch.randn(1, 16, 6, 20), torch.randn(1, 8, 12, 40)
    convolution = layer(24, 4)
    with torch.no_grad():
        ours = double_and_convolve(x, skip, convolution)
        large = F.interpolate(x, scale_factor=2.0, mode="nearest")
        assert torch.equal(ours, convolution(torch.cat([large, skip], dim=1)))


def test_a_map_that_takes_no_gradient_leaves_those_of_the_weights() -> None:
    x, skip, convolution = torch.randn(1, 2, 3, 4), torch.randn(1, 3, 6, 8), layer(5, 2)
    double_and_convolve(x, skip, convolution).sum().backward()
    found = [each.grad for each in convolution.parameters()]
    expected = torch.autograd.grad(
        whole(x, skip, *convolution.parameters()).sum(), list(convolution.parameters())
    )
    for mine, right in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, right)


def test_a_second_derivative_is_refused() -> None:
    x = torch.randn(1, 2, 3, 4, requires_grad=True)
    made = double_and_convolve(x, None, layer(2, 2)).square().sum()
    [gradient] = torch.autograd.grad(made, x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
def test_the_unit_after_a_convolution_is_that_of_torch_with_its_gradients(scale: float) -> None:
    unit = ConvELU(3, 4)
    x = (torch.randn(2, 3, 6, 5) * scale).requires_grad_()
    ours, plain = unit(x), F.elu(unit.conv(x))
    torch.testing.assert_close(ours, plain, rtol=0, atol=1.3e-7)
    upstream = torch.randn_like(plain)
    leaves = [x, *unit.parameters()]
    for mine, right in zip(
        torch.autograd.grad(ours, leaves, upstream),
        torch.autograd.grad(plain, leaves, upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-6 + 1e-5 * scale)


def test_in_half_precision_the_unit_is_that_of_torch() -> None:
    unit = ConvELU(3, 4).bfloat16()
    nn.init.zeros_(unit.conv.conv.bias)
    x = (torch.randn(2, 3, 6, 5) * 1e-3).bfloat16().requires_grad_()
    torch.testing.assert_close(unit(x), F.elu(unit.conv(x)), rtol=0, atol=0)
