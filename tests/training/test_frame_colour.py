import itertools

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import OptionError
from rilievo.training.engine.frame_colour import (
    ColourChange,
    _change_planes_in_place,
    _order_and_amounts,
    change_colours,
)
from rilievo.training.video.frames.target_frames import draw_colour_change
from rilievo.training.video.video_config import VideoAugmentation

RNG = np.random.default_rng(4)
FRAME = RNG.integers(0, 256, (33, 47, 3), dtype=np.uint8)
FRAME[:4] = RNG.integers(0, 256, (4, 47, 1), dtype=np.uint8)  # grey has no hue
FRAME[4:6], FRAME[6:8] = 0, 255
FLOATS = np.ascontiguousarray((FRAME / 255).astype(np.float32).transpose(2, 0, 1))


def by_torchvision(image: torch.Tensor, change: ColourChange) -> torch.Tensor:
    for kind in change.order:
        image = (
            lambda each: F.adjust_brightness(each, change.brightness),
            lambda each: F.adjust_contrast(each, change.contrast),
            lambda each: F.adjust_saturation(each, change.saturation),
            lambda each: F.adjust_hue(each, change.hue),
        )[kind](image)
    return image


def changed_floats(floats: np.ndarray, change: ColourChange) -> np.ndarray:
    """Change the colours of floats in 0..1 as ``changed`` does, without its rounding."""
    result = floats.copy()
    _change_planes_in_place(result, *_order_and_amounts(change))
    return result


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_changes_are_those_of_torchvision_in_every_order(order: tuple[int, ...]) -> None:
    change = ColourChange(order=order, brightness=1.17, contrast=0.83, saturation=1.2, hue=-0.093)
    expected = by_torchvision(torch.from_numpy(FLOATS), change).numpy()
    np.testing.assert_allclose(changed_floats(FLOATS, change), expected, atol=1e-5)
    rounded = change_colours(FRAME, change).transpose(2, 0, 1)
    np.testing.assert_allclose(rounded, expected * 255, atol=0.502)


@given(
    st.floats(0, 2),
    st.floats(0, 2),
    st.floats(0, 2),
    st.floats(-0.5, 0.5),
    st.permutations(range(4)),
)
def test_changes_are_those_of_torchvision_at_any_strength(
    brightness: float, contrast: float, saturation: float, hue: float, order: list[int]
) -> None:
    change = ColourChange(
        order=tuple(order), brightness=brightness, contrast=contrast, saturation=saturation, hue=hue
    )
    expected = by_torchvision(torch.from_numpy(FLOATS), change).numpy()
    # A turn of hue divides by the spread of a pixel, so that nearly grey ones carry its rounding.
    np.testing.assert_allclose(changed_floats(FLOATS, change), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "value"), [("brightness", 0.8), ("contrast", 1.2), ("saturation", 0.85), ("hue", 0.07)]
)
def test_each_change_is_within_a_level_of_torchvision_on_bytes(name: str, value: float) -> None:
    adjust = getattr(F, f"adjust_{name}")
    expected = adjust(torch.from_numpy(FRAME.transpose(2, 0, 1).copy()), value).numpy()
    ours = change_colours(FRAME, ColourChange(**{name: value})).transpose(2, 0, 1)
    assert np.abs(ours.astype(int) - expected).max() <= 1


def test_no_change_leaves_every_level() -> None:
    levels = np.arange(256, dtype=np.uint8)
    frame = np.stack(np.meshgrid(levels, levels), axis=-1)
    frame = np.concatenate([frame, frame[..., :1]], axis=-1)
    np.testing.assert_array_equal(change_colours(frame, ColourChange()), frame)


def test_a_change_leaves_its_input() -> None:
    frame = FRAME.copy()
    change_colours(frame, ColourChange(brightness=0.5, hue=0.3))
    np.testing.assert_array_equal(frame, FRAME)


def test_draws_stay_in_their_ranges_and_use_every_order() -> None:
    rng = np.random.default_rng(0)
    draws = [draw_colour_change(VideoAugmentation(), rng) for _ in range(400)]
    for name in ("brightness", "contrast", "saturation"):
        values = [getattr(draw, name) for draw in draws]
        assert min(values) >= 0.8
        assert max(values) <= 1.2
        assert max(values) - min(values) > 0.38
    assert max(abs(draw.hue) for draw in draws) <= 0.1
    assert len({draw.order for draw in draws}) == 24


def test_an_order_that_lacks_a_change_is_refused() -> None:
    with pytest.raises(OptionError, match="each number from 0 to 3"):
        ColourChange(order=(0, 1, 2, 2))
