"""Networks that learn depth from video: sizes, motion, seeds, and what they start from."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rilievo.errors import ModelError, OptionError
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.decoder import DepthDecoder
from rilievo.training.networks.video.depth_network import (
    DepthNet,
    sigmoid_to_depth,
    sigmoid_to_inverse_depth,
)
from rilievo.training.networks.video.encoders import ResNetEncoder, TimmEncoder
from rilievo.training.networks.video.pose_networks import PoseNet, make_pose_net, source_T_target
from rilievo.training.networks.video.video_networks import make_networks

SIZE = (64, 96)
SMALL = VideoBlueprint(encoder="lite", pose=PoseKind.CNN, size=SIZE)


pytestmark = pytest.mark.usefixtures("one_thread")


def image(size: tuple[int, int] = SIZE, *, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_the_published_networks_have_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        for name, encoder, decoder in (
            ("resnet18", 11_176_512, 3_152_724),
            ("resnet50", 23_508_032, 9_014_100),
        ):
            depth = DepthNet(VideoBlueprint(encoder=name))
            assert count_parameters(depth.encoder) == encoder
            assert count_parameters(depth.decoder) == decoder
        pose = make_pose_net(VideoBlueprint(), (-1, 1))
    assert count_parameters(pose.encoder) == 11_185_920
    assert count_parameters(pose.decoder) == 1_314_572


def test_the_light_network_is_light() -> None:
    with torch.device("meta"):
        assert count_parameters(DepthNet(VideoBlueprint(encoder="lite"))) <= 3_500_000


def test_colours_are_normalised_as_monodepth2_normalises_them() -> None:
    encoder = DepthNet(VideoBlueprint(encoder="lite", size=SIZE)).eval().encoder
    picture = image()
    with torch.no_grad():
        for said, wanted in zip(
            encoder(picture), encoder.maps((picture - 0.45) / 0.225), strict=True
        ):
            torch.testing.assert_close(said, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    ["resnet18", "lite", "timm/test_resnet", "timm/test_vit", "timm/test_convnext"],
)
@pytest.mark.parametrize("scales", [(0, 1, 2, 3), (1, 2)])
def test_every_encoder_gives_a_disparity_at_each_scale_from_0_to_1(
    encoder: str, scales: tuple[int, ...]
) -> None:
    blueprint = VideoBlueprint(encoder=encoder, size=SIZE, scales=scales)
    with torch.no_grad():
        said = DepthNet(blueprint).eval()(image())
    assert [tuple(each.shape) for each in said] == [
        (1, 1, SIZE[0] >> scale, SIZE[1] >> scale) for scale in scales
    ]
    assert all(0 < each.min() < each.max() < 1 for each in said)


@pytest.mark.slow
def test_maps_with_their_channels_last_are_turned() -> None:
    """Swin's features are compared with those of the model's own forward pass."""
    encoder = TimmEncoder("timm/swin_tiny_patch4_window7_224", (64, 64)).eval()
    found = encoder(image((64, 64)))
    direct = encoder.body((image((64, 64)) - 0.45) / 0.225)
    for mine, theirs, channels in zip(found, direct, (96, 192, 384, 768), strict=True):
        assert mine.shape[1] == channels
        torch.testing.assert_close(mine, theirs.movedim(-1, 1))


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ("resnet81", r"no encoder 'resnet81'; did you mean 'resnet18'"),
        ("tiny", "no encoder 'tiny'"),
        ("timm/resnet81", "no model 'resnet81' in timm"),
        ("timm/vit_small_patch14_dinov2", "features at 1/14"),
    ],
)
def test_an_encoder_that_does_not_serve_is_refused_in_a_line(encoder: str, words: str) -> None:
    with pytest.raises((ModelError, OptionError), match=words) as caught:
        DepthNet(VideoBlueprint(encoder=encoder, size=SIZE))
    assert "\n" not in str(caught.value)


def test_a_scale_that_the_encoders_features_are_too_fine_for_is_refused() -> None:
    with pytest.raises(OptionError, match="too fine for scale 3: use scales up to 2"):
        DepthDecoder((16, 32), (4, 8), (0, 1, 2, 3))


def test_a_pose_network_has_a_resnet_for_encoder() -> None:
    with pytest.raises(OptionError, match="no pose encoder 'lite'"):
        make_pose_net(VideoBlueprint(size=SIZE, pose_encoder="lite"), (1,))


def test_a_pose_network_that_rectifies_after_pooling_has_the_bits_of_one_that_does_before() -> None:
    ours = PoseNet("resnet18").train()
    plain = ResNetEncoder("resnet18", colours=6).train()
    plain.load_state_dict(ours.encoder.state_dict())
    frames = image(), image(seed=1)
    features = plain(torch.cat(frames, dim=1))[-1]
    assert torch.equal(ours.encoder(torch.cat(frames, dim=1))[-1], features)
    torch.cat(ours(*frames)).sum().backward()
    torch.cat(ours.decoder(features)).sum().backward()
    for (name, mine), theirs in zip(
        ours.encoder.named_parameters(), plain.parameters(), strict=True
    ):
        assert torch.equal(mine.grad, theirs.grad), name


@given(sigmoid=st.floats(0, 1))
def test_a_sigmoid_is_linear_in_inverse_depth_between_the_least_and_the_largest(
    sigmoid: float,
) -> None:
    answer = sigmoid_to_depth(torch.tensor([0.0, sigmoid, 1.0], dtype=torch.float64), SMALL)
    far, between, near = (1 / answer).tolist()
    assert far == pytest.approx(0.01)
    assert near == pytest.approx(10)
    assert between == pytest.approx(0.01 * (1 - sigmoid) + 10 * sigmoid)


three = st.lists(st.floats(-2, 2), min_size=3, max_size=3)


@settings(deadline=None)
@given(axis_angle=three, translation=three)
def test_motion_of_an_earlier_source_is_the_inverse_of_that_of_a_later_one(
    axis_angle: list[float], translation: list[float]
) -> None:
    v = torch.tensor([axis_angle], dtype=torch.float64)
    t = torch.tensor([translation], dtype=torch.float64)
    forward = source_T_target(v, t, source_is_earlier=False)
    back = source_T_target(v, t, source_is_earlier=True)
    torch.testing.assert_close(forward @ back, torch.eye(4, dtype=torch.float64)[None])
    x, y, z = axis_angle
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    torch.testing.assert_close(forward[0, :3, :3], torch.linalg.matrix_exp(cross))
    torch.testing.assert_close(forward[0, :3, 3], t[0])


def test_a_network_that_says_no_motion_can_learn_to_turn() -> None:
    """The gradient at rest is that of the exponential: dR01/dvz = -1, not 0."""
    v = torch.zeros(1, 3, requires_grad=True)
    source_T_target(v, torch.zeros(1, 3), source_is_earlier=False)[0, 0, 1].backward()
    torch.testing.assert_close(v.grad, torch.tensor([[0.0, 0.0, -1.0]]))


def test_motion_keeps_its_digits_under_half_precision() -> None:
    v, t = torch.tensor([[0.01, -0.02, 0.03]]), torch.tensor([[0.1, 0.2, 0.3]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = source_T_target(v, t, source_is_earlier=True)
    torch.testing.assert_close(half, source_T_target(v, t, source_is_earlier=True))


@pytest.mark.parametrize("encoder", ["lite", "resnet18"])
def test_disparity_and_motion_come_in_float32_whatever_computes_them(encoder: str) -> None:
    blueprint = replace(SMALL, encoder=encoder)
    networks = make_networks(blueprint, offsets=(1,), seed=0).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        said = networks(image(), (image(seed=1),))
    assert {each.dtype for each in said.sigmoids} == {torch.float32}
    assert said.source_T_target[0].dtype == torch.float32


@pytest.mark.parametrize("pose", [PoseKind.SEPARATE, PoseKind.SHARED, PoseKind.CNN])
def test_the_motion_of_each_source_is_that_of_its_pair_in_time(pose: PoseKind) -> None:
    """Computed by hand: the pose network over (earlier, later), inverted where the source is
    earlier.
    """
    blueprint = replace(SMALL, pose=pose, mask=True)
    networks = make_networks(blueprint, offsets=(-1, 2, 0), seed=0).eval()
    target, before, after, eye = (image(seed=each) for each in range(4))
    with torch.no_grad():
        said = networks(target, (before, after, eye))
        unit = torch.ones(1)
        if pose is PoseKind.CNN:
            unit = (0.01 + 9.99 * said.sigmoids[0]).mean()
        first = networks.pose(before, target)
        second = networks.pose(target, after)
    expected = source_T_target(first[0], first[1] * unit, source_is_earlier=True)
    torch.testing.assert_close(said.source_T_target[0], expected)
    expected = source_T_target(second[0], second[1] * unit, source_is_earlier=False)
    torch.testing.assert_close(said.source_T_target[1], expected)
    assert said.source_T_target[2] is None
    assert [tuple(each.shape) for each in said.masks] == [
        (1, 3, SIZE[0] >> scale, SIZE[1] >> scale) for scale in range(4)
    ]
    torch.testing.assert_close(said.sigmoids, networks.depth(target))


@pytest.mark.slow
def test_a_shared_encoder_sees_all_frames_of_a_step_in_one_batch() -> None:
    """Batch statistics are those of the target and all its sources at once, as published."""
    blueprint = replace(SMALL, encoder="resnet18", pose=PoseKind.SHARED)
    networks = make_networks(blueprint, offsets=(-1, 1, 0), seed=0).train()
    alone = make_networks(blueprint, offsets=(-1, 1, 0), seed=0).train()
    views = tuple(torch.cat([image(seed=2 * k), image(seed=2 * k + 1)]) for k in range(4))
    said = networks(views[0], views[1:])
    maps = alone.depth.encoder(torch.cat(views))
    target, before, after = (tuple(each[2 * k : 2 * k + 2] for each in maps) for k in range(3))
    torch.testing.assert_close(said.sigmoids, alone.depth.decoder(target))
    first = alone.pose.predict_from_features(before, target)
    expected = source_T_target(*first, source_is_earlier=True)
    torch.testing.assert_close(said.source_T_target[0], expected)
    second = alone.pose.predict_from_features(target, after)
    expected = source_T_target(*second, source_is_earlier=False)
    torch.testing.assert_close(said.source_T_target[1], expected)
    # One update of the running statistics a step, the same one.
    for mine, theirs in zip(networks.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def parallaxes_of(blueprint: VideoBlueprint, shift: float) -> torch.Tensor:
    """Sideways shift of each pixel [px over the focal length] where depth is 1 / exp(shift)."""
    networks = make_networks(blueprint, offsets=(1,), seed=0).double().eval()
    for head in networks.depth.decoder.decoder[-len(blueprint.scales) :]:
        head.conv.bias.data += shift
    with torch.no_grad():
        answer = networks(image().double(), (image(seed=1).double(),))
    inverse = sigmoid_to_inverse_depth(answer.sigmoids[0][0, 0], blueprint)
    return inverse * answer.source_T_target[0][0, :3, 3].norm()


@pytest.mark.slow
def test_parallax_does_not_hang_on_the_scale_of_depth() -> None:
    """Sigmoids this small are e to what the head says, and inverse depth follows them."""
    known = replace(SMALL, encoder="resnet18", min_depth=1e-6, max_depth=1e9)
    cancels = replace(known, cancels_scale=True)
    first, second = (parallaxes_of(cancels, shift) for shift in (-12.0, -14.0))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=0.0)
    # The published unit makes it grow with the square.
    first, second = (parallaxes_of(known, shift) for shift in (-12.0, -14.0))
    torch.testing.assert_close(first, second * math.exp(4), rtol=1e-2, atol=0.0)


def test_no_gradient_reaches_depth_through_the_unit_that_cancels_its_scale() -> None:
    blueprint = replace(SMALL, cancels_scale=True)
    networks = make_networks(blueprint, offsets=(1,), seed=0)
    networks(image(), (image(seed=1),)).source_T_target[0].sum().backward()
    assert all(each.grad is None for each in networks.depth.parameters())


@pytest.mark.parametrize("cancels", [True, False])
def test_motion_of_a_float64_network_keeps_its_digits(cancels: bool) -> None:
    blueprint = replace(SMALL, cancels_scale=cancels)
    networks = make_networks(blueprint, offsets=(1,), seed=0).double().eval()
    with torch.no_grad():
        answer = networks(image().double(), (image(seed=1).double(),))
        _, translation = networks.pose(image().double(), image(seed=1).double())
    mean = sigmoid_to_inverse_depth(answer.sigmoids[0], blueprint).mean()
    expected = translation[0] / mean if cancels else translation[0] * mean
    torch.testing.assert_close(answer.source_T_target[0][0, :3, 3], expected, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize(("pose", "offsets"), [(PoseKind.NONE, (-1, 1)), (PoseKind.CNN, (0,))])
def test_where_motion_is_known_there_is_no_pose_network(
    pose: PoseKind, offsets: tuple[int, ...]
) -> None:
    networks = make_networks(replace(SMALL, pose=pose), offsets=offsets, seed=0)
    assert networks.pose is None
    said = networks(image(), tuple(image(seed=1) for _ in offsets))
    assert said.source_T_target == (None,) * len(offsets)
    assert said.masks is None


def test_a_shared_encoder_is_in_the_state_once_and_learns_from_both() -> None:
    networks = make_networks(replace(SMALL, pose=PoseKind.SHARED), offsets=(1,), seed=0)
    assert not any("encoder" in name for name in networks.pose.state_dict())
    first = networks.depth.encoder.stem[0][0].weight
    networks(image(), (image(seed=1),)).source_T_target[0].sum().backward()
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_the_mean_of_an_images_border_is_its_reflection() -> None:
    """A decoder sees no black frame around an image: of a flat one it says one number."""
    networks = make_networks(VideoBlueprint(size=SIZE, pose=PoseKind.NONE), offsets=(0,), seed=0)
    decoder = networks.depth.decoder.eval()
    flat = tuple(
        torch.ones(1, channels, SIZE[0] // each, SIZE[1] // each)
        for channels, each in zip((64, 64, 128, 256, 512), (2, 4, 8, 16, 32), strict=True)
    )
    with torch.no_grad():
        said = decoder(flat)[0]
    assert math.isclose(float(said.min()), float(said.max()), rel_tol=1e-5)
