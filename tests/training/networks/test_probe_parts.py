"""Merged and chunked parts of probes against whole maps; where answers lie; heads; refusals."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.training.networks.blueprint import PROBES, DepthChoice, Form, ProbeChoice, Readout
from rilievo.training.networks.features import Box, Features
from rilievo.training.networks.probes import (
    DepthHead,
    Logits,
    NormalsHead,
    Probe,
    load_probe3d_weights,
    make_probe,
)
from rilievo.training.networks.probes.heads import BinSettings, expected_depth
from rilievo.training.networks.probes.probe import TokenConv
from rilievo.training.networks.probes.upsampled_convolution import (
    Upsampling,
    upsample_conv,
    upsample_conv_relu_conv,
    wide_conv,
)
from rilievo.training.networks.probes.upsampling import UpsamplingMode
from support.plain_probe3d import plain_bins, random_state, with_token

ENLARGEMENTS: tuple[UpsamplingMode, ...] = ("centres", "corners", "nearest")
WHOLE = Box(top=0, left=0, height=42, width=56)


def whole(x: Tensor, scale: int, upsampling_mode: UpsamplingMode) -> Tensor:
    if upsampling_mode == "nearest":
        return x.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    corners = upsampling_mode == "corners"
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=corners)


def features(*channels: int, box: Box = WHOLE, batch: int = 2, tokens: int = 0) -> Features:
    return Features(
        maps=tuple(torch.randn(batch, c, 3, 4) for c in channels),
        tokens=tuple(torch.randn(batch, tokens) for _ in channels) if tokens else None,
        padded=(42, 56),
        box=box,
    )


def narrow(kind: str, channels: tuple[int, ...], tokens: int, outputs: int) -> Probe:
    width = None if kind in ("linear", "bnhead") else 10
    return make_probe(kind, channels, tokens, outputs, hidden=width)


def logits_of(values: Tensor, *, box: Box = WHOLE, crop: bool = True) -> Logits:
    return Logits(
        values=values, scale=2, upsampling_mode="centres", padded=(42, 56), box=box, crop=crop
    )


@given(
    scale=st.integers(1, 4),
    taps=st.sampled_from([1, 3, 5]),
    size=st.tuples(st.integers(1, 5), st.integers(1, 13)),
    upsampling_mode=st.sampled_from(ENLARGEMENTS),
)
def test_a_lifted_convolution_is_that_of_the_enlarged_map(
    scale: int, taps: int, size: tuple[int, int], upsampling_mode: UpsamplingMode
) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    first = nn.Conv2d(3, 4, taps, padding=taps // 2).double()
    second = nn.Conv2d(4, 2, 3, padding=1).double()
    upsampling = Upsampling(scale, upsampling_mode)
    pairs = [
        (upsample_conv(x, first, upsampling), first(whole(x, scale, upsampling_mode))),
        (
            upsample_conv_relu_conv(x, first, second, upsampling),
            second(torch.relu(first(whole(x, scale, upsampling_mode)))),
        ),
    ]
    parameters = [x, *first.parameters()]
    for ours, plain in pairs:
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-9)
        weights = torch.randn_like(plain)
        gradients = [torch.autograd.grad(y, parameters, weights) for y in (ours, plain)]
        for found, expected in zip(*gradients, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("taps", [1, 3, 5])
@pytest.mark.parametrize("height", [1, 2, 35, 36, 71])
def test_a_wide_convolution_is_the_plain_one_and_so_are_its_gradients(
    height: int, taps: int
) -> None:
    x = torch.randn(2, 256, height, 5).to(memory_format=torch.channels_last).requires_grad_()
    convolution = nn.Conv2d(256, 8, taps, padding=taps // 2)
    parameters = [x, *convolution.parameters()]
    ours, plain = wide_conv(x, convolution), convolution(x)
    assert torch.equal(ours, plain)
    exact = [parameter.detach().double().requires_grad_() for parameter in parameters]
    weights = torch.randn_like(plain)
    found = torch.autograd.grad(ours, parameters, weights)
    expected = torch.autograd.grad(F.conv2d(*exact, padding=taps // 2), exact, weights.double())
    for mine, right in zip(found, expected, strict=True):
        assert float((mine - right).norm() / right.norm()) < 1e-6


@pytest.mark.parametrize("scale", [2, 4])
def test_a_wide_lifted_convolution_has_the_gradients_of_the_enlarged_map(scale: int) -> None:
    # Of some draws a value before the ReLU lies so near to 0 that single precision turns its sign.
    torch.manual_seed(scale)
    x = torch.randn(2, 256, 11, 4).to(memory_format=torch.channels_last).requires_grad_()
    first, second = nn.Conv2d(256, 256, 3, padding=1), nn.Conv2d(256, 8, 3, padding=1)
    parameters = [x, *first.parameters(), *second.parameters()]
    made = upsample_conv_relu_conv(x, first, second, Upsampling(scale, "centres"))
    weights = torch.randn_like(made)
    found = torch.autograd.grad(made, parameters, weights)
    exact = [parameter.detach().double().requires_grad_() for parameter in parameters]
    between = F.conv2d(whole(exact[0], scale, "centres"), *exact[1:3], padding=1).relu()
    plain = F.conv2d(between, *exact[3:], padding=1)
    assert float((made - plain).detach().norm() / plain.detach().norm()) < 1e-6
    expected = torch.autograd.grad(plain, exact, weights.double())
    for mine, right in zip(found, expected, strict=True):
        assert float((mine - right).norm() / right.norm()) < 3e-6


@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_by_the_held_map_have_the_bits_of_those_by_a_recomputed_one(batch: int) -> None:
    x = torch.randn(batch, 8, 5, 6).requires_grad_()
    first, second = nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 3, 3, padding=1)
    parameters = [x, *first.parameters(), *second.parameters()]
    made = upsample_conv_relu_conv(x, first, second, Upsampling(4, "corners"))
    weights = torch.randn_like(made)
    held, recomputed = (
        torch.autograd.grad(made, parameters, weights, retain_graph=True) for _ in range(2)
    )
    assert all(torch.equal(mine, again) for mine, again in zip(held, recomputed, strict=True))


@pytest.mark.parametrize("upsampling_mode", ENLARGEMENTS)
@pytest.mark.parametrize("normalisation", ["linear", "softmax", "sigmoid"])
def test_depth_by_strips_is_depth_of_the_whole_map(
    normalisation: str, upsampling_mode: UpsamplingMode
) -> None:
    values = torch.randn(2, 6, 11, 5, dtype=torch.float64, requires_grad=True)
    centres = torch.linspace(0.001, 10, 6, dtype=torch.float64)
    ours = expected_depth(values, centres, BinSettings(2, upsampling_mode, normalisation))
    plain = plain_bins(whole(values, 2, upsampling_mode), 0.001, 10, normalisation)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-9)
    weights = torch.randn_like(plain)
    gradients = [torch.autograd.grad(y, values, weights)[0] for y in (ours, plain)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)


@pytest.mark.parametrize("upsampling_mode", ENLARGEMENTS)
@pytest.mark.parametrize("normalisation", ["linear", "softmax", "sigmoid"])
def test_the_most_probable_bin_has_the_largest_share_of_the_whole_map(
    normalisation: str, upsampling_mode: UpsamplingMode
) -> None:
    values = torch.randn(2, 6, 11, 5, dtype=torch.float64)
    choice = DepthChoice(
        bins=6, normalisation=normalisation, readout=Readout.MOST_PROBABLE, largest=10.0
    )
    logits = replace(logits_of(values), upsampling_mode=upsampling_mode, padded=(22, 10))
    logits = replace(logits, box=Box(top=0, left=0, height=22, width=10))
    head = DepthHead(choice)
    upsampled = whole(values, 2, upsampling_mode)
    shares = {
        "linear": upsampled.relu() + 0.1,
        "softmax": upsampled.exp(),
        "sigmoid": 1 / (1 + (-upsampled).exp()),
    }[normalisation]
    first = torch.zeros(2, 22, 10, dtype=torch.long)
    for bin in range(1, 6):
        best = shares.gather(1, first[:, None])[:, 0]
        first[shares[:, bin] > best] = bin
    expected = 0.001 + first.double() * ((10 - 0.001) / 5)
    torch.testing.assert_close(head.eval()(logits, (22, 10)), expected, rtol=0, atol=1e-12)
    # Training reads the expectation, which has a gradient.
    expected = plain_bins(upsampled, 0.001, 10, normalisation)
    torch.testing.assert_close(head.train()(logits, (22, 10)), expected, rtol=0, atol=1e-9)


def test_a_folded_class_token_is_the_token_at_every_place() -> None:
    layer = TokenConv(3, 2, 4, 3)
    x, token = torch.randn(2, 3, 5, 6), torch.randn(2, 2)
    plain = F.conv2d(with_token(x, token), layer.weight, layer.bias)
    torch.testing.assert_close(layer(x, token), plain)


@pytest.mark.parametrize("kind", PROBES)
def test_every_probe_answers_at_any_size_and_learns_everywhere(kind: str) -> None:
    torch.manual_seed(0)
    probe = narrow(kind, (3, 4, 5, 6), 2, 5)
    given_features = features(3, 4, 5, 6, tokens=2)
    answer = probe(given_features, (40, 53))
    assert answer.shape == (2, 5, 40, 53)
    answer.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in probe.parameters())


@pytest.mark.parametrize("kind", PROBES)
def test_the_same_features_give_the_same_answer_twice_and_alone(kind: str) -> None:
    probe = narrow(kind, (3, 4, 5, 6), 2, 5).eval()
    given_features = features(3, 4, 5, 6, tokens=2)
    both = probe(given_features, (42, 56))
    torch.testing.assert_close(probe(given_features, (42, 56)), both)
    assert given_features.tokens is not None
    second = Features(
        maps=tuple(x[1:] for x in given_features.maps),
        tokens=tuple(x[1:] for x in given_features.tokens),
        padded=given_features.padded,
        box=given_features.box,
    )
    torch.testing.assert_close(probe(second, (42, 56)), both[1:], rtol=1e-4, atol=1e-5)


def test_a_pyramid_is_brought_to_cells_of_sixteen_pixels() -> None:
    probe = make_probe("linear", (2, 3), 0, 4)
    maps = (torch.randn(1, 2, 16, 24), torch.randn(1, 3, 2, 3))
    pyramid = Features(
        maps=maps, tokens=None, padded=(64, 96), box=Box(top=0, left=0, height=64, width=96)
    )
    assert probe.logits(pyramid).values.shape == (1, 4, 4, 6)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (4, 6), (14, 20)])
def test_a_ramp_over_the_padded_image_is_read_at_the_pixels_it_lies_under(
    top: int, left: int
) -> None:
    box = Box(top=top, left=left, height=20, width=30)
    # Values at the middles of the cells of 14 pixels: the head sees 2x, cells of 7 pixels.
    columns = torch.arange(4, dtype=torch.float64) * 14 + 6.5
    rows = torch.arange(3, dtype=torch.float64) * 14 + 6.5
    ramp = (rows[:, None] * 100 + columns)[None, None]
    head = DepthHead(DepthChoice(form=Form.EXPONENTIAL))
    depth = head(logits_of(ramp / 1e7, box=box), (20, 30)).log() * 1e7
    expected = (torch.arange(20)[:, None] + top) * 100.0 + torch.arange(30) + left
    inside = (slice(14, -14), slice(14, -14))  # farther out the ramp is cut off by the border
    full = torch.full((42, 56), torch.nan, dtype=torch.float64)
    full[inside] = 1
    kept = full[top : top + 20, left : left + 30] == 1
    assert kept.any()
    torch.testing.assert_close(depth[0][kept], expected.double()[kept], rtol=0, atol=0.1)


def test_stretched_padding_moves_the_answer_and_cropped_padding_does_not() -> None:
    values = torch.zeros(1, 1, 6, 8)
    values[..., 4:] = 1.0
    box = Box(top=0, left=14, height=42, width=42)
    head = DepthHead(DepthChoice(form=Form.EXPONENTIAL))
    edge = [
        int((head(logits_of(values, box=box, crop=crop), (42, 42))[0, 20] > 1.6).sum())
        for crop in (True, False)
    ]
    assert edge == [28, 21]


def test_bins_hold_both_ends_and_a_dead_map_reads_as_their_mean() -> None:
    dead = DepthHead(DepthChoice())(logits_of(torch.full((1, 256, 3, 4), -1.0)), (42, 56))
    torch.testing.assert_close(dead, torch.full((1, 42, 56), 5.0005))
    sure = torch.zeros(1, 4, 3, 4)
    sure[:, 2] = 50.0
    reading = DepthChoice(bins=4, spacing="log", least=0.1, largest=100.0, normalisation="softmax")
    torch.testing.assert_close(
        DepthHead(reading)(logits_of(sure), (42, 56)), torch.full((1, 42, 56), 10.0)
    )


def test_direct_depth_stays_in_its_range() -> None:
    head = DepthHead(DepthChoice(form=Form.SIGMOID, least=1.0, largest=5.0))
    for logit, depth in ((-100.0, 1.0), (0.0, 3.0), (100.0, 5.0)):
        read = head(logits_of(torch.full((1, 1, 3, 4), logit)), (42, 56))
        torch.testing.assert_close(read, torch.full((1, 42, 56), depth))


def test_normals_are_unit_and_kappa_is_positive() -> None:
    raw = torch.randn(2, 4, 3, 4)
    here = NormalsHead()(logits_of(raw), (42, 56))
    torch.testing.assert_close(here.normals.norm(dim=1), torch.ones(2, 42, 56))
    assert here.kappa is not None
    assert (here.kappa > 0.01).all()
    plain = NormalsHead(uncertainty=False)(logits_of(raw[:, :3]), (42, 56))
    assert plain.kappa is None


def test_kappa_of_raw_zero_is_a_little_over_one() -> None:
    answer = NormalsHead()(logits_of(torch.zeros(1, 4, 3, 4)), (42, 56))
    assert answer.kappa is not None
    torch.testing.assert_close(answer.kappa, torch.full((1, 42, 56), 1.01))


def test_one_probe_serves_both_tasks() -> None:
    depth, normals = DepthHead(DepthChoice(bins=8)), NormalsHead()
    probe = make_probe("light", (3,), 0, 12, hidden=10)
    logits = probe.logits(features(3))
    assert depth(logits.select_channels(0, 8), (42, 56)).shape == (2, 42, 56)
    assert normals(logits.select_channels(8, 12), (42, 56)).normals.shape == (2, 3, 42, 56)


@pytest.mark.parametrize("kind", PROBES)
def test_half_precision_reads_and_learns_finite_depth(kind: str) -> None:
    probe, head = narrow(kind, (3, 4), 2, 8), DepthHead(DepthChoice(bins=8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        depth = head(probe.logits(features(3, 4, tokens=2)), (42, 56))
    assert depth.dtype == torch.float32
    depth.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in probe.parameters())


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    probe = make_probe("dpt", (3, 4, 5, 6), 2, 16, hidden=8)
    with pytest.raises(ModelError, match="was created for"):
        probe.logits(features(3, 4, 5, 6))
    with pytest.raises(ModelError, match="cannot be used for depth"):
        DepthHead(DepthChoice())(logits_of(torch.zeros(1, 3, 3, 4)), (42, 56))
    with pytest.raises(OptionError, match="did you mean 'linear'"):
        make_probe("linaer", (3,), 0, 4)
    with pytest.raises(OptionError, match="has no hidden"):
        make_probe("linear", (3,), 0, 4, hidden=8)
    with pytest.raises(OptionError, match="positive and in ascending order"):
        DepthChoice(least=3.0, largest=2.0)
    with pytest.raises(InputError, match="extends beyond"):
        features(3, box=Box(top=1, left=0, height=42, width=56))
    with pytest.raises(InputError, match="class tokens"):
        Features(
            maps=(torch.zeros(1, 2, 3, 4),),
            tokens=(torch.zeros(1, 2), torch.zeros(1, 2)),
            padded=(42, 56),
            box=WHOLE,
        )


def test_a_probe_of_ones_own_is_named_by_its_place() -> None:
    kind = ProbeChoice(kind="support.gated_probe:Gated").kind
    probe = make_probe(kind, (3, 4), 0, 5)
    assert probe(features(3, 4), (40, 53)).shape == (2, 5, 40, 53)
    with pytest.raises(OptionError, match="no probe 'gated'; known: linear, multiscale, dpt"):
        ProbeChoice(kind="gated")
    with pytest.raises(OptionError, match="is not a probe: it does not derive"):
        make_probe("support.gated_probe:nn", (3,), 0, 4)
    with pytest.raises(
        ModelError, match=r"'support\.gated_probe:Broken' cannot be created: KeyError"
    ):
        make_probe("support.gated_probe:Broken", (3,), 0, 4)


def test_weights_of_another_probe_are_refused() -> None:
    probe = make_probe("dpt", (3, 4, 5, 6), 0, 16, hidden=8)
    with pytest.raises(ModelError, match="the weights do not fit this probe"):
        load_probe3d_weights(probe, random_state("multiscale", (3, 4, 5, 6), 16, 8))
    with pytest.raises(ModelError, match="same numbers of channels"):
        load_probe3d_weights(probe, random_state("dpt", (3, 4, 5, 7), 16, 8))
    with pytest.raises(ModelError, match="with kernel=1"):
        load_probe3d_weights(probe, random_state("dpt", (3, 4, 5, 6), 16, 8, 1))
    with pytest.raises(ModelError, match="must be odd"):
        make_probe("dpt", (3, 4, 5, 6), 0, 16, hidden=8, kernel=2)
    with pytest.raises(OptionError, match="has no kernel"):
        make_probe("light", (3,), 0, 4, kernel=3)
    with pytest.raises(ModelError, match="no probe like"):
        load_probe3d_weights(make_probe("light", (3,), 0, 4), {})
