"""Disparity should change only where the picture does."""

from jaxtyping import Float
from torch import Tensor

_LEAST_MEAN = 1e-7  # as published; a disparity of zero everywhere has no shape to keep smooth


def edge_aware_smoothness(
    disparity: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, ""]:
    """Mean |∂x d| exp(-|∂x I|) plus the same down, d the disparity over its image's mean.

    |∂I| is the mean over colours. The division (C. Wang et al., "Learning Depth from Monocular
    Videos using Direct Methods", CVPR 2018) keeps a network from shrinking its disparity to be
    smooth. As C. Godard et al., ICCV 2019, both are averaged over their own number of pairs.

    Args:
        disparity: Of any unit, at this scale.
        image: Colours in 0..1, at the same size.
    """
    shape = disparity / (disparity.mean(dim=(2, 3), keepdim=True) + _LEAST_MEAN)
    total = disparity.new_zeros(())
    for dim in (2, 3):
        edge = image.diff(dim=dim).abs().mean(dim=1, keepdim=True)
        total = total + (shape.diff(dim=dim).abs() * edge.neg().exp()).mean()
    return total
