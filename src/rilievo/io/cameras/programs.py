"""Cameras in JSON of calibration programs, which a search by names would misread.

Read are Gyroflow's lens profiles, DepthAI's calibrations (Luxonis OAK), MATLAB's camera parameters
as JSON, OpenMVG's ``sfm_data.json`` and the captures of Unity's Perception.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.scene_files import StatedCamera
from rilievo.io.files.names import printable
from rilievo.io.picture_changes import refuse_picture_changes


def cameras_of_programs(content: Any, place: str) -> list[StatedCamera]:
    """Cameras of a JSON or YAML; [] if it has none of these forms.

    Raises:
        InputError: If it has one of these forms and states a lens that is not read.
    """
    if not isinstance(content, Mapping):
        return []
    for reads, is_form in _FORMS:
        if is_form(content):
            refuse_picture_changes(content, (), place)
            return reads(content, place)
    return []


def _refusal(form: str, why: str, place: str) -> InputError:
    return InputError(f"is {form} and {why}", path=place)


def _numbers(value: Any, form: str, place: str) -> list[float]:
    """Numbers of a list, of rows or of OpenCV's mapping with ``data``, in their order."""
    if isinstance(value, Mapping):
        value = value.get("data")
    rows = value if isinstance(value, list) else [value]
    flat = [number for row in rows for number in (row if isinstance(row, list) else [row])]
    try:
        return [float(number) for number in flat if not isinstance(number, bool)]
    except (TypeError, ValueError, OverflowError) as error:
        raise _refusal(form, "has text where numbers are expected", place) from error


def _focal_and_centre(value: Any, form: str, place: str) -> list[float]:
    """fx, fy, cx and cy of a matrix that is written by rows."""
    numbers = _numbers(value, form, place)
    if len(numbers) != 9 or [*numbers[3:4], *numbers[6:]] != [0, 0, 0, 1] or numbers[1]:
        raise _refusal(
            form, "its matrix is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]: check it", place
        )
    return [numbers[0], numbers[4], numbers[2], numbers[5]]


def _brown_camera(
    label: str,
    intrinsics: list[float],
    bend: list[float],
    size: tuple[float, float] | None,
    form: str,
    place: str,
) -> StatedCamera:
    """Camera with coefficients in OpenCV's order, of which it may have up to 14."""
    if any(bend[8:]):
        raise _refusal(
            form,
            "has thin prisms or a tilted sensor (the coefficients after the eighth), which are not "
            "read: calibrate with OpenCV without them, or straighten the pictures and give "
            "FX,FY,CX,CY",
            place,
        )
    bend = bend[:8]
    while len(bend) > 5 and not any(bend[5:]):
        bend = bend[:5]
    if not any(bend):
        return StatedCamera(label, "pinhole", intrinsics, size)
    counts = (4, 5, 8)
    count = next(count for count in counts if count >= len(bend))
    return StatedCamera(label, "opencv", [*intrinsics, *bend, *[0.0] * (count - len(bend))], size)


def _size_of_mapping(value: Any, form: str, place: str) -> tuple[float, float]:
    sides = value if isinstance(value, Mapping) else {}
    numbers = _numbers([sides.get("w"), sides.get("h")], form, place)
    return numbers[0], numbers[1]


_GYROFLOW = "a lens profile of Gyroflow"


def _is_gyroflow(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("fisheye_params"), Mapping) and "calib_dimension" in content


def _cameras_of_gyroflow(content: Mapping[str, Any], place: str) -> list[StatedCamera]:
    """Camera of OpenCV's fisheye, or of its perspective model, for ``calib_dimension``."""
    params = content["fisheye_params"]
    size = _size_of_mapping(content["calib_dimension"], _GYROFLOW, place)
    for name in ("input_horizontal_stretch", "input_vertical_stretch"):
        if content.get(name) not in (None, 0, 1):
            raise _refusal(
                _GYROFLOW,
                f"states '{name}: {content[name]}': stretch the pictures first, divide its matrix "
                "by that number, and give the numbers by hand",
                place,
            )
    if content.get("digital_lens"):
        raise _refusal(
            _GYROFLOW,
            f"states the digital lens '{printable(str(content['digital_lens'])[:40])}', which is "
            "not read: take the profile of a mode without it",
            place,
        )
    intrinsics = _focal_and_centre(params.get("camera_matrix"), _GYROFLOW, place)
    bend = _numbers(params.get("distortion_coeffs") or [], _GYROFLOW, place)
    model = str(content.get("distortion_model") or "opencv_fisheye")
    if model == "opencv_standard":
        return [_brown_camera("", intrinsics, bend, size, _GYROFLOW, place)]
    if model != "opencv_fisheye" or any(bend[4:]):
        raise _refusal(
            _GYROFLOW,
            f"has the distortion model '{printable(model[:40])}' with {len(bend)} coefficients; "
            "read are opencv_fisheye with 4 and opencv_standard with up to 8",
            place,
        )
    bend = [*bend, 0.0, 0.0, 0.0, 0.0][:4]
    return [StatedCamera("", "fisheye", [*intrinsics, *bend], size)]


