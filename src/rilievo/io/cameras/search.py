"""Cameras inside of JSON and YAML of other programs, and names of forms that are not read.

A file may be a camera, hold one under a name of its own (``intrinsic``, ``color``, a sensor's
name), or hold several. All cameras are found; whoever reads them refuses a file whose cameras
differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rilievo.errors import InputError
from rilievo.geometry.cameras.spelling import LENSES
from rilievo.io.cameras.distortions import is_distortion_name
from rilievo.io.cameras.kalibr import has_focal_list
from rilievo.io.cameras.names import FOCAL_X, MATRICES
from rilievo.io.cameras.picture_changes import is_picture_change
from rilievo.io.cameras.rectified_matrices import is_rectified_matrix
from rilievo.io.cameras.values import is_number, is_numeric

_MAX_DEPTH = 6  # a camera lies two or three levels deep in the files of known programs
_MAX_NODES = 20_000  # mappings and lists of one file, so that a hostile one ends soon

_FOCAL_NAMES = (*FOCAL_X, "Fx", "FX", "fl_x", "camera_angle_x", "Camera.fx", "Camera1.fx")
_NAME_PARTS_OF_CAMERAS = (*("dist", "coeff", "size", "dim", "shape", "reference", "resolution"),)
"""Parts of names of lists and mappings that say more about the intrinsics beside them."""

_MESHROOM = "featuresFolders"
_UNREAD_FORMS: Mapping[str, tuple[str, str]] = {
    _MESHROOM: (
        "Meshroom's scene (sfm)",
        "its node ExportColmap, or its focalLength and sensorWidth as FOCALmm/WIDTHmm if the lens "
        "has no distortion",
    ),
    "CalibrationInformation": (
        "the raw calibration of an Azure Kinect, whose numbers are shares of its sensor",
        "the numbers of the SDK's k4a_calibration_get_from_raw, as opencv:FX,FY,CX,CY,K1,K2,P1,P2,"
        "K3,K4,K5,K6",
    ),
    "BlocksExchange": ("BlocksExchange of ContextCapture", "an export to COLMAP"),
    "projection_params": (
        "a calibration of Project Aria (FISHEYE624)",
        "pictures that were straightened by its tools, and their FX,FY,CX,CY",
    ),
    "M_cam_from_uv": (
        "a camera of Hypersim",
        "its settings_camera_fov, in radians, as pinhole:DEGREES",
    ),
}
"""Keys of forms that are recognised and not read, their names, and what to take instead."""


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """Entries of one camera, and the keys that lead to it in the file, joined by dots."""

    label: str
    entries: Mapping[str, Any]


def find_cameras(content: Any, location: str) -> list[FoundCamera]:
    """Find cameras in a JSON or YAML; [] without one.

    Raises:
        InputError: If it is of a form that is recognised and not read.
    """
    _refuse_unread_forms(content, location)
    nodes_left = iter(range(_MAX_NODES))
    return list(_walk(content, "", 0, nodes_left))


def is_camera(node: Mapping[str, Any]) -> bool:
    """Whether a mapping has intrinsics itself."""
    lens = node.get("lens")
    if isinstance(lens, str) and lens.partition(":")[0] in LENSES:
        return True
    if any(is_numeric(node.get(name)) for name in _FOCAL_NAMES):
        return True
    frames = node.get("frames")
    if isinstance(frames, list) and any(_states_focal_length(frame) for frame in frames):
        return True
    if "projection_parameters" in node or "projection_type" in node or has_focal_list(node):
        return True
    return any(_is_matrix(node.get(name)) for name in MATRICES)


def _states_focal_length(frame: Any) -> bool:
    """Whether a frame of NeRF's ``transforms.json`` has a camera of its own."""
    return isinstance(frame, Mapping) and is_numeric(frame.get("fl_x"))


def _is_matrix(value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value.get("data"), list)
    return isinstance(value, list) and bool(value) and not isinstance(value[0], Mapping)


def _refuse_unread_forms(content: Any, location: str) -> None:
    if not isinstance(content, Mapping):
        return
    if str(content.get("format", "")).startswith("application/opf"):
        raise InputError(
            "is a part of Pix4D's OPF, which is not read; take the focal_length_px and "
            "principal_point_px of its sensor as opencv:F,F,CX-0.5,CY-0.5,K1,K2,P1,P2,K3",
            path=location,
        )
    keys = [key for key in _UNREAD_FORMS if key in content]
    if _is_meshroom_scene(content):
        keys.insert(0, _MESHROOM)
    if keys:
        name, instead = _UNREAD_FORMS[keys[0]]
        raise InputError(f"is {name}, which is not read; take {instead}", path=location)


def _is_meshroom_scene(content: Mapping[str, Any]) -> bool:
    intrinsics = content.get("intrinsics")
    first = intrinsics[0] if isinstance(intrinsics, list) and intrinsics else None
    return isinstance(first, Mapping) and "intrinsicId" in first


def _walk(node: Any, label: str, depth: int, nodes_left: Iterator[int]) -> Iterator[FoundCamera]:
    """Yield the cameras of a mapping or list, and of those in it."""
    if depth > _MAX_DEPTH or next(nodes_left, None) is None:
        return
    if isinstance(node, Mapping):
        if is_camera(node):
            yield from _cameras_of_matrices(node, label)
            return
        for key, child in node.items():
            if isinstance(child, Mapping | list):
                for found in _walk(child, _join(label, str(key)), depth + 1, nodes_left):
                    yield _with_entries_of_parent(found, node)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            if isinstance(child, Mapping):
                yield from _walk(child, _join(label, str(index)), depth + 1, nodes_left)


def _join(label: str, key: str) -> str:
    return f"{label}.{key}" if label else key


def _cameras_of_matrices(node: Mapping[str, Any], label: str) -> Iterator[FoundCamera]:
    """Camera of a mapping, or one for each matrix of a list of them."""
    name = next((name for name in MATRICES if _is_matrix(node.get(name))), None)
    matrices = None if name is None else _several_matrices(node[name])
    if name is None or matrices is None:
        yield FoundCamera(label, node)
        return
    for index, matrix in enumerate(matrices):
        yield FoundCamera(_join(_join(label, name), str(index)), {**node, name: matrix})


def _several_matrices(value: Any) -> list[Any] | None:
    """Matrices of a list of them, or rows of 4 or 9 numbers each; None for a single matrix."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return None
    if all(row and isinstance(row[0], list) for row in value):
        return value

    lengths = {len(row) for row in value}
    if len(value) < 2 or lengths not in ({4}, {9}):
        return None
    is_projection = lengths == {4} and len(value) in (3, 4) and value[-1][:2] == [0, 0]
    return None if is_projection else value


def _with_entries_of_parent(found: FoundCamera, parent: Mapping[str, Any]) -> FoundCamera:
    """Camera with the size and the model that stand beside it, one level above."""
    scalars = {
        str(name): value
        for name, value in parent.items()
        if isinstance(value, str) or is_number(value)
    }
    related = {name: value for name, value in parent.items() if _belongs_to_camera(str(name))}
    return FoundCamera(found.label, {**scalars, **related, **found.entries})


def _belongs_to_camera(name: str) -> bool:
    """Whether a list or mapping of this name belongs to the intrinsics that stand beside it."""
    if is_distortion_name(name) or is_picture_change(name) or is_rectified_matrix(name):
        return True
    word = name.lower()
    return any(part in word for part in _NAME_PARTS_OF_CAMERAS)
