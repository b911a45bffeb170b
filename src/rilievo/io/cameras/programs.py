"""Parse cameras in the formats of calibration programs, which a search by names would misread.

Supported are Gyroflow's lens profiles, DepthAI's calibrations (Luxonis OAK), MATLAB's camera
parameters as JSON, OpenMVG's ``sfm_data.json``, the captures of Unity's Perception, Anipose's TOML
and rows of Waymo's camera calibrations.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.parsed_camera import ParsedCamera, perspective_camera
from rilievo.io.cameras.picture_changes import check_no_picture_changes
from rilievo.io.cameras.values import flatten_rows
from rilievo.io.files.names import printable


def parse_program_cameras(content: Any, location: str) -> list[ParsedCamera]:
    """Parse the cameras of a JSON, YAML or TOML; return an empty list if it has another format.

    Raises:
        InputError: If it has one of these formats, with an unsupported lens.
    """
    if not isinstance(content, Mapping):
        return []
    for is_format, read_cameras in _FORMATS:
        if is_format(content):
            check_no_picture_changes(content, (), location)
            return read_cameras(content, location)
    return []


def _format_error(format_name: str, problem: str, location: str) -> InputError:
    return InputError(f"this {format_name} {problem}", path=location)


def _parse_numbers(value: Any, format_name: str, location: str) -> list[float]:
    """Parse a list of numbers, which may be nested in rows or in OpenCV's mapping with ``data``."""
    try:
        return [float(number) for number in flatten_rows(value) if not isinstance(number, bool)]
    except (TypeError, ValueError, OverflowError) as error:
        raise _format_error(format_name, "has text where numbers are expected", location) from error


def _intrinsics_from_matrix(value: Any, format_name: str, location: str) -> list[float]:
    """Extract fx, fy, cx and cy from a 3x3 matrix in row-major order."""
    numbers = _parse_numbers(value, format_name, location)
    if len(numbers) == 9:
        fx, skew, cx, below_fx, fy, cy, *last_row = numbers
        if not skew and not below_fx and last_row == [0, 0, 1]:
            return [fx, fy, cx, cy]
    raise _format_error(
        format_name,
        "has a camera matrix that is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]: correct it",
        location,
    )


def _pad_coefficients(coefficients: Sequence[float], count: int) -> list[float]:
    """Return exactly ``count`` coefficients, padded with zeros or truncated."""
    return [*coefficients, *[0.0] * count][:count]


def _fisheye_camera(
    label: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[float, float] | None,
) -> ParsedCamera:
    """Make a camera of OpenCV's fisheye model, which has four coefficients."""
    numbers = [*intrinsics, *_pad_coefficients(coefficients, 4)]
    return ParsedCamera(label=label, lens="fisheye", numbers=numbers, size=size)


def _opencv_camera(
    label: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[float, float] | None,
    format_name: str,
    location: str,
) -> ParsedCamera:
    """Make a camera with coefficients in OpenCV's order, of which a file may have up to 14."""
    if any(coefficients[8:]):
        raise _format_error(
            format_name,
            "has coefficients for thin prisms or a tilted sensor (after the eighth), which are not "
            "supported: calibrate without them in OpenCV, or undistort the images and pass their "
            "FX,FY,CX,CY",
            location,
        )
    has_rational_coefficients = any(coefficients[5:8])  # k4 to k6
    used = coefficients[:8] if has_rational_coefficients else coefficients[:5]
    # OpenCV has 4, 5 or 8 coefficients.
    count = next(count for count in (4, 5, 8) if count >= len(used))
    return perspective_camera(label, intrinsics, _pad_coefficients(used, count), size)


def _width_and_height(mapping: Any, format_name: str, location: str) -> tuple[float, float]:
    """Read a size from a mapping with ``w`` and ``h``."""
    sides = mapping if isinstance(mapping, Mapping) else {}
    numbers = _parse_numbers([sides.get("w"), sides.get("h")], format_name, location)
    return numbers[0], numbers[1]


_GYROFLOW = "Gyroflow lens profile"


def _is_gyroflow(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("fisheye_params"), Mapping) and "calib_dimension" in content


