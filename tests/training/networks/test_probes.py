"""Probes against the original in its most direct form, and where their answers lie."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.training.networks.blueprint import DepthChoice
from rilievo.training.networks.features import Box, Features
from rilievo.training.networks.probes import (
    DepthHead,
    Preset,
    Probe,
    load_probe3d_weights,
    make_probe,
)
from support.plain_probe3d import plain_bins, plain_probe, random_state, with_token

CHANNELS = (3, 4, 5, 6)
KINDS = ("dpt", "multiscale", "linear")


def features(
    tokens: int = 2, *, grid: tuple[int, int] = (3, 5), batch: int = 2, dtype=torch.float64
) -> Features:
    height, width = grid[0] * 14, grid[1] * 14
    return Features(
        maps=tuple(torch.randn(batch, c, *grid, dtype=dtype) for c in CHANNELS),
        tokens=tuple(torch.randn(batch, tokens, dtype=dtype) for _ in CHANNELS) if tokens else None,
        padded=(height, width),
        box=Box(top=4, left=3, height=height - 9, width=width - 7),
    )


def joined(given: Features) -> list[Tensor]:
    assert given.tokens is not None
    return [with_token(x, token) for x, token in zip(given.maps, given.tokens, strict=True)]


def original(
    kind: str, outputs: int, *, preset: Preset, kernel: int | None = None
) -> tuple[Probe, dict[str, Tensor]]:
    torch.manual_seed(0)
    hidden = None if kind == "linear" else 8
    probe = make_probe(
        kind, CHANNELS, 2, outputs, preset=preset, hidden=hidden, kernel=kernel
    ).double()
    state = random_state(kind, [c + 2 for c in CHANNELS], outputs, 8, kernel)
    load_probe3d_weights(probe, state)
    return probe, {name: tensor.clone().requires_grad_() for name, tensor in state.items()}


@pytest.mark.parametrize("preset", ["probe3d", "probe3d-old"])
@pytest.mark.parametrize(
    ("kind", "kernel"),
    [*((kind, None) for kind in KINDS), ("dpt", 1), ("multiscale", 3), ("linear", 3)],
)
def test_a_probe_with_original_weights_gives_the_original_depth_and_gradients(
    kind: str, kernel: int | None, preset: Preset
) -> None:
    probe, state = original(kind, 16, preset=preset, kernel=kernel)
    # Without padding a map shrinks.
    given = features(grid=(8, 9) if kind == "multiscale" and kernel else (3, 5))
    head = DepthHead(DepthChoice(bins=16))
    depth = head(probe.logits(given), (31, 50))
    plain = plain_bins(
        plain_probe(kind, state, joined(given), old=preset == "probe3d-old"), 0.001, 10.0
    )
    corners = preset == "probe3d"
    expected = F.interpolate(plain[:, None], size=(31, 50), mode="bilinear", align_corners=corners)[
        :, 0
    ]
    torch.testing.assert_close(depth, expected, rtol=0, atol=1e-9)
    weights = torch.randn_like(depth)
    (depth * weights).sum().backward()
    (expected * weights).sum().backward()
    gradients = {name: tensor.grad for name, tensor in state.items()}
    load_probe3d_weights(probe, {name: g for name, g in gradients.items() if g is not None})
    for name, parameter in probe.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, parameter.data, rtol=1e-7, atol=1e-9)
