"""Names of the commonest tensors of batches, for signatures."""

import torch
from torch import Tensor

from rilievo.arrays.shapes import Bool, Float, UInt8

Scalar = Float[Tensor, ""]
PerImage = Float[Tensor, "b"]
Maps = Float[Tensor, "b h w"]
Masks = Bool[Tensor, "b h w"]
Images = Float[Tensor, "b 3 h w"]
Normals = Float[Tensor, "b 3 h w"]
"""Normals, towards the camera, or directions of any length."""
Pictures = UInt8[Tensor, "b h w 3"]
Channels = Float[Tensor, "b c h w"]
FeatureMap = Float[Tensor, "b _ _ _"]
Sigmoids = Float[Tensor, "b 1 _ _"]
Transforms = Float[Tensor, "b 4 4"]
Resized = Float[Tensor, "b c h2 w2"]
Convolved = Float[Tensor, "b d h w"]
Strided = Float[Tensor, "b d h2 w2"]
Outputs = Float[Tensor, "b o h w"]
LiftedOutputs = Float[Tensor, "b o h2 w2"]
Stack = Float[Tensor, "b n h w"]
"""Numbers a pixel, one for each source or bin."""
StackAtScale = Float[Tensor, "b n _ _"]
OneChannel = Float[Tensor, "b 1 h w"]
Intrinsics = Float[Tensor, "b 3 3"]
Numbers = Float[Tensor, "n"]
Vectors = Float[Tensor, "b 3"]
FeatureMaps = tuple[FeatureMap, ...]
"""Features, the finest first."""
Tensors = tuple[Tensor, ...]


def as_input(image: Pictures) -> Images:
    """Convert RGB to [0, 1], channels first, as networks take it."""
    return image.permute(0, 3, 1, 2).float() / 255


def exact(x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Promote half precision to float32: bfloat16's 8 bits would quantise inverse depth visibly."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
