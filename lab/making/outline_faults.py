"""Faults of cameras and melted depth, for batches of pictures on a device.

Rendered pictures are sharp and clean, and the networks' answers for them have narrow outlines.
Photographs' are not so: these functions make rendered frames like them.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lab.making.outline_maps import window_means

Pictures1 = Float[Tensor, "b 3 h w"]

_LARGEST_TURN = math.radians(5.0)
_WIDEST_BLUR = 2.0
_TAPS = 4
_WIDE = 16
"""Width of windows [px] from which depth is melted at a quarter of its size."""
_TABLE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)
"""Steps of luminance at quality 50 (ITU-T T.81, annex K)."""


def _uniform(like: Tensor, low: float, high: float, *shape: int) -> Tensor:
    return torch.empty(shape or (len(like), 1, 1, 1), device=like.device).uniform_(low, high)


def _chance(like: Tensor, share: float) -> Tensor:
    return torch.rand(len(like), 1, 1, 1, device=like.device) < share


def turned(
    image: Pictures1, true: Float[Tensor, "b 1 h w"]
) -> tuple[Pictures1, Float[Tensor, "b 1 h w"]]:
    """Mirror half of the frames, and roll and enlarge half of them.

    The truth takes the nearest pixel's value, so that its steps stay steps.
    """
    count, (height, width) = len(image), image.shape[-2:]
    mirror = torch.where(torch.rand(count, device=image.device) < 0.5, -1.0, 1.0)
    turns = torch.rand(count, device=image.device) < 0.5
    angle = torch.where(turns, _uniform(image, -_LARGEST_TURN, _LARGEST_TURN, count), 0.0)
    room = 1 / (angle.cos() + angle.sin().abs() * width / height)
    scale = torch.where(turns, room * _uniform(image, 0.7, 1.0, count), 1.0)
    aspect = height / width
    cos, sin = angle.cos() * scale, angle.sin() * scale
    zero = torch.zeros_like(cos)
    rows = [cos * mirror, -sin * aspect, zero, sin / aspect * mirror, cos, zero]
    theta = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    picture = F.grid_sample(
        image, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    depth = F.grid_sample(true, grid, mode="nearest", padding_mode="border", align_corners=False)
    return picture, depth


def photographed(image: Pictures1, overlays: Pictures1 | None = None) -> Pictures1:
    """Pictures of 0..255 with blur, prints, exposure, noise and compression, rounded.

    Args:
        image: Rendered pictures, 0..255.
        overlays: Photographs of the same number, laid faintly over some pictures; without them,
            other pictures of the batch.
    """
    x = image / 255
    x = torch.where(_chance(x, 0.6), blurred(x), x)
    overlays = x.roll(1, 0).flip(-1) if overlays is None else overlays / 255
    share = _uniform(x, 0.05, 0.3) * _chance(x, 0.45)
    x = torch.lerp(x, overlays, share)
    x = x + prints(x)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    contrast = torch.where(_chance(x, 0.3), _uniform(x, 0.3, 0.8), 1.0)
    x = mean + (x - mean) * contrast
    colour = torch.where(
        _chance(x, 0.5), _uniform(x, 0.75, 1.25, len(x), 3, 1, 1), _uniform(x, 0.75, 1.25)
    )
    x = (x * colour).clamp(0, 1) ** _uniform(x, 0.75, 1.35)
    strength = _uniform(x, 0.005, 0.04) * _chance(x, 0.6)
    coarse = F.interpolate(torch.randn_like(x[..., ::2, ::2]), scale_factor=2.0, mode="bilinear")
    x = x + strength * torch.where(_chance(x, 0.4), coarse, torch.randn_like(x))
    x = x.clamp(0, 1)
    x = torch.where(_chance(x, 0.7), compressed(x, _uniform(x, 35, 92)), x)
    return (x.clamp(0, 1) * 255).round()


def blurred(x: Pictures1) -> Pictures1:
    """Gaussian blur, of another width for each picture."""
    sigma = _uniform(x, 0.3, _WIDEST_BLUR, len(x), 1)
    place = torch.arange(-_TAPS, _TAPS + 1, device=x.device)
    kernel = torch.exp(-0.5 * (place / sigma).square())
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    channels = kernel.shape[0]
    y = F.pad(x.reshape(1, channels, *x.shape[-2:]), (_TAPS,) * 4, mode="replicate")
    y = F.conv2d(y, kernel.view(channels, 1, -1, 1), groups=channels)
    y = F.conv2d(y, kernel.view(channels, 1, 1, -1), groups=channels)
    return y.view_as(x)


def prints(x: Pictures1) -> Pictures1:
    """Stripes or checks to be added to parts of some pictures: edges that are no outlines."""
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device, dtype=torch.float32).view(1, 1, -1, 1)
    columns = torch.arange(width, device=x.device, dtype=torch.float32)
    angle, period = _uniform(x, 0, math.pi), 5 * _uniform(x, 0, math.log(9)).exp()
    along = (columns * angle.cos() + rows * angle.sin()) * (2 * math.pi / period)
    across = (rows * angle.cos() - columns * angle.sin()) * (2 * math.pi / period)
    hard = _uniform(x, 1, 8)
    stripes = (hard * (along + _uniform(x, 0, 6.3)).sin()).clamp(-1, 1)
    checks = (hard * (across + _uniform(x, 0, 6.3)).sin()).clamp(-1, 1)
    pattern = torch.where(_chance(x, 0.4), stripes * checks, stripes)
    where = torch.rand(len(x), 1, 5, 6, device=x.device)
    where = F.interpolate(where, size=(height, width), mode="bicubic", align_corners=False) > 0.6
    colour = _uniform(x, 0.3, 1.0, len(x), 3, 1, 1)
    strength = _uniform(x, 0.05, 0.35) * _chance(x, 0.3)
    return pattern * where * colour * strength


def compressed(x: Pictures1, quality: Float[Tensor, "b 1 1 1"]) -> Pictures1:
    """Pictures as after JPEG: rounded cosines of 8x8 pixels, with half the pixels of colour."""
    luminance = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    colour = x[:, ::2] - luminance
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    luminance = _rounded(luminance - 0.5, factor) + 0.5
    colour = _rounded(F.avg_pool2d(colour, 2), 1.4 * factor)
    colour = F.interpolate(colour, scale_factor=2.0, mode="bilinear", align_corners=False)
    red, blue = (luminance + each for each in colour.split(1, dim=1))
    green = (luminance - 0.299 * red - 0.114 * blue) / 0.587
    return torch.cat([red, green, blue], dim=1)


def _rounded(x: Float[Tensor, "b c h w"], factor: Float[Tensor, "b 1 1 1"]) -> Tensor:
    k = torch.arange(8, device=x.device, dtype=torch.float32)
    cosines = torch.cos((2 * k + 1) * k.view(8, 1) * (math.pi / 16)) / 2
    cosines[0] /= math.sqrt(2)
    b, c, h, w = x.shape
    blocks = x.view(b, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    steps = (_TABLE.to(x.device) * factor.view(b, 1, 1, 1, 1, 1)).clamp(min=1) / 255
    spectrum = cosines @ blocks @ cosines.T
    spectrum = (spectrum / steps).round() * steps
    blocks = cosines.T @ spectrum @ cosines
    return blocks.transpose(3, 4).reshape(b, c, h, w)


def melted(
    logs: Float[Tensor, "b 1 h w"],
    widths: tuple[int, ...],
    random: np.random.Generator,
    *,
    share: float,
    bias: float = -1.2,
) -> Float[Tensor, "b 1 h w"]:
    """Log depth that is melted in places, as that of photographs is.

    Args:
        logs: Log depth.
        widths: Widths of the windows [px], two of which are taken.
        random: Source of what all pictures share.
        share: Share of the pictures.
        bias: Least value of the mask before it is cut off at 0; a lower one melts less.
    """
    one, other = (_melted(logs, int(each)) for each in random.choice(widths, 2))
    soft = torch.where(_chance(logs, 0.5), one, other)
    rows, columns = random.integers(2, 7, 2)
    mask = _uniform(logs, bias, 2.0, len(logs), 1, int(rows), int(columns))
    mask = F.interpolate(mask, size=logs.shape[-2:], mode="bilinear", align_corners=False)
    return torch.lerp(logs, soft, mask.clamp(0, 1) * _chance(logs, share))


def _melted(logs: Float[Tensor, "b 1 h w"], width: int) -> Float[Tensor, "b 1 h w"]:
    if width < _WIDE:
        return window_means(window_means(logs, width | 1), (width // 2) | 1)
    small = _melted(F.avg_pool2d(logs, 4), width // 4)
    return F.interpolate(small, size=logs.shape[-2:], mode="bilinear", align_corners=False)
