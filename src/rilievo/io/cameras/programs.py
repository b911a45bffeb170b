"""Cameras in JSON of calibration programs, which a search by names would misread.

Read are Gyroflow's lens profiles, DepthAI's calibrations (Luxonis OAK), MATLAB's camera parameters
as JSON, OpenMVG's ``sfm_data.json``, the captures of Unity's Perception, Anipose's TOML and rows of
Waymo's camera calibrations.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.picture_changes import refuse_picture_changes
from rilievo.io.cameras.stated_camera import StatedCamera, perspective_camera
from rilievo.io.cameras.values import flat_list
from rilievo.io.files.names import printable


def cameras_of_programs(content: Any, location: str) -> list[StatedCamera]:
    """Cameras of a JSON, YAML or TOML; [] if it has none of these forms.

    Raises:
        InputError: If it has one of these forms and states a lens that is not read.
    """
    if not isinstance(content, Mapping):
        return []
    for is_form, read_cameras in _FORMS:
        if is_form(content):
            refuse_picture_changes(content, (), location)
            return read_cameras(content, location)
    return []


def _form_error(form: str, problem: str, location: str) -> InputError:
    return InputError(f"is {form} and {problem}", path=location)


def _numbers(value: Any, form: str, location: str) -> list[float]:
    """Numbers of a list, of rows or of OpenCV's mapping with ``data``, in their order."""
    try:
        return [float(number) for number in flat_list(value) if not isinstance(number, bool)]
    except (TypeError, ValueError, OverflowError) as error:
        raise _form_error(form, "has text where numbers are expected", location) from error


def _intrinsics_of_matrix(value: Any, form: str, location: str) -> list[float]:
    """fx, fy, cx and cy of a matrix that is written by rows."""
    numbers = _numbers(value, form, location)
    if len(numbers) == 9:
        fx, skew, cx, below_fx, fy, cy, *last_row = numbers
        if not skew and not below_fx and last_row == [0, 0, 1]:
            return [fx, fy, cx, cy]
    raise _form_error(
        form, "its matrix is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]: check it", location
    )


def _padded(coefficients: Sequence[float], count: int) -> list[float]:
    """The first so many coefficients, with zeros if there are fewer."""
    return [*coefficients, *[0.0] * count][:count]


def _fisheye_camera(
    label: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[float, float] | None,
) -> StatedCamera:
    """Camera of OpenCV's fisheye model, which has four coefficients."""
    numbers = [*intrinsics, *_padded(coefficients, 4)]
    return StatedCamera(label=label, lens="fisheye", numbers=numbers, size=size)


def _opencv_camera(
    label: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[float, float] | None,
    form: str,
    location: str,
) -> StatedCamera:
    """Camera with coefficients in OpenCV's order, of which a file may have up to 14.

    Raises:
        InputError: If one after the eighth is not 0.
    """
    if any(coefficients[8:]):
        raise _form_error(
            form,
            "has thin prisms or a tilted sensor (the coefficients after the eighth), which are not "
            "read: calibrate with OpenCV without them, or straighten the pictures and give "
            "FX,FY,CX,CY",
            location,
        )
    # OpenCV has 4, 5 or 8 coefficients.
    coefficients = coefficients[:8]
    if not any(coefficients[5:]):
        coefficients = coefficients[:5]
    count = next(count for count in (4, 5, 8) if count >= len(coefficients))
    return perspective_camera(label, intrinsics, _padded(coefficients, count), size)


def _width_and_height(mapping: Any, form: str, location: str) -> tuple[float, float]:
    """Size of a mapping with ``w`` and ``h``."""
    sides = mapping if isinstance(mapping, Mapping) else {}
    numbers = _numbers([sides.get("w"), sides.get("h")], form, location)
    return numbers[0], numbers[1]


_GYROFLOW = "a lens profile of Gyroflow"


def _is_gyroflow(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("fisheye_params"), Mapping) and "calib_dimension" in content