_DEPTHAI = "a calibration of DepthAI (Luxonis)"
_SOCKETS = ("CAM_A", "CAM_B", "CAM_C", "CAM_D", "CAM_E", "CAM_F", "CAM_G", "CAM_H")


def _is_depthai(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("cameraData"), list)


def _cameras_of_depthai(content: Mapping[str, Any], place: str) -> list[StatedCamera]:
    """Cameras by socket, each with 14 coefficients."""
    cameras = []
    for index, entry in enumerate(content["cameraData"]):
        pair = entry if isinstance(entry, list) and len(entry) == 2 else [index, entry]
        socket, own = pair
        if not isinstance(own, Mapping) or "intrinsicMatrix" not in own:
            continue
        is_known = isinstance(socket, int) and 0 <= socket < len(_SOCKETS)
        label = _SOCKETS[socket] if is_known else str(socket)
        intrinsics = _focal_and_centre(own["intrinsicMatrix"], _DEPTHAI, place)
        width, height = _numbers([own.get("width"), own.get("height")], _DEPTHAI, place)
        size = width, height
        bend = _numbers(own.get("distortionCoeff") or [], _DEPTHAI, place)
        kind = str(own.get("cameraType", 0)).lower()
        if kind in ("1", "fisheye") and not any(bend[4:]):
            bend = [*bend, 0.0, 0.0, 0.0, 0.0][:4]
            cameras.append(StatedCamera(label, "fisheye", [*intrinsics, *bend], size))
        elif kind in ("0", "perspective"):
            cameras.append(_brown_camera(label, intrinsics, bend, size, _DEPTHAI, place))
        else:
            raise _refusal(
                _DEPTHAI,
                f"its camera {label} has the type '{printable(kind[:30])}' with {len(bend)} "
                "coefficients; read are perspective (0), and fisheye (1) with 4",
                place,
            )
    if not cameras:
        raise _refusal(_DEPTHAI, "has no intrinsicMatrix: calibrate the device", place)
    return cameras


_MATLAB = "MATLAB's camera parameters"
_MATLAB_MARKS = ("RadialDistortion", "PrincipalPoint", "IntrinsicMatrix", "TangentialDistortion")


def _is_matlab(content: Mapping[str, Any]) -> bool:
    nested = content.get("Intrinsics")
    marks = sum(name in content for name in _MATLAB_MARKS)
    return marks >= 2 or (isinstance(nested, Mapping) and _is_matlab(nested))


def _cameras_of_matlab(content: Mapping[str, Any], place: str) -> list[StatedCamera]:
    """Camera whose first pixel's centre is (1, 1), whose size is rows and columns."""
    nested = content.get("Intrinsics")
    if isinstance(nested, Mapping):
        content = nested
    if "FocalLength" in content and "PrincipalPoint" in content:
        focal = _numbers(content["FocalLength"], _MATLAB, place)
        centre = _numbers(content["PrincipalPoint"], _MATLAB, place)
        skew = _numbers(content.get("Skew") or 0, _MATLAB, place)[0]
    else:
        focal, centre, skew = _matlab_matrix(content, place)
    bend = _numbers(content.get("RadialDistortion") or [], _MATLAB, place)
    tangential = _numbers(content.get("TangentialDistortion") or [], _MATLAB, place)
    if skew or len(focal) != 2 or len(centre) != 2 or len(bend) > 3 or len(tangential) > 2:
        why = "a skew" if skew else "numbers in a form that is not read"
        raise _refusal(
            _MATLAB, f"has {why}: give opencv:FX,FY,CX-1,CY-1,K1,K2,P1,P2 by hand", place
        )
    size = None
    if content.get("ImageSize"):
        height, width = _numbers(content["ImageSize"], _MATLAB, place)[:2]
        size = width, height
    radial = [*bend, 0.0, 0.0, 0.0][:3]
    tangential = [*tangential, 0.0, 0.0][:2]
    intrinsics = [*focal, centre[0] - 1, centre[1] - 1]
    coefficients = [*radial[:2], *tangential, radial[2]]
    return [_brown_camera("", intrinsics, coefficients, size, _MATLAB, place)]


