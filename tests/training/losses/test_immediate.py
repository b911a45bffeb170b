"""Parts of a loss that are differentiated at once."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rilievo.training.losses.view_synthesis import with_early_gradient


def test_value_and_gradients_are_those_of_the_plain_computation() -> None:
    x = torch.rand(5, dtype=torch.float64, requires_grad=True)
    y = torch.rand(5, dtype=torch.float64)
    z = torch.rand(5, dtype=torch.float64, requires_grad=True)

    def part(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, str]:
        return (x.square() * y * z.exp()).sum(), "auxiliary"

    def whole(x: Tensor, z: Tensor) -> Tensor:
        value, auxiliary = with_early_gradient(part, x.sin(), y, z)
        assert auxiliary == "auxiliary"
        return 3 * value + z.sum()

    assert torch.autograd.gradcheck(whole, (x, z))
    expected = 3 * part(x.sin(), y, z)[0] + z.sum()
    torch.testing.assert_close(whole(x, z), expected)


def test_an_input_that_is_not_used_gets_zeros() -> None:
    x, y = torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)
    value, _ = with_early_gradient(lambda x, y: (x.sum(), None), x, y)
    value.backward()
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.tolist() == [1, 1, 1]
    assert y.grad.tolist() == [0, 0, 0]


def test_a_constant_gives_zeros() -> None:
    x = torch.rand(3, requires_grad=True)
    value, _ = with_early_gradient(lambda x: (torch.ones(()), None), x)
    value.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 0]


def test_nothing_but_a_gradient_waits_for_the_backward_pass() -> None:
    x = torch.rand(3, requires_grad=True)
    value, _ = with_early_gradient(lambda x: (x.repeat(100).exp().sin().sum(), None), x)
    node: Any = value.grad_fn
    assert [tuple(kept.shape) for kept in node.saved_tensors] == [(3,)]


@pytest.mark.parametrize("enabled", [True, False])
def test_without_gradients_it_is_a_plain_call(enabled: bool) -> None:
    x = torch.rand(3, requires_grad=True)
    with torch.set_grad_enabled(enabled):
        value, _ = with_early_gradient(lambda x: (x.sum(), None), x)
    assert value.requires_grad is enabled
    assert value.item() == x.sum().item()


def test_an_input_may_be_left_out() -> None:
    x = torch.rand(3, requires_grad=True)
    value, was_left_out = with_early_gradient(lambda x, mask: (x.sum(), mask is None), x, None)
    value.backward()
    assert was_left_out
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 1]
