"""Evaluation scores a model's own numbers: nothing of another model reaches a score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.alignment import anchor
from rilievo.models.base import Inference
from rilievo.predicting.photographs import anchoring
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.affine_answers import SCALE, SHIFT, AffineAnswer
from support.tiny_evaluation import run_tiny


class Knows(AffineAnswer):
    """Answers the true inverse depth of the tiny dataset, up to a scale and a shift."""

    def __init__(self, root: Path) -> None:
        super().__init__(DepthKind.AFFINE_INVERSE)
        self._true = {
            np.load(root / "image" / path.relative_to(root / "depth")).tobytes(): np.load(path)
            for path in (root / "depth").rglob("*.npy")
        }

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        true = [self._true[photo.pixels.tobytes()] for photo in photos]
        return [
            Inference(depth=(SCALE / np.where(z > 0, z, 2) + SHIFT).astype(np.float32))
            for z in true
        ]


def test_scores_and_caches_of_affine_depth_need_no_second_model(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Knows(root)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("evaluation anchored depth")

    for place, name in (
        (anchor, "anchor_values"),
        (anchoring, "fit_anchoring"),
        (anchoring, "reference_depth"),
    ):
        monkeypatch.setattr(place, name, refuse)
    found = run_tiny(model, root, "depth", output=tmp_path / "out")
    assert len(found.scores) == 6
    assert found.kind == DepthKind.AFFINE_INVERSE
    [photo, *_] = sorted((root / "image").rglob("*.npy"))
    with pytest.raises(AssertionError, match="evaluation anchored depth"):
        rilievo.predict(np.load(photo), model=model).mesh()
