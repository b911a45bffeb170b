"""Cameras that are stated by a field of view, or in millimetres with the width of a sensor.

Renderers and simulators write them: CARLA, Blender, glTF, three.js, Gazebo, Mitsuba, AirSim, Isaac
and NeRF's programs. An angle whose direction is not stated is refused, because it may be across,
down, or along the diagonal.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import read_statement
from rilievo.io.cameras.models import stated_size
from rilievo.io.cameras.scene_files import StatedCamera
from rilievo.io.files.names import printable
from rilievo.io.picture_changes import is_picture_change, refuse_picture_changes, turn_note

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
_OF_SENSOR = ("angle", "cameraangle", "lensangle")
"""Names of Blender's angle along the sensor's width; without a sensor they may be anything."""
_AXES = ("fov_axis", "fovAxis", "fov_direction", "fov_type", "axis")
_FOCALS = (
    *("focallength", "focallengthmm", "focalmm", "focal", "lens", "lensmm", "f"),
    *("camerafocallength", "cameralens"),
)
_SENSORS = (
    *("sensorwidth", "sensorwidthmm", "camerasensorwidth", "sensorw"),
    *("horizontalaperture", "aperturewidth", "cameraaperture", "sensorsize", "sensorsizemm"),
)
_SENSOR_HEIGHTS = ("sensorheight", "sensorheightmm", "camerasensorheight", "sensorh")
_OF_FILM = ("focallength35mm", "focallengthin35mmfilm", "focallengthin35mmformat", "focal35mm")
_SHIFT = re.compile(
    r"(lens|film|camera|sensor)?shift[xy]?|(horizontal|vertical)?(film|filmback)offset[xy]?|"
    r"(camera|horizontal|vertical)?apertureoffset[xy]?|principalpointoffset[xy]?"
)
"""Names of what moves the principal point away from the middle."""
_PIXEL_ASPECT = re.compile(r"pixelaspect(ratio)?|(lens)?squeeze(ratio|factor)?|anamorphic\w*")
_NO_PINHOLE = re.compile(
    r"ortho|pano(?!pt)|fish.?eye|spherical|equirect|equidist|equisolid|stereograph|cylind|omnidir",
    re.IGNORECASE,
)
_KINDS = (
    *("type", "cameratype", "projection", "projectiontype", "projectionmodel", "model"),
    *("lens", "lenstype", "lensmodel", "cameramodel", "distortionmodel", "cameraprojectiontype"),
)
"""Names of entries that may say that a lens is no pinhole."""
_WIDEST_SENSOR = 100.0  # [mm]
_LEAST_ANGLE = 1e-6  # [rad]
_SAME_FOCAL = 0.03
"""Relative difference up to which two statements of a focal length are one, by their rounding."""
_SAME_MILLIMETRES = 0.1
"""That of a focal length in millimetres, which makers round, and that of a calibration."""
_OF_UNKNOWN_SIZE = 0.25
"""That where a principal point stands for the size of the pictures."""
_SAME_ASPECT = 0.02


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
        except (ValueError, OverflowError):
            continue
        found.setdefault(_word(str(name)), (str(name), number))
    return found


def _view_of_node(node: Mapping[str, Any], label: str, place: str) -> StatedCamera | None:
    numbers = _named_numbers(node)
    sides = _sides_of_node(node, place)
    angles = _angles(node, numbers, sides, place)
    if angles is None:
        camera = _camera_of_millimetres(node, numbers, sides, label, place)
        if camera is not None and camera.size is not None:
            _refuse_angle_of_sensor(node, camera.numbers[0], camera.size, _SAME_MILLIMETRES, place)
    else:
        if node.get("type") == "PerspectiveCamera":
            angles = _angles_of_three(angles, node, place)
        camera = _camera_of_angles(angles, numbers, sides, label, place)
        _refuse_other_millimetres(node, camera, place)
    if camera is None:
        return None
    _refuse_other_lenses(node, place)
    _refuse_shifts(node, place)
    is_zoomed = node.get("type") == "PerspectiveCamera"
    refuse_picture_changes(node, sides or (), place, can_zoom=is_zoomed)
    return camera._replace(note=turn_note(node))


def _angles_of_three(
    angles: Mapping[str, float], node: Mapping[str, Any], place: str
) -> dict[str, float]:
    """Angles of a camera of three.js with its zoom, which enlarges the middle of the picture."""
    view = node.get("view")
    if isinstance(view, Mapping) and view.get("enabled"):
        whole = [view.get("fullWidth"), view.get("fullHeight"), 0, 0]
        if [view.get(name) for name in ("width", "height", "offsetX", "offsetY")] != whole:
            raise InputError(
                "has 'view', a part of a larger picture (setViewOffset), which is not read: give "
                "FX,FY,CX,CY of the part",
                path=place,
            )
    zoom = node.get("zoom", 1)
    if isinstance(zoom, bool) or not isinstance(zoom, int | float) or not 0 < zoom < math.inf:
        shown = printable(str(zoom)[:20])
        raise InputError(f"has 'zoom: {shown}', expected a positive number", path=place)
    return {axis: 2 * math.atan(math.tan(angle / 2) / zoom) for axis, angle in angles.items()}


def unusual_lens(entries: Mapping[str, Any]) -> str | None:
    """Entry that names a lens which is no pinhole, such as a fisheye; None without one."""
    for name, value in entries.items():
        is_kind = _word(str(name)) in _KINDS and isinstance(value, str)
        if is_kind and _NO_PINHOLE.search(value):
            return printable(f"{name}: {value}"[:60])
    return None


def _refuse_other_lenses(node: Mapping[str, Any], place: str) -> None:
    """Refuse a lens that is no pinhole, whose field of view is another."""
    unusual = unusual_lens(node)
    if unusual is not None:
        raise InputError(
            f"has '{unusual}' beside a field of view, which is read of ordinary lenses only: write "
            "fisheye:DEGREES, from the left to the right edge, if it is one",
            path=place,
        )
    statement = read_statement(node, place)
    if statement.bends or statement.model == "equidistant":
        raise InputError(
            "has a lens with distortion beside a field of view, which is read of lenses without "
            "distortion only: give its numbers as opencv:FX,FY,CX,CY,K1,K2,P1,P2 or "
            "fisheye:FX,FY,CX,CY,K1,K2,K3,K4",
            path=place,
        )


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
        core, unit = _core_and_unit(word)
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


def _core_and_unit(word: str) -> tuple[str, str]:
    """Name of an angle, and its unit at the end of the name; empty without one."""
    match = re.fullmatch(r"(.*?)(degrees|degree|degs|deg|radians|radian|rads|rad)?", word)
    assert match is not None, "any text matches"
    return match[1], match[2] or ""


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
    across, down = angles.get("across"), angles.get("down")
    aspect = next(
        (numbers[word][1] for word in ("aspect", "aspectratio") if word in numbers), math.nan
    )
    if sides is None:
        if across is not None and down is not None:
            aspect = math.tan(across / 2) / math.tan(down / 2)
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
        own_aspect = aspect if 0 < aspect < math.inf else None
        return StatedCamera(label, "pinhole", [math.degrees(across)], None, own_aspect)
    width, height = sides
    if abs(aspect * height / width - 1) > _SAME_ASPECT:
        raise InputError(
            f"states pictures of {width:g}x{height:g} pixels, whose width is "
            f"{width / height:.4g} of their height, and an aspect of {aspect:.4g}: keep the one "
            "that is right",
            path=place,
        )
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
    millimetres = f"{length:g}mm/{sensor[1]:g}mm"
    fit = _sensor_fit(node) or "AUTO"
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


def _refuse_shifts(node: Mapping[str, Any], place: str) -> None:
    """Refuse a principal point that is not the middle, and pixels that are not square."""
    aspects: dict[str, float] = {}
    for name, value in node.items():
        word = _word(str(name))
        numbers = _all_numbers(value)
        if _PIXEL_ASPECT.fullmatch(word.removesuffix("x").removesuffix("y")) and numbers:
            aspects[str(name)] = numbers[0]
        is_shift = _SHIFT.fullmatch(word) is not None
        if is_shift and any(numbers):
            raise _shift_error(str(name), value, place)
    # Blender states both sides of a pixel.
    if len(set(aspects.values())) > 1 or (len(aspects) == 1 and 1 not in aspects.values()):
        name = next(name for name, aspect in aspects.items() if aspect != 1)
        raise _shift_error(name, f"{aspects[name]:g}", place)


def _shift_error(name: str, value: Any, place: str) -> InputError:
    shown = printable(f"{name}: {value}"[:60])
    return InputError(f"has '{shown}', which is not read: give FX,FY,CX,CY", path=place)


def _all_numbers(value: Any) -> list[float]:
    """Numbers of a value, of a list or of a mapping such as x and y."""
    values = value.values() if isinstance(value, Mapping) else value
    values = values if isinstance(value, list | Mapping) else [value]
    named = _named_numbers({str(at): each for at, each in enumerate(values)})
    return [number for _, number in named.values()]


def _refuse_other_millimetres(node: Mapping[str, Any], camera: StatedCamera, place: str) -> None:
    """Refuse millimetres beside angles that are those of another focal length."""
    if camera.size is None:
        refuse_millimetres_of_other_view(node, camera.numbers[0], camera.aspect, place)
    else:
        _refuse_millimetres(node, camera.numbers[0], camera.size, place)


def refuse_millimetres_of_other_view(
    entries: Mapping[str, Any], degrees: float, aspect: float | None, place: str
) -> None:
    """Refuse millimetres beside a field of view of pictures of unknown size.

    Args:
        entries: Entries of the camera.
        degrees: Field of view from the left to the right edge.
        aspect: Width over height; None if it is not stated.
        place: Name of the file for messages.
    """
    size = (1.0 if aspect is None else aspect, 1.0)
    fx = 0.5 * size[0] / math.tan(math.radians(degrees) / 2)
    _refuse_millimetres(entries, fx, size, place, has_pixels=False)


def refuse_other_focal_lengths(
    entries: Mapping[str, Any],
    intrinsics: Sequence[float],
    sides: Sequence[float],
    place: str,
    *,
    is_bent: bool,
) -> None:
    """Refuse angles and millimetres beside intrinsics that are those of another focal length.

    Args:
        entries: Entries of the camera, with the intrinsics among them.
        intrinsics: fx, fy, cx and cy [px].
        sides: Width and height of their pictures; empty if not stated.
        place: Name of the file for messages.
        is_bent: Whether the lens has distortion, which a field of view may or may not include.
    """
    numbers = _named_numbers(entries)
    fx, fy, cx, cy = intrinsics
    size = (sides[0], sides[1]) if len(sides) == 2 else (2 * cx + 1, 2 * cy + 1)
    tolerance = _SAME_FOCAL if len(sides) == 2 else _OF_UNKNOWN_SIZE
    for word, (name, number) in numbers.items():
        core, unit = _core_and_unit(word)
        # The angles of NeRF's programs are those of a pinhole, whatever the lens.
        is_angle = core in (*_ACROSS, *_DOWN, *_BARE, *_DIAGONAL)
        if not is_angle or (is_bent and core not in _IN_RADIANS):
            continue
        own = fy if core in _DOWN else fx
        focal = 0.5 / math.tan(_radians(core, unit, name, number, place) / 2)
        stated = [focal * side for side in _possible_sides(core, size)]
        if own > 0 and all(abs(each / own - 1) > tolerance for each in stated):
            raise _two_focal_lengths(own, stated[0], name, number, place)
    if len(sides) == 2:
        _refuse_millimetres(entries, fx, size, place)
        if any(word in numbers for word in _SENSORS) and not is_bent:
            _refuse_angle_of_sensor(entries, fx, size, tolerance, place)


def _possible_sides(core: str, size: tuple[float, float]) -> list[float]:
    """Sides of a picture [px] that an angle may belong to."""
    width, height = size
    if core in _ACROSS:
        return [width]
    if core in _DOWN:
        return [height]
    diagonal = math.hypot(width, height)
    return [diagonal] if core in _DIAGONAL else [width, height, diagonal]


def _refuse_millimetres(
    node: Mapping[str, Any],
    fx: float,
    size: tuple[float, float],
    place: str,
    *,
    has_pixels: bool = True,
) -> None:
    """Refuse millimetres of another focal length than ``fx``, which is in the unit of ``size``."""
    numbers = _named_numbers(node)
    focal = _stated_millimetres(numbers, fx)
    sensor = next((numbers[word][1] for word in _SENSORS if word in numbers), 0.0)
    if focal is None or not 0 < sensor <= _WIDEST_SENSOR:
        return
    name, length = focal
    side_of_sensor = sensor
    height_of_sensor = next((numbers[word][1] for word in _SENSOR_HEIGHTS if word in numbers), 0.0)
    if _sensor_fit(node) == "VERTICAL" and 0 < height_of_sensor <= _WIDEST_SENSOR:
        # Blender takes the height of the sensor for that of the picture.
        side_of_sensor = height_of_sensor
    stated = [length / side_of_sensor * side for side in _sides_of_sensor(node, size)]
    if any(abs(each / fx - 1) <= _SAME_MILLIMETRES for each in stated):
        return
    if has_pixels:
        raise _two_focal_lengths(fx, stated[0], name, length, place)
    own = length * fx / stated[0]
    raise _two_focal_lengths(own, length, name, length, place, unit="mm")


def _stated_millimetres(
    numbers: Mapping[str, tuple[str, float]], fx: float
) -> tuple[str, float] | None:
    """Name and focal length [mm] of a node whose focal length is ``fx`` [px]; None without one."""
    stated = [numbers[word] for word in _FOCALS if word in numbers and numbers[word][1] > 0]
    if stated and abs(stated[0][1] / fx - 1) <= _SAME_MILLIMETRES:
        # Names without a unit may mean pixels.
        stated = [focal for focal in stated if _word(focal[0]).endswith("mm")]
    return next(iter(stated), None)


def _sensor_fit(node: Mapping[str, Any]) -> str:
    """Side of the pictures that Blender fits its sensor to; empty if it is not stated."""
    return str(node.get("sensor_fit") or "").upper()


def _sides_of_sensor(node: Mapping[str, Any], size: tuple[float, float]) -> list[float]:
    """Sides of a picture that the side of its sensor may be that of."""
    width, height = size
    by_fit = {"HORIZONTAL": width, "VERTICAL": height, "AUTO": max(width, height)}
    side = by_fit.get(_sensor_fit(node))
    if side is not None:
        return [side]
    # A camera that is held upright keeps the width of its sensor.
    return [width] if width >= height else [width, height]


def _refuse_angle_of_sensor(
    node: Mapping[str, Any],
    fx: float,
    size: tuple[float, float],
    tolerance: float,
    place: str,
) -> None:
    """Refuse Blender's angle along its sensor if it is that of another focal length."""
    for name, value in node.items():
        word = _word(str(name))
        core, unit = _core_and_unit(word)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # Zero and right angles are those of a turn.
        if core not in _OF_SENSOR or not is_number or not 0 < value < 180 or value == 90:
            continue
        focal = 0.5 / math.tan(_radians(core, unit, str(name), value, place) / 2)
        stated = [focal * side for side in _sides_of_sensor(node, size)]
        if all(abs(each / fx - 1) > tolerance for each in stated):
            raise _two_focal_lengths(fx, stated[0], str(name), value, place)


