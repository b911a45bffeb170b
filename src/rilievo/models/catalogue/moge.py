"""MoGe-2 (Wang et al. 2025): metric depth, normals, valid pixels and camera from one ONNX file.

Inputs of the published graph: ``image`` float32 (n, 3, h, w), RGB in 0..1, and ``num_tokens``
int64. The graph resizes to ``num_tokens`` patches of 14 pixels; its outputs have the image's size:
``points`` (n, h, w, 3) up to a shift in z, ``normal`` (n, h, w, 3), ``mask`` (n, h, w) in 0..1 and
the metric ``scale`` (n), in OpenCV's axes. Shift and focal length are fitted afterwards
(``rilievo.geometry.focal``); a focal length from the photograph's file or the user is kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.errors import ModelError, OptionError
from rilievo.geometry.focal import fit_focal_shift
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import ONNX_ENGINES, LoadOptions, checked
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.session import Arrays
from rilievo.models.resampling.sampling import shrink
from rilievo.models.settings import read_settings
from rilievo.types import Camera, CameraSource, Photo, Setting

_PATCH = 14
_IMAGE, _TOKENS = "image", "num_tokens"
_RANKS = {"points": 4, "normal": 4, "mask": 3, "scale": 1}
_SCALE_NAMES = ("scale", "metric_scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class MogeSettings:
    """Settings of MoGe-2."""

    tokens: int = 1200
    """Number of image patches, 1200 (fast) to 3600 (sharp, the authors' default). Time grows
    slightly faster than linearly with it.
    """

    def __post_init__(self) -> None:
        if not 100 <= self.tokens <= 10_000:
            raise OptionError(f"tokens is 100 to 10000, got {self.tokens}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """Outputs for one image."""

    points: Float32[np.ndarray, "h w 3"]
    normals: Float32[np.ndarray, "h w 3"] | None
    mask: Float32[np.ndarray, "h w"]
    scale: float


class MogeModel(Model):
    """A MoGe-2 graph in an ONNX file."""

    def __init__(
        self, path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str
    ) -> None:
        options = checked(options, engines=ONNX_ENGINES, what=f"model '{card.name}'")
        given = read_settings(MogeSettings, options.settings, card.name)
        self.card, self.weights_sha256 = card, weights_sha256
        self.tokens = given.tokens
        self._session = open_session(path, options)
        missing = {_IMAGE, _TOKENS} - set(self._session.input_names)
        if missing:
            raise ModelError(f"{path}: not a MoGe-2 graph: it has no input {sorted(missing)[0]!r}")
        self.settings: Mapping[str, Setting] = {
            "engine": options.engine,
            "precision": options.precision,
            "device": self._session.device,
            "tokens": self.tokens,
        }

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on one photograph after the other."""
        return [self._infer(photo) for photo in photos]

    def _infer(self, photo: Photo) -> Inference:
        size = image_size(photo.shape, self.tokens)
        pixels = photo.pixels if size == photo.shape else shrink(photo.pixels, size)
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        outputs = self._session.feed({_IMAGE: image, _TOKENS: np.array(self.tokens, np.int64)})
        answer = self._read(outputs, size)
        inside = answer.mask > 0.5
        known = photo.camera
        # Focal length relative to half the diagonal, which does not depend on the size.
        focal = None if known is None else known.focal * 2 / math.hypot(*photo.shape)
        fit = fit_focal_shift(
            answer.points, inside & np.isfinite(answer.points).all(-1), focal=focal
        )
        depth = (answer.points[..., 2] + np.float32(fit.shift)) * np.float32(answer.scale)
        valid: Bool[np.ndarray, "h w"] = inside & np.isfinite(depth) & (depth > 0)
        return Inference(
            depth=np.where(valid, depth, np.float32(1)),
            valid=valid,
            normals=None if answer.normals is None else _upright(answer.normals),
            camera=self._camera(fit.focal_px(photo.shape), photo),
        )

    def _camera(self, focal_px: float, photo: Photo) -> Camera:
        if photo.camera is not None:
            return photo.camera
        if not (math.isfinite(focal_px) and focal_px > 0):
            raise ModelError(
                f"model '{self.card.name}' found no camera for {photo.name}: "
                "give --fov (fov=...) or --camera (camera=...)"
            )
        K = K_from_focal(focal_px, focal_px, photo.shape)
        return Camera(K=K, source=CameraSource.PREDICTED)

    def _read(self, outputs: Arrays, size: tuple[int, int]) -> _Answer:
        """Read the outputs by name, or by order and rank where a file names them otherwise."""
        named = _named(outputs)
        shapes = {
            "points": (1, *size, 3),
            "normal": (1, *size, 3),
            "mask": (1, *size),
            "scale": (1,),
        }
        for name, shape in shapes.items():
            if name in named and named[name].reshape(-1).size != math.prod(shape):
                raise ModelError(
                    f"model '{self.card.name}': output {name!r} is {named[name].shape}, "
                    f"expected {shape}"
                )
        missing = [name for name in ("points", "mask", "scale") if name not in named]
        if missing:
            raise ModelError(f"model '{self.card.name}': the network has no output {missing[0]!r}")
        normals = named.get("normal")
        return _Answer(
            points=np.asarray(named["points"], np.float32).reshape(*size, 3),
            normals=None if normals is None else np.asarray(normals, np.float32).reshape(*size, 3),
            mask=np.asarray(named["mask"], np.float32).reshape(size),
            scale=float(named["scale"].reshape(-1)[0]),
        )


open_model = MogeModel


def image_size(shape: tuple[int, int], tokens: int) -> tuple[int, int]:
    """Size (height, width) at which the graph receives a photograph.

    The graph resizes without antialiasing, so larger photographs are first reduced to the area of
    its patches, with their aspect ratio kept; smaller ones are left alone.
    """
    scale = math.sqrt(tokens * _PATCH**2 / (shape[0] * shape[1]))
    if scale >= 1:
        return shape
    height, width = (max(1, round(side * scale)) for side in shape)
    return height, width


def _named(outputs: Arrays) -> Mapping[str, np.ndarray]:
    known = {("scale" if name in _SCALE_NAMES else name): each for name, each in outputs.items()}
    if set(_RANKS) & set(known) >= {"points", "mask", "scale"}:
        return known
    # Published order: points, normal if present, mask, scale.
    wanted = list(_RANKS) if len(outputs) == len(_RANKS) else [n for n in _RANKS if n != "normal"]
    arrays = list(outputs.values())
    return dict(zip(wanted, arrays, strict=False)) if len(arrays) >= len(wanted) else known


def _upright(normals: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "3 h w"]:
    """Transpose normals to our layout; values that are not finite are set to face the camera."""
    channels = np.ascontiguousarray(normals.transpose(2, 0, 1))
    lost = ~np.isfinite(channels).all(0)
    channels[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
    return channels
