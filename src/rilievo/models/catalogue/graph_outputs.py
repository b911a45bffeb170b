"""Convert the outputs of published networks to an ``Inference``, by the form of the outputs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Mask, Shaped, Vectors
from rilievo.errors import ModelError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal, K_from_fov, resize_K
from rilievo.models.base import Inference, focal_length_error
from rilievo.models.catalogue.focal import fit_focal_shift
from rilievo.models.catalogue.graph_inputs import GraphInputs
from rilievo.models.catalogue.table import NetworkFamily
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import INFINITE_DEPTH
from rilievo.records.sample import Photo

_REQUIRED_POINT_OUTPUTS = ("points", "mask", "scale")
"""Roles of the outputs that every network with a point map has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOutputs:
    """Outputs of a network for one photograph.

    Attributes:
        model: Name of the model, for messages.
        arrays: Outputs by their names in the file, as a batch of one.
    """

    model: str
    family: NetworkFamily
    arrays: Arrays
    photo: Photo
    inputs: GraphInputs

    def find(self, role: str) -> Shaped[np.ndarray, "..."] | None:
        """Output with a role, as the network returned it; None if there is none."""
        name = self._find_name(role)
        return None if name is None else self.arrays[name]

    def depth(self) -> Field:
        """Output "depth", or the only output if the family allows any name."""
        has_other_name = len(self.arrays) == 1 and self._find_name("depth") is None
        if self.family.any_depth_name and has_other_name:
            [name] = self.arrays
            return self._named_pixel_map(name)
        return self.pixel_map("depth")

    def pixel_map(self, role: str) -> Field:
        """Output with one value for each pixel, in the orientation of the photograph."""
        return self._named_pixel_map(self._find_name(role) or self.family.outputs[role][0])

    def _find_name(self, role: str) -> str | None:
        possible_names = self.family.outputs[role]
        return next((name for name in possible_names if name in self.arrays), None)

    def _named_pixel_map(self, name: str) -> Field:
        if name not in self.arrays:
            raise ModelError(f"model '{self.model}': the network has no output '{name}'")
        array = self.arrays[name]
        if array.ndim < 2 or array.size != array.shape[-2] * array.shape[-1]:
            raise ModelError(
                f"model '{self.model}': output '{name}' has shape {array.shape}, expected "
                "(1, height, width)"
            )
        field = array.reshape(array.shape[-2:])
        return np.ascontiguousarray(np.rot90(field, -1)) if self.inputs.is_rotated else field


def read_depth(outputs: GraphOutputs) -> Inference:
    """Read depth of any kind, without the sky if the network finds it."""
    depth = outputs.depth()
    if not outputs.family.min_sky:
        return Inference(depth=depth)
    valid = np.isfinite(depth) & _is_surface(outputs)
    return Inference(depth=_fill_invalid(depth, valid), valid=valid)


def _fill_invalid(depth: Field, valid: Mask) -> Field:
    """Depth with 1 at invalid pixels: any finite value will do, because they are masked out."""
    return np.where(valid, depth, np.float32(1))


def _is_surface(outputs: GraphOutputs) -> Mask:
    return outputs.pixel_map("sky") < outputs.family.min_sky


def read_depth_and_camera(outputs: GraphOutputs) -> Inference:
    """Read the outputs of Depth Anything 3 (Lin et al. 2025): depth, confidence and intrinsics.

    Confidence and intrinsics are None if the file does not have them.
    """
    depth = outputs.depth()
    valid = np.isfinite(depth) & (depth > 0)

    confidence = None
    if outputs.find("confidence") is not None:
        # The network's confidence is in [1, inf); map it to [0, 1).
        raw_confidence = np.maximum(outputs.pixel_map("confidence"), 1)
        confidence = 1 - 1 / raw_confidence

    return Inference(
        depth=_fill_invalid(depth, valid),
        valid=None if valid.all() else valid,  # None: every pixel is valid.
        confidence=confidence,
        camera=_predicted_camera(outputs),
    )


def _predicted_camera(outputs: GraphOutputs) -> Camera | None:
    """Camera by the output "intrinsics"; None without it, or if the photograph has a camera."""
    K = outputs.find("intrinsics")
    if K is None or outputs.photo.camera is not None:
        return None
    K = K.reshape(-1)
    if K.size != 9 or not (np.isfinite(K).all() and min(K[0], K[4]) > 0):
        raise ModelError(
            f"model '{outputs.model}' returned an invalid camera matrix",
            hint=Text("give ", OptionName("fov", "..."), " or ", OptionName("camera", "...")),
        )
    input_K = K.reshape(3, 3).astype(np.float64)
    photo_K = resize_K(input_K, size=outputs.inputs.size, new_size=outputs.photo.shape)
    return Camera(K=photo_K, source=CameraSource.PREDICTED)


