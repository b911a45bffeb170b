"""Metric3D v2 (Hu et al. 2024): metric depth and normals for a known focal length.

Input of the published graphs: ``pixel_values`` (1, 3, 616, 1064); the photograph keeps its aspect
ratio and is padded with the mean colour. Official exports normalise inside the graph and take
0..255; others take pixels with ImageNet normalisation. A file that contains the mean colour
normalises itself. Outputs: ``predicted_depth`` in metres for a camera with a focal length of 1000
pixels, ``predicted_normal`` in OpenCV's axes, towards the camera. Depth ends at 200 m of that
camera; pixels there are sky and have no depth.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.errors import ModelError, UnknownCameraError
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.picture_graphs import DEPTH, IMAGENET_MEAN, IMAGENET_STD, Graph
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.session import Arrays
from rilievo.models.resampling.sampling import Grid, bilinear_points
from rilievo.types import Photo

_NORMAL = "predicted_normal"
HEIGHT, WIDTH = 616, 1064
_FOCAL = 1000.0  # px of the canonical camera
_FARTHEST = 199.0  # m of the canonical camera; the decoder's range ends at 200
MEAN = tuple(255 * each for each in IMAGENET_MEAN)
_STD = tuple(255 * each for each in IMAGENET_STD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """Position of a photograph in the network's input [px]."""

    top: int
    left: int
    height: int
    width: int
    scale: float


class Metric3DModel(Model):
    """A Metric3D v2 graph in an ONNX file."""

    def __init__(
        self, path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str
    ) -> None:
        self.card, self.weights_sha256 = card, weights_sha256
        self.graph = Graph(path, options, card)
        self.normalises = holds_mean(path)
        self.settings = {**self.graph.settings, "normalised": not self.normalises}

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on one photograph after the other."""
        return [self._infer(photo) for photo in photos]

    def _infer(self, photo: Photo) -> Inference:
        if photo.camera is None:
            raise UnknownCameraError(
                f"model '{self.card.name}' needs the focal length and predicts none: "
                "give --fov (fov=...) or --camera (camera=...), or try "
                "--vanishing-points (vanishing_points=True)"
            )
        place = letterbox(photo.shape)
        image = self._image(photo.pixels, place)
        answers = self.graph.run(image.transpose(2, 0, 1)[None])
        [canonical] = self._inside(self.graph.maps(answers, DEPTH, 1), place)
        valid = np.isfinite(canonical) & (canonical > 0) & (canonical < _FARTHEST)
        metres = canonical * np.float32(photo.camera.focal * place.scale / _FOCAL)
        return Inference(
            depth=np.where(valid, metres, np.float32(1)),
            valid=valid,
            normals=self._normals(answers, place),
        )

    def _image(
        self, pixels: UInt8[np.ndarray, "a b 3"], place: Letterbox
    ) -> Float32[np.ndarray, "h w 3"]:
        image = np.empty((HEIGHT, WIDTH, 3), np.float32)
        image[:] = MEAN
        rows = slice(place.top, place.top + place.height)
        columns = slice(place.left, place.left + place.width)
        size = (place.height, place.width)
        image[rows, columns] = bilinear_points(pixels, size, grid=Grid.CENTRES)
        if self.normalises:
            return image
        return (image - np.array(MEAN, np.float32)) / np.array(_STD, np.float32)

    def _inside(
        self, field: Float32[np.ndarray, "*c h w"], place: Letterbox
    ) -> Float32[np.ndarray, "*c a b"]:
        if field.shape[-2:] != (HEIGHT, WIDTH):
            raise ModelError(
                f"model '{self.card.name}': an output is {field.shape}, expected {HEIGHT} x {WIDTH}"
            )
        rows = slice(place.top, place.top + place.height)
        return field[..., rows, place.left : place.left + place.width]

    def _normals(self, answers: Arrays, place: Letterbox) -> Float32[np.ndarray, "3 a b"] | None:
        """Normals, without the fourth channel (uncertainty) that some files have."""
        if _NORMAL not in answers:
            return None
        found = answers[_NORMAL]
        if found.ndim != 4 or found.shape[1] < 3:
            raise ModelError(
                f"model '{self.card.name}': output '{_NORMAL}' is {found.shape}, expected "
                f"(1, 3, {HEIGHT}, {WIDTH})"
            )
        return self._inside(found[0, :3], place)


def letterbox(shape: tuple[int, int]) -> Letterbox:
    """Compute the position of a photograph of (height, width) in the network's input."""
    scale = min(HEIGHT / shape[0], WIDTH / shape[1])
    height, width = max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))
    return Letterbox(
        top=(HEIGHT - height) // 2,
        left=(WIDTH - width) // 2,
        height=height,
        width=width,
        scale=scale,
    )


def holds_mean(path: Path) -> bool:
    """Whether a graph normalises 0..255 itself: it contains the three values of ImageNet's mean."""
    wanted = [np.array(MEAN).astype(kind).tobytes() for kind in ("<f4", "<f2", "<f8")]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(each) >= 0 for each in wanted)


open_model = Metric3DModel
