"""Cameras that are stated by a field of view, or in millimetres with the width of a sensor.

Renderers and simulators write them: CARLA, Blender, glTF, three.js, Gazebo, Mitsuba, AirSim, Isaac
and NeRF's programs. An angle whose direction is not stated is refused, because it may be across,
down, or along the diagonal.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from rilievo.errors import InputError
from rilievo.io.camera_models import stated_size
from rilievo.io.files.names import printable
from rilievo.io.scene_files import StatedCamera

_MOST_DEPTH = 6
_MOST_NODES = 20_000
_ACROSS = (
    *("hfov", "fovh", "fovx", "xfov", "horizontalfov", "fovhorizontal", "horizontalfieldofview"),
    *("anglex", "cameraanglex", "hfieldofview"),
)
_DOWN = (
    *("vfov", "fovv", "fovy", "yfov", "verticalfov", "fovvertical", "verticalfieldofview"),
    *("angley", "cameraangley", "vfieldofview"),
)
_BARE = ("fov", "fieldofview", "camerafov", "viewangle", "cameraviewangle")
_DIAGONAL = ("dfov", "fovd", "diagonalfov", "fovdiagonal", "diagonalfieldofview")
_IN_RADIANS = ("anglex", "angley", "cameraanglex", "cameraangley")
"""Names whose numbers are radians, as in Blender and NeRF."""
_AXES = ("fov_axis", "fovAxis", "fov_direction", "fov_type", "axis")
_FOCALS = (
    *("focallength", "focallengthmm", "focalmm", "focal", "lens", "lensmm", "f"),
    *("camerafocallength", "cameralens"),
)
_SENSORS = (
    *("sensorwidth", "sensorwidthmm", "camerasensorwidth", "sensorw"),
    *("horizontalaperture", "aperturewidth", "cameraaperture", "sensorsize", "sensorsizemm"),
)
_OF_FILM = ("focallength35mm", "focallengthin35mmfilm", "focallengthin35mmformat", "focal35mm")
_SHIFTS = ("shiftx", "shifty", "lensshift", "cameraapertureoffset", "principalpointoffset")
_WIDEST_SENSOR = 100.0  # [mm]
_LEAST_ANGLE = 1e-6  # [rad]
_SAME_FOCAL = 0.02
"""Relative difference of focal lengths along rows and columns up to which pixels are square."""


def views_in_content(content: Any, place: str) -> list[StatedCamera]:
    """Cameras of a JSON or YAML by angles or millimetres; [] without one.

    Raises:
        InputError: If one is stated and it is not clear what it means.
    """
    nodes = iter(range(_MOST_NODES))
    return list(_walk(content, "", 0, nodes, place))


def _walk(
    node: Any, label: str, depth: int, nodes: Iterator[int], place: str
) -> Iterator[StatedCamera]:
    if depth > _MOST_DEPTH or next(nodes, None) is None:
        return
    if isinstance(node, Mapping):
        camera = _view_of_node(node, label, place)
        if camera is not None:
            yield camera
            return
        children = [(str(key), child) for key, child in node.items()]
    elif isinstance(node, list):
        children = [(str(index), child) for index, child in enumerate(node)]
    else:
        return
    for key, child in children:
        yield from _walk(child, f"{label}.{key}" if label else key, depth + 1, nodes, place)


def _word(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _named_numbers(node: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Numbers by a word of small letters, each with its name in the file."""
    found: dict[str, tuple[str, float]] = {}
    for name, value in node.items():
        if isinstance(value, list) and value and not isinstance(value[0], list | Mapping):
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        found.setdefault(_word(str(name)), (str(name), number))
    return found


def _view_of_node(node: Mapping[str, Any], label: str, place: str) -> StatedCamera | None:
    numbers = _named_numbers(node)
    sides = _sides_of_node(node, place)
    angles = _angles(node, numbers, sides, place)
    if angles is not None:
        return _camera_of_angles(angles, numbers, sides, label, place)
    return _camera_of_millimetres(node, numbers, sides, label, place)


