"""A part of a loss whose gradient is computed in the forward pass, to save memory.

Between the forward and the backward pass of a network, all intermediate results of the loss stay
in memory. A part that ends in one number can avoid this: its gradient is known up to a factor, and
is much smaller than the intermediate results.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def immediately(compute: Callable[..., Float[Tensor, ""]], *inputs: Tensor) -> Float[Tensor, ""]:
    """Call ``compute(*inputs)``; the result is differentiable once, by ``inputs`` alone.

    Args:
        compute: Function that returns one number. Anything else that it hands out must be detached,
            or its graph stays in memory.
        inputs: The only tensors through which a gradient may flow.
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
        else:  # a constant
            ctx.save_for_backward(*(torch.zeros_like(each) for each in by))
        return value.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradients = iter(ctx.saved_tensors)
        wanted = ctx.needs_input_grad
        return tuple(next(gradients) * upstream[0] if want else None for want in wanted)
