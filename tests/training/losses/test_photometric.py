"""SSIM and L1 against scipy, by hand, and the gradient that is written by hand."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates, uniform_filter
from torch import Tensor

from rilievo.training.losses.photometric import (
    photometric_error,
    prepare_target,
    window_sum,
    window_sum_adjoint,
)
from rilievo.training.losses.warped_frames import sample_image
from support.video_loss_by_hand import error_between


def images(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_colour(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


@given(
    seed=st.integers(0, 999),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    ssim=st.floats(0, 1),
)
@example(seed=0, height=4, width=5, ssim=0.0)
@example(seed=0, height=4, width=5, ssim=1.0)
def test_scipy_computes_the_same_error(seed: int, height: int, width: int, ssim: float) -> None:
    x, y = images(seed, 2, 3, height, width), images(seed + 1000, 2, 3, height, width)
    error = photometric_error(x, prepare_target(y), ssim=ssim)
    for k in range(2):
        expected = error_between(in_colour(x[k]), in_colour(y[k]), ssim)
        np.testing.assert_allclose(error[k].numpy(), expected, atol=1e-10)


def test_two_flat_images_worked_out_by_hand() -> None:
    """No variance, so SSIM is (2·0.2·0.6 + C1) / (0.2² + 0.6² + C1)."""
    x, y = torch.full((1, 3, 4, 5), 0.2), torch.full((1, 3, 4, 5), 0.6)
    ssim = (0.24 + 1e-4) / (0.4 + 1e-4)
    expected = 0.85 * (1 - ssim) / 2 + 0.15 * 0.4
    error = photometric_error(x, prepare_target(y))
    torch.testing.assert_close(error, torch.full((1, 4, 5), expected), atol=1e-4, rtol=0)


def test_an_image_is_like_itself_and_the_error_is_the_same_either_way() -> None:
    x, y = images(0, 1, 3, 8, 8), images(1, 1, 3, 8, 8)
    assert photometric_error(x, prepare_target(x)).abs().max() < 1e-14
    torch.testing.assert_close(
        photometric_error(x, prepare_target(y)), photometric_error(y, prepare_target(x))
    )


@pytest.mark.parametrize("ssim", [0.0, 0.85, 1.0])
def test_the_gradient_is_that_of_small_differences(ssim: float) -> None:
    y = prepare_target(images(1, 2, 3, 5, 6))
    x = images(0, 2, 3, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: photometric_error(x, y, ssim=ssim), (x,))


def test_small_images_have_the_right_gradient_at_their_borders() -> None:
    for height, width in ((2, 2), (2, 5), (3, 3)):
        y = prepare_target(images(1, 1, 3, height, width))
        x = images(0, 1, 3, height, width).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, y=y: photometric_error(x, y), (x,))


@given(seed=st.integers(0, 999), height=st.integers(2, 8), width=st.integers(2, 8))
def test_sums_over_windows_and_their_adjoint(seed: int, height: int, width: int) -> None:
    x, y = images(seed, 1, 2, height, width), images(seed + 1, 1, 2, height, width)
    expected = 9 * uniform_filter(x.numpy(), size=(0, 0, 3, 3), mode="mirror")
    np.testing.assert_allclose(window_sum(x).numpy(), expected, atol=1e-12)
    inner = (window_sum(x) * y).sum().item()
    assert (x * window_sum_adjoint(y)).sum().item() == pytest.approx(inner, abs=1e-10)


def test_arguments_are_left_as_they_are() -> None:
    x, y = images(0, 1, 3, 4, 4).requires_grad_(), images(1, 1, 3, 4, 4)
    before = (x.detach().clone(), y.clone())
    photometric_error(x, prepare_target(y)).sum().backward()
    assert torch.equal(x.detach(), before[0])
    assert torch.equal(y, before[1])


def test_a_second_derivative_is_refused() -> None:
    x = images(0, 1, 3, 4, 4).requires_grad_()
    error = photometric_error(x, prepare_target(images(1, 1, 3, 4, 4))).sum()
    [first] = torch.autograd.grad(error, x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()


def test_floats_of_32_bits_are_near_those_of_64() -> None:
    x, y = images(0, 1, 3, 32, 32), images(1, 1, 3, 32, 32)
    narrow = photometric_error(x.float(), prepare_target(y.float()))
    torch.testing.assert_close(
        narrow.double(), photometric_error(x, prepare_target(y)), atol=2e-6, rtol=0
    )


def test_colours_are_sampled_as_scipy_does_between_pixels_and_beyond_the_border() -> None:
    image = images(0, 2, 3, 5, 9)
    pixels = images(1, 2, 2, 4, 6) * torch.tensor([12.0, 8.0])[:, None, None] - 2
    samples = sample_image(image, pixels)
    for colours, places, sampled in zip(image, pixels, samples, strict=True):
        for channel, mine in zip(colours, sampled, strict=True):
            expected = map_coordinates(
                channel.numpy(), places.flip(0).numpy(), order=1, mode="nearest"
            )
            np.testing.assert_allclose(mine.numpy(), expected, atol=1e-12)
