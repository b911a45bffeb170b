"""A part of a loss that takes its gradient as soon as it is computed.

Between the forward and the backward pass of a network, whatever the loss computed waits in memory.
A part that ends in one number need not: its gradient is known but for a factor, and is much
smaller than what it was computed from.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def immediately(compute: Callable[..., Float[Tensor, ""]], *inputs: Tensor) -> Float[Tensor, ""]:
    """``compute(*inputs)``, differentiable once, by ``inputs`` alone.

    Args:
        compute: Gives one number. What else it hands out must be detached, or its memory stays.
        inputs: Through which alone a gradient may flow.
    """
    if not torch.is_grad_enabled():
        return compute(*inputs)
    value: Tensor = _Immediately.apply(compute, *inputs)
    return value


class _Immediately(Function):
    @staticmethod
    def forward(ctx: Any, compute: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        wanted = ctx.needs_input_grad[1:]
        leaves = [x.detach().requires_grad_(w) for x, w in zip(inputs, wanted, strict=True)]
        with torch.enable_grad():
            value = compute(*leaves)
        by = [leaf for leaf in leaves if leaf.requires_grad]
        if by and value.requires_grad:
            ctx.save_for_backward(*torch.autograd.grad(value, by, materialize_grads=True))
        return value.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradients = iter(ctx.saved_tensors)
        wanted = ctx.needs_input_grad
        return tuple(next(gradients) * upstream[0] if want else None for want in wanted)