def _parse_gyroflow_cameras(content: Mapping[str, Any], location: str) -> list[ParsedCamera]:
    """Parse Gyroflow's lens profile, which uses OpenCV's fisheye or perspective model."""
    size = _width_and_height(content["calib_dimension"], _GYROFLOW, location)
    _check_gyroflow_changes(content, location)
    params = content["fisheye_params"]
    intrinsics = _intrinsics_from_matrix(params.get("camera_matrix"), _GYROFLOW, location)
    coefficients = _parse_numbers(params.get("distortion_coeffs") or [], _GYROFLOW, location)
    model = str(content.get("distortion_model") or "opencv_fisheye")
    if model == "opencv_standard":
        return [_opencv_camera("", intrinsics, coefficients, size, _GYROFLOW, location)]
    if model != "opencv_fisheye" or any(coefficients[4:]):
        raise _format_error(
            _GYROFLOW,
            f"has the distortion model '{printable(model[:40])}' with {len(coefficients)} "
            "coefficients; supported models are opencv_fisheye with 4 and opencv_standard with up "
            "to 8",
            location,
        )
    return [_fisheye_camera("", intrinsics, coefficients, size)]


def _check_gyroflow_changes(content: Mapping[str, Any], location: str) -> None:
    """Check that the profile is not for pictures that are stretched, or that a camera corrected."""
    for name in ("input_horizontal_stretch", "input_vertical_stretch"):
        if content.get(name) not in (None, 0, 1):
            raise _format_error(
                _GYROFLOW,
                f"has '{name}: {content[name]}', which is not supported: stretch the images first, "
                "divide the camera matrix by that number, and pass the resulting numbers",
                location,
            )
    if content.get("digital_lens"):
        raise _format_error(
            _GYROFLOW,
            f"is for the digital lens '{printable(str(content['digital_lens'])[:40])}', which is "
            "not supported: use the profile of a mode without a digital lens",
            location,
        )


_DEPTHAI = "DepthAI calibration (Luxonis)"
_SOCKETS = ("CAM_A", "CAM_B", "CAM_C", "CAM_D", "CAM_E", "CAM_F", "CAM_G", "CAM_H")


def _is_depthai(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("cameraData"), list)


def _parse_depthai_cameras(content: Mapping[str, Any], location: str) -> list[ParsedCamera]:
    """Parse DepthAI's list of cameras: mappings, or pairs of a socket's number and a mapping."""
    cameras = []
    for index, entry in enumerate(content["cameraData"]):
        is_pair = isinstance(entry, list) and len(entry) == 2
        socket, camera = entry if is_pair else (index, entry)
        if isinstance(camera, Mapping) and "intrinsicMatrix" in camera:
            is_known_socket = isinstance(socket, int) and 0 <= socket < len(_SOCKETS)
            label = _SOCKETS[socket] if is_known_socket else str(socket)
            cameras.append(_parse_depthai_camera(camera, label, location))
    if not cameras:
        raise _format_error(_DEPTHAI, "has no intrinsicMatrix: calibrate the device", location)
    return cameras


def _parse_depthai_camera(camera: Mapping[str, Any], label: str, location: str) -> ParsedCamera:
    """Parse the camera of one socket: perspective with 14 coefficients, or a fisheye with four."""
    intrinsics = _intrinsics_from_matrix(camera["intrinsicMatrix"], _DEPTHAI, location)
    width, height = _parse_numbers([camera.get("width"), camera.get("height")], _DEPTHAI, location)
    size = (width, height)
    coefficients = _parse_numbers(camera.get("distortionCoeff") or [], _DEPTHAI, location)
    camera_type = str(camera.get("cameraType", 0)).lower()
    if camera_type in ("1", "fisheye") and not any(coefficients[4:]):
        return _fisheye_camera(label, intrinsics, coefficients, size)
    if camera_type in ("0", "perspective"):
        return _opencv_camera(label, intrinsics, coefficients, size, _DEPTHAI, location)
    raise _format_error(
        _DEPTHAI,
        f"gives camera {label} the type '{printable(camera_type[:30])}' with {len(coefficients)} "
        "coefficients; supported types are perspective (0), and fisheye (1) with 4 coefficients",
        location,
    )


_MATLAB = "file with MATLAB's camera parameters"
_MATLAB_NAMES = ("RadialDistortion", "PrincipalPoint", "IntrinsicMatrix", "TangentialDistortion")


def _is_matlab(content: Mapping[str, Any]) -> bool:
    nested = content.get("Intrinsics")
    name_count = sum(name in content for name in _MATLAB_NAMES)
    return name_count >= 2 or (isinstance(nested, Mapping) and _is_matlab(nested))


@dataclass(frozen=True, slots=True)
class _MatlabIntrinsics:
    """Focal lengths and centre (x, y) in MATLAB's pixels, which count from 1, and the skew."""

    focal: list[float]
    centre: list[float]
    skew: float


