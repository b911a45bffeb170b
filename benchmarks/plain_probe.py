"""Probe3D's DPT probe in its most direct form: the yardstick of what ours costs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainProbe(nn.Module):
    """Weights under the names of Probe3D's program; whole maps, broadcast class tokens."""

    def __init__(self, channels: int, outputs: int, hidden: int = 512) -> None:
        super().__init__()
        for level in range(4):
            self.add_module(f"conv_{level}", nn.Conv2d(channels, hidden, 1))
            units = {"resConfUnit2": _unit(hidden)}
            if level < 3:
                units["resConfUnit1"] = _unit(hidden)
            self.add_module(f"ref_{level}", nn.ModuleDict(units))
        self.out_conv = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 3, padding=1),
        )

    def forward(self, maps: list[Tensor], tokens: list[Tensor], size: int) -> Tensor:
        """Depth [m] at a square size."""
        joined = [
            torch.cat([x, t[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
            for x, t in zip(maps, tokens, strict=True)
        ]
        levels = [_grow(self.get_submodule(f"conv_{i}")(x), 2) for i, x in enumerate(joined)]
        out = self._refine(3, 2, levels[3])
        for level in (2, 1, 0):
            out = self._refine(level, 2, self._refine(level, 1, levels[level]) + out)
        out = _grow(self.out_conv(_grow(out, 4)), 2).relu() + 0.1
        out = out / out.sum(dim=1, keepdim=True)
        centres = torch.linspace(0.001, 10, out.shape[1], dtype=out.dtype)
        depth = torch.einsum("bchw,c->bhw", out, centres)[:, None]
        return F.interpolate(depth, size=(size, size), mode="bilinear", align_corners=True)[:, 0]

    def _refine(self, level: int, unit: int, x: Tensor) -> Tensor:
        return self.get_submodule(f"ref_{level}.resConfUnit{unit}.conv")(x) + x


def _unit(hidden: int) -> nn.ModuleDict:
    layers = [
        layer
        for _ in range(2)
        for layer in (nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(inplace=True))
    ]
    return nn.ModuleDict({"conv": nn.Sequential(*layers)})


def _grow(x: Tensor, scale: int) -> Tensor:
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=True)