def _matlab_matrix(
    content: Mapping[str, Any], place: str
) -> tuple[list[float], list[float], float]:
    """Focal lengths, centre and skew of ``K``, or of ``IntrinsicMatrix``, which is transposed."""
    for name in ("K", "IntrinsicMatrix"):
        numbers = _numbers(content.get(name) or [], _MATLAB, place)
        if len(numbers) == 9:
            if name == "IntrinsicMatrix":
                numbers = [numbers[row + 3 * column] for row in range(3) for column in range(3)]
            return [numbers[0], numbers[4]], [numbers[2], numbers[5]], numbers[1]
    raise _refusal(_MATLAB, "has neither FocalLength and PrincipalPoint nor a matrix", place)


_OPENMVG = "OpenMVG's sfm_data"
_OPENMVG_MODELS: Mapping[str, tuple[str, str]] = {
    "pinhole": ("pinhole", ""),
    "pinhole_radial_k1": ("opencv", "disto_k1"),
    "pinhole_radial_k3": ("opencv", "disto_k3"),
    "pinhole_brown_t2": ("opencv", "disto_t2"),
    "fisheye": ("fisheye", "fisheye"),
}
"""Lens of ours, and name of the coefficients, by the polymorphic name."""


def _is_openmvg(content: Mapping[str, Any]) -> bool:
    return "sfm_data_version" in content


