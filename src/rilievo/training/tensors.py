"""Names of the commonest tensors of batches, for signatures."""

import torch
from torch import Tensor

from rilievo.shapes import Bool, Float, UInt8

Scalar = Float[Tensor, ""]
"""One number, such as a loss."""
PerImage = Float[Tensor, "b"]
"""One number an image."""
Maps = Float[Tensor, "b h w"]
"""One number a pixel, such as depth."""
Masks = Bool[Tensor, "b h w"]
"""Choice of pixels."""
Images = Float[Tensor, "b 3 h w"]
"""RGB images."""
Normals = Float[Tensor, "b 3 h w"]
"""Normals, towards the camera, or directions of any length."""
Pictures = UInt8[Tensor, "b h w 3"]
"""RGB images, as files hold them."""
Channels = Float[Tensor, "b c h w"]
"""Any numbers a pixel."""
FeatureMap = Float[Tensor, "b _ _ _"]
"""Features, of any size among others."""
Sigmoids = Float[Tensor, "b 1 _ _"]
"""Output of a depth network, in 0..1, of any size among others."""
Transforms = Float[Tensor, "b 4 4"]
"""Transforms of points between frames."""
Resized = Float[Tensor, "b c h2 w2"]
"""Channels at another size."""
Convolved = Float[Tensor, "b d h w"]
"""Other channels at the same size."""
Strided = Float[Tensor, "b d h2 w2"]
"""Other channels, at another size too."""
Outputs = Float[Tensor, "b o h w"]
"""Outputs of a probe."""
LiftedOutputs = Float[Tensor, "b o h2 w2"]
"""Outputs of a probe, enlarged."""
Stack = Float[Tensor, "b n h w"]
"""Some numbers a pixel, one for each source or bin."""
StackAtScale = Float[Tensor, "b n _ _"]
"""Stack of any size among others."""
OneChannel = Float[Tensor, "b 1 h w"]
"""One number a pixel, with an axis of channels."""
Intrinsics = Float[Tensor, "b 3 3"]
"""Intrinsics K."""
Numbers = Float[Tensor, "n"]
"""Numbers in a row."""
Vectors = Float[Tensor, "b 3"]
"""One vector an image."""
FeatureMaps = tuple[FeatureMap, ...]
"""Features, the finest first."""
Tensors = tuple[Tensor, ...]
"""Tensors in an order that their function knows."""


def as_input(image: Pictures) -> Images:
    """Return RGB in [0, 1], channels first, as networks take it."""
    return image.permute(0, 3, 1, 2).float() / 255


def exact(x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Promote half precision to float32: bfloat16's 8 bits would quantise inverse depth visibly."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
