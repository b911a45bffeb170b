"""Training steps in their plain form: whole maps, autograd for everything, channels first.

The networks are those of the package, so that weights and numbers of multiplications agree; what
happens between their layers, and the losses, are written as the papers have them.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.training.losses.supervised import log_gradient_loss, scale_invariant_loss
from rilievo.training.networks.video.pose_networks import source_T_target
from rilievo.training.networks.video.video_networks import VideoNetworks


def conv(x: Tensor, layer: nn.Module, *, reflect: bool = False) -> Tensor:
    """Convolve and keep the size."""
    assert isinstance(layer, nn.Conv2d), "all of both networks are"
    side = layer.kernel_size[0] // 2
    if reflect:
        x = F.pad(x, (side, side, side, side), mode="reflect")
    return F.conv2d(x, layer.weight, layer.bias, padding=0 if reflect else side)


def probe_loss(probe: nn.Module, maps: list[Tensor], true: Tensor) -> Tensor:
    """Loss of Probe3D's DPT probe (CVPR 2024); ``maps`` hold class tokens as channels."""
    layers: Callable[[str], nn.Module] = probe.get_submodule

    def grown(x: Tensor, scale: int) -> Tensor:
        return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=True)

    def unit(x: Tensor, name: str) -> Tensor:
        inner = conv(x, layers(f"{name}.conv1")).relu()
        return x + conv(inner, layers(f"{name}.conv2")).relu()

    levels = [grown(conv(x, layers(f"project.{place}")), 2) for place, x in enumerate(maps)]
    fused = unit(levels[3], "levels.3.second")
    for place in (2, 1, 0):
        fused = unit(unit(levels[place], f"levels.{place}.first") + fused, f"levels.{place}.second")
    bins = grown(conv(conv(grown(fused, 4), layers("widen")).relu(), layers("answer")), 2)
    shares = bins.relu() + 0.1
    shares = shares / shares.sum(dim=1, keepdim=True)
    centres = torch.linspace(0.001, 10, shares.shape[1])
    depth = torch.einsum("bkhw,k->bhw", shares, centres)[:, None]
    depth = F.interpolate(depth, true.shape[1:], mode="bilinear", align_corners=True)[:, 0]
    valid = true > 0
    gradient = log_gradient_loss(depth, true, valid)
    return 10 * scale_invariant_loss(depth, true, valid) + 0.5 * gradient


def video_loss(
    networks: VideoNetworks, frames: tuple[Tensor, ...], pyramid: list[Tensor], K: Tensor
) -> Tensor:
    """Loss of Monodepth2 (ICCV 2019) for a target, the frame before it and the one after."""
    target, before, after = frames
    assert networks.pose is not None, "made with one"
    sigmoids = _sigmoids(networks, target)
    motions = (
        source_T_target(*networks.pose(before, target), source_is_earlier=True),
        source_T_target(*networks.pose(target, after), source_is_earlier=False),
    )
    total = torch.zeros(())
    for scale, sigmoid in enumerate(sigmoids):
        share = F.interpolate(sigmoid, target.shape[2:], mode="bilinear", align_corners=False)
        depth = 1 / (1 / 100 + (1 / 0.1 - 1 / 100) * share)
        still = torch.cat([_error(source, target) for source in (before, after)], dim=1)
        still = still + 1e-5 * torch.randn(still.shape)
        warped = [
            _error(_warped(source, depth, K, T), target)
            for source, T in zip((before, after), motions, strict=True)
        ]
        photometric = torch.cat([still, *warped], dim=1).min(dim=1).values.mean()
        total = total + photometric + 1e-3 * _roughness(sigmoid, pyramid[scale]) / 2**scale
    return total / len(sigmoids)


def _sigmoids(networks: VideoNetworks, image: Tensor) -> list[Tensor]:
    features = networks.depth.encoder(image)
    layers = networks.depth.decoder.get_submodule
    x, made = features[-1], list[Tensor]()
    for step, level in enumerate((4, 3, 2, 1, 0)):
        x = F.elu(conv(x, layers(f"decoder.{2 * step}.conv.conv"), reflect=True))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = torch.cat([x, features[level - 1]], dim=1) if level else x
        x = F.elu(conv(x, layers(f"decoder.{2 * step + 1}.conv.conv"), reflect=True))
        if level < 4:
            head = layers(f"decoder.{10 + level}.conv")
            made.insert(0, conv(x, head, reflect=True).sigmoid())
    return made


def _warped(source: Tensor, depth: Tensor, K: Tensor, motion: Tensor) -> Tensor:
    count, _, height, width = source.shape
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([u.flatten(), v.flatten(), torch.ones(height * width)]).float()
    points = depth.flatten(2) * (torch.linalg.inv(K) @ pixels)
    seen = K @ (motion[:, :3, :3] @ points + motion[:, :3, 3:])
    place = (seen[:, :2] / (seen[:, 2:] + 1e-7)).view(count, 2, height, width).permute(0, 2, 3, 1)
    grid = (place / torch.tensor([width - 1, height - 1]) - 0.5) * 2
    return F.grid_sample(source, grid, padding_mode="border", align_corners=True)


def _error(x: Tensor, y: Tensor) -> Tensor:
    a, b = (F.pad(each, (1, 1, 1, 1), mode="reflect") for each in (x, y))
    ma, mb = F.avg_pool2d(a, 3, 1), F.avg_pool2d(b, 3, 1)
    va, vb = F.avg_pool2d(a**2, 3, 1) - ma**2, F.avg_pool2d(b**2, 3, 1) - mb**2
    both = F.avg_pool2d(a * b, 3, 1) - ma * mb
    ssim = (2 * ma * mb + 0.01**2) * (2 * both + 0.03**2)
    ssim = ssim / ((ma**2 + mb**2 + 0.01**2) * (va + vb + 0.03**2))
    structure = ((1 - ssim) / 2).clamp(0, 1).mean(dim=1, keepdim=True)
    return 0.85 * structure + 0.15 * (x - y).abs().mean(dim=1, keepdim=True)


def _roughness(sigmoid: Tensor, image: Tensor) -> Tensor:
    shape = sigmoid / (sigmoid.mean(dim=(2, 3), keepdim=True) + 1e-7)
    edges = [(-image.diff(dim=dim).abs().mean(dim=1, keepdim=True)).exp() for dim in (2, 3)]
    return sum(
        (
            (shape.diff(dim=dim).abs() * edge).mean()
            for dim, edge in zip((2, 3), edges, strict=True)
        ),
        torch.zeros(()),
    )
