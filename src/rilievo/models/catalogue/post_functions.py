"""Readers of published graphs' outputs, by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Mask, Shaped, Vectors
from rilievo.errors import ModelError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.focal import fit_focal_shift
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.models.base import Inference
from rilievo.models.catalogue.feeding import Fed, GraphFacts
from rilievo.models.resampling.inference import Arrays
from rilievo.records.sample import Photo

_NEEDED = ("points", "mask", "scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphAnswer:
    """Outputs for one photograph, batch of one."""

    model: str
    facts: GraphFacts
    outputs: Arrays
    photo: Photo
    fed: Fed

    def find(self, role: str) -> Shaped[np.ndarray, "..."] | None:
        """Output of a role, if any."""
        name = self._output_name(role)
        return None if name is None else self.outputs[name]

    def depth(self) -> Field:
        """Depth, by role or as the only output."""
        if self.facts.any_depth and len(self.outputs) == 1 and self._output_name("depth") is None:
            return self._pixel_field(next(iter(self.outputs)))
        return self.map("depth")

    def map(self, role: str) -> Field:
        """Output with one value a pixel."""
        return self._pixel_field(self._output_name(role) or self.facts.outputs[role][0])

    def _output_name(self, role: str) -> str | None:
        return next((name for name in self.facts.outputs[role] if name in self.outputs), None)

    def _pixel_field(self, name: str) -> Field:
        if name not in self.outputs:
            raise ModelError(f"model '{self.model}': the network has no output '{name}'")
        array = self.outputs[name]
        if array.ndim < 2 or array.size != array.shape[-2] * array.shape[-1]:
            raise ModelError(
                f"model '{self.model}': output '{name}' is {array.shape}, expected "
                "(1, height, width)"
            )
        field = array.reshape(array.shape[-2:])
        return np.ascontiguousarray(np.rot90(field, -1)) if self.fed.turned else field


@dataclass(frozen=True, slots=True, kw_only=True)
class _PointOutputs:
    points: Float32[np.ndarray, "h w 3"]
    normals: Float32[np.ndarray, "h w 3"] | None
    mask: Field
    scale: float


def read_points(answer: GraphAnswer) -> Inference:
    """Fit shift and focal length to a point map; read depth and camera."""
    geometry, photo = _point_outputs(answer), answer.photo
    inside = geometry.mask > 0.5
    camera = photo.camera
    # Focal length relative to half the diagonal, which does not depend on the size.
    focal = None if camera is None else camera.focal * 2 / math.hypot(*photo.shape)
    fit = fit_focal_shift(
        geometry.points, inside & np.isfinite(geometry.points).all(-1), focal=focal
    )
    z, scale = geometry.points[..., 2], np.float32(geometry.scale)
    depth = (z + np.float32(fit.shift)) * scale
    valid: Mask = inside & np.isfinite(depth) & (depth > 0)
    has_log = np.isfinite(depth) & (z > 0)
    return Inference(
        # Without a mask too, depth has a logarithm, because the authors resize it everywhere.
        depth=np.where(has_log, depth, np.float32(1 + abs(fit.shift)) * scale),
        valid=valid & has_log,
        shift=float(np.float32(fit.shift) * scale),
        normals=None if geometry.normals is None else _channels_first_normals(geometry.normals),
        sky=1 - np.nan_to_num(geometry.mask).clip(0, 1),
        camera=_photo_or_focal_camera(fit.focal_px(photo.shape), photo, answer.model),
    )


def _photo_or_focal_camera(focal_px: float, photo: Photo, model: str) -> Camera:
    if photo.camera is not None:
        return photo.camera
    if not (math.isfinite(focal_px) and focal_px > 0):
        raise ModelError(
            problem=Text(
                f"model '{model}' found no camera for {photo.name}: give ",
                OptionName("fov", "..."),
                " or ",
                OptionName("camera", "..."),
            )
        )
    K = K_from_focal(focal_px, focal_px, photo.shape)
    return Camera(K=K, source=CameraSource.PREDICTED)


def _point_outputs(answer: GraphAnswer) -> _PointOutputs:
    named, size = _outputs_by_role(answer), answer.fed.size
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
    return _PointOutputs(
        points=named["points"].reshape(*size, 3),
        normals=None if normals is None else normals.reshape(*size, 3),
        mask=named["mask"].reshape(size),
        scale=float(named["scale"].reshape(-1)[0]),
    )


def _outputs_by_role(answer: GraphAnswer) -> Mapping[str, np.ndarray]:
    roles = list(answer.facts.outputs)
    fields = {role: answer.find(role) for role in roles}
    parts = {role: array for role, array in fields.items() if array is not None}
    if set(parts) >= set(_NEEDED):
        return parts
    # Published order: points, normal if present, mask, scale.
    arrays = list(answer.outputs.values())
    wanted = roles if len(arrays) == len(roles) else [role for role in roles if role != "normal"]
    return dict(zip(wanted, arrays, strict=False)) if len(arrays) >= len(wanted) else parts


def _channels_first_normals(normals: Float32[np.ndarray, "h w 3"]) -> Vectors:
    """Normals; non-finite ones face the camera."""
    channels = np.ascontiguousarray(normals.transpose(2, 0, 1))
    lost = ~np.isfinite(channels).all(0)
    channels[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
    return channels
