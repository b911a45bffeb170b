"""Outdoor scenes under pale skies, which little but their place tells from what stands before."""

import numpy as np

from lab.scenes import Kind, TextureBank, renderer
from lab.scenes.renderer import render
from lab.scenes.skies import overcast, sky

SIZE = (96, 128)


def saturation(colours: np.ndarray) -> float:
    """Mean of (largest - smallest) / largest of red, green and blue."""
    high, low = colours.max(axis=-1), colours.min(axis=-1)
    return float(((high - low) / np.maximum(high, 1e-6)).mean())


def test_a_closed_cover_of_clouds_is_pale_and_continues_itself() -> None:
    covers, clears = (
        [make(np.random.default_rng(k)) for k in range(40)] for make in (overcast, sky)
    )
    assert all((each > 0).all() and each.shape == (64, 256, 3) for each in covers)
    assert np.mean([saturation(each) for each in covers]) < 0.6 * np.mean(
        [saturation(each) for each in clears]
    )
    for each in covers:
        inner = np.abs(np.diff(each, axis=1)).max()
        assert np.abs(each[:, 0] - each[:, -1]).max() < 2 * inner + 0.02


def test_a_frame_is_drawn_by_name_alone_with_sky_and_ground(textures: TextureBank) -> None:
    assert renderer.VENUES[Kind.PALE_SKIES][1] == 0, "frames of all kinds stay what they were"
    one, other = (render(3, size=SIZE, textures=textures, kind=Kind.PALE_SKIES) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    seen = [render(k, size=SIZE, textures=textures, kind=Kind.PALE_SKIES) for k in range(12)]
    shares = [float(each.sky.mean()) for each in seen if each.sky is not None]
    assert len(shares) == 12
    assert 0.15 < np.mean(shares) < 0.75
    for each in seen:
        assert each.sky is not None
        assert each.depth_valid is not None
        assert not (each.sky & each.depth_valid).any()
