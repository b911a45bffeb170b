"""Views at the size at which a loss compares them, with statistics that are computed only once."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.geometry.intrinsics import resize_K
from rilievo.losses.photometric import Target, photometric_error, target_of
from rilievo.losses.video_options import VideoLosses
from rilievo.losses.views import Views

_NOISE = 1e-5  # breaks ties at random between unmoved and warped sources if the camera stood still


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Target and sources at one size.

    Attributes:
        target: Target with its statistics.
        sources: Sources, colours in 0..1.
        K: Intrinsics at this size [px].
        valid: Pixels that count; None if all do.
        still: Photometric error of the best unmoved source (or their mean), which a camera without
            motion would get, with noise of 1e-5. No noise without a generator.
    """

    target: Target
    sources: tuple[Float[Tensor, "b 3 h w"], ...]
    K: Float[Tensor, "b 3 3"]
    valid: Bool[Tensor, "b h w"] | None
    still: Float[Tensor, "b h w"]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) [px]."""
        height, width = self.target.image.shape[-2:]
        return height, width

    def mean(self, error: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
        """Mean over the pixels that count; zero if none does."""
        if self.valid is None:
            return error.mean()
        return torch.where(self.valid, error, 0.0).sum() / self.valid.sum().clamp(min=1)


def frames_of(
    views: Views, options: VideoLosses, generator: torch.Generator | None, *, scale: int = 0
) -> Frames:
    """Take views at the size of a scale from their pyramids.

    Args:
        views: Views, with ``source_pyramids`` if the scale is not 0.
        options: Options of the comparison.
        generator: Generator of the noise on the errors of unmoved sources; None for no noise.
        scale: Number of halvings of the target's size.
    """
    target, sources = views.target, views.sources
    if scale:
        assert views.source_pyramids is not None, "sources have the sizes that are compared"
        target = views.pyramid[scale]
        sources = tuple(pyramid[scale] for pyramid in views.source_pyramids)
    prepared = target_of(target)
    errors = torch.stack([photometric_error(x, prepared, ssim=options.ssim) for x in sources], 1)
    chosen = errors if options.minimum else errors.mean(dim=1, keepdim=True)
    if generator is not None:
        noise = torch.randn(chosen.shape, generator=generator, device=generator.device)
        chosen = chosen.add(noise.to(chosen), alpha=_NOISE)
    return Frames(
        target=prepared,
        sources=sources,
        K=_K_of_scale(views, options, scale),
        valid=None if views.valid is None else _all_valid(views.valid, 2**scale),
        still=chosen.amin(dim=1),
    )


def _K_of_scale(views: Views, options: VideoLosses, scale: int) -> Float[Tensor, "b 3 3"]:
    if not scale:
        return views.K
    height, width = views.pyramid[scale].shape[-2:]
    size = (views.target.shape[-2], views.target.shape[-1])
    if options.pixel_centres:
        return resize_K(views.K, size=size, new_size=(height, width))
    factors = views.K.new_tensor([width / size[1], height / size[0], 1.0])
    return views.K * factors[:, None]


def _all_valid(valid: Bool[Tensor, "b _ _"], factor: int) -> Bool[Tensor, "b _ _"]:
    """Reduce a mask by a factor; a square of pixels is valid if all its pixels are."""
    if factor == 1:
        return valid
    return F.max_pool2d((~valid)[:, None].float(), factor)[:, 0] == 0