def _cameras_of_gyroflow(content: Mapping[str, Any], location: str) -> list[StatedCamera]:
    """Camera of OpenCV's fisheye, or of its perspective model, for ``calib_dimension``."""
    size = _width_and_height(content["calib_dimension"], _GYROFLOW, location)
    _refuse_gyroflow_changes(content, location)
    params = content["fisheye_params"]
    intrinsics = _intrinsics_of_matrix(params.get("camera_matrix"), _GYROFLOW, location)
    coefficients = _numbers(params.get("distortion_coeffs") or [], _GYROFLOW, location)
    model = str(content.get("distortion_model") or "opencv_fisheye")
    if model == "opencv_standard":
        return [_opencv_camera("", intrinsics, coefficients, size, _GYROFLOW, location)]
    if model != "opencv_fisheye" or any(coefficients[4:]):
        raise _form_error(
            _GYROFLOW,
            f"has the distortion model '{printable(model[:40])}' with {len(coefficients)} "
            "coefficients; read are opencv_fisheye with 4 and opencv_standard with up to 8",
            location,
        )
    return [_fisheye_camera("", intrinsics, coefficients, size)]


def _refuse_gyroflow_changes(content: Mapping[str, Any], location: str) -> None:
    """Refuse a profile of pictures that are stretched, or changed by a lens in the camera."""
    for name in ("input_horizontal_stretch", "input_vertical_stretch"):
        if content.get(name) not in (None, 0, 1):
            raise _form_error(
                _GYROFLOW,
                f"states '{name}: {content[name]}': stretch the pictures first, divide its matrix "
                "by that number, and give the numbers by hand",
                location,
            )
    if content.get("digital_lens"):
        raise _form_error(
            _GYROFLOW,
            f"states the digital lens '{printable(str(content['digital_lens'])[:40])}', which is "
            "not read: take the profile of a mode without it",
            location,
        )


_DEPTHAI = "a calibration of DepthAI (Luxonis)"
_SOCKETS = ("CAM_A", "CAM_B", "CAM_C", "CAM_D", "CAM_E", "CAM_F", "CAM_G", "CAM_H")


def _is_depthai(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("cameraData"), list)


def _cameras_of_depthai(content: Mapping[str, Any], location: str) -> list[StatedCamera]:
    """Cameras by socket, as mappings or as pairs of a socket's number and a mapping."""
    cameras = []
    for index, entry in enumerate(content["cameraData"]):
        is_pair = isinstance(entry, list) and len(entry) == 2
        socket, camera = entry if is_pair else (index, entry)
        if isinstance(camera, Mapping) and "intrinsicMatrix" in camera:
            has_name = isinstance(socket, int) and 0 <= socket < len(_SOCKETS)
            label = _SOCKETS[socket] if has_name else str(socket)
            cameras.append(_depthai_camera(camera, label, location))
    if not cameras:
        raise _form_error(_DEPTHAI, "has no intrinsicMatrix: calibrate the device", location)
    return cameras


def _depthai_camera(camera: Mapping[str, Any], label: str, location: str) -> StatedCamera:
    """Camera of one socket, with 14 coefficients, or four of a fisheye."""
    intrinsics = _intrinsics_of_matrix(camera["intrinsicMatrix"], _DEPTHAI, location)
    width, height = _numbers([camera.get("width"), camera.get("height")], _DEPTHAI, location)
    coefficients = _numbers(camera.get("distortionCoeff") or [], _DEPTHAI, location)
    camera_type = str(camera.get("cameraType", 0)).lower()
    if camera_type in ("1", "fisheye") and not any(coefficients[4:]):
        return _fisheye_camera(label, intrinsics, coefficients, (width, height))
    if camera_type in ("0", "perspective"):
        size = (width, height)
        return _opencv_camera(label, intrinsics, coefficients, size, _DEPTHAI, location)
    raise _form_error(
        _DEPTHAI,
        f"its camera {label} has the type '{printable(camera_type[:30])}' with "
        f"{len(coefficients)} coefficients; read are perspective (0), and fisheye (1) with 4",
        location,
    )


