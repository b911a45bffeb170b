"""A model whose answers are known."""

from collections.abc import Sequence

import numpy as np

from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo


class Relief(Model):
    """The same relief for every frame, times the frame's own whim; seen at half the size.

    With a sky, the uppermost fourth is far and sky.
    """

    weights_sha256 = "0" * 64
    settings = {}  # noqa: RUF012

    def __init__(
        self,
        whims: Sequence[float] = (1.0,),
        *,
        kind: DepthKind | None = DepthKind.UP_TO_SCALE,
        shifts: Sequence[float] = (0.0,),
        has_sky: bool = False,
    ) -> None:
        self.card = ModelCard(
            name="test/relief",
            summary="",
            kind=kind,
            normals=True,
            licence="MIT",
            commercial=True,
            megabytes=0.0,
            extra=None,
            speed="",
            loader="",
        )
        self._whims, self._shifts, self.seen = whims, shifts, 0
        self._has_sky = has_sky

    @staticmethod
    def relief(size: tuple[int, int]) -> np.ndarray:
        v, u = np.mgrid[: size[0], : size[1]].astype(np.float32)
        return 2 + np.sin(u / 9) * np.cos(v / 7) + u / size[1]

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [self._one(photo) for photo in photos]

    def _one(self, photo: Photo) -> Inference:
        height, width = photo.shape[0] // 2, photo.shape[1] // 2
        whim = np.float32(self._whims[self.seen % len(self._whims)])
        shift = np.float32(self._shifts[self.seen % len(self._shifts)])
        self.seen += 1
        normals = np.zeros((3, height, width), np.float32)
        normals[2], normals[0] = -1, 0.5
        depth = None if self.card.kind is None else self.relief((height, width)) * whim + shift
        sky = None
        if self._has_sky:
            sky = np.repeat(np.arange(height) < height // 4, width).reshape(height, width)
            sky = sky.astype(np.float32)
            assert depth is not None, "the sky is far"
            depth[: height // 4] = 100
        return Inference(depth=depth, normals=normals, sky=sky)