def read_depth_and_focal(outputs: GraphOutputs) -> Inference:
    """Read metric depth and a focal length, which Depth Pro predicts (Bochkovskii et al. 2024).

    The depth holds for the predicted focal length. It is converted to the photograph's own focal
    length if that is known, because depth is proportional to it.
    """
    photo = outputs.photo
    clipped_depth = outputs.depth()
    input_width = np.float32(outputs.inputs.size[1])
    predicted_focal = _predicted_focal(outputs)
    fov = _fov_from_focal(predicted_focal, input_width, outputs.model)
    predicted_camera = None
    if photo.camera is None:
        K = K_from_fov(fov, photo.shape)
        predicted_camera = Camera(K=K, source=CameraSource.PREDICTED)
    camera = photo.camera or predicted_camera
    assert camera is not None, "the photograph has a camera, or the network predicted one"

    # The graph clips its depth, so depth at the upper limit may really be anywhere beyond.
    is_at_limit = ~(clipped_depth < outputs.family.resizing.farthest)
    depth = np.where(is_at_limit, np.float32(INFINITE_DEPTH), clipped_depth)
    # Both focal lengths are taken over the width of their picture, which makes them comparable.
    depth_at_focal_of_one_width = depth / (predicted_focal / input_width)
    focal_in_widths = np.float32(camera.focal / photo.shape[1])
    return Inference(depth=depth_at_focal_of_one_width * focal_in_widths, camera=predicted_camera)


def _fov_from_focal(focal: Float32[np.ndarray, "1"], width: np.float32, model: str) -> float:
    """Horizontal field of view [degrees] by a focal length and a width [px].

    Raises:
        ModelError: If the network of ``model`` predicted an impossible focal length.
    """
    half_fov = np.arctan(width / 2 / focal)
    fov = float(np.degrees(2 * half_fov).astype(np.float32)[0])
    if not (0 < focal[0] < np.inf and 0 < fov < 180):
        raise ModelError(f"model '{model}' returned an invalid focal length: {focal[0]:g} pixels")
    return fov


def _predicted_focal(outputs: GraphOutputs) -> Float32[np.ndarray, "1"]:
    """Focal length of the network's input [px]."""
    focal = outputs.find("focal")
    if focal is None or focal.size != 1:
        name = outputs.family.outputs["focal"][0]
        raise ModelError(
            f"model '{outputs.model}': the network has no output '{name}' with a single number"
        )
    return focal.reshape(1)


def read_canonical_depth(outputs: GraphOutputs) -> Inference:
    """Read depth for a canonical focal length, which Metric3D v2 predicts (Hu et al. 2024).

    Metric depth is canonical depth * (focal length / canonical focal length). Pixels of the sky and
    beyond the network's range have no depth.
    """
    photo, family, letterbox = outputs.photo, outputs.family, outputs.inputs.letterbox
    if photo.camera is None:
        raise focal_length_error(outputs.model)
    canonical = _crop_letterbox(outputs, outputs.depth())
    valid = np.isfinite(canonical) & (canonical > 0)
    if family.max_canonical_depth:
        valid &= canonical < family.max_canonical_depth
    if family.min_sky:
        valid &= _is_surface(outputs)

    if letterbox is None:
        resize_factor = outputs.inputs.size[1] / photo.shape[1]
    else:
        resize_factor = letterbox.scale
    input_focal = photo.camera.focal * resize_factor
    depth = canonical * np.float32(input_focal / family.canonical_focal)
    return Inference(
        depth=_fill_invalid(depth, np.isfinite(depth)),
        valid=valid,
        normals=_read_normals(outputs),
    )


def _read_normals(outputs: GraphOutputs) -> Float32[np.ndarray, "3 a b"] | None:
    """Normals of any length, cropped to the letterbox; None if the network predicts none."""
    normals = outputs.find("normals") if "normals" in outputs.family.outputs else None
    if normals is None:
        return None
    # A fourth channel is the uncertainty, which is left out below.
    if normals.ndim != 4 or normals.shape[1] < 3:
        height, width = outputs.inputs.size
        raise ModelError(
            f"model '{outputs.model}': output '{outputs.family.outputs['normals'][0]}' has shape "
            f"{normals.shape}, expected (1, 3, {height}, {width})"
        )
    return _crop_letterbox(outputs, normals[0, :3])


def _crop_letterbox(
    outputs: GraphOutputs, field: Float32[np.ndarray, "*c h w"]
) -> Float32[np.ndarray, "*c a b"]:
    """Crop an output to the part that shows the photograph."""
    inputs = outputs.inputs
    if field.shape[-2:] != inputs.size:
        height, width = inputs.size
        raise ModelError(
            f"model '{outputs.model}': an output has shape {field.shape}, expected the size of the "
            f"input, ({height}, {width})"
        )
    return field if inputs.letterbox is None else inputs.letterbox.crop(field)


