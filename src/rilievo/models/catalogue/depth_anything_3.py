"""Depth Anything 3, small and base (Lin et al. 2025): depth up to scale, and the camera.

Input of the published graphs: ``pixel_values`` (n, views, 3, h, w), with ImageNet normalisation;
the longer side is 504 pixels and both are multiples of 14. A photograph is one view. Outputs:
``predicted_depth`` (n, views, h, w), depth up to scale, not inverse depth; in some graphs also
``confidence`` (n, views, h, w), 1 and above, and ``intrinsics`` (n, views, 3, 3) in pixels of the
network's input. The weights are in a second file beside the graph.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rilievo.errors import ModelError
from rilievo.geometry.intrinsics import resize_K
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.pictures import (
    DEPTH,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Graph,
    planes,
)
from rilievo.models.engines import Arrays, LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.types import Camera, CameraSource, Photo

_CONFIDENCE = ("confidence", "predicted_confidence", "depth_conf")
_INTRINSICS = "intrinsics"
PREPARATION = Preparation(
    sizing=Sizing(rule=Rule.LONGEST_EDGE, height=504, width=504, multiple=14),
    resampling=Resampling.BICUBIC,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
)


class DepthAnything3Model(Model):
    """A Depth Anything 3 graph in an ONNX file with its weights beside it."""

    def __init__(
        self, path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str
    ) -> None:
        self.card, self.weights_sha256 = card, weights_sha256
        self.graph = Graph(path, options, card)
        self.settings = {**self.graph.settings, "sizing": str(PREPARATION.sizing)}

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on one photograph after the other."""
        return [self._infer(photo) for photo in photos]

    def _infer(self, photo: Photo) -> Inference:
        pixels = PREPARATION.pixels(photo.pixels)
        size = (pixels.shape[0], pixels.shape[1])
        answers = self.graph.run(planes(pixels[None], PREPARATION)[:, None])
        [depth] = self.graph.maps(answers, DEPTH, 1)
        valid = np.isfinite(depth) & (depth > 0)
        return Inference(
            depth=np.where(valid, depth, np.float32(1)),
            valid=None if valid.all() else valid,
            confidence=self._confidence(answers),
            camera=self._camera(answers, size, photo),
        )

    def _confidence(self, answers: Arrays) -> Float32[np.ndarray, "h w"] | None:
        """Map the network's confidence, which is 1 (none) and above, to 0..1."""
        name = next((name for name in _CONFIDENCE if name in answers), None)
        if name is None:
            return None
        [confidence] = self.graph.maps(answers, name, 1)
        return 1 - 1 / np.maximum(confidence, 1)

    def _camera(self, answers: Arrays, size: tuple[int, int], photo: Photo) -> Camera | None:
        """Camera estimated by the network, in pixels of the photograph."""
        if _INTRINSICS not in answers or photo.camera is not None:
            return None
        K = answers[_INTRINSICS].reshape(-1)
        if K.size != 9 or not (np.isfinite(K).all() and min(K[0], K[4]) > 0):
            raise ModelError(
                f"model '{self.card.name}' returned invalid intrinsics; give --fov or --camera"
            )
        whole = resize_K(K.reshape(3, 3).astype(np.float64), size=size, new_size=photo.shape)
        return Camera(K=whole, source=CameraSource.PREDICTED)


open_model = DepthAnything3Model