def _parse_matlab_cameras(content: Mapping[str, Any], location: str) -> list[ParsedCamera]:
    """Parse MATLAB's camera, whose first pixel is at (1, 1) and whose size is rows and columns."""
    nested = content.get("Intrinsics")
    if isinstance(nested, Mapping):
        content = nested
    intrinsics = _parse_matlab_intrinsics(content, location)
    radial = _parse_numbers(content.get("RadialDistortion") or [], _MATLAB, location)
    tangential = _parse_numbers(content.get("TangentialDistortion") or [], _MATLAB, location)
    if intrinsics.skew:
        raise _format_error(
            _MATLAB,
            "has a skew, which is not supported: calibrate without it, or pass "
            "opencv:FX,FY,CX-1,CY-1,K1,K2,P1,P2 instead",
            location,
        )
    are_pairs = len(intrinsics.focal) == 2 and len(intrinsics.centre) == 2
    if not are_pairs or len(radial) > 3 or len(tangential) > 2:
        raise _format_error(
            _MATLAB,
            "has numbers in an unsupported form: pass opencv:FX,FY,CX-1,CY-1,K1,K2,P1,P2 instead",
            location,
        )

    size = None
    if content.get("ImageSize"):
        height, width = _parse_numbers(content["ImageSize"], _MATLAB, location)[:2]
        size = (width, height)
    cx, cy = intrinsics.centre
    k1, k2, k3 = _pad_coefficients(radial, 3)
    p1, p2 = _pad_coefficients(tangential, 2)
    opencv_intrinsics = [*intrinsics.focal, cx - 1, cy - 1]
    opencv_coefficients = [k1, k2, p1, p2, k3]
    return [_opencv_camera("", opencv_intrinsics, opencv_coefficients, size, _MATLAB, location)]


def _parse_matlab_intrinsics(content: Mapping[str, Any], location: str) -> _MatlabIntrinsics:
    """Parse intrinsics from named entries, ``K``, or ``IntrinsicMatrix``, which is transposed."""
    if "FocalLength" in content and "PrincipalPoint" in content:
        return _MatlabIntrinsics(
            focal=_parse_numbers(content["FocalLength"], _MATLAB, location),
            centre=_parse_numbers(content["PrincipalPoint"], _MATLAB, location),
            skew=_parse_numbers(content.get("Skew") or 0, _MATLAB, location)[0],
        )
    matrix = _parse_numbers(content.get("K") or [], _MATLAB, location)
    if len(matrix) == 9:
        fx, skew, cx, _, fy, cy, *_ = matrix
        return _MatlabIntrinsics([fx, fy], [cx, cy], skew)
    transposed = _parse_numbers(content.get("IntrinsicMatrix") or [], _MATLAB, location)
    if len(transposed) == 9:
        fx, _, _, skew, fy, _, cx, cy, _ = transposed
        return _MatlabIntrinsics([fx, fy], [cx, cy], skew)
    raise _format_error(
        _MATLAB,
        "has neither FocalLength and PrincipalPoint nor a matrix: save "
        "jsonencode(toStruct(cameraParams)) as a JSON file",
        location,
    )


_OPENMVG = "OpenMVG sfm_data file"
_MODEL_ID_BITS = 0x7FFFFFFF
"""Bits of a ``polymorphic_id`` that identify the model; the highest says that its name follows."""
_OPENMVG_COEFFICIENTS: Mapping[str, str] = {
    "pinhole": "",
    "pinhole_radial_k1": "disto_k1",
    "pinhole_radial_k3": "disto_k3",
    "pinhole_brown_t2": "disto_t2",
    "fisheye": "fisheye",
}
"""Name of the coefficients of each supported model; empty if it has none."""


def _is_openmvg(content: Mapping[str, Any]) -> bool:
    return "sfm_data_version" in content


def _parse_openmvg_cameras(content: Mapping[str, Any], location: str) -> list[ParsedCamera]:
    """Parse OpenMVG's intrinsics, which the library cereal writes as polymorphic pointers.

    The name of a model is written only once, at the first intrinsics of that model. Later ones
    refer to it by a number.
    """
    cameras = []
    model_by_id: dict[int, str] = {}
    for entry in content.get("intrinsics") or []:
        pointer = _nested_mapping(entry, "value")
        camera = _nested_mapping(_nested_mapping(pointer, "ptr_wrapper"), "data")
        if pointer is None or camera is None:
            raise _openmvg_error("has intrinsics in an unsupported form", location)
        model_id = int(pointer.get("polymorphic_id", 0)) & _MODEL_ID_BITS
        model = str(pointer.get("polymorphic_name") or model_by_id.get(model_id, ""))
        model_by_id[model_id] = model
        label = str(entry.get("key", len(cameras)))
        cameras.append(_parse_openmvg_camera(model, camera, label, location))
    if not cameras:
        raise _openmvg_error("has no intrinsics", location)
    return cameras


