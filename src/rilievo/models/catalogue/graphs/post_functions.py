"""Post-functions of published graphs: from outputs to what a photograph shows."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.errors import ModelError, UnknownCameraError
from rilievo.geometry.intrinsics import K_from_fov, resize_K
from rilievo.models.base import Inference
from rilievo.models.catalogue.graphs.graph_answer import GraphAnswer
from rilievo.models.catalogue.graphs.point_maps import read_points
from rilievo.models.resampling.resizing import BEYOND
from rilievo.types import Camera, CameraSource


def _depth(answer: GraphAnswer) -> Inference:
    """One map, of the kind that the model's card says; none where the graph sees the sky."""
    if not answer.facts.sky:
        return Inference(depth=answer.depth())
    depth = answer.depth()
    valid = np.isfinite(depth) & _below_the_sky(answer)
    return Inference(depth=np.where(valid, depth, np.float32(1)), valid=valid)


def _below_the_sky(answer: GraphAnswer) -> Bool[np.ndarray, "h w"]:
    return answer.map("sky") < answer.facts.sky


def _depth_and_camera(answer: GraphAnswer) -> Inference:
    """Depth Anything 3 (Lin et al. 2025): depth, not inverse, and the camera.

    Some graphs have a confidence, 1 (none) and above, and intrinsics, in pixels of their input.
    """
    depth = answer.depth()
    valid = np.isfinite(depth) & (depth > 0)
    confidence = None
    if answer.find("confidence") is not None:
        confidence = 1 - 1 / np.maximum(answer.map("confidence"), 1)
    return Inference(
        depth=np.where(valid, depth, np.float32(1)),
        valid=None if valid.all() else valid,
        confidence=confidence,
        camera=_camera_of_intrinsics(answer),
    )


def _camera_of_intrinsics(answer: GraphAnswer) -> Camera | None:
    K = answer.find("intrinsics")
    if K is None or answer.photo.camera is not None:
        return None
    K = K.reshape(-1)
    if K.size != 9 or not (np.isfinite(K).all() and min(K[0], K[4]) > 0):
        raise ModelError(
            f"model '{answer.model}' returned invalid intrinsics; "
            "give --fov (fov=...) or --camera (camera=...)"
        )
    square = K.reshape(3, 3).astype(np.float64)
    whole = resize_K(square, size=answer.size, new_size=answer.photo.shape)
    return Camera(K=whole, source=CameraSource.PREDICTED)


def _depth_and_focal(answer: GraphAnswer) -> Inference:
    """Depth Pro (Bochkovskii et al. 2024): metres for the focal length that it sees.

    It answers that focal length too, in pixels of its input. Depth is proportional to the focal
    length over the width, so a known focal length corrects it.
    """
    depth, focal = answer.depth(), answer.find("focal")
    width = np.float32(answer.size[1])
    if focal is None or focal.size != 1:
        name = answer.facts.outputs["focal"][0]
        raise ModelError(
            f"model '{answer.model}': the network has no output '{name}' of one number"
        )
    focal = focal.reshape(1)
    fov = float(np.degrees(2 * np.arctan(width / 2 / focal)).astype(np.float32)[0])
    if not (0 < focal[0] < np.inf and 0 < fov < 180):
        raise ModelError(f"model '{answer.model}' returned a focal length of {focal[0]:g} pixels")
    shape, camera = answer.photo.shape, None
    if answer.photo.camera is None:
        camera = Camera(K=K_from_fov(fov, shape), source=CameraSource.PREDICTED)
    known = answer.photo.camera or camera
    assert known is not None, "one of the two is a camera"
    # The graph limits its depth; what reaches the end of its range may lie anywhere beyond.
    depth = np.where(depth < answer.facts.resizing.farthest, depth, np.float32(BEYOND))
    of_width = depth / (focal / width)
    return Inference(depth=of_width * np.float32(known.focal / shape[1]), camera=camera)


def _canonical_depth(answer: GraphAnswer) -> Inference:
    """Metres of a camera with one focal length, as by Metric3D v2 (Hu et al. 2024), and normals.

    Normals have OpenCV's axes and face the camera. Sky has no depth: pixels where the range ends,
    or those that the graph calls so (Depth Anything 3 metric; Lin et al. 2025).
    """
    photo, facts = answer.photo, answer.facts
    if photo.camera is None:
        raise UnknownCameraError(
            f"model '{answer.model}' needs the focal length and predicts none: "
            "give --fov (fov=...) or --camera (camera=...), or try "
            "--vanishing-points (vanishing_points=True)"
        )
    canonical = _inside(answer, answer.depth())
    valid = np.isfinite(canonical) & (canonical > 0)
    if facts.farthest:
        valid &= canonical < facts.farthest
    if facts.sky:
        valid &= _below_the_sky(answer)
    place = answer.place
    scale = answer.size[1] / photo.shape[1] if place is None else place.scale
    metres = canonical * np.float32(photo.camera.focal * scale / facts.focal)
    return Inference(
        depth=np.where(np.isfinite(metres), metres, np.float32(1)),
        valid=valid,
        normals=_normals(answer),
    )


def _normals(answer: GraphAnswer) -> Float32[np.ndarray, "3 a b"] | None:
    """Normals, without the fourth channel (uncertainty) that some files have."""
    found = answer.find("normals") if "normals" in answer.facts.outputs else None
    if found is None:
        return None
    if found.ndim != 4 or found.shape[1] < 3:
        height, width = answer.size
        raise ModelError(
            f"model '{answer.model}': output '{answer.facts.outputs['normals'][0]}' is "
            f"{found.shape}, expected (1, 3, {height}, {width})"
        )
    return _inside(answer, found[0, :3])


def _inside(
    answer: GraphAnswer, field: Float32[np.ndarray, "*c h w"]
) -> Float32[np.ndarray, "*c a b"]:
    """Part of an output that shows the photograph."""
    height, width = answer.size
    if field.shape[-2:] != answer.size:
        raise ModelError(
            f"model '{answer.model}': an output is {field.shape}, expected {height} x {width}"
        )
    return field if answer.place is None else answer.place.inside(field)


POST_FUNCTIONS: Mapping[str, Callable[[GraphAnswer], Inference]] = {
    "depth": _depth,
    "depth-and-camera": _depth_and_camera,
    "depth-and-focal": _depth_and_focal,
    "canonical-depth": _canonical_depth,
    "points": read_points,
}
"""Post-functions by the name that a row of the table gives."""