def _two_focal_lengths(
    own: float, stated: float, name: str, number: float, place: str, *, unit: str = "px"
) -> InputError:
    return InputError(
        f"states two focal lengths, {own:.5g} {unit} and {stated:.5g} {unit} by "
        f"'{printable(name[:40])}: {number:g}': keep the one that holds",
        path=place,
    )


def views_in_xml(root: Element, place: str) -> Any:
    """Content of Gazebo's and Mitsuba's cameras, as ``views_in_content`` reads it.

    Raises:
        InputError: If intrinsics of Gazebo contradict the angle that stands beside them.
    """
    cameras = []
    for camera in root.iter("camera"):
        angle = camera.findtext("horizontal_fov")
        if angle is not None:
            image = camera.find("image")
            sides = {} if image is None else {side.tag: side.text for side in image}
            bend = {each.tag: each.text for each in camera.iterfind("distortion/*")}
            kind = camera.findtext("lens/type") or ""
            view = {"horizontal_fov_rad": angle, "lens_type": kind, **bend, **sides}
            own = {each.tag: each.text for each in camera.iterfind("lens/intrinsics/*")}
            _refuse_other_intrinsics(view, own, place)
            cameras.append(view)
    for sensor in root.iter("sensor"):
        values = {
            str(each.get("name")): each.get("value") for each in sensor.iter() if each.get("name")
        }
        if sensor.get("type") not in ("perspective", "thinlens") or "fov" not in values:
            continue
        axis = str(values.get("fov_axis") or values.get("fovAxis") or "x")
        name = {"x": "fov_x_degrees", "y": "fov_y_degrees"}.get(axis, "fov_degrees")
        kept = {
            each: value
            for each, value in values.items()
            if each in ("width", "height") or is_picture_change(each) or "offset" in each
        }
        cameras.append({name: values["fov"], **kept})
    return cameras


def _refuse_other_intrinsics(
    view: Mapping[str, Any], intrinsics: Mapping[str, str | None], place: str
) -> None:
    """Refuse Gazebo's intrinsics [px] that are not those of its angle in the middle."""
    numbers = {name: number for name, number in _named_numbers(intrinsics).values()}
    camera = _view_of_node(view, "", place) if numbers else None
    if camera is None or camera.size is None:
        return
    own = camera.numbers[0]
    for name in ("fx", "fy"):
        number = numbers.get(name, own)
        if abs(number / own - 1) > _SAME_FOCAL:
            raise _two_focal_lengths(own, number, name, number, place)
    for name, side in zip(("cx", "cy"), camera.size, strict=True):
        # Gazebo writes half of the side, and OpenCV half a pixel less.
        number = numbers.get(name, side / 2)
        if abs(number - side / 2) > 1:
            raise _shift_error(name, f"{number:g}", place)
    if numbers.get("s"):
        raise _shift_error("s", f"{numbers['s']:g}", place)
