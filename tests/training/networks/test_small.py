"""The embedded model's network: published weights, shapes, the convex upsampling."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rilievo.errors import ModelError
from rilievo.training.networks.mobilenetv2 import MobileNetV2, gluon_name, load_gluon_mobilenet
from rilievo.training.networks.small import ConvexUpsample, SmallNet, Spread


def published_arrays(encoder: MobileNetV2) -> dict[str, np.ndarray]:
    return {
        gluon_name(name): value.numpy()
        for name, value in encoder.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize(
    ("ours", "published"),
    [
        ("conv0.weight", "mobilenetv20_features_conv0_weight"),
        ("batchnorm0.bias", "mobilenetv20_features_batchnorm0_beta"),
        (
            "linearbottleneck.9.batchnorm1.running_var",
            "mobilenetv20_features_linearbottleneck9_batchnorm1_running_var",
        ),
        (
            "linearbottleneck.16.conv2.weight",
            "mobilenetv20_features_linearbottleneck16_conv2_weight",
        ),
    ],
)
def test_names_are_gluons(ours: str, published: str) -> None:
    assert ours in MobileNetV2().state_dict()
    assert gluon_name(ours) == published


def test_published_weights_load_whatever_else_the_file_holds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = MobileNetV2(), MobileNetV2()
    arrays = published_arrays(source) | {"mobilenetv20_output_pred_weight": np.zeros(3)}
    np.savez(tmp_path / "encoder.npz", **arrays)  # pyright: ignore[reportArgumentType]
    load_gluon_mobilenet(target, tmp_path / "encoder.npz")
    image = torch.rand(1, 3, 64, 64)
    for mine, theirs in zip(target.eval()(image), source.eval()(image), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_missing_or_misshapen_array_is_named(tmp_path: Path) -> None:
    arrays = published_arrays(MobileNetV2())
    name = "mobilenetv20_features_linearbottleneck3_conv1_weight"
    path = tmp_path / "encoder.npz"
    for wrong in ({}, {name: np.zeros((2, 1, 3, 3), np.float32)}):
        rest = {key: value for key, value in arrays.items() if key != name}
        np.savez(path, **rest, **wrong)  # pyright: ignore[reportArgumentType]
        with pytest.raises(ModelError, match=f"encoder.npz.*{name}"):
            load_gluon_mobilenet(MobileNetV2(), path)
    path.write_bytes(b"not a zip")
    with pytest.raises(ModelError, match=r"cannot read.*: is not an \.npz archive$"):
        load_gluon_mobilenet(MobileNetV2(), path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ModelError, match=r"cannot read.*: is not an \.npz archive$"):
        load_gluon_mobilenet(MobileNetV2(), tmp_path / "one.npy")


def test_the_pyramid_halves_and_widens_as_its_names_say() -> None:
    pyramid = MobileNetV2().eval()(torch.rand(1, 3, 64, 96))
    sizes = [(level.shape[1], 64 // level.shape[2], 96 // level.shape[3]) for level in pyramid]
    expected = [(32, 2, 2), (16, 2, 2), (24, 4, 4), (64, 8, 8), (96, 16, 16), (320, 32, 32)]
    assert sizes == expected


@pytest.mark.parametrize("size", [(64, 96), (96, 32)])
def test_depth_comes_at_the_images_size_and_normals_at_half(size: tuple[int, int]) -> None:
    surface = SmallNet().eval()(torch.zeros(2, *size, 3, dtype=torch.uint8))
    assert surface.log_depth.shape == (2, *size)
    assert surface.normals.shape == (2, 3, size[0] // 2, size[1] // 2)


def test_upsampling_invents_nothing_outside_the_neighbours() -> None:
    torch.manual_seed(0)
    upsample = ConvexUpsample(8).eval()
    values = torch.rand(1, 1, 6, 6)
    doubled = upsample(values, 20 * torch.randn(1, 8, 6, 6))
    padded = torch.nn.functional.pad(values, (1, 1, 1, 1), mode="replicate")
    highest = torch.nn.functional.max_pool2d(padded, 3, 1).repeat_interleave(2, 2)
    lowest = -torch.nn.functional.max_pool2d(-padded, 3, 1).repeat_interleave(2, 2)
    assert (doubled <= highest.repeat_interleave(2, 3) + 1e-5).all()
    assert (doubled >= lowest.repeat_interleave(2, 3) - 1e-5).all()
    assert doubled.std() > 0


@pytest.mark.parametrize("corner", range(4))
@pytest.mark.parametrize("neighbour", [0, 4, 8])
def test_each_of_four_pixels_may_follow_each_of_nine_neighbours(
    corner: int, neighbour: int
) -> None:
    """One large logit makes the output pixel copy that neighbour (up to 8 weights of e⁻⁶)."""
    upsample = ConvexUpsample(4).eval()
    torch.nn.init.zeros_(upsample.weigh.weight)
    assert upsample.weigh.bias is not None
    torch.nn.init.constant_(upsample.weigh.bias, -60.0)
    with torch.no_grad():
        upsample.weigh.bias[9 * corner + neighbour] = 60.0
    values = torch.arange(25.0).view(1, 1, 5, 5)
    doubled = upsample(values, torch.zeros(1, 4, 5, 5))
    row, column = 2 + neighbour // 3 - 1, 2 + neighbour % 3 - 1
    copied = doubled[0, 0, 4 + corner // 2, 4 + corner % 2]
    assert copied.item() == pytest.approx(values[0, 0, row, column].item(), abs=1e-2)


def test_the_expected_error_may_depend_on_how_much_coarse_features_vary() -> None:
    """The weights of the features' level are zero, so that only their variation counts."""
    torch.manual_seed(0)
    spread = Spread(features=4, coarsest=3).eval()
    first = spread.whole[0]
    assert isinstance(first, torch.nn.Conv2d)
    with torch.no_grad():
        first.weight[:, :3] = 0
    fine = torch.rand(1, 4, 8, 8)
    waves = torch.tensor([-1.0, 1.0]).repeat(8).view(1, 1, 4, 4).repeat(1, 3, 1, 1)

    calm = spread(fine, torch.zeros(1, 3, 4, 4))
    torch.testing.assert_close(spread(fine, torch.full((1, 3, 4, 4), 5.0)), calm)
    torch.testing.assert_close(spread(fine, 5 + waves), spread(fine, waves))
    assert not torch.allclose(spread(fine, waves), calm, atol=1e-3)