def read_points(outputs: GraphOutputs) -> Inference:
    """Read a point map, which MoGe-2 predicts (Wang et al. 2025), and its normals and mask.

    The points have an unknown shift along the optical axis. It is fitted together with the focal
    length, or alone if the photograph has a camera. Metric depth is (z + shift) * scale.
    """
    point_map, photo = _read_point_map(outputs), outputs.photo
    is_surface = point_map.mask > 0.5
    relative_focal = None
    if photo.camera is not None:
        half_diagonal = math.hypot(*photo.shape) / 2
        relative_focal = photo.camera.focal / half_diagonal
    is_finite = np.isfinite(point_map.points).all(-1)
    fit = fit_focal_shift(point_map.points, is_surface & is_finite, focal=relative_focal)

    z = point_map.points[..., 2]
    shift, scale = np.float32(fit.shift), np.float32(point_map.scale)
    depth = (z + shift) * scale
    # The authors resize log(z * scale) = log(depth - shift * scale) of all pixels. Those where it
    # is not defined get some depth where it is, and are masked out.
    has_log = np.isfinite(depth) & (z > 0)
    depth_in_place_of_undefined = np.float32(1 + abs(fit.shift)) * scale
    normals = point_map.normals
    return Inference(
        depth=np.where(has_log, depth, depth_in_place_of_undefined),
        valid=is_surface & has_log & (depth > 0),
        shift=float(shift * scale),
        normals=None if normals is None else _channels_first_normals(normals),
        sky=1 - np.nan_to_num(point_map.mask).clip(0, 1),
        camera=photo.camera or _camera_from_focal(fit.focal_px(photo.shape), photo, outputs.model),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PointMap:
    """Points in the camera frame up to shift and scale, and the probability of a surface."""

    points: Float32[np.ndarray, "h w 3"]
    normals: Float32[np.ndarray, "h w 3"] | None
    mask: Field
    scale: float


def _read_point_map(outputs: GraphOutputs) -> _PointMap:
    """Find points, normals, mask and scale among the outputs."""
    arrays, size = _arrays_by_role(outputs), outputs.inputs.size
    shapes = {"points": (1, *size, 3), "normal": (1, *size, 3), "mask": (1, *size), "scale": (1,)}
    for role, shape in shapes.items():
        if role in arrays and arrays[role].size != math.prod(shape):
            raise ModelError(
                f"model '{outputs.model}': output {role!r} has shape {arrays[role].shape}, "
                f"expected {shape}"
            )
    missing = [role for role in _REQUIRED_POINT_OUTPUTS if role not in arrays]
    if missing:
        raise ModelError(f"model '{outputs.model}': the network has no output {missing[0]!r}")
    normals = arrays.get("normal")
    return _PointMap(
        points=arrays["points"].reshape(*size, 3),
        normals=None if normals is None else normals.reshape(*size, 3),
        mask=arrays["mask"].reshape(size),
        scale=float(arrays["scale"].reshape(-1)[0]),
    )


def _arrays_by_role(outputs: GraphOutputs) -> Mapping[str, np.ndarray]:
    """Outputs by role, by their names or else by the published order of outputs."""
    roles = list(outputs.family.outputs)
    candidates = {role: outputs.find(role) for role in roles}
    found_by_name = {role: array for role, array in candidates.items() if array is not None}
    if set(found_by_name) >= set(_REQUIRED_POINT_OUTPUTS):
        return found_by_name

    # The file has other names. A file with fewer outputs lacks the normals.
    arrays = list(outputs.arrays.values())
    if len(arrays) != len(roles):
        roles.remove("normal")
    if len(arrays) < len(roles):
        return found_by_name
    return dict(zip(roles, arrays, strict=False))


def _channels_first_normals(normals: Float32[np.ndarray, "h w 3"]) -> Vectors:
    """Normals with the channels first; those that are not finite face the camera."""
    channels = np.ascontiguousarray(normals.transpose(2, 0, 1))
    is_invalid = ~np.isfinite(channels).all(0)
    channels[:, is_invalid] = np.array([[0.0], [0.0], [-1.0]], np.float32)
    return channels


def _camera_from_focal(focal_px: float, photo: Photo, model: str) -> Camera:
    """Camera by a fitted focal length; a failed fit is a ``ModelError``."""
    if not (math.isfinite(focal_px) and focal_px > 0):
        raise ModelError(
            problem=Text(
                f"model '{model}' could not determine the camera of {photo.name}: give ",
                OptionName("fov", "..."),
                " or ",
                OptionName("camera", "..."),
            )
        )
    K = K_from_focal(focal_px, focal_px, photo.shape)
    return Camera(K=K, source=CameraSource.PREDICTED)


OUTPUT_READERS: Mapping[str, Callable[[GraphOutputs], Inference]] = {
    "depth": read_depth,
    "depth-and-camera": read_depth_and_camera,
    "depth-and-focal": read_depth_and_focal,
    "canonical-depth": read_canonical_depth,
    "points": read_points,
}
"""Readers by ``NetworkFamily.output_form``."""
