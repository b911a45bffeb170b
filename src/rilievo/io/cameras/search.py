"""Cameras inside of JSON and YAML of other programs, and names of forms that are not read.

A file may be a camera, hold one under a name of its own (``intrinsic``, ``color``, a sensor's
name), or hold several. All cameras are found; a file whose cameras differ is refused with their
names.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rilievo.errors import InputError
from rilievo.geometry.cameras.spelling import LENSES
from rilievo.io.cameras.distortions import is_distortion_name, is_number
from rilievo.io.cameras.models import FOCAL_X, MATRICES, has_focal_list
from rilievo.io.cameras.rectified_matrices import is_rectified_matrix
from rilievo.io.files.names import printable
from rilievo.io.picture_changes import is_picture_change

_MOST_DEPTH = 6
_MOST_NODES = 20_000
_MOST_NAMED = 6

_FOCAL_NAMES = (*FOCAL_X, "Fx", "FX", "fl_x", "camera_angle_x", "Camera.fx", "Camera1.fx")

UNREAD_FORMS: Mapping[str, tuple[str, str]] = {
    "featuresFolders": (
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
"""Keys of forms that are recognised, with their names and what to take in their place."""


class FoundCamera(NamedTuple):
    """Entries of one camera, and its place in the file."""

    label: str
    entries: Mapping[str, Any]


def find_cameras(content: Any, place: str) -> list[FoundCamera]:
    """Find cameras in a JSON or YAML; [] without one.

    Raises:
        InputError: If it is of a form that is recognised and not read.
    """
    _refuse_unread_forms(content, place)
    nodes = iter(range(_MOST_NODES))
    return list(_walk(content, "", 0, nodes))


def refuse_form(form: str, place: str) -> InputError:
    """Refusal of a form by its name, with what to take in its place."""
    name, instead = UNREAD_FORMS[form]
    return InputError(f"is {name}, which is not read; take {instead}", path=place)


def _refuse_unread_forms(content: Any, place: str) -> None:
    if not isinstance(content, Mapping):
        return
    intrinsics = content.get("intrinsics")
    first = intrinsics[0] if isinstance(intrinsics, list) and intrinsics else None
    if isinstance(first, Mapping) and "intrinsicId" in first:
        raise refuse_form("featuresFolders", place)
    if str(content.get("format", "")).startswith("application/opf"):
        raise InputError(
            "is a part of Pix4D's OPF, which is not read; take the focal_length_px and "
            "principal_point_px of its sensor as opencv:F,F,CX-0.5,CY-0.5,K1,K2,P1,P2,K3",
            path=place,
        )
    for form in UNREAD_FORMS:
        if form in content:
            raise refuse_form(form, place)


def _walk(node: Any, label: str, depth: int, nodes: Iterator[int]) -> Iterator[FoundCamera]:
    if depth > _MOST_DEPTH or next(nodes, None) is None:
        return
    if isinstance(node, Mapping):
        if is_camera(node):
            yield from _cameras_of_matrices(node, label)
            return
        for key, child in node.items():
            if isinstance(child, Mapping | list):
                for found in _walk(child, _join(label, str(key)), depth + 1, nodes):
                    yield _with_facts_of_parent(found, node)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            if isinstance(child, Mapping):
                yield from _walk(child, _join(label, str(index)), depth + 1, nodes)


def _cameras_of_matrices(node: Mapping[str, Any], label: str) -> Iterator[FoundCamera]:
    """Camera of a mapping, or one for each matrix of a list of them."""
    name = next((name for name in MATRICES if _is_matrix(node.get(name))), None)
    several = None if name is None else _several_matrices(node[name])
    if name is None or several is None:
        yield FoundCamera(label, node)
        return
    for index, matrix in enumerate(several):
        yield FoundCamera(_join(_join(label, name), str(index)), {**node, name: matrix})


def _several_matrices(value: Any) -> list[Any] | None:
    """Matrices of a list of them, or rows of 4 or 9 numbers each; None for a single one."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return None
    if all(row and isinstance(row[0], list) for row in value):
        return value
    lengths = {len(row) for row in value}
    is_square = lengths == {4} and len(value) in (3, 4)
    has_rows = len(value) > 1 and lengths in ({4}, {9})
    return value if has_rows and not (is_square and value[-1][:2] == [0, 0]) else None


def _join(label: str, key: str) -> str:
    return f"{label}.{key}" if label else key


def _with_facts_of_parent(found: FoundCamera, parent: Mapping[str, Any]) -> FoundCamera:
    """Camera with the size and model that stand beside it, one level above."""
    scalars = {
        str(key): value
        for key, value in parent.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    beside = {key: parent[key] for key in parent if _belongs_to_intrinsics(str(key))}
    return FoundCamera(found.label, {**scalars, **beside, **found.entries})


def _belongs_to_intrinsics(name: str) -> bool:
    """Whether a list or mapping of this name belongs to the intrinsics that stand beside it."""
    word = name.lower()
    is_known = is_distortion_name(name) or is_picture_change(name) or is_rectified_matrix(name)
    return is_known or any(
        part in word
        for part in ("dist", "coeff", "size", "dim", "shape", "reference", "resolution")
    )


def is_camera(node: Mapping[str, Any]) -> bool:
    """Whether a mapping has intrinsics itself."""
    lens = node.get("lens")
    if isinstance(lens, str) and lens.partition(":")[0] in LENSES:
        return True
    if any(is_number(node.get(name)) for name in _FOCAL_NAMES):
        return True
    frames = node.get("frames")
    if isinstance(frames, list) and any(_states_focal_length(frame) for frame in frames):
        return True
    if "projection_parameters" in node or "projection_type" in node or has_focal_list(node):
        return True
    return any(_is_matrix(node.get(name)) for name in MATRICES)


def _states_focal_length(frame: Any) -> bool:
    """Whether a frame of NeRF's ``transforms.json`` has a camera of its own."""
    return isinstance(frame, Mapping) and is_number(frame.get("fl_x"))


def _is_matrix(value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value.get("data"), list)
    return isinstance(value, list) and bool(value) and not isinstance(value[0], Mapping)


def several_cameras_error(labels: list[str], place: str) -> InputError:
    """Refusal of a file whose cameras differ."""
    named = [printable(label) for label in dict.fromkeys(labels) if label][:_MOST_NAMED]
    names = f" ({', '.join(named)}{', ...' if len(labels) > _MOST_NAMED else ''})" if named else ""
    return InputError(
        f"holds {len(labels)} cameras{names}: keep the one of this photograph", path=place
    )
