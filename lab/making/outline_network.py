"""Networks that sharpen outlines: from where each pixel takes its depth, or each cell its layout.

``OutlineNet`` reads frozen features of the detail network and log depth, and gives a displacement
field: each pixel takes its value from where its displacement leads, so that a ramp at an outline
becomes a step, and no value arises that was not there before (M. Ramamonjisoa, Y. Du and V.
Lepetit, "Predicting Sharp and Accurate Occlusion Boundaries in Monocular Depth Estimation Using
Displacement Fields", CVPR 2020). A displacement is a share of the way along the slope of log depth,
towards the near or the far side, plus a free one.

``LayoutPick`` does the same with the layout, before it is fused: each cell chooses among those
around it.

Both work at a quarter or less of the picture's size, where a convolution of 2x2 with a stride of 2
has read the features at half the size: of two networks of the same cost, the one without enlarged
features is the deeper one.

Functions that act on displacements exist in two forms. ``sharpened`` computes what the graph of
``fused_graph`` computes; ``sharpened_softly`` has gradients.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lab.making.fusing import (
    CELL,
    CHOICES,
    DEAD,
    FARTHEST,
    FLATTEST,
    GUARD,
    LARGEST_LOGIT,
    LAYOUT_LEVEL,
    LEAST_LAND,
    LEVEL,
    PICKS,
    PULL,
    REACH,
    STEEP,
    STEEPEST,
)

_MAPS = 3
"""Maps of log depth that ``OutlineNet`` reads beside the chance of sky."""
_GUARD_SOFTNESS = 0.05
_OWN_LOGIT = 6.0
"""First logit of a cell's own layout."""

LogDepth = Float[Tensor, "b 1 h w"]
Chance = Float[Tensor, "b 1 h w"]
Displacement = Float[Tensor, "b 2 h w"]


class Mix(nn.Sequential):
    """Depthwise and 1x1 convolution, each with ReLU and without a norm."""

    def __init__(self, channels: int, *, kernel: int = 5, dilation: int = 1) -> None:
        padding = kernel // 2 * dilation
        super().__init__(
            nn.Conv2d(
                channels, channels, kernel, padding=padding, dilation=dilation, groups=channels
            ),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
        )