def _sides_of_node(node: Mapping[str, Any], place: str) -> tuple[float, float] | None:
    """Width and height [px]; None if they are not stated, or 0."""
    size = stated_size(node)
    if len(size) != 2 or not all(size):
        return None
    try:
        width, height = float(size[0]), float(size[1])
    except (TypeError, ValueError, OverflowError):
        width, height = math.nan, math.nan
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        shown = " x ".join(printable(str(side)[:20]) for side in size)
        raise InputError(f"its pictures are {shown}, expected sides in pixels", path=place)
    return width, height


def _angles(
    node: Mapping[str, Any],
    numbers: Mapping[str, tuple[str, float]],
    sides: tuple[float, float] | None,
    place: str,
) -> dict[str, float] | None:
    """Angles across and down [rad] that a node states; None without one."""
    found: dict[str, float] = {}
    for word, (name, number) in numbers.items():
        match = re.fullmatch(r"(.*?)(degrees|degree|degs|deg|radians|radian|rads|rad)?", word)
        assert match is not None, "any text matches"
        core, unit = match[1], match[2] or ""
        axis = _axis_of_word(core, node, sides)
        if axis is None:
            continue
        if not axis:
            raise InputError(
                f"states a field of view ('{printable(name[:40])}: {number:g}') and not whether "
                "it is across, down or along the diagonal: name it hfov or vfov, or give "
                "pinhole:DEGREES, from the left to the right edge",
                path=place,
            )
        found.setdefault(axis, _radians(core, unit, name, number, place))
    return found or None


def _axis_of_word(
    core: str, node: Mapping[str, Any], sides: tuple[float, float] | None
) -> str | None:
    """Direction of an angle, across or down; empty if it is not stated, None for no angle."""
    if core in _ACROSS:
        return "across"
    if core in _DOWN:
        return "down"
    if core in _DIAGONAL:
        return ""
    if core not in _BARE:
        return None
    stated = next((str(node[name]).lower() for name in _AXES if name in node), "")
    if stated in ("x", "h", "horizontal", "width"):
        return "across"
    if stated in ("y", "v", "vertical", "height"):
        return "down"
    # CARLA's and AirSim's are across, three.js' is down.
    if any(name in node for name in ("image_size_x", "ImageType")):
        return "across"
    if node.get("type") == "PerspectiveCamera":
        return "down"
    return "across" if sides is not None and sides[0] == sides[1] else ""


def _radians(core: str, unit: str, name: str, number: float, place: str) -> float:
    is_radians = unit.startswith("rad") or core in _IN_RADIANS
    is_degrees = unit.startswith("deg")
    if not is_radians and not is_degrees:
        # No photograph sees 3 degrees or less, and none 180 or more.
        is_radians = number < math.pi
    angle = number if is_radians else math.radians(number)
    if not _LEAST_ANGLE < angle < math.pi:
        raise InputError(
            f"has '{printable(name[:40])}: {number:g}', expected an angle between 0 and 180 "
            "degrees, or between 0 and 3.14 radians",
            path=place,
        )
    return angle


def _camera_of_angles(
    angles: Mapping[str, float],
    numbers: Mapping[str, tuple[str, float]],
    sides: tuple[float, float] | None,
    label: str,
    place: str,
) -> StatedCamera:
    _refuse_shifts(numbers, place)
    across, down = angles.get("across"), angles.get("down")
    aspect = next(
        (numbers[word][1] for word in ("aspect", "aspectratio") if word in numbers), math.nan
    )
    if sides is None:
        if across is None:
            assert down is not None, "one of them is stated"
            if not 0 < aspect < math.inf:
                raise InputError(
                    f"states a field of view of {math.degrees(down):g} degrees from top to bottom "
                    "and no size of the pictures: add width and height, or give pinhole:DEGREES, "
                    "from the left to the right edge",
                    path=place,
                )
            across = 2 * math.atan(aspect * math.tan(down / 2))
        return StatedCamera(label, "pinhole", [math.degrees(across)], None)
    width, height = sides
    fx = None if across is None else width / 2 / math.tan(across / 2)
    fy = None if down is None else height / 2 / math.tan(down / 2)
    focal = [number for number in (fx, fy) if number is not None]
    if abs(focal[0] / focal[-1] - 1) > _SAME_FOCAL:
        # Blender's angle_y is that of its sensor, whatever the picture's proportions.
        expected = math.degrees(2 * math.atan(height / 2 / focal[0]))
        raise InputError(
            f"states {math.degrees(across or 0):.4g} degrees across and "
            f"{math.degrees(down or 0):.4g} down, where {width:g}x{height:g} square pixels see "
            f"{expected:.4g} down: keep the angle that is right",
            path=place,
        )
    return StatedCamera(
        label, "pinhole", [focal[0], focal[-1], (width - 1) / 2, (height - 1) / 2], sides
    )


