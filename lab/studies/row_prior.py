"""A baseline that ignores the photograph: mean depth of each row of indoor photographs."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo

_BANDS = 48


class RowPrior(Model):
    """The same depth and normals for every photograph, row by row."""

    card = ModelCard(
        name="row prior",
        summary="mean depth and normal of each row of NYU's training frames",
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        licence="Apache-2.0",
        commercial=True,
        megabytes=0.0,
        extra=None,
        speed="none",
        loader="row_prior:RowPrior",
    )

    def __init__(
        self, depth: Float32[np.ndarray, "bands"], normals: Float32[np.ndarray, "3 bands"]
    ) -> None:
        self._depth, self._normals = depth, normals
        self.weights_sha256 = hashlib.sha256(depth.tobytes() + normals.tobytes()).hexdigest()
        self.settings = {"bands": len(depth)}

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Return the prior at each photograph's size."""
        return [self._seen(*photo.shape) for photo in photos]

    def _seen(self, height: int, width: int) -> Inference:
        band = np.arange(height) * len(self._depth) // height
        depth = self._depth[band][:, None].repeat(width, axis=1)
        normals = self._normals[:, band][:, :, None].repeat(width, axis=2)
        return Inference(depth=depth, normals=normals)


def learn_row_prior(root: Path, *, every: int = 16) -> RowPrior:
    """Learn the prior from every ``every``-th training frame of NYU Depth V2, with filled depth."""
    frames = open_dataset("nyuv2", root, split="train", variant="depth_normals")
    return row_prior_of(frames, every=every)


def row_prior_of(frames: Dataset, *, every: int = 1) -> RowPrior:
    """Mean log depth, minus its median, and mean normal of each band of rows."""
    depths, normals = [], []
    for id in frames.ids[::every]:
        truth = frames.truth(id)
        assert truth.depth is not None
        assert truth.depth_valid is not None
        assert truth.normals is not None
        log_depth = np.where(truth.depth_valid, np.log(np.maximum(truth.depth, 1e-3)), np.nan)
        log_depth -= np.nanmedian(log_depth)
        depths.append([np.nanmean(band) for band in np.array_split(log_depth, _BANDS)])
        parts = np.array_split(truth.normals, _BANDS, axis=1)
        normals.append([part.mean(axis=(1, 2)) for part in parts])
    depth = np.exp(np.mean(depths, axis=0)).astype(np.float32)
    return RowPrior(depth, np.mean(normals, axis=0).T.astype(np.float32))
