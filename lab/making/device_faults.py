"""Colours, exposure, blur, noise and compression of a whole batch of images on the device.

The changes are those of ``distil/frames/augment.py``; compression takes the same 8×8 cosine
transform as JPEG, without its entropy code.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

_REACH = 4
_LUMA = (0.299, 0.587, 0.114)
# Table K.1 of ITU-T T.81, the quantisation of luminance.
_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_BLOCK = 8

Images = Float32[Tensor, "b 3 h w"]


def degraded(image: Images, random: torch.Generator) -> Images:
    """Change exposure, contrast and colours; sometimes blur, noise or compression. In 0..255."""
    device, count = image.device, len(image)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, device=device, generator=random) * (high - low) + low

    def normal(deviation: float, *shape: int) -> Tensor:
        return torch.randn(count, *shape, device=device, generator=random) * deviation

    def chance(share: float) -> Tensor:
        return uniform(0, 1) < share

    image = blurred(image, torch.where(chance(0.25), uniform(0.4, 1.6), 0.0))
    coarse = F.interpolate(F.avg_pool2d(image, 2), scale_factor=2.0, mode="bilinear")
    image = torch.where(chance(0.08)[:, None, None, None], coarse, image)
    is_toned = chance(0.8)
    saturation = torch.where(is_toned, uniform(0.2, 1.6), 1.0)
    saturation = torch.where(chance(0.1), 0.0, saturation)
    luma = (image * image.new_tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    image = luma + saturation[:, None, None, None] * (image - luma)
    x = (image / 255).clamp(1e-4, 1)
    x = x ** torch.exp(normal(0.3))[:, None, None, None]
    x = (x - 0.5) * uniform(0.6, 1.35)[:, None, None, None] + 0.5
    x = (x + normal(0.06)[:, None, None, None]) * torch.exp(normal(0.08, 3))[:, :, None, None]
    image = torch.where(is_toned[:, None, None, None], 255 * x, image)
    image = image * torch.where(chance(0.08), uniform(0.1, 0.45), 1.0)[:, None, None, None]
    deviation = torch.where(chance(0.35), uniform(1.0, 14.0), 0.0)
    noise = torch.randn(image.shape, device=device, generator=random)
    image = (image + noise * deviation[:, None, None, None]).clamp(0, 255).round()
    squeezed = compressed(image, uniform(20, 90))
    return torch.where(chance(0.3)[:, None, None, None], squeezed, image)


def blurred(image: Images, deviation: Float32[Tensor, "b"]) -> Images:
    """Blur each image by a Gaussian of its own deviation [px]; by none where that is 0."""
    count = len(image)
    offset = torch.arange(-_REACH, _REACH + 1, device=image.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offset / deviation.clamp(min=1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    planes = image.reshape(1, 3 * count, *image.shape[2:])
    planes = F.pad(planes, (_REACH,) * 4, mode="replicate")
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=3 * count)
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=3 * count)
    return planes.view(image.shape)


def compressed(image: Images, quality: Float32[Tensor, "b"]) -> Images:
    """Quantise the cosine transform of 8×8 blocks as JPEG of a quality in 1..100 does.

    Sides are multiples of 8. Colour differences have half the resolution.
    """
    count, _, height, width = image.shape
    to_ycc = image.new_tensor([
        [0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]
    ])  # fmt: skip
    ycc = torch.einsum("dc,bchw->bdhw", to_ycc, image)
    coarse = F.interpolate(F.avg_pool2d(ycc[:, 1:], 2), scale_factor=2.0, mode="nearest")
    ycc = torch.cat([ycc[:, :1] - 128, coarse], dim=1)
    place = torch.arange(_BLOCK, device=image.device, dtype=torch.float32)
    cosine = torch.cos(math.pi / _BLOCK * (place[None] + 0.5) * place[:, None])
    cosine = cosine * torch.where(place[:, None] == 0, 0.5 / math.sqrt(2), 0.5)
    blocks = ycc.view(count, 3, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    blocks = torch.einsum("ij,bcyjxk,lk->bcyixl", cosine, blocks, cosine)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50).clamp(min=0.02)
    table = image.new_tensor(_TABLE).view(1, 1, 1, _BLOCK, 1, _BLOCK)
    steps = torch.floor(table * factor.view(-1, 1, 1, 1, 1, 1) + 0.5).clamp(1, 255)
    blocks = torch.round(blocks / steps) * steps
    ycc = torch.einsum("ij,bcyixl,lk->bcyjxk", cosine, blocks, cosine).reshape(ycc.shape)
    ycc = torch.cat([ycc[:, :1] + 128, ycc[:, 1:]], dim=1)
    return torch.einsum("dc,bchw->bdhw", torch.linalg.inv(to_ycc), ycc).clamp(0, 255).round()
