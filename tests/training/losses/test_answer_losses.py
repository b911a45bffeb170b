"""Losses by the kind of depth: what a kind leaves open does not count, and what it states does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.records.depth_map import DepthKind
from rilievo.training.losses.answer_losses import answer_error, answer_loss, depth_target

FACTOR = st.floats(0.1, 10)
SHIFT = st.floats(-0.5, 5)


def maps(seed: int, *, holes: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A prediction, a target and its valid pixels, of two images."""
    random = np.random.default_rng(seed)
    predicted, target = 1 + 4 * random.random((2, 2, 17, 21))
    valid = random.random((2, 17, 21)) > (0.3 if holes else -1)
    valid[0, 0, 0] = True
    return tuple(map(torch.from_numpy, (predicted, target, valid)))


def by_hand(error: np.ndarray, valid: np.ndarray) -> float:
    """Mean |e| plus half the gradients at strides 1, 2, 4 and 8, of one image, pixel by pixel."""
    total = float(
        np.mean([abs(e) for e, known in zip(error.flat, valid.flat, strict=True) if known])
    )
    for stride in (1, 2, 4, 8):
        e, known = error[::stride, ::stride], valid[::stride, ::stride]
        for down, right in ((0, 1), (1, 0)):
            pairs = [
                abs(e[i + down, j + right] - e[i, j])
                for i in range(e.shape[0] - down)
                for j in range(e.shape[1] - right)
                if known[i, j] and known[i + down, j + right]
            ]
            total += 0.5 * float(np.mean(pairs)) if pairs else 0.0
    return total


def normalised(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Values less the lower median, over the mean absolute deviation."""
    known = np.sort(values[valid])
    off = values - known[(known.size - 1) // 2]
    return off / np.abs(off[valid]).mean()


@pytest.mark.parametrize("kind", [DepthKind.UP_TO_SCALE, DepthKind.AFFINE_INVERSE])
def test_losses_are_those_computed_pixel_by_pixel(kind: DepthKind) -> None:
    predicted, target, valid = maps(0)
    expected = []
    for p, t, known in zip(predicted.numpy(), target.numpy(), valid.numpy(), strict=True):
        if kind is DepthKind.UP_TO_SCALE:
            error = np.log(p) - np.log(t)
            error -= error[known].mean()
        else:
            error = normalised(p, known) - normalised(t, known)
        expected.append(by_hand(error, known))
    found = float(answer_loss(kind, predicted, target, valid))
    assert found == pytest.approx(np.mean(expected), rel=1e-9)


def test_metric_depth_has_the_loss_of_eigen_and_adabins() -> None:
    predicted, target, valid = maps(1)
    error = np.log(predicted.numpy() + 1e-3) - np.log(target.numpy() + 1e-3)
    error = error[valid.numpy()]
    expected = np.sqrt(np.mean(error**2) - 0.85 * np.mean(error) ** 2)
    found = float(answer_loss(DepthKind.METRIC, predicted, target, valid))
    assert found == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(factor=FACTOR, shift=SHIFT)
def test_a_scale_and_a_shift_of_affine_depth_do_not_count(factor: float, shift: float) -> None:
    predicted, target, valid = maps(2)
    kind = DepthKind.AFFINE_INVERSE
    moved = answer_loss(kind, factor * predicted + shift, target, valid)
    assert float(moved) == pytest.approx(float(answer_loss(kind, predicted, target, valid)))
    same = answer_error(kind, factor * target + shift, target, valid)
    assert float(same.abs().max()) < 1e-9


@settings(deadline=None, max_examples=25)
@given(factor=FACTOR)
def test_a_scale_counts_for_metric_depth_alone(factor: float) -> None:
    predicted, target, valid = maps(3)
    kind = DepthKind.UP_TO_SCALE
    assert float(answer_loss(kind, factor * predicted, target, valid)) == pytest.approx(
        float(answer_loss(kind, predicted, target, valid))
    )
    error = answer_error(DepthKind.METRIC, factor * target, target, valid)
    assert error[valid].numpy() == pytest.approx(np.log(factor), abs=1e-9)


@pytest.mark.parametrize("kind", [*DepthKind])
def test_pixels_that_are_not_valid_are_not_read(kind: DepthKind) -> None:
    predicted, target, valid = maps(4)
    before = answer_loss(kind, predicted, target, valid)
    target[~valid] = 0.0
    predicted = torch.where(valid, predicted, 77.0).requires_grad_()
    loss = answer_loss(kind, predicted, target, valid)
    assert loss.item() == pytest.approx(before.item())
    loss.backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert not predicted.grad[~valid].any()
    nothing = torch.zeros_like(valid)
    assert answer_loss(kind, predicted, target, nothing).item() == 0


def test_truth_is_inverted_for_affine_inverse_depth_alone_and_unknown_stays_zero() -> None:
    depth = torch.tensor([[[2.0, 0.0, 0.5]]])
    inverse = depth_target(DepthKind.AFFINE_INVERSE, depth)
    assert inverse.tolist() == [[[0.5, 0.0, 2.0]]]
    assert depth_target(DepthKind.METRIC, depth) is depth
