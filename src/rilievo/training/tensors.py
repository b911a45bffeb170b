"""Names of the commonest tensors of batches, for signatures."""

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