def _cameras_of_openmvg(content: Mapping[str, Any], place: str) -> list[StatedCamera]:
    """Cameras whose principal point counts from the corner of the first pixel."""
    cameras, names = [], dict[int, str]()
    for entry in content.get("intrinsics") or []:
        value = entry.get("value") if isinstance(entry, Mapping) else None
        held = value.get("ptr_wrapper") if isinstance(value, Mapping) else None
        own = held.get("data") if isinstance(held, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(own, Mapping):
            raise _openmvg_refusal("has intrinsics in a form that is not read", place)
        # A name stands at the first intrinsics of its kind; later ones have its number.
        number = int(value.get("polymorphic_id", 0)) & 0x7FFFFFFF
        name = str(value.get("polymorphic_name") or names.get(number, ""))
        names[number] = name
        label = str(entry.get("key", len(cameras)))
        cameras.append(_openmvg_camera(name, own, label, place))
    if not cameras:
        raise _openmvg_refusal("has no intrinsics", place)
    return cameras


def _openmvg_camera(name: str, own: Mapping[str, Any], label: str, place: str) -> StatedCamera:
    if name == "spherical":
        return StatedCamera(label, "equirect", (), None)
    lens, bend_name = _OPENMVG_MODELS.get(name, ("", ""))
    centre = _numbers(own.get("principal_point") or [], _OPENMVG, place)
    if not lens or len(centre) != 2:
        raise _openmvg_refusal(f"has the camera '{printable(name[:40])}'", place)
    width, height, focal = _numbers(
        [own.get("width"), own.get("height"), own.get("focal_length")], _OPENMVG, place
    )
    intrinsics = [focal, focal, centre[0] - 0.5, centre[1] - 0.5]
    bend = _numbers(own.get(bend_name) or [], _OPENMVG, place) if bend_name else []
    if lens == "fisheye":
        return StatedCamera(label, lens, [*intrinsics, *bend], (width, height))
    if name != "pinhole_brown_t2":
        bend = [*bend, 0.0, 0.0, 0.0][:3]
        bend = [bend[0], bend[1], 0.0, 0.0, bend[2]]
    else:
        radial, tangential = bend[:3], bend[3:]
        bend = [*radial[:2], *tangential, *radial[2:]]
    return _brown_camera(label, intrinsics, bend, (width, height), _OPENMVG, place)


def _openmvg_refusal(why: str, place: str) -> InputError:
    read = ", ".join((*_OPENMVG_MODELS, "spherical"))
    return _refusal(
        _OPENMVG,
        f"{why}; read are {read}. Take COLMAP's, by openMVG_main_openMVG2Colmap, or give "
        "opencv:F,F,CX-0.5,CY-0.5,K1,K2,P1,P2,K3",
        place,
    )


_UNITY = "captures of Unity's Perception"


def _is_unity(content: Mapping[str, Any]) -> bool:
    captures = content.get("captures")
    first = captures[0] if isinstance(captures, list) and captures else None
    return isinstance(first, Mapping) and ("sensor" in first or "matrix" in first)


def _cameras_of_unity(content: Mapping[str, Any], place: str) -> list[StatedCamera]:
    """Cameras by their projection matrix, whose first number is the cotangent of half the view."""
    cameras = []
    for capture in content["captures"]:
        own = capture.get("sensor", capture) if isinstance(capture, Mapping) else {}
        matrix = own.get("matrix", own.get("camera_intrinsic"))
        if matrix is None:
            continue
        numbers = _numbers(matrix, _UNITY, place)
        projection = str(own.get("projection") or "perspective").lower()
        is_centred = len(numbers) == 9 and not any((*numbers[1:4], *numbers[5:8]))
        if projection != "perspective" or not is_centred or min(numbers[0], numbers[4]) <= 0:
            raise _refusal(
                _UNITY,
                "has a projection that is not a centred perspective: give the horizontal field of "
                "view of its camera as pinhole:DEGREES",
                place,
            )
        label = str(own.get("id") or own.get("sensor_id") or len(cameras))
        cameras.append(_unity_camera(label, numbers, own.get("dimension"), place))
    if not cameras:
        raise _refusal(_UNITY, "has no camera's matrix: give pinhole:DEGREES by hand", place)
    return cameras


def _unity_camera(label: str, numbers: list[float], dimension: Any, place: str) -> StatedCamera:
    if not isinstance(dimension, list) or len(dimension) != 2:
        angle = math.degrees(2 * math.atan(1 / numbers[0]))
        return StatedCamera(label, "pinhole", [angle], None)
    width, height = _numbers(dimension, _UNITY, place)
    focal = [numbers[0] * width / 2, numbers[4] * height / 2]
    centre = [(width - 1) / 2, (height - 1) / 2]
    return StatedCamera(label, "pinhole", [*focal, *centre], (width, height))


_ANIPOSE = "a calibration of Anipose"


def _is_anipose(content: Mapping[str, Any]) -> bool:
    return any(isinstance(own, Mapping) and "distortions" in own for own in content.values())


def _cameras_of_anipose(content: Mapping[str, Any], place: str) -> list[StatedCamera]:
    """Cameras in tables of a TOML, each with ``matrix``, ``distortions`` and ``size``."""
    cameras = []
    for label, own in content.items():
        if not isinstance(own, Mapping) or "distortions" not in own:
            continue
        intrinsics = _focal_and_centre(own.get("matrix"), _ANIPOSE, place)
        bend = _numbers(own["distortions"], _ANIPOSE, place)
        sides = _numbers(own.get("size") or [], _ANIPOSE, place)
        size = (sides[0], sides[1]) if len(sides) == 2 else None
        if own.get("fisheye"):
            bend = [*bend, 0.0, 0.0, 0.0, 0.0][:4]
            cameras.append(StatedCamera(str(label), "fisheye", [*intrinsics, *bend], size))
        else:
            cameras.append(_brown_camera(str(label), intrinsics, bend, size, _ANIPOSE, place))
    return cameras


_WAYMO = re.compile(r"\bintrinsic\.(f_u|f_v|c_u|c_v|k1|k2|p1|p2|k3)$")


def _is_waymo(content: Mapping[str, Any]) -> bool:
    return sum(_WAYMO.search(str(name)) is not None for name in content) >= 4


def _cameras_of_waymo(content: Mapping[str, Any], place: str) -> list[StatedCamera]:
    """Camera in columns of Waymo's tables, such as [...].intrinsic.f_u."""
    form = "a row of Waymo's camera calibrations"
    own = {
        match[1]: value for name, value in content.items() if (match := _WAYMO.search(str(name)))
    }
    names = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
    numbers = _numbers([own.get(name, 0) for name in names], form, place)
    sides = {str(name).rpartition(".")[2]: value for name, value in content.items()}
    size = None
    if sides.get("width") and sides.get("height"):
        width, height = _numbers([sides["width"], sides["height"]], form, place)
        size = width, height
    return [_brown_camera("", numbers[:4], numbers[4:], size, form, place)]


_FORMS: tuple[
    tuple[
        Callable[[Mapping[str, Any], str], list[StatedCamera]],
        Callable[[Mapping[str, Any]], bool],
    ],
    ...,
] = (
    (_cameras_of_gyroflow, _is_gyroflow),
    (_cameras_of_depthai, _is_depthai),
    (_cameras_of_openmvg, _is_openmvg),
    (_cameras_of_unity, _is_unity),
    (_cameras_of_matlab, _is_matlab),
    (_cameras_of_anipose, _is_anipose),
    (_cameras_of_waymo, _is_waymo),
)
"""Readers, and whether a content has their form."""
