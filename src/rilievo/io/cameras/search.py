"""Search JSON and YAML of unknown programs for cameras.

A file may be a camera itself, contain one under some name (``intrinsic``, ``color``, a sensor's
name), or contain several. The search finds all of them, and leaves it to its caller to refuse a
file whose cameras differ.
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
_MAX_NODES = 20_000  # mappings and lists of one file, to bound the time for a hostile file

_FOCAL_NAMES = (*FOCAL_X, "Fx", "FX", "fl_x", "camera_angle_x", "Camera.fx", "Camera1.fx")
_NAME_PARTS_OF_CAMERAS = (*("dist", "coeff", "size", "dim", "shape", "reference", "resolution"),)
"""Substrings in the names of lists and mappings that belong to the intrinsics beside them."""

_MESHROOM = "featuresFolders"


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnsupportedForm:
    """A form of camera that is recognised but not supported: its name, and what to use instead."""

    name: str
    alternative: str


_UNSUPPORTED_FORMS: Mapping[str, _UnsupportedForm] = {
    _MESHROOM: _UnsupportedForm(
        name="a Meshroom scene (sfm)",
        alternative="Meshroom's ExportColmap node, or its focalLength and sensorWidth as "
        "FOCALmm/WIDTHmm if the lens has no distortion",
    ),
    "CalibrationInformation": _UnsupportedForm(
        name="the raw calibration of an Azure Kinect, whose numbers are fractions of its sensor",
        alternative="the numbers from the SDK's k4a_calibration_get_from_raw, as "
        "opencv:FX,FY,CX,CY,K1,K2,P1,P2,K3,K4,K5,K6",
    ),
    "BlocksExchange": _UnsupportedForm(
        name="a BlocksExchange file from ContextCapture", alternative="an export to COLMAP"
    ),
    "projection_params": _UnsupportedForm(
        name="a Project Aria calibration (FISHEYE624)",
        alternative="images that were undistorted with its tools, and their FX,FY,CX,CY",
    ),
    "M_cam_from_uv": _UnsupportedForm(
        name="a Hypersim camera",
        alternative="its settings_camera_fov, converted from radians, as pinhole:DEGREES",
    ),
}
"""Forms that are recognised but not supported, by the key that only they have."""


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """Entries of one camera, with the keys that lead to it in the file, joined by dots."""

    label: str
    entries: Mapping[str, Any]


def find_cameras(content: Any, location: str) -> list[FoundCamera]:
    """Find all cameras in the content of a JSON or YAML file.

    Raises:
        InputError: If the format is recognised but not supported.
    """
    _check_format_is_supported(content, location)
    nodes_left = iter(range(_MAX_NODES))
    return list(_walk_tree(content, "", 0, nodes_left))


def is_camera(node: Mapping[str, Any]) -> bool:
    """Whether a mapping has intrinsics itself, and not only in a mapping within it."""
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
    """Whether a value is a list of numbers or rows, or OpenCV's mapping with ``data``."""
    if isinstance(value, Mapping):
        return isinstance(value.get("data"), list)
    return isinstance(value, list) and bool(value) and not isinstance(value[0], Mapping)


def _check_format_is_supported(content: Any, location: str) -> None:
    """Raise ``InputError`` for known formats that are not read, and name what to use instead."""
    if not isinstance(content, Mapping):
        return
    if str(content.get("format", "")).startswith("application/opf"):
        raise InputError(
            "this is a part of Pix4D's OPF, which is not supported; use the focal_length_px and "
            "principal_point_px of its sensor as opencv:F,F,CX-0.5,CY-0.5,K1,K2,P1,P2,K3",
            path=location,
        )
    for key, form in _UNSUPPORTED_FORMS.items():
        if key in content or (key == _MESHROOM and _is_meshroom_scene(content)):
            raise InputError(
                f"this is {form.name}, which is not supported; use {form.alternative}",
                path=location,
            )


def _is_meshroom_scene(content: Mapping[str, Any]) -> bool:
    """Whether a mapping is a Meshroom scene, by its intrinsics, even without its own key."""
    intrinsics = content.get("intrinsics")
    first = intrinsics[0] if isinstance(intrinsics, list) and intrinsics else None
    return isinstance(first, Mapping) and "intrinsicId" in first


def _walk_tree(
    node: Any, label: str, depth: int, nodes_left: Iterator[int]
) -> Iterator[FoundCamera]:
    """Yield the cameras in a mapping or list, by a depth-first search.

    ``label`` are the keys that lead to the node, and ``depth`` is their number. All calls share
    ``nodes_left`` and take an element of it for each node, so that the search ends with it.
    """
    if depth > _MAX_DEPTH or next(nodes_left, None) is None:
        return
    if isinstance(node, Mapping):
        if is_camera(node):
            yield from _split_matrices(node, label)
            return
        for key, child in node.items():
            if isinstance(child, Mapping | list):
                for camera in _walk_tree(child, _join(label, str(key)), depth + 1, nodes_left):
                    yield _merge_parent_entries(camera, node)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            if isinstance(child, Mapping):
                yield from _walk_tree(child, _join(label, str(index)), depth + 1, nodes_left)


def _join(label: str, key: str) -> str:
    return f"{label}.{key}" if label else key


def _split_matrices(node: Mapping[str, Any], label: str) -> Iterator[FoundCamera]:
    """Yield the camera of a mapping, or one for each matrix if the mapping has a list of them."""
    name = next((name for name in MATRICES if _is_matrix(node.get(name))), None)
    matrices = None if name is None else _list_matrices(node[name])
    if name is None or matrices is None:
        yield FoundCamera(label, node)
        return
    for index, matrix in enumerate(matrices):
        yield FoundCamera(_join(_join(label, name), str(index)), {**node, name: matrix})


def _list_matrices(value: Any) -> list[Any] | None:
    """Return a list of matrices; None for anything else, such as a single matrix.

    Each matrix is a list of rows, or a list of 9 numbers, or only fx, fy, cx and cy.
    """
    if not isinstance(value, list) or not all(isinstance(element, list) for element in value):
        return None
    are_lists_of_rows = all(element and isinstance(element[0], list) for element in value)
    if are_lists_of_rows:
        return value

    lengths = {len(element) for element in value}
    if len(value) < 2 or lengths not in ({4}, {9}):
        return None
    # The last row of a 3x4 or 4x4 projection begins with 0, 0, but fx and fy are not 0.
    is_projection = lengths == {4} and len(value) in (3, 4) and value[-1][:2] == [0, 0]
    return None if is_projection else value


def _merge_parent_entries(camera: FoundCamera, parent: Mapping[str, Any]) -> FoundCamera:
    """Add entries of the parent, such as the size and the model, that the camera itself lacks."""
    scalars = {
        str(name): value
        for name, value in parent.items()
        if isinstance(value, str) or is_number(value)
    }
    related = {name: value for name, value in parent.items() if _belongs_to_camera(str(name))}
    return FoundCamera(camera.label, {**scalars, **related, **camera.entries})


def _belongs_to_camera(name: str) -> bool:
    """Whether a list or mapping of this name belongs to the intrinsics beside it."""
    if is_distortion_name(name) or is_picture_change(name) or is_rectified_matrix(name):
        return True
    lowercase_name = name.lower()
    return any(part in lowercase_name for part in _NAME_PARTS_OF_CAMERAS)