_MATLAB = "MATLAB's camera parameters"
_MATLAB_MARKS = ("RadialDistortion", "PrincipalPoint", "IntrinsicMatrix", "TangentialDistortion")


def _is_matlab(content: Mapping[str, Any]) -> bool:
    nested = content.get("Intrinsics")
    marks = sum(name in content for name in _MATLAB_MARKS)
    return marks >= 2 or (isinstance(nested, Mapping) and _is_matlab(nested))


@dataclass(frozen=True, slots=True)
class _MatlabIntrinsics:
    """Focal lengths and centre, x before y, in MATLAB's pixels, and the skew."""

    focal: list[float]
    centre: list[float]
    skew: float


def _cameras_of_matlab(content: Mapping[str, Any], location: str) -> list[StatedCamera]:
    """Camera whose first pixel's centre is (1, 1), and whose size is rows and columns."""
    nested = content.get("Intrinsics")
    if isinstance(nested, Mapping):
        content = nested
    intrinsics = _matlab_intrinsics(content, location)
    radial = _numbers(content.get("RadialDistortion") or [], _MATLAB, location)
    tangential = _numbers(content.get("TangentialDistortion") or [], _MATLAB, location)
    is_point = len(intrinsics.focal) == 2 and len(intrinsics.centre) == 2
    if intrinsics.skew or not is_point or len(radial) > 3 or len(tangential) > 2:
        problem = "a skew" if intrinsics.skew else "numbers in a form that is not read"
        raise _form_error(
            _MATLAB, f"has {problem}: give opencv:FX,FY,CX-1,CY-1,K1,K2,P1,P2 by hand", location
        )

    size = None
    if content.get("ImageSize"):
        height, width = _numbers(content["ImageSize"], _MATLAB, location)[:2]
        size = width, height
    cx, cy = intrinsics.centre
    k1, k2, k3 = _padded(radial, 3)
    p1, p2 = _padded(tangential, 2)
    opencv_intrinsics = [*intrinsics.focal, cx - 1, cy - 1]
    coefficients = [k1, k2, p1, p2, k3]
    return [_opencv_camera("", opencv_intrinsics, coefficients, size, _MATLAB, location)]


def _matlab_intrinsics(content: Mapping[str, Any], location: str) -> _MatlabIntrinsics:
    """Intrinsics by names, of ``K``, or of ``IntrinsicMatrix``, which is transposed."""
    if "FocalLength" in content and "PrincipalPoint" in content:
        return _MatlabIntrinsics(
            focal=_numbers(content["FocalLength"], _MATLAB, location),
            centre=_numbers(content["PrincipalPoint"], _MATLAB, location),
            skew=_numbers(content.get("Skew") or 0, _MATLAB, location)[0],
        )
    matrix = _numbers(content.get("K") or [], _MATLAB, location)
    if len(matrix) == 9:
        fx, skew, cx, _, fy, cy, *_ = matrix
        return _MatlabIntrinsics([fx, fy], [cx, cy], skew)
    transposed = _numbers(content.get("IntrinsicMatrix") or [], _MATLAB, location)
    if len(transposed) == 9:
        fx, _, _, skew, fy, _, cx, cy, _ = transposed
        return _MatlabIntrinsics([fx, fy], [cx, cy], skew)
    raise _form_error(_MATLAB, "has neither FocalLength and PrincipalPoint nor a matrix", location)


_OPENMVG = "OpenMVG's sfm_data"
_OPENMVG_COEFFICIENTS: Mapping[str, str] = {
    "pinhole": "",
    "pinhole_radial_k1": "disto_k1",
    "pinhole_radial_k3": "disto_k3",
    "pinhole_brown_t2": "disto_t2",
    "fisheye": "fisheye",
}
"""Name of the coefficients of each model that is read; empty for none."""


def _is_openmvg(content: Mapping[str, Any]) -> bool:
    return "sfm_data_version" in content


