"""Probe3D's probes, heads and losses in their most direct form, as its paper and program say.

Independent of the package: whole maps, broadcast class tokens, loops. Weights come under the
original's names.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]


def random_state(
    kind: str, channels: Sequence[int], outputs: int, hidden: int, kernel: int | None = None
) -> dict[str, Tensor]:
    """Weights of float64 under the original's names; ``channels`` count the class token."""
    k = kernel or (3 if kind == "dpt" else 1)
    if kind == "linear":
        shapes = {"conv": (outputs, sum(channels), k)}
    elif kind == "multiscale":
        shapes = {f"convs.{i}": (hidden, c, k) for i, c in enumerate(channels)}
        shapes["conv_mid.0"] = (hidden, hidden * len(channels), k)
        shapes |= {name: (hidden, hidden, k) for name in ("conv_mid.2", "conv_mid.4", "conv_out.0")}
        shapes["conv_out.2"] = (outputs, hidden, k)
    else:
        shapes = {f"conv_{i}": (hidden, c, 1) for i, c in enumerate(channels)}
        for level in range(4):
            for unit in (2,) if level == 3 else (1, 2):
                for layer in (0, 2):
                    name = f"ref_{level}.resConfUnit{unit}.conv.{layer}"
                    shapes[name] = (hidden, hidden, k)
        shapes["out_conv.0"], shapes["out_conv.2"] = (hidden, hidden, 3), (outputs, hidden, 3)
    state: dict[str, Tensor] = {}
    for name, (out, into, side) in shapes.items():
        weight = torch.randn(out, into, side, side, dtype=torch.float64)
        state[f"head.{name}.weight"] = weight / (side * math.sqrt(into))
        state[f"head.{name}.bias"] = torch.randn(out, dtype=torch.float64) / 10
    return state


def plain_probe(kind: str, state: State, maps: Sequence[Tensor], *, old: bool = False) -> Tensor:
    """The original's forward pass; ``maps`` hold the class token as channels."""
    if kind == "linear":
        return _conv(state, "conv", _grow(torch.cat(list(maps), dim=1), 4, old=old, dpt=False))
    if kind == "multiscale":
        levels = [_bare(state, f"convs.{i}", x) for i, x in enumerate(maps)]
        x = _grow(torch.relu(torch.cat(levels, dim=1)), 2, old=old, dpt=False)
        x = torch.relu(_bare(state, "conv_mid.0", x))
        x = torch.relu(_bare(state, "conv_mid.2", x))
        x = _grow(torch.relu(_bare(state, "conv_mid.4", x)), 4, old=old, dpt=False)
        return _bare(state, "conv_out.2", torch.relu(_bare(state, "conv_out.0", x)))
    levels = [_grow(_conv(state, f"conv_{i}", x), 2, old=old, dpt=True) for i, x in enumerate(maps)]
    out = _residual(state, "ref_3.resConfUnit2", levels[3])
    for i in (2, 1, 0):
        out = _residual(state, f"ref_{i}.resConfUnit1", levels[i]) + out
        out = _residual(state, f"ref_{i}.resConfUnit2", out)
    out = torch.relu(_conv(state, "out_conv.0", _grow(out, 4, old=old, dpt=True)))
    return _grow(_conv(state, "out_conv.2", out), 2, old=old, dpt=True)


def plain_bins(logits: Tensor, least: float, most: float, normalisation: str = "linear") -> Tensor:
    """Depth of every place of a map of bins."""
    bins = logits.shape[1]
    steps = [least + (most - least) * i / (bins - 1) for i in range(bins)]
    if normalisation == "softmax":
        share = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
    elif normalisation == "sigmoid":
        share = 1 / (1 + torch.exp(-logits))
    else:
        share = torch.clamp(logits, min=0) + 0.1
    share = share / share.sum(dim=1, keepdim=True)
    return sum((share[:, i] * step for i, step in enumerate(steps)), torch.zeros(()))


def with_token(x: Tensor, token: Tensor) -> Tensor:
    """The class token at every place, behind the map's channels."""
    everywhere = token.view(*token.shape, 1, 1) * torch.ones_like(x[:, :1])
    return torch.cat([x, everywhere], dim=1)


def _grow(x: Tensor, scale: int, *, old: bool, dpt: bool) -> Tensor:
    if old and dpt:
        return x.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=not old)


def _conv(state: State, name: str, x: Tensor) -> Tensor:
    weight = state[f"head.{name}.weight"]
    return F.conv2d(x, weight, state[f"head.{name}.bias"], padding=weight.shape[-1] // 2)


def _bare(state: State, name: str, x: Tensor) -> Tensor:
    """A convolution without padding, as all of the multiscale probe are."""
    return F.conv2d(x, state[f"head.{name}.weight"], state[f"head.{name}.bias"])


def _residual(state: State, name: str, x: Tensor) -> Tensor:
    inner = torch.relu(_conv(state, f"{name}.conv.0", x))
    return torch.relu(_conv(state, f"{name}.conv.2", inner)) + x


def plain_scale_invariant(predicted: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """Loss over all valid pixels of the batch, one pixel after the other."""
    terms = [
        torch.log(p + 0.001) - math.log(t + 0.001)
        for p, t, v in zip(
            predicted.flatten(), true.flatten().tolist(), valid.flatten(), strict=True
        )
        if v
    ]
    errors = torch.stack(terms)
    return torch.sqrt((errors**2).mean() - 0.85 * errors.mean() ** 2)


def plain_gradient(predicted: Tensor, true: Tensor, valid: Tensor, *, old: bool = False) -> Tensor:
    """Loops over strides, axes and pairs; the old form strides and pairs over the batch alone."""
    error = torch.log(predicted + 0.001) - torch.log(true + 0.001)
    total = torch.zeros((), dtype=predicted.dtype)
    for stride in (1, 2, 4, 6):
        images, rows, columns = (
            range(0, n, stride if (axis == 0) == old else 1) for axis, n in enumerate(error.shape)
        )
        count, found = 0, torch.zeros((), dtype=predicted.dtype)
        for b in images:
            for r in rows:
                for c in columns:
                    if not valid[b, r, c]:
                        continue
                    count += 1
                    jump = 2 * stride
                    others = [(b + jump, r, c)] if old else [(b, r + jump, c), (b, r, c + jump)]
                    for o in others:
                        inside = all(i < n for i, n in zip(o, error.shape, strict=True))
                        if inside and valid[o]:
                            found = found + (error[b, r, c] - error[o]).abs()
        total = total + found / max(count, 1)
    return total