def _camera_of_millimetres(
    node: Mapping[str, Any],
    numbers: Mapping[str, tuple[str, float]],
    sides: tuple[float, float] | None,
    label: str,
    place: str,
) -> StatedCamera | None:
    """Camera of a focal length and the width of a sensor, both in millimetres."""
    film = next((numbers[word] for word in _OF_FILM if word in numbers), None)
    focal = next((numbers[word] for word in _FOCALS if word in numbers), None)
    sensor = next((numbers[word] for word in _SENSORS if word in numbers), None)
    if film is not None and sensor is None:
        raise InputError(
            f"states a focal length for 35 mm film ('{printable(film[0][:40])}: {film[1]:g}'): "
            f"write {film[1]:g}mm",
            path=place,
        )
    if focal is None:
        return None
    name, length = focal
    if sensor is None or not 0 < sensor[1] <= _WIDEST_SENSOR or length <= 0:
        if _word(name) in ("f", "lens") and sensor is None:
            return None
        if _word(name).endswith("mm"):
            raise InputError(
                f"states a focal length in millimetres ('{printable(name[:40])}: {length:g}') and "
                f"no width of the sensor: write {length:g}mm/WIDTHmm, or {length:g}mm if it is "
                "that of 35 mm film",
                path=place,
            )
        raise InputError(
            f"states a focal length ('{printable(name[:40])}: {length:g}') and not its unit: "
            f"write {length:g} if it is in pixels, {length:g}mm if it is that of 35 mm film, or "
            f"{length:g}mm/WIDTHmm with the width of the sensor",
            path=place,
        )
    _refuse_shifts(numbers, place)
    millimetres = f"{length:g}mm/{sensor[1]:g}mm"
    fit = str(node.get("sensor_fit") or "AUTO").upper()
    is_upright = sides is not None and sides[0] < sides[1]
    if sides is None or fit == "VERTICAL" or (is_upright and fit != "HORIZONTAL"):
        raise InputError(
            f"states a focal length and a sensor in millimetres, and not of which side of the "
            f"pictures the sensor's width is: write {millimetres} if it is that of the longer side",
            path=place,
        )
    width, height = sides
    pixels = length / sensor[1] * width
    return StatedCamera(
        label, "pinhole", [pixels, pixels, (width - 1) / 2, (height - 1) / 2], sides
    )


def _refuse_shifts(numbers: Mapping[str, tuple[str, float]], place: str) -> None:
    for word, (name, number) in numbers.items():
        is_shift = word in _SHIFTS and number != 0
        is_aspect = word in ("pixelaspect", "pixelaspectratio", "pixelratio") and number != 1
        if is_shift or is_aspect:
            raise InputError(
                f"has '{printable(name[:40])}: {number:g}', which is not read: give FX,FY,CX,CY",
                path=place,
            )


def views_in_xml(root: Element) -> Any:
    """Content of Gazebo's and Mitsuba's cameras, as ``views_in_content`` reads it."""
    cameras = []
    for camera in root.iter("camera"):
        angle = camera.findtext("horizontal_fov")
        if angle is not None:
            image = camera.find("image")
            sides = {} if image is None else {side.tag: side.text for side in image}
            cameras.append({"horizontal_fov_rad": angle, **sides})
    for sensor in root.iter("sensor"):
        values = {
            str(each.get("name")): each.get("value") for each in sensor.iter() if each.get("name")
        }
        if sensor.get("type") not in ("perspective", "thinlens") or "fov" not in values:
            continue
        axis = str(values.get("fov_axis") or values.get("fovAxis") or "x")
        name = {"x": "fov_x_degrees", "y": "fov_y_degrees"}.get(axis, "fov_degrees")
        sides = {side: values[side] for side in ("width", "height") if side in values}
        cameras.append({name: values["fov"], **sides})
    return cameras
