"""Names for the shapes of tensors in the signatures of training.

``b`` images are ``h`` pixels high and ``w`` pixels wide. An underscore is a length that is not
compared with other lengths.
"""

import torch
from torch import Tensor

from rilievo.arrays.shapes import Bool, Float, UInt8

Scalar = Float[Tensor, ""]
Numbers = Float[Tensor, "n"]
PerImage = Float[Tensor, "b"]
"""One number for each image."""
Vectors = Float[Tensor, "b 3"]
Intrinsics = Float[Tensor, "b 3 3"]
Transforms = Float[Tensor, "b 4 4"]

Pictures = UInt8[Tensor, "b h w 3"]
"""RGB in 0..255, as files store it."""
Images = Float[Tensor, "b 3 h w"]
"""RGB in 0..1, or normalised, as networks take it."""
Maps = Float[Tensor, "b h w"]
"""One number for each pixel, such as depth."""
Masks = Bool[Tensor, "b h w"]
Normals = Float[Tensor, "b 3 h w"]
"""Normals, towards the camera, or directions of any length."""
Sigmoids = Float[Tensor, "b 1 _ _"]
"""Numbers in 0..1 that stand for inverse depth, at one of a network's scales."""
Stack = Float[Tensor, "b n h w"]
"""Numbers for each pixel, one for each source or bin."""
StackAtScale = Float[Tensor, "b n _ _"]
"""The same at one of a network's scales."""
OneChannel = Float[Tensor, "b 1 h w"]

Channels = Float[Tensor, "b c h w"]
Resized = Float[Tensor, "b c h2 w2"]
"""``Channels`` at another size."""
Convolved = Float[Tensor, "b d h w"]
"""``Channels`` after a convolution to another number of channels."""
Strided = Float[Tensor, "b d h2 w2"]
"""``Channels`` after a convolution that also changes the size."""
Outputs = Float[Tensor, "b o h w"]
LiftedOutputs = Float[Tensor, "b o h2 w2"]
"""``Outputs`` at a larger size."""
FeatureMap = Float[Tensor, "b _ _ _"]
FeatureMaps = tuple[FeatureMap, ...]
"""Features, the finest first."""
Tensors = tuple[Tensor, ...]


def to_unit_range(image: Pictures) -> Images:
    """Convert RGB of 0..255 with channels last to 0..1 with channels first."""
    return image.permute(0, 3, 1, 2).float() / 255


def at_least_float32(x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Convert half precision to float32, and keep wider types.

    The 8 bits of bfloat16 would quantise inverse depth visibly.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
