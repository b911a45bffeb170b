"""Near and far come out the right way round, or the user is told once."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.models import load_model
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.onnx_files.polarity import SCENES, polarity_note, swapped_pictures
from rilievo.models.outside import OutsideModel
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo


class Learned:
    """A network that knows the three pictures: a ramp from near at ``near`` to far at ``far``."""

    def __init__(self, kind: DepthKind | None, *, inverse: bool) -> None:
        self.inverse = inverse
        self.card = ModelCard(name="test/learned", summary="", kind=kind, licence="MIT")

    def __call__(self, photo: Photo) -> Inference:
        scene = SCENES[Path(photo.name).name]
        depth = np.full(photo.shape, 3.0, np.float32)
        depth[scene.near.slices(photo.shape)] = 1.0
        depth[scene.far.slices(photo.shape)] = 9.0
        return Inference(depth=1 / depth if self.inverse else depth)

    def model(self) -> OutsideModel:
        return OutsideModel(self.card, self, weights_sha256="0" * 64)


@pytest.mark.parametrize("name", ["rilievo/base", "rilievo/small"])
def test_the_embedded_models_tell_near_from_far_on_every_picture(name: str) -> None:
    assert swapped_pictures(load_model(name, device="cpu")) == []


@pytest.mark.parametrize("inverse", [True, False])
@pytest.mark.parametrize("kind", DepthKind)
def test_a_kind_is_doubted_where_near_and_far_are_turned_round(
    kind: DepthKind, inverse: bool
) -> None:
    note = polarity_note(Learned(kind, inverse=inverse).model())
    if inverse == (kind is DepthKind.AFFINE_INVERSE):
        assert note is None
    else:
        assert note is not None
        assert "with the right kind" in note
        assert f"the stated kind is {kind}" in note
