"""A model that says the same of every photograph."""

from collections.abc import Sequence

import numpy as np

from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo


class FixedDepth(Model):
    """Answers the depth that it is given, as right proportions without a size."""

    def __init__(self, depth: np.ndarray) -> None:
        self.card = ModelCard(
            name="test/fixed-depth",
            summary="",
            kind=DepthKind.UP_TO_SCALE,
            normals=False,
            licence="none",
            commercial=False,
            megabytes=0.0,
            extra=None,
            speed="",
            loader="",
        )
        self.weights_sha256, self.settings = "", {}
        self._depth = depth.astype(np.float32)

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [Inference(depth=self._depth) for _ in photos]
