"""Loss of disparity that changes where the image does not."""

from jaxtyping import Float
from torch import Tensor

_LEAST_MEAN = 1e-7  # as published; avoids a division by zero if disparity is zero everywhere


def edge_aware_smoothness(
    disparity: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, ""]:
    """Mean |∂x d| exp(-|∂x I|) + mean |∂y d| exp(-|∂y I|), d the disparity over its image's mean.

    |∂I| is the mean over colours. The division (C. Wang et al., "Learning Depth from Monocular
    Videos using Direct Methods", CVPR 2018) keeps a network from shrinking its disparity to be
    smooth. Each mean is over its own number of pairs, as in C. Godard et al., ICCV 2019.

    Args:
        disparity: Disparity in any unit, at this scale.
        image: Colours in 0..1, at the same size.
    """
    shape = disparity / (disparity.mean(dim=(2, 3), keepdim=True) + _LEAST_MEAN)
    total = disparity.new_zeros(())
    for dim in (2, 3):
        edge = image.diff(dim=dim).abs().mean(dim=1, keepdim=True)
        total = total + (shape.diff(dim=dim).abs() * edge.neg().exp()).mean()
    return total