class Features(nn.Module):
    """Features of the detail network, each channel over its deviation.

    Attributes:
        scale: One over the deviation of each channel, measured before the first step.
    """

    scale: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return features of deviation 1, about."""
        return x * self.scale.to(x.dtype).view(1, -1, 1, 1)

    @torch.no_grad()
    def measure(self, deviation: Float[Tensor, "c"]) -> None:
        """Set the scale from the deviation of each channel."""
        self.scale.copy_(1 / deviation.clamp(min=0.2 * float(deviation.median())))


class OutlineNet(nn.Module):
    """Displacement field of a picture, at half its size."""

    def __init__(
        self, *, half: int = 64, quarter: int = 80, narrow: int = 16, width: int = 48
    ) -> None:
        """Make a network that moves nothing yet.

        Args:
            half: Channels of the features at half the size.
            quarter: Channels of the features at a quarter of the size.
            narrow: Channels at half the size.
            width: Channels at a quarter of the size.
        """
        super().__init__()
        self.half_features, self.quarter_features = Features(half), Features(quarter)
        self.fine = nn.Conv2d(half, narrow, 1)
        self.fold = nn.Conv2d(narrow, width, 2, stride=2)
        self.look = nn.Conv2d(_MAPS + 1, width, 4, stride=2, padding=1)
        self.deep = nn.Conv2d(quarter, width, 1)
        self.mixes = nn.ModuleList(Mix(width, dilation=each) for each in (1, 2, 4, 1))
        self.last = nn.Conv2d(width, 12, 1)
        _zero(self.last)

    def forward(
        self,
        half: Float[Tensor, "b c h2 w2"],
        quarter: Float[Tensor, "b d h4 w4"],
        logs: Float[Tensor, "b 3 h w"],
        sky: Chance,
    ) -> Float[Tensor, "b 2 h2 w2"]:
        """Displacement [px of the picture], x before y.

        Args:
            half: Features at half the size.
            quarter: Features at a quarter of the size.
            logs: Log depth: fused, which is displaced, detail's, layout's.
            sky: Chance of sky.
        """
        x = self.fold(F.relu(self.fine(self.half_features(half))))
        maps = self.look(self.inputs(logs, sky))
        x = F.relu(x + maps + self.deep(self.quarter_features(quarter)))
        for mix in self.mixes:
            x = x + mix(x)
        answer = self.last(x).float()
        answer = FARTHEST * torch.tanh(answer / LARGEST_LOGIT)
        way, across, down = answer.split(4, dim=1)
        slope = direction(logs[:, :1])
        x = across + way * slope[:, :1]
        y = down + way * slope[:, 1:]
        field = F.pixel_shuffle(torch.cat([x, y], dim=1), 2)
        # Gradients pass: a displacement that counts for nothing can grow.
        return field - (field * (1 - (field.abs() - DEAD).clamp(0, 1))).detach()

    @staticmethod
    def inputs(logs: Float[Tensor, "b 3 h w"], sky: Chance) -> Float[Tensor, "b 4 h2 w2"]:
        """Log depth about its mean over some 48 px, squashed, and the chance of sky."""
        with torch.autocast(logs.device.type, enabled=False):
            small = F.avg_pool2d(logs.float(), 2)
            wide = F.avg_pool2d(F.avg_pool2d(small, 8), 3, 1, 1, count_include_pad=False)
            size = (small.shape[2], small.shape[3])
            local = torch.tanh((small - enlarged(wide, size)) / LEVEL)
            return torch.cat([local, F.avg_pool2d(sky.float(), 2)], dim=1)


class LayoutPick(nn.Module):
    """Layout whose cells took their log depth from cells around them, before it is fused."""

    kernel: Tensor

    def __init__(self, *, quarter: int = 80, width: int = 32) -> None:
        """Make a network that chooses each cell's own layout, nearly.

        Args:
            quarter: Channels of the features at a quarter of the picture's size.
            width: Channels at an eighth of the picture's size.
        """
        super().__init__()
        self.quarter_features = Features(quarter)
        self.look = nn.Conv2d(4, width, 3, padding=1)
        self.deep = nn.Conv2d(quarter, width, 1)
        self.mixes = nn.ModuleList(Mix(width, dilation=each) for each in (1, 1, 2, 3))
        self.last = nn.Conv2d(width, CHOICES**2, 1)
        bias = _zero(self.last)
        with torch.no_grad():
            bias[CHOICES**2 // 2] = _OWN_LOGIT
        one = torch.eye(CHOICES**2).view(CHOICES**2, 1, CHOICES, CHOICES)
        self.register_buffer("kernel", one, persistent=False)

    def forward(
        self, quarter: Float[Tensor, "b c h4 w4"], coarse: LogDepth, fine: LogDepth, sky: Chance
    ) -> Float[Tensor, "b 1 h8 w8"]:
        """Log depth of the layout at an eighth of the picture's size.

        Args:
            quarter: Features at a quarter of the size.
            coarse: Log depth of the layout, resized to the picture.
            fine: Log depth of the detail.
            sky: Chance of sky.
        """
        with torch.autocast(coarse.device.type, enabled=False):
            coarse, fine, sky = (F.avg_pool2d(each.float(), 8) for each in (coarse, fine, sky))
            both = torch.cat([coarse, fine], dim=1)
            wide = F.avg_pool2d(both, 13, 1, 6, count_include_pad=False)
            local = torch.tanh((both - wide) / LAYOUT_LEVEL)
            order = torch.tanh(coarse - coarse.mean(dim=(2, 3), keepdim=True))
            seen = torch.cat([local, order, sky], dim=1)
        deep = self.deep(F.avg_pool2d(self.quarter_features(quarter), 2))
        x = F.relu(self.look(seen) + deep)
        for mix in self.mixes:
            x = x + mix(x)
        logits = self.last(x).float()
        with torch.autocast(coarse.device.type, enabled=False):
            # Bounded, so that no largest one need be taken off, which is slow in the graph.
            weights = torch.exp(LARGEST_LOGIT * torch.tanh(logits / LARGEST_LOGIT))
            weights = weights / weights.sum(dim=1, keepdim=True)
            # Two cells of 8 pixels apart, as the layout's own cells are.
            around = F.pad(coarse, (CHOICES // 2 * 2,) * 4, mode="replicate")
            choices = F.conv2d(around, self.kernel, dilation=2)
            return (weights * choices).sum(dim=1, keepdim=True)


def _zero(layer: nn.Conv2d) -> Tensor:
    """Set a layer to zero; returns its bias."""
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    return nn.init.zeros_(layer.bias)


def enlarged(x: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """Resize bilinearly to (height, width), pixel centres kept."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def direction(logs: LogDepth) -> Float[Tensor, "b 2 h4 w4"]:
    """Slope of smoothed log depth at a quarter of the size, x before y.

    Its length is near 1 where depth is steep, and near 0 where it is flat.
    """
    with torch.autocast(logs.device.type, enabled=False):
        smooth = F.avg_pool2d(F.avg_pool2d(logs.float(), 4), 3, 1, 1, count_include_pad=False)
        x = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
        across = x[..., 1:-1, 2:] - x[..., 1:-1, :-2]
        down = x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
        slope = torch.cat([across, down], dim=1) / 2
        length = (slope.square().sum(dim=1, keepdim=True) + 1e-12).sqrt()
        return slope / (length + STEEP)


def whole_field(displacement: Float[Tensor, "b 2 h2 w2"], size: tuple[int, int]) -> Displacement:
    """Displacement field at the size of the picture.

    Enlarging is linear, which evens outlines out as means of 3x3 pixels do.
    """
    return enlarged(displacement.float(), size)


