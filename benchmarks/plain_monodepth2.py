"""Monodepth2's training step in its most direct form: the yardstick of what ours costs.

Everything as the paper and its program describe it, one formula after the other: every scale is
compared at full size, and for every scale and source SSIM is computed of the source as it is and
of the source warped, sixteen times a step. Weights have the names of its checkpoints.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

MIN_DEPTH, MAX_DEPTH = 0.1, 100.0
_WIDTHS = (16, 32, 64, 128, 256)


class PlainEncoder(nn.Module):
    """Torchvision's ResNet-18 with its features on the way."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.encoder = torchvision.models.resnet18()
        self.encoder.conv1 = nn.Conv2d(3 * frames, 64, 7, 2, 3, bias=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        net = self.encoder
        features = [net.relu(net.bn1(net.conv1((image - 0.45) / 0.225)))]
        features.append(net.layer1(net.maxpool(features[-1])))
        for layer in (net.layer2, net.layer3, net.layer4):
            features.append(layer(features[-1]))
        return features


class PlainConv(nn.Module):
    """Reflection padding and a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(1)
        self.conv = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pad(x))


class PlainBlock(nn.Module):
    """Reflection padding, convolution and ELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = PlainConv(inputs, outputs)
        self.nonlin = nn.ELU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlin(self.conv(x))


class PlainDecoder(nn.Module):
    """Four disparities of an encoder's features, the finest first."""

    def __init__(self) -> None:
        super().__init__()
        channels, layers, inputs = (64, 64, 128, 256, 512), [], 512
        for level in range(4, -1, -1):
            width = _WIDTHS[level]
            skip = channels[level - 1] if level else 0
            layers += [PlainBlock(inputs, width), PlainBlock(width + skip, width)]
            inputs = width
        layers += [PlainConv(_WIDTHS[scale], 1) for scale in range(4)]
        self.decoder = nn.ModuleList(layers)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        x, disparities = features[-1], []
        for step, level in enumerate(range(4, -1, -1)):
            x = self.decoder[2 * step](x)
            parts = [F.interpolate(x, scale_factor=2, mode="nearest")]
            if level:
                parts.append(features[level - 1])
            x = self.decoder[2 * step + 1](torch.cat(parts, 1))
            if level < 4:
                disparities.insert(0, torch.sigmoid(self.decoder[10 + level](x)))
        return disparities


class PlainPose(nn.Module):
    """Axis-angle and translation of two encoded frames."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((512, 256, 1), (256, 256, 3), (256, 256, 3), (256, 12, 1))
        self.net = nn.ModuleList(nn.Conv2d(i, o, k, padding=k // 2) for i, o, k in sizes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.net[0](features))
        x = F.relu(self.net[2](F.relu(self.net[1](x))))
        answer = 0.01 * self.net[3](x).mean(3).mean(2).view(-1, 2, 1, 6)[:, 0, 0]
        return answer[:, :3], answer[:, 3:]


class PlainNetworks(nn.Module):
    """All four."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = nn.ModuleDict({"encoder": PlainEncoder(1), "decoder": PlainDecoder()})
        self.pose = nn.ModuleDict({"encoder": PlainEncoder(2), "decoder": PlainPose()})

    def forward(
        self, target: Tensor, sources: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Disparities, and motion to the frame before and the one after."""
        disparities = self.depth["decoder"](self.depth["encoder"](target))
        motion = []
        for source, earlier in zip(sources, (True, False), strict=True):
            pair = [source, target] if earlier else [target, source]
            features = self.pose["encoder"](torch.cat(pair, 1))[-1]
            motion.append(matrix(*self.pose["decoder"](features), invert=earlier))
        return disparities, motion


def matrix(axis_angle: Tensor, translation: Tensor, *, invert: bool) -> Tensor:
    """The 4x4 matrix of a motion, by Rodrigues' formula, or its inverse."""
    angle = axis_angle.norm(dim=1)[:, None, None]
    x, y, z = (axis_angle / (angle[:, 0] + 1e-7)).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    eye = torch.eye(4, dtype=axis_angle.dtype).repeat(len(axis_angle), 1, 1)
    R, T = eye.clone(), eye.clone()
    R[:, :3, :3] += cross * torch.sin(angle) + cross @ cross * (1 - torch.cos(angle))
    T[:, :3, 3] = -translation if invert else translation
    return R.transpose(1, 2) @ T if invert else T @ R


def ssim_error(x: Tensor, y: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of every colour and pixel."""
    x, y = F.pad(x, (1, 1, 1, 1), mode="reflect"), F.pad(y, (1, 1, 1, 1), mode="reflect")
    mean_x, mean_y = F.avg_pool2d(x, 3, 1), F.avg_pool2d(y, 3, 1)
    variance_x = F.avg_pool2d(x**2, 3, 1) - mean_x**2
    variance_y = F.avg_pool2d(y**2, 3, 1) - mean_y**2
    covariance = F.avg_pool2d(x * y, 3, 1) - mean_x * mean_y
    above = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
    below = (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
    return torch.clamp((1 - above / below) / 2, 0, 1)


def reprojection_error(x: Tensor, y: Tensor) -> Tensor:
    """0.85 SSIM + 0.15 L1, the mean over colours."""
    return 0.85 * ssim_error(x, y).mean(1, True) + 0.15 * (x - y).abs().mean(1, True)


def warped(source: Tensor, depth: Tensor, K: Tensor, T: Tensor) -> Tensor:
    """The source at the pixels where the target's points project to."""
    b, _, height, width = depth.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([columns, rows, torch.ones_like(rows)]).view(1, 3, -1).to(depth)
    points = torch.linalg.inv(K) @ pixels * depth.view(b, 1, -1)
    points = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    projected = K @ T[:, :3] @ points
    place = projected[:, :2] / (projected[:, 2:] + 1e-7)
    place = place.view(b, 2, height, width).permute(0, 2, 3, 1)
    grid = (place / torch.tensor([width - 1, height - 1]) - 0.5) * 2
    return F.grid_sample(source, grid, padding_mode="border", align_corners=True)


def smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Edge-aware smoothness of the disparity divided by its mean."""
    disparity = disparity / (disparity.mean(2, True).mean(3, True) + 1e-7)
    across = (disparity[:, :, :, :-1] - disparity[:, :, :, 1:]).abs()
    down = (disparity[:, :, :-1, :] - disparity[:, :, 1:, :]).abs()
    across = across * torch.exp(-(image[..., :-1] - image[..., 1:]).abs().mean(1, True))
    down = down * torch.exp(-(image[..., :-1, :] - image[..., 1:, :]).abs().mean(1, True))
    return across.mean() + down.mean()


def plain_loss(
    target: Tensor,
    sources: Sequence[Tensor],
    pyramid: Sequence[Tensor],
    K: Tensor,
    disparities: Sequence[Tensor],
    motion: Sequence[Tensor],
) -> Tensor:
    """Minimum over sources, automask, smoothness; the mean over scales."""
    total = torch.zeros(())
    for scale, disparity in enumerate(disparities):
        fine = F.interpolate(disparity, target.shape[2:], mode="bilinear", align_corners=False)
        depth = 1 / (1 / MAX_DEPTH + (1 / MIN_DEPTH - 1 / MAX_DEPTH) * fine)
        moved = [
            reprojection_error(warped(source, depth, K, T), target)
            for source, T in zip(sources, motion, strict=True)
        ]
        still = torch.cat([reprojection_error(source, target) for source in sources], 1)
        still = still + torch.randn(still.shape) * 1e-5
        best, _ = torch.cat([still, *moved], 1).min(dim=1)
        total = total + best.mean() + 1e-3 / 2**scale * smoothness(disparity, pyramid[scale])
    return total / len(disparities)
