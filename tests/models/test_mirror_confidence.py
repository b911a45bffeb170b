"""Confidence by agreement with the mirror image."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import skimage.data

import rilievo
from rilievo.errors import OptionError
from rilievo.models.base import Inference, WrappedModel
from rilievo.models.refinement.mirror_confidence import (
    MirrorConfidence,
    confidence_from_difference,
    mirror_difference,
)
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo


class Wavering(WrappedModel):
    """A model whose answer about the left half of what it sees is another depth at each call."""

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        chance = np.random.default_rng(int(photos[0].pixels[0, 0, 0]))
        answers = []
        for photo in photos:
            depth = np.ones(photo.shape, np.float32)
            dark = photo.pixels[..., 0] < 128
            depth[dark] = np.exp(chance.normal(0, 0.5, int(dark.sum())))
            answers.append(Inference(depth=depth))
        return answers


def halves() -> Photo:
    """A photograph whose left half is dark; its first pixel tells it from its mirror image."""
    pixels = np.full((40, 96, 3), 200, np.uint8)
    pixels[:, :48] = 20
    return Photo(pixels=pixels)


def test_it_is_high_where_the_model_agrees_with_itself_and_low_where_not() -> None:
    model = MirrorConfidence(Wavering(rilievo.load_model("rilievo/small")))
    [answer] = model.infer([halves()])
    assert answer.confidence is not None
    assert answer.confidence[:, :40].max() < answer.confidence[:, 56:].min()
    assert ((answer.confidence > 0) & (answer.confidence < 1)).all()


def test_a_common_factor_is_no_difference() -> None:
    """Depth is up to scale, so the answers are compared after their median ratio."""
    depth = np.random.default_rng(1).uniform(1, 5, (30, 50)).astype(np.float32)
    everywhere = np.ones(depth.shape, bool)
    np.testing.assert_allclose(mirror_difference(depth, 3 * depth, everywhere), 0, atol=1e-6)


def test_the_window_averages_as_a_loop_does() -> None:
    chance = np.random.default_rng(2)
    depth, other = np.exp(chance.normal(0, 0.3, (2, 12, 72))).astype(np.float32)
    ratio = np.log(depth / other)
    apart = np.abs(ratio - np.median(ratio))
    for row, column in ((0, 0), (5, 30), (11, 71)):
        rows = slice(max(row - 2, 0), row + 3)
        window = apart[rows, max(column - 2, 0) : column + 3]
        found = mirror_difference(depth, other, np.ones(depth.shape, bool))[row, column]
        assert found == pytest.approx(window.mean(), rel=1e-4)


def test_more_difference_is_less_confidence() -> None:
    confidence = confidence_from_difference(np.array([[0, 0.01, 0.1, 1, np.inf]], np.float32))
    assert (np.diff(confidence[0]) < 0).all()
    assert confidence[0, -1] == 0


def test_pixels_without_an_answer_are_the_least_sure() -> None:
    depth = np.exp(np.random.default_rng(3).normal(0, 0.1, (24, 48))).astype(np.float32)
    inside = np.ones(depth.shape, bool)
    inside[:, :10] = False
    found = mirror_difference(depth, np.ones_like(depth), inside)
    assert found[:, :6].min() >= found[:, 14:].max()


def test_depth_stays_and_the_result_names_it() -> None:
    image = skimage.data.coffee()
    plain, mirror = (
        rilievo.predict(image, model="rilievo/small", confidence=each) for each in ("own", "mirror")
    )
    np.testing.assert_array_equal(plain.depth.values, mirror.depth.values)
    assert mirror.made_by.settings["confidence"] == "mirror"
    assert "confidence" not in plain.made_by.settings
    assert mirror.confidence is not None
    assert plain.confidence is not None
    assert not np.allclose(plain.confidence, mirror.confidence, atol=0.02)


def test_what_it_cannot_be_of_is_refused() -> None:
    with pytest.raises(OptionError, match="cannot be combined"):
        rilievo.predict(halves(), flip=True, confidence="mirror")
    with pytest.raises(OptionError, match="own or mirror, got 'mirrored'"):
        rilievo.predict(halves(), confidence="mirrored")
    affine = WrappedModel.__new__(Wavering)
    WrappedModel.__init__(affine, rilievo.load_model("rilievo/small"))
    affine.card = replace(affine.card, kind=DepthKind.AFFINE_INVERSE)
    with pytest.raises(OptionError, match="choose a model of kind 'metric' or 'up_to_scale'"):
        MirrorConfidence(affine)