def _nested_mapping(mapping: Any, key: str) -> Mapping[str, Any] | None:
    """Return the mapping under a key of a mapping; None if either of them is something else."""
    child = mapping.get(key) if isinstance(mapping, Mapping) else None
    return child if isinstance(child, Mapping) else None


def _parse_openmvg_camera(
    model: str, camera: Mapping[str, Any], label: str, location: str
) -> ParsedCamera:
    """Parse one camera, whose principal point counts from the corner of the first pixel."""
    if model == "spherical":
        return ParsedCamera(label=label, lens="equirect", numbers=(), size=None)
    centre = _parse_numbers(camera.get("principal_point") or [], _OPENMVG, location)
    if len(centre) != 2:
        raise _openmvg_error("has a camera without a principal point", location)
    if model not in _OPENMVG_COEFFICIENTS:
        raise _openmvg_error(
            f"has the camera model '{printable(model[:40])}', which is not supported", location
        )

    width, height, focal = _parse_numbers(
        [camera.get("width"), camera.get("height"), camera.get("focal_length")], _OPENMVG, location
    )
    intrinsics = [focal, focal, centre[0] - 0.5, centre[1] - 0.5]
    list_name = _OPENMVG_COEFFICIENTS[model]
    stated = _parse_numbers(camera.get(list_name) or [], _OPENMVG, location) if list_name else []
    size = (width, height)
    if model == "fisheye":
        numbers = [*intrinsics, *stated]
        return ParsedCamera(label=label, lens="fisheye", numbers=numbers, size=size)
    coefficients = _openmvg_to_opencv_coefficients(model, stated)
    return _opencv_camera(label, intrinsics, coefficients, size, _OPENMVG, location)


def _openmvg_to_opencv_coefficients(model: str, stated: Sequence[float]) -> list[float]:
    """Reorder the coefficients of a perspective model to OpenCV's k1, k2, p1, p2, k3.

    OpenMVG has k1, k2, k3, and then in Brown's model p1 and p2.
    """
    if model == "pinhole_brown_t2":
        radial, tangential = stated[:3], stated[3:]
        return [*radial[:2], *tangential, *radial[2:]]
    k1, k2, k3 = _pad_coefficients(stated, 3)
    return [k1, k2, 0.0, 0.0, k3]


def _openmvg_error(problem: str, location: str) -> InputError:
    """Return an error for a camera of OpenMVG, with the supported models and what to do."""
    supported = ", ".join((*_OPENMVG_COEFFICIENTS, "spherical"))
    return _format_error(
        _OPENMVG,
        f"{problem}; supported models are {supported}. Convert it with "
        "openMVG_main_openMVG2Colmap and use COLMAP's camera, or pass "
        "opencv:F,F,CX-0.5,CY-0.5,K1,K2,P1,P2,K3",
        location,
    )


_UNITY = "Unity Perception capture"


def _is_unity(content: Mapping[str, Any]) -> bool:
    captures = content.get("captures")
    first = captures[0] if isinstance(captures, list) and captures else None
    return isinstance(first, Mapping) and ("sensor" in first or "matrix" in first)


def _parse_unity_cameras(content: Mapping[str, Any], location: str) -> list[ParsedCamera]:
    """Parse the captures' projection matrices, whose first number is 1 / tan(hfov / 2)."""
    cameras = []
    for capture in content["captures"]:
        sensor = capture.get("sensor", capture) if isinstance(capture, Mapping) else {}
        matrix = sensor.get("matrix", sensor.get("camera_intrinsic"))
        if matrix is None:
            continue
        projection = _parse_numbers(matrix, _UNITY, location)
        kind = str(sensor.get("projection") or "perspective").lower()
        if kind != "perspective" or not _is_centred_projection(projection):
            raise _format_error(
                _UNITY,
                "has a projection that is not a centred perspective, which is not supported: pass "
                "FX,FY,CX,CY if the camera is a perspective camera",
                location,
            )
        label = str(sensor.get("id") or sensor.get("sensor_id") or len(cameras))
        cameras.append(_parse_unity_camera(label, projection, sensor.get("dimension"), location))
    if not cameras:
        raise _format_error(
            _UNITY,
            "has no camera matrix: pass the horizontal field of view of its camera as "
            "pinhole:DEGREES",
            location,
        )
    return cameras


