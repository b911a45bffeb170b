"""Run a model also on the mirror image of a photograph."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from rilievo.arrays.shapes import Mask
from rilievo.models.base import Inference, WrappedModel
from rilievo.records.sample import Photo


class MirrorModel(WrappedModel):
    """Model that is run twice, on the photograph and on its mirror image."""

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the photographs and their mirror images, and merge each two inferences."""
        inferences = self.model.infer(photos)
        mirror_inferences = self.model.infer([mirror(photo) for photo in photos])
        return [
            self._merge(inference, mirror_back(mirror_inference))
            for inference, mirror_inference in zip(inferences, mirror_inferences, strict=True)
        ]

    @abstractmethod
    def _merge(self, inference: Inference, mirrored: Inference) -> Inference:
        """Merge the inference for a photograph and that for its mirror image, mirrored back."""


def mirror(photo: Photo) -> Photo:
    """Mirror a photograph and its camera."""
    camera = photo.camera
    if camera is not None:
        camera = camera.mirrored(width=photo.shape[1])
    pixels = np.ascontiguousarray(photo.pixels[:, ::-1])
    return Photo(pixels=pixels, camera=camera, name=photo.name)


def mirror_back(inference: Inference) -> Inference:
    """Mirror the inference for a mirror image, so that it fits the photograph."""
    normals = _mirror_columns(inference.normals)
    if normals is not None:
        # The x component changes its sign.
        normals = normals * np.array([-1, 1, 1], np.float32)[:, None, None]
    return Inference(
        depth=_mirror_columns(inference.depth),
        valid=_mirror_columns(inference.valid),
        normals=normals,
        confidence=_mirror_columns(inference.confidence),
        sky=_mirror_columns(inference.sky),
    )


def _mirror_columns(field: np.ndarray | None) -> np.ndarray | None:
    return None if field is None else field[..., ::-1]


def valid_in_both(first: Mask | None, second: Mask | None) -> Mask | None:
    """Pixels that are valid in both masks; ``None`` stands for all pixels."""
    if first is None:
        return second
    if second is None:
        return first
    return first & second