def sources(displacement: Displacement) -> Int[Tensor, "b n"]:
    """Number of the pixel that each pixel takes its value from after ``PICKS`` picks, row by row.

    Displacements are rounded to whole pixels and end at the picture's border.
    """
    height, width = displacement.shape[-2:]
    x, y = displacement[:, 0], displacement[:, 1]
    rows = torch.arange(height, device=x.device, dtype=x.dtype).view(-1, 1)
    columns = torch.arange(width, device=x.device, dtype=x.dtype)
    # Halves are rounded up, which every engine does alike.
    row = torch.floor(y + (rows + 0.5)).clamp(0, height - 1)
    column = torch.floor(x + (columns + 0.5)).clamp(0, width - 1)
    once = (row * width + column).long().flatten(1)
    index = once
    for _ in range(PICKS - 1):
        index = once.gather(1, index)
    return index


def taken(values: Float[Tensor, "b c h w"], index: Int[Tensor, "b n"]) -> Float[Tensor, "b c h w"]:
    """Values of the pixels that ``index`` numbers."""
    flat = values.flatten(2)
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1)).view_as(values)


def taken_softly(
    values: Float[Tensor, "b c h w"], displacement: Displacement
) -> Float[Tensor, "b c h w"]:
    """Values from where displacements lead, bilinear between pixels, ``PICKS`` times in a row."""
    height, width = displacement.shape[-2:]
    columns = torch.arange(width, device=values.device, dtype=torch.float32)
    rows = torch.arange(height, device=values.device, dtype=torch.float32).view(-1, 1)
    x = (2 * (displacement[:, 0].float() + columns) + 1) / width - 1
    y = (2 * (displacement[:, 1].float() + rows) + 1) / height - 1
    places = torch.stack([x, y], dim=-1)
    with torch.autocast(values.device.type, enabled=False):
        values = values.float()
        for _ in range(PICKS):
            values = F.grid_sample(
                values, places, mode="bilinear", padding_mode="border", align_corners=False
            )
    return values


def sharpened(
    logs: LogDepth, displacement: Float[Tensor, "b 2 h2 w2"], sky: Chance | None
) -> LogDepth:
    """Log depth as the graph answers it: whole pixels, sky guard, medians.

    Args:
        logs: Fused log depth.
        displacement: Answer of ``OutlineNet``.
        sky: Chance of sky; None for a network without.
    """
    index = sources(whole_field(displacement, (logs.shape[2], logs.shape[3])))
    values = taken(logs, index)
    if sky is not None:
        above = from_sky(taken(sky, index), sky)
        values = torch.where(above, torch.minimum(values, logs), values)
    return median(values)


def sharpened_softly(
    logs: LogDepth, displacement: Float[Tensor, "b 2 h2 w2"], sky: Chance | None
) -> LogDepth:
    """``sharpened`` with gradients: bilinear picks and a gradual guard."""
    field = whole_field(displacement, (logs.shape[2], logs.shape[3]))
    if sky is None:
        return median(taken_softly(logs, field))
    values, seen = taken_softly(torch.cat([logs, sky.to(logs.dtype)], dim=1), field).split(1, dim=1)
    guard = torch.sigmoid((seen - sky - GUARD) / _GUARD_SOFTNESS)
    return median(values + guard * (torch.minimum(values, logs) - values))


def from_sky(seen: Chance, own: Chance) -> Bool[Tensor, "b 1 h w"]:
    """Whether a pixel's source is sky, and the pixel is not."""
    return seen - own > GUARD


def median(x: LogDepth) -> LogDepth:
    """Medians of 3x3 pixels, the border repeated; gradients go to the pixel in the middle."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    around = [
        padded[..., row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    return torch.stack(around, dim=-1).sort(dim=-1).values[..., 4]


def fuse(coarse: LogDepth, fine: LogDepth, sky: Chance) -> LogDepth:
    """Fused log depth, as ``fused_graph.fuse`` writes it.

    Args:
        coarse: Log depth of the layout; resized here where it is smaller.
        fine: Log depth of the detail.
        sky: Chance of sky at the size of ``fine``.
    """
    size = (fine.shape[2], fine.shape[3])
    with torch.autocast(fine.device.type, enabled=False):
        coarse, fine = enlarged(coarse.float(), size), fine.float()
        sure = (4 * sky.float() - 3).clamp(0, 1)
        land = 1 + LEAST_LAND - sure
        weight = _window_means(land)
        one, other, product, square = (
            _window_means(each * land) / weight
            for each in (coarse, fine, coarse * fine, fine * fine)
        )
        slope = (product - one * other + PULL) / (square - other * other + PULL)
        slope = slope.clamp(FLATTEST, STEEPEST)
        logs = enlarged(slope, size) * fine + enlarged(one - slope * other, size)
        return logs + sure * (coarse - logs)


def _window_means(x: LogDepth) -> Float[Tensor, "b 1 h16 w16"]:
    """Means of windows of pixels, one a cell."""
    cells = F.avg_pool2d(x, CELL)
    return F.avg_pool2d(cells, 2 * REACH + 1, 1, REACH, count_include_pad=False)