def _is_centred_projection(projection: Sequence[float]) -> bool:
    """Whether a 3x3 matrix in row-major order is diagonal, with positive scales of x and y."""
    if len(projection) != 9:
        return False
    x_scale, xy, xz, yx, y_scale, yz, zx, zy, _ = projection
    is_diagonal = not any((xy, xz, yx, yz, zx, zy))
    # NaN passes here, because it is refused later with an error of its own.
    is_any_scale_negative = min(x_scale, y_scale) <= 0
    return is_diagonal and not is_any_scale_negative


def _parse_unity_camera(
    label: str, projection: Sequence[float], dimension: Any, location: str
) -> ParsedCamera:
    """Make a camera from a projection matrix and, if it is stated, the picture size.

    Without the size, only the field of view is known.
    """
    x_scale, _, _, _, y_scale, *_ = projection  # 1 / tan(fov / 2), horizontally and vertically
    if not isinstance(dimension, list) or len(dimension) != 2:
        degrees = math.degrees(2 * math.atan(1 / x_scale))
        return ParsedCamera(label=label, lens="pinhole", numbers=[degrees], size=None)
    width, height = _parse_numbers(dimension, _UNITY, location)
    fx, fy = x_scale * width / 2, y_scale * height / 2
    intrinsics = [fx, fy, (width - 1) / 2, (height - 1) / 2]
    return perspective_camera(label, intrinsics, (), (width, height))


_ANIPOSE = "Anipose calibration"


def _is_anipose(content: Mapping[str, Any]) -> bool:
    return any(isinstance(table, Mapping) and "distortions" in table for table in content.values())


def _parse_anipose_cameras(content: Mapping[str, Any], location: str) -> list[ParsedCamera]:
    """Parse the tables of Anipose's TOML, each with ``matrix``, ``distortions`` and ``size``."""
    cameras = []
    for name, table in content.items():
        if not isinstance(table, Mapping) or "distortions" not in table:
            continue
        label = str(name)
        intrinsics = _intrinsics_from_matrix(table.get("matrix"), _ANIPOSE, location)
        coefficients = _parse_numbers(table["distortions"], _ANIPOSE, location)
        sides = _parse_numbers(table.get("size") or [], _ANIPOSE, location)
        size = (sides[0], sides[1]) if len(sides) == 2 else None
        if table.get("fisheye"):
            camera = _fisheye_camera(label, intrinsics, coefficients, size)
        else:
            camera = _opencv_camera(label, intrinsics, coefficients, size, _ANIPOSE, location)
        cameras.append(camera)
    return cameras


_WAYMO = "row of Waymo's camera calibrations"
_WAYMO_NAMES = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
_WAYMO_COLUMN = re.compile(rf"\bintrinsic\.({'|'.join(_WAYMO_NAMES)})$")


def _is_waymo(content: Mapping[str, Any]) -> bool:
    return sum(_WAYMO_COLUMN.search(str(name)) is not None for name in content) >= 4


def _parse_waymo_cameras(content: Mapping[str, Any], location: str) -> list[ParsedCamera]:
    """Parse a row of Waymo's tables, whose columns are named like [...].intrinsic.f_u."""
    value_by_name: dict[str, Any] = {}
    for column, value in content.items():
        match = _WAYMO_COLUMN.search(str(column))
        if match is not None:
            value_by_name[match[1]] = value
    numbers = _parse_numbers(
        [value_by_name.get(name, 0) for name in _WAYMO_NAMES], _WAYMO, location
    )
    intrinsics, coefficients = numbers[:4], numbers[4:]

    value_by_suffix = {str(column).rpartition(".")[2]: value for column, value in content.items()}
    sides = [value_by_suffix.get("width"), value_by_suffix.get("height")]
    size = None
    if all(sides):
        width, height = _parse_numbers(sides, _WAYMO, location)
        size = (width, height)
    return [_opencv_camera("", intrinsics, coefficients, size, _WAYMO, location)]


_IsFormat = Callable[[Mapping[str, Any]], bool]
_ReadCameras = Callable[[Mapping[str, Any], str], list[ParsedCamera]]
_FORMATS: Sequence[tuple[_IsFormat, _ReadCameras]] = (
    (_is_gyroflow, _parse_gyroflow_cameras),
    (_is_depthai, _parse_depthai_cameras),
    (_is_openmvg, _parse_openmvg_cameras),
    (_is_unity, _parse_unity_cameras),
    (_is_matlab, _parse_matlab_cameras),
    (_is_anipose, _parse_anipose_cameras),
    (_is_waymo, _parse_waymo_cameras),
)
"""For each format, a predicate that recognises it and the parser of its cameras."""
