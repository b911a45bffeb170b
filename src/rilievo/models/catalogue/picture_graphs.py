"""Published graphs with one normalised picture as input: MiDaS, Depth Anything, Depth Pro.

Photographs are resized bicubically. Depth Anything V2 (Yang et al. 2024) takes ``pixel_values``
(n, 3, h, w), the shorter side 518 pixels and both multiples of 14. MiDaS 2.1 small (Ranftl et al.
2020) takes (1, 3, 256, 256); DPT (2021) takes (n, 3, 384, 384) in -1..1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from rilievo.errors import ModelError
from rilievo.geometry.intrinsics import resize_K
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import ONNX_ENGINES, LoadOptions, checked
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.session import Arrays, Session
from rilievo.models.processing.prepared import PreparedModel
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.types import Camera, CameraSource, Photo, Setting

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEPTH = "predicted_depth"
_HALF = (0.5, 0.5, 0.5)
_SIDE = 1536
_FOCAL = "focallength_px"
PREPARATIONS: Mapping[str, Preparation] = {
    "depth-anything-3": Preparation(
        sizing=Sizing(rule=Rule.LONGEST_EDGE, height=504, width=504, multiple=14),
        resampling=Resampling.BICUBIC,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    "depth-anything-v2": Preparation(
        sizing=Sizing(rule=Rule.SHORTEST_EDGE, height=518, width=518, multiple=14),
        resampling=Resampling.BICUBIC,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    "midas": Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=256, width=256),
        resampling=Resampling.BICUBIC,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    "depth-pro": Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=_SIDE, width=_SIDE),
        resampling=Resampling.BILINEAR_POINTS,
        mean=_HALF,
        std=_HALF,
    ),
    "dpt": Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=384, width=384),
        resampling=Resampling.BICUBIC,
        mean=_HALF,
        std=_HALF,
    ),
}
"""Preparation of each family."""

_CONFIDENCE = ("confidence", "predicted_confidence", "depth_conf")

_INTRINSICS = "intrinsics"


class Graph:
    """A published graph with one picture as its input."""

    def __init__(self, path: Path, options: LoadOptions, card: ModelCard) -> None:
        options = checked(options, engines=ONNX_ENGINES, what=f"model '{card.name}'")
        self.name = card.name
        self._session: Session = open_session(path, options)
        if len(self._session.input_names) != 1:
            raise ModelError(
                f"{path}: expected a graph with one picture as input; it has the inputs "
                f"{', '.join(self._session.input_names)}"
            )
        self.settings: Mapping[str, Setting] = {
            "engine": options.engine,
            "precision": options.precision,
            "device": self._session.device,
        }

    def run(self, pixels: Float32[np.ndarray, "b ..."]) -> Arrays:
        """Run the graph; outputs by name, float32."""
        answers = self._session.run(np.ascontiguousarray(pixels), self._session.input_names[0])
        return {key: each.astype(np.float32, copy=False) for key, each in answers.items()}

    def maps(self, answers: Arrays, name: str, count: int) -> Float32[np.ndarray, "b h w"]:
        """Get an output with one value a pixel, dropping axes of length 1."""
        if name not in answers:
            raise ModelError(f"model '{self.name}': the network has no output '{name}'")
        array = answers[name]
        if array.ndim < 2 or array.size != count * array.shape[-2] * array.shape[-1]:
            raise ModelError(
                f"model '{self.name}': output '{name}' is {array.shape}, expected "
                f"({count}, height, width)"
            )
        return array.reshape(count, *array.shape[-2:])


def planes(
    pixels: Shaped[np.ndarray, "b h w 3"], preparation: Preparation
) -> Float32[np.ndarray, "b 3 h w"]:
    """Rescale and normalise pixels of 0 to 255, and move the channels first."""
    scale = np.float32(preparation.rescale) / np.array(preparation.std, np.float32)
    shift = np.array(preparation.mean, np.float32) / np.array(preparation.std, np.float32)
    return (pixels.astype(np.float32) * scale - shift).transpose(0, 3, 1, 2)


class PictureModel(PreparedModel):
    """A published graph from one normalised picture to depth."""

    def __init__(
        self,
        path: Path,
        options: LoadOptions,
        card: ModelCard,
        preparation: Preparation,
        *,
        weights_sha256: str,
    ) -> None:
        self.card, self.weights_sha256, self.preparation = card, weights_sha256, preparation
        self.graph = Graph(path, options, card)
        self.settings = {
            **self.graph.settings,
            "sizing": str(preparation.sizing),
            "resampling": preparation.resampling.value,
        }

    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the graph and return its depth."""
        return self.read(self.graph.run(planes(batch, self.preparation)), len(batch))

    def read(self, answers: Arrays, count: int) -> Arrays:
        """Read depth from the graph's outputs: the one of that name, or else the only one."""
        name = DEPTH if DEPTH in answers or len(answers) > 1 else next(iter(answers))
        return {"depth": self.graph.maps(answers, name, count)}


