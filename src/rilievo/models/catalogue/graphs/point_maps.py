"""Reading of point maps, the answer of MoGe-2 (Wang et al. 2025).

``points`` (n, h, w, 3) are known up to a shift in z; ``normal`` (n, h, w, 3), ``mask`` (n, h, w) in
0..1 and the metric ``scale`` (n) come with them, in OpenCV's axes. Shift and focal length are
fitted here (``rilievo.geometry.focal``); a focal length from the photograph's file or the user is
kept.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.errors import ModelError
from rilievo.geometry.focal import fit_focal_shift
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.models.base import Inference
from rilievo.models.catalogue.graphs.graph_answer import GraphAnswer
from rilievo.types import Camera, CameraSource, Photo

_NEEDED = ("points", "mask", "scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Points:
    """Outputs for one image."""

    points: Float32[np.ndarray, "h w 3"]
    normals: Float32[np.ndarray, "h w 3"] | None
    mask: Float32[np.ndarray, "h w"]
    scale: float


def read_points(answer: GraphAnswer) -> Inference:
    """Fit shift and focal length to a point map, and read depth and camera from it."""
    given, photo = _checked(answer), answer.photo
    inside = given.mask > 0.5
    known = photo.camera
    # Focal length relative to half the diagonal, which does not depend on the size.
    focal = None if known is None else known.focal * 2 / math.hypot(*photo.shape)
    fit = fit_focal_shift(given.points, inside & np.isfinite(given.points).all(-1), focal=focal)
    z, scale = given.points[..., 2], np.float32(given.scale)
    depth = (z + np.float32(fit.shift)) * scale
    valid: Bool[np.ndarray, "h w"] = inside & np.isfinite(depth) & (depth > 0)
    has_log = np.isfinite(depth) & (z > 0)
    return Inference(
        # Without a mask too, depth has a logarithm, because the authors resize it everywhere.
        depth=np.where(has_log, depth, np.float32(1 + abs(fit.shift)) * scale),
        valid=valid & has_log,
        shift=float(np.float32(fit.shift) * scale),
        normals=None if given.normals is None else _upright(given.normals),
        sky=1 - np.nan_to_num(given.mask).clip(0, 1),
        camera=_camera(fit.focal_px(photo.shape), photo, answer.model),
    )


def _camera(focal_px: float, photo: Photo, model: str) -> Camera:
    if photo.camera is not None:
        return photo.camera
    if not (math.isfinite(focal_px) and focal_px > 0):
        raise ModelError(
            f"model '{model}' found no camera for {photo.name}: "
            "give --fov (fov=...) or --camera (camera=...)"
        )
    K = K_from_focal(focal_px, focal_px, photo.shape)
    return Camera(K=K, source=CameraSource.PREDICTED)


def _checked(answer: GraphAnswer) -> _Points:
    """Find the outputs by name, or by order where a file names them otherwise."""
    named, size = _named(answer), answer.size
    shapes = {"points": (1, *size, 3), "normal": (1, *size, 3), "mask": (1, *size), "scale": (1,)}
    for name, shape in shapes.items():
        if name in named and named[name].size != math.prod(shape):
            raise ModelError(
                f"model '{answer.model}': output {name!r} is {named[name].shape}, expected {shape}"
            )
    missing = [name for name in _NEEDED if name not in named]
    if missing:
        raise ModelError(f"model '{answer.model}': the network has no output {missing[0]!r}")
    normals = named.get("normal")
    return _Points(
        points=named["points"].reshape(*size, 3),
        normals=None if normals is None else normals.reshape(*size, 3),
        mask=named["mask"].reshape(size),
        scale=float(named["scale"].reshape(-1)[0]),
    )


def _named(answer: GraphAnswer) -> Mapping[str, np.ndarray]:
    roles = list(answer.facts.outputs)
    found = {role: answer.find(role) for role in roles}
    known = {role: array for role, array in found.items() if array is not None}
    if set(known) >= set(_NEEDED):
        return known
    # Published order: points, normal if present, mask, scale.
    arrays = list(answer.outputs.values())
    wanted = roles if len(arrays) == len(roles) else [role for role in roles if role != "normal"]
    return dict(zip(wanted, arrays, strict=False)) if len(arrays) >= len(wanted) else known


def _upright(normals: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "3 h w"]:
    """Transpose normals to our layout; values that are not finite are set to face the camera."""
    channels = np.ascontiguousarray(normals.transpose(2, 0, 1))
    lost = ~np.isfinite(channels).all(0)
    channels[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
    return channels