def _cameras_of_openmvg(content: Mapping[str, Any], location: str) -> list[StatedCamera]:
    """Cameras whose principal point counts from the corner of the first pixel."""
    cameras, model_names = [], dict[int, str]()
    for entry in content.get("intrinsics") or []:
        value = entry.get("value") if isinstance(entry, Mapping) else None
        pointer = value.get("ptr_wrapper") if isinstance(value, Mapping) else None
        camera = pointer.get("data") if isinstance(pointer, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(camera, Mapping):
            raise _openmvg_error("has intrinsics in a form that is not read", location)
        # A model's name stands at the first intrinsics of its kind; later ones have its number,
        # whose highest bit only says that a name follows.
        number = int(value.get("polymorphic_id", 0)) & 0x7FFFFFFF
        model = str(value.get("polymorphic_name") or model_names.get(number, ""))
        model_names[number] = model
        label = str(entry.get("key", len(cameras)))
        cameras.append(_openmvg_camera(model, camera, label, location))
    if not cameras:
        raise _openmvg_error("has no intrinsics", location)
    return cameras


def _openmvg_camera(
    model: str, camera: Mapping[str, Any], label: str, location: str
) -> StatedCamera:
    if model == "spherical":
        return StatedCamera(label=label, lens="equirect", numbers=(), size=None)
    centre = _numbers(camera.get("principal_point") or [], _OPENMVG, location)
    if model not in _OPENMVG_COEFFICIENTS or len(centre) != 2:
        raise _openmvg_error(f"has the camera '{printable(model[:40])}'", location)

    width, height, focal = _numbers(
        [camera.get("width"), camera.get("height"), camera.get("focal_length")], _OPENMVG, location
    )
    intrinsics = [focal, focal, centre[0] - 0.5, centre[1] - 0.5]
    name = _OPENMVG_COEFFICIENTS[model]
    stated = _numbers(camera.get(name) or [], _OPENMVG, location) if name else []
    size = (width, height)
    if model == "fisheye":
        numbers = [*intrinsics, *stated]
        return StatedCamera(label=label, lens="fisheye", numbers=numbers, size=size)
    if model == "pinhole_brown_t2":
        radial, tangential = stated[:3], stated[3:]
        coefficients = [*radial[:2], *tangential, *radial[2:]]
    else:
        k1, k2, k3 = _padded(stated, 3)
        coefficients = [k1, k2, 0.0, 0.0, k3]
    return _opencv_camera(label, intrinsics, coefficients, size, _OPENMVG, location)


def _openmvg_error(problem: str, location: str) -> InputError:
    readable = ", ".join((*_OPENMVG_COEFFICIENTS, "spherical"))
    return _form_error(
        _OPENMVG,
        f"{problem}; read are {readable}. Take COLMAP's, by openMVG_main_openMVG2Colmap, or give "
        "opencv:F,F,CX-0.5,CY-0.5,K1,K2,P1,P2,K3",
        location,
    )


_UNITY = "captures of Unity's Perception"


def _is_unity(content: Mapping[str, Any]) -> bool:
    captures = content.get("captures")
    first = captures[0] if isinstance(captures, list) and captures else None
    return isinstance(first, Mapping) and ("sensor" in first or "matrix" in first)


def _cameras_of_unity(content: Mapping[str, Any], location: str) -> list[StatedCamera]:
    """Cameras by their projection matrix, whose first number is the cotangent of half the view."""
    cameras = []
    for capture in content["captures"]:
        sensor = capture.get("sensor", capture) if isinstance(capture, Mapping) else {}
        matrix = sensor.get("matrix", sensor.get("camera_intrinsic"))
        if matrix is None:
            continue
        projection = _numbers(matrix, _UNITY, location)
        kind = str(sensor.get("projection") or "perspective").lower()
        is_centred = len(projection) == 9 and not any((*projection[1:4], *projection[5:8]))
        if kind != "perspective" or not is_centred or min(projection[0], projection[4]) <= 0:
            raise _form_error(
                _UNITY,
                "has a projection that is not a centred perspective: give the horizontal field of "
                "view of its camera as pinhole:DEGREES",
                location,
            )
        label = str(sensor.get("id") or sensor.get("sensor_id") or len(cameras))
        cameras.append(_unity_camera(label, projection, sensor.get("dimension"), location))
    if not cameras:
        raise _form_error(_UNITY, "has no camera's matrix: give pinhole:DEGREES by hand", location)
    return cameras


def _unity_camera(
    label: str, projection: Sequence[float], dimension: Any, location: str
) -> StatedCamera:
    """Camera of a projection by rows; by its field of view if the size is not stated."""
    if not isinstance(dimension, list) or len(dimension) != 2:
        degrees = math.degrees(2 * math.atan(1 / projection[0]))
        return StatedCamera(label=label, lens="pinhole", numbers=[degrees], size=None)
    width, height = _numbers(dimension, _UNITY, location)
    fx, fy = projection[0] * width / 2, projection[4] * height / 2
    intrinsics = [fx, fy, (width - 1) / 2, (height - 1) / 2]
    return perspective_camera(label, intrinsics, (), (width, height))


_ANIPOSE = "a calibration of Anipose"


def _is_anipose(content: Mapping[str, Any]) -> bool:
    return any(isinstance(table, Mapping) and "distortions" in table for table in content.values())


def _cameras_of_anipose(content: Mapping[str, Any], location: str) -> list[StatedCamera]:
    """Cameras in tables of a TOML, each with ``matrix``, ``distortions`` and ``size``."""
    cameras = []
    for name, table in content.items():
        if not isinstance(table, Mapping) or "distortions" not in table:
            continue
        label = str(name)
        intrinsics = _intrinsics_of_matrix(table.get("matrix"), _ANIPOSE, location)
        coefficients = _numbers(table["distortions"], _ANIPOSE, location)
        sides = _numbers(table.get("size") or [], _ANIPOSE, location)
        size = (sides[0], sides[1]) if len(sides) == 2 else None
        if table.get("fisheye"):
            camera = _fisheye_camera(label, intrinsics, coefficients, size)
        else:
            camera = _opencv_camera(label, intrinsics, coefficients, size, _ANIPOSE, location)
        cameras.append(camera)
    return cameras


_WAYMO = "a row of Waymo's camera calibrations"
_WAYMO_NAMES = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
_WAYMO_COLUMN = re.compile(rf"\bintrinsic\.({'|'.join(_WAYMO_NAMES)})$")


def _is_waymo(content: Mapping[str, Any]) -> bool:
    return sum(_WAYMO_COLUMN.search(str(name)) is not None for name in content) >= 4


def _cameras_of_waymo(content: Mapping[str, Any], location: str) -> list[StatedCamera]:
    """Camera in columns of Waymo's tables, such as [...].intrinsic.f_u."""
    by_name: dict[str, Any] = {}
    for column, value in content.items():
        match = _WAYMO_COLUMN.search(str(column))
        if match is not None:
            by_name[match[1]] = value
    numbers = _numbers([by_name.get(name, 0) for name in _WAYMO_NAMES], _WAYMO, location)

    by_last_word = {str(name).rpartition(".")[2]: value for name, value in content.items()}
    size = None
    if by_last_word.get("width") and by_last_word.get("height"):
        sides = [by_last_word["width"], by_last_word["height"]]
        width, height = _numbers(sides, _WAYMO, location)
        size = width, height
    return [_opencv_camera("", numbers[:4], numbers[4:], size, _WAYMO, location)]


_IsForm = Callable[[Mapping[str, Any]], bool]
_ReadCameras = Callable[[Mapping[str, Any], str], list[StatedCamera]]
_FORMS: Sequence[tuple[_IsForm, _ReadCameras]] = (
    (_is_gyroflow, _cameras_of_gyroflow),
    (_is_depthai, _cameras_of_depthai),
    (_is_openmvg, _cameras_of_openmvg),
    (_is_unity, _cameras_of_unity),
    (_is_matlab, _cameras_of_matlab),
    (_is_anipose, _cameras_of_anipose),
    (_is_waymo, _cameras_of_waymo),
)
"""Whether a content has the form of a program, and the reader of its cameras."""