class DepthProModel(PictureModel):
    """A Depth Pro graph (Bochkovskii et al. 2024): metres and the focal length of any photograph.

    Input: pixels in -1..1, resized bilinearly without antialiasing. Outputs: ``predicted_depth`` in
    metres for the focal length that it sees, and that focal length, ``focallength_px``, in pixels
    of its input. Depth is proportional to the focal length over the width, so a known focal length
    corrects it.
    """

    needs_focal = True

    def read(self, answers: Arrays, count: int) -> Arrays:
        """Read depth, for a focal length equal to the photograph's width, and the field of view."""
        depth = self.graph.maps(answers, DEPTH, count)
        focal = answers.get(_FOCAL)
        if focal is None or focal.size != count:
            raise ModelError(
                f"model '{self.card.name}': the network has no output '{_FOCAL}' of {count} numbers"
            )
        focal = focal.reshape(count)
        if not (np.isfinite(focal) & (focal > 0)).all():
            raise ModelError(
                f"model '{self.card.name}' returned a focal length of {focal.min():g} pixels"
            )
        fov = np.degrees(2 * np.arctan(_SIDE / 2 / focal)).astype(np.float32)
        return {"depth": depth / (focal / np.float32(_SIDE))[:, None, None], "fov": fov}


class DepthAnything3Model(Model):
    """A Depth Anything 3 graph (Lin et al. 2025): depth up to scale, and the camera.

    Input: ``pixel_values`` (n, views, 3, h, w); a photograph is one view. Outputs:
    ``predicted_depth`` (n, views, h, w), not inverse depth; in some graphs also ``confidence`` (n,
    views, h, w), 1 and above, and ``intrinsics`` (n, views, 3, 3) in pixels of the network's input.
    """

    def __init__(
        self,
        path: Path,
        options: LoadOptions,
        card: ModelCard,
        preparation: Preparation,
        *,
        weights_sha256: str,
    ) -> None:
        self.card, self.weights_sha256, self.preparation = card, weights_sha256, preparation
        self.graph = Graph(path, options, card)
        self.settings = {**self.graph.settings, "sizing": str(preparation.sizing)}

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on one photograph after the other."""
        return [self._infer(photo) for photo in photos]

    def _infer(self, photo: Photo) -> Inference:
        pixels = self.preparation.pixels(photo.pixels)
        size = (pixels.shape[0], pixels.shape[1])
        answers = self.graph.run(planes(pixels[None], self.preparation)[:, None])
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
                f"model '{self.card.name}' returned invalid intrinsics; "
                "give --fov (fov=...) or --camera (camera=...)"
            )
        whole = resize_K(K.reshape(3, 3).astype(np.float64), size=size, new_size=photo.shape)
        return Camera(K=whole, source=CameraSource.PREDICTED)


_MODELS = {"depth-anything-3": DepthAnything3Model, "depth-pro": DepthProModel}


def open_model(path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str) -> Model:
    """Open a published file of one of the families in ``PREPARATIONS``."""
    family = card.name.partition("/")[0]
    made = _MODELS.get(family, PictureModel)
    return made(path, options, card, PREPARATIONS[family], weights_sha256=weights_sha256)
