"""Cameras that are stated by a field of view, or in millimetres with the width of a sensor.

Renderers and simulators write them: CARLA, Blender, glTF, three.js, Gazebo, Mitsuba, AirSim, Isaac
and NeRF's programs. An angle whose direction is not stated is refused, because it may be
horizontal, vertical, or along the diagonal.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import read_statement
from rilievo.io.cameras.picture_changes import is_picture_change, refuse_picture_changes, turn_note
from rilievo.io.cameras.picture_sizes import stated_size
from rilievo.io.cameras.stated_camera import StatedCamera, perspective_camera
from rilievo.io.cameras.values import is_number, simplified_name
from rilievo.io.cameras.view_agreement import (
    MAX_MILLIMETRE_ROUNDING,
    MAX_ROUNDING,
    check_millimetres_agree,
    check_millimetres_agree_with_fov,
    check_sensor_fov_agrees,
    two_focal_lengths_error,
)
from rilievo.io.cameras.view_entries import (
    FILM_FOCAL_LENGTHS,
    FOCAL_LENGTHS,
    MAX_SENSOR_WIDTH,
    SENSOR_WIDTHS,
    AngleName,
    Direction,
    NamedNumber,
    angle_name,
    first_number,
    named_numbers,
    sensor_fit,
)
from rilievo.io.files.names import printable

_MAX_DEPTH = 6  # a camera lies two or three levels deep in the files of known programs
_MAX_NODES = 20_000  # mappings and lists of one file, so that a hostile one ends soon

_DIRECTION_ENTRIES = ("fov_axis", "fovAxis", "fov_direction", "fov_type", "axis")
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
_LENS_TYPE_ENTRIES = (
    *("type", "cameratype", "projection", "projectiontype", "projectionmodel", "model"),
    *("lens", "lenstype", "lensmodel", "cameramodel", "distortionmodel", "cameraprojectiontype"),
)
"""Names of entries that may say that a lens is no pinhole."""
_MAX_ASPECT_DIFFERENCE = 0.02
"""Relative difference up to which a stated aspect is that of the pictures' sides, rounded."""


def views_in_content(content: Any, location: str) -> list[StatedCamera]:
    """Cameras of a JSON or YAML by angles or millimetres; [] without one.

    Raises:
        InputError: If one is stated and it is not clear what it means.
    """
    nodes_left = iter(range(_MAX_NODES))
    return list(_walk(content, "", 0, nodes_left, location))


def views_in_xml(root: Element, location: str) -> list[dict[str, Any]]:
    """Content of Gazebo's and Mitsuba's cameras, as ``views_in_content`` reads it.

    Raises:
        InputError: If intrinsics of Gazebo contradict the angle that stands beside them.
    """
    views = [
        _gazebo_view(camera, location)
        for camera in root.iter("camera")
        if camera.findtext("horizontal_fov") is not None
    ]
    for sensor in root.iter("sensor"):
        view = _mitsuba_view(sensor)
        if view is not None:
            views.append(view)
    return views


def unusual_lens(entries: Mapping[str, Any]) -> str | None:
    """Entry that names a lens which is no pinhole, such as a fisheye; None without one."""
    for name, value in entries.items():
        is_lens_type = simplified_name(str(name)) in _LENS_TYPE_ENTRIES
        if is_lens_type and isinstance(value, str) and _NO_PINHOLE.search(value):
            return printable(f"{name}: {value}"[:60])
    return None


def _walk(
    node: Any, label: str, depth: int, nodes_left: Iterator[int], location: str
) -> Iterator[StatedCamera]:
    """Yield the camera of a mapping, or else those of the mappings and lists in it."""
    if depth > _MAX_DEPTH or next(nodes_left, None) is None:
        return
    if isinstance(node, Mapping):
        camera = _camera_of_entries(node, label, location)
        if camera is not None:
            yield camera
            return
        children = [(str(key), child) for key, child in node.items()]
    elif isinstance(node, list):
        children = [(str(index), child) for index, child in enumerate(node)]
    else:
        return
    for key, child in children:
        child_label = f"{label}.{key}" if label else key
        yield from _walk(child, child_label, depth + 1, nodes_left, location)


def _camera_of_entries(
    entries: Mapping[str, Any], label: str, location: str
) -> StatedCamera | None:
    """Camera of one mapping; None if it states neither an angle nor millimetres."""
    sides = _stated_sides(entries, location)
    view = _stated_view(entries, sides, location)
    if view is None:
        camera = _camera_of_millimetres(entries, sides, label, location)
        if camera is None:
            return None
        if camera.size is not None:
            fx = camera.numbers[0]
            check_sensor_fov_agrees(entries, fx, camera.size, MAX_MILLIMETRE_ROUNDING, location)
    else:
        if _is_of_three(entries):
            view = _with_zoom_of_three(view, entries, location)
        camera = _camera_of_view(view, _stated_aspect(entries), sides, label, location)
        _check_millimetres_agree(entries, camera, location)

    _refuse_other_lenses(entries, location)
    _refuse_shifts(entries, location)
    refuse_picture_changes(entries, sides or (), location, can_zoom=_is_of_three(entries))
    return replace(camera, note=turn_note(entries))


def _is_of_three(entries: Mapping[str, Any]) -> bool:
    """Whether entries are a camera of three.js."""
    return entries.get("type") == "PerspectiveCamera"


def _stated_sides(entries: Mapping[str, Any], location: str) -> tuple[float, float] | None:
    """Width and height [px]; None if they are not stated, or 0."""
    size = stated_size(entries)
    if len(size) != 2 or not all(size):
        return None
    try:
        width, height = float(size[0]), float(size[1])
    except (TypeError, ValueError, OverflowError):
        width, height = math.nan, math.nan
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        shown = " x ".join(printable(str(side)[:20]) for side in size)
        raise InputError(f"its pictures are {shown}, expected sides in pixels", path=location)
    return width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Fields of view [rad] from edge to edge, of which at least one is stated."""

    horizontal: float | None
    vertical: float | None


def _stated_view(
    entries: Mapping[str, Any], sides: tuple[float, float] | None, location: str
) -> _View | None:
    """Fields of view that entries state; None without one."""
    angles: dict[Direction, float] = {}
    for simplified, number in named_numbers(entries).items():
        name = angle_name(simplified)
        direction = _direction_of_angle(name, entries, sides)
        if direction is None:
            continue
        if direction not in (Direction.HORIZONTAL, Direction.VERTICAL):
            raise InputError(
                f"states a field of view ('{printable(number.name[:40])}: {number.value:g}') and "
                "not whether it is across, down or along the diagonal: name it hfov or vfov, or "
                "give pinhole:DEGREES, from the left to the right edge",
                path=location,
            )
        angles.setdefault(direction, name.to_radians(number, location))
    if not angles:
        return None
    return _View(
        horizontal=angles.get(Direction.HORIZONTAL), vertical=angles.get(Direction.VERTICAL)
    )


def _direction_of_angle(
    name: AngleName, entries: Mapping[str, Any], sides: tuple[float, float] | None
) -> Direction | None:
    """Direction of an angle by its name, or by what is known about the program that wrote it."""
    if name.direction is not Direction.UNKNOWN:
        return name.direction
    stated = next(
        (str(entries[name]).lower() for name in _DIRECTION_ENTRIES if name in entries), ""
    )
    if stated in ("x", "h", "horizontal", "width"):
        return Direction.HORIZONTAL
    if stated in ("y", "v", "vertical", "height"):
        return Direction.VERTICAL

    is_carla_or_airsim = "image_size_x" in entries or "ImageType" in entries
    if is_carla_or_airsim:
        return Direction.HORIZONTAL
    if _is_of_three(entries):
        return Direction.VERTICAL
    is_square = sides is not None and sides[0] == sides[1]
    return Direction.HORIZONTAL if is_square else Direction.UNKNOWN


def _with_zoom_of_three(view: _View, entries: Mapping[str, Any], location: str) -> _View:
    """Fields of view of a camera of three.js, whose zoom enlarges the middle of the picture."""
    part = entries.get("view")
    if isinstance(part, Mapping) and part.get("enabled"):
        whole = [part.get("fullWidth"), part.get("fullHeight"), 0, 0]
        if [part.get(name) for name in ("width", "height", "offsetX", "offsetY")] != whole:
            raise InputError(
                "has 'view', a part of a larger picture (setViewOffset), which is not read: give "
                "FX,FY,CX,CY of the part",
                path=location,
            )
    zoom = entries.get("zoom", 1)
    if not is_number(zoom) or not 0 < zoom < math.inf:
        shown = printable(str(zoom)[:20])
        raise InputError(f"has 'zoom: {shown}', expected a positive number", path=location)

    def enlarged(angle: float | None) -> float | None:
        return None if angle is None else 2 * math.atan(math.tan(angle / 2) / zoom)

    return _View(horizontal=enlarged(view.horizontal), vertical=enlarged(view.vertical))


def _stated_aspect(entries: Mapping[str, Any]) -> float:
    """Width over height; NaN if it is not stated."""
    aspect = first_number(named_numbers(entries), ("aspect", "aspectratio"))
    return math.nan if aspect is None else aspect.value


def _camera_of_view(
    view: _View, aspect: float, sides: tuple[float, float] | None, label: str, location: str
) -> StatedCamera:
    """Pinhole camera of one field of view or of both; ``aspect`` may be NaN."""
    if sides is None:
        return _camera_of_view_without_size(view, aspect, label, location)
    width, height = sides
    if abs(aspect * height / width - 1) > _MAX_ASPECT_DIFFERENCE:
        raise InputError(
            f"states pictures of {width:g}x{height:g} pixels, whose width is "
            f"{width / height:.4g} of their height, and an aspect of {aspect:.4g}: keep the one "
            "that is right",
            path=location,
        )
    focal_lengths = []
    if view.horizontal is not None:
        focal_lengths.append(width / 2 / math.tan(view.horizontal / 2))
    if view.vertical is not None:
        focal_lengths.append(height / 2 / math.tan(view.vertical / 2))
    fx, fy = focal_lengths[0], focal_lengths[-1]
    if abs(fx / fy - 1) > MAX_ROUNDING:
        # Blender's angle_y is that of its sensor, whatever the picture's proportions.
        expected = math.degrees(2 * math.atan(height / 2 / fx))
        raise InputError(
            f"states {math.degrees(view.horizontal or 0):.4g} degrees across and "
            f"{math.degrees(view.vertical or 0):.4g} down, where {width:g}x{height:g} square "
            f"pixels see {expected:.4g} down: keep the angle that is right",
            path=location,
        )
    return _centred_camera(label, fx, fy, sides)


def _camera_of_view_without_size(
    view: _View, aspect: float, label: str, location: str
) -> StatedCamera:
    """Pinhole camera of a field of view, for pictures of any size and, if known, of an aspect."""
    horizontal = view.horizontal
    if horizontal is not None and view.vertical is not None:
        aspect = math.tan(horizontal / 2) / math.tan(view.vertical / 2)
    has_aspect = 0 < aspect < math.inf
    if horizontal is None:
        assert view.vertical is not None, "one of them is stated"
        if not has_aspect:
            raise InputError(
                f"states a field of view of {math.degrees(view.vertical):g} degrees from top to "
                "bottom and no size of the pictures: add width and height, or give "
                "pinhole:DEGREES, from the left to the right edge",
                path=location,
            )
        horizontal = 2 * math.atan(aspect * math.tan(view.vertical / 2))
    return StatedCamera(
        label=label,
        lens="pinhole",
        numbers=[math.degrees(horizontal)],
        size=None,
        aspect=aspect if has_aspect else None,
    )


def _centred_camera(label: str, fx: float, fy: float, sides: tuple[float, float]) -> StatedCamera:
    """Pinhole camera whose principal point is the middle of its pictures."""
    width, height = sides
    return perspective_camera(label, [fx, fy, (width - 1) / 2, (height - 1) / 2], (), sides)


def _camera_of_millimetres(
    entries: Mapping[str, Any], sides: tuple[float, float] | None, label: str, location: str
) -> StatedCamera | None:
    """Camera of a focal length and the width of a sensor, both in millimetres; None without one."""
    numbers = named_numbers(entries)
    focal = first_number(numbers, FOCAL_LENGTHS)
    sensor = first_number(numbers, SENSOR_WIDTHS)
    film = first_number(numbers, FILM_FOCAL_LENGTHS)
    if film is not None and sensor is None:
        raise InputError(
            f"states a focal length for 35 mm film ('{printable(film.name[:40])}: "
            f"{film.value:g}'): write {film.value:g}mm",
            path=location,
        )
    if focal is None:
        return None
    if sensor is None and simplified_name(focal.name) in ("f", "lens"):
        return None
    if sensor is None or not 0 < sensor.value <= MAX_SENSOR_WIDTH or focal.value <= 0:
        raise _focal_length_alone_error(focal, location)

    is_upright = sides is not None and sides[0] < sides[1]
    fit = sensor_fit(entries) or "AUTO"
    if sides is None or fit == "VERTICAL" or (is_upright and fit != "HORIZONTAL"):
        raise InputError(
            "states a focal length and a sensor in millimetres, and not of which side of the "
            f"pictures the sensor's width is: write {focal.value:g}mm/{sensor.value:g}mm if it is "
            "that of the longer side",
            path=location,
        )
    pixels = focal.value / sensor.value * sides[0]
    return _centred_camera(label, pixels, pixels, sides)


def _focal_length_alone_error(focal: NamedNumber, location: str) -> InputError:
    """Error for a focal length without a sensor, whose name may say that it is in millimetres."""
    name, length = printable(focal.name[:40]), f"{focal.value:g}"
    if simplified_name(focal.name).endswith("mm"):
        return InputError(
            f"states a focal length in millimetres ('{name}: {length}') and no width of the "
            f"sensor: write {length}mm/WIDTHmm, or {length}mm if it is that of 35 mm film",
            path=location,
        )
    return InputError(
        f"states a focal length ('{name}: {length}') and not its unit: write {length} if it is "
        f"in pixels, {length}mm if it is that of 35 mm film, or {length}mm/WIDTHmm with the "
        "width of the sensor",
        path=location,
    )


def _check_millimetres_agree(
    entries: Mapping[str, Any], camera: StatedCamera, location: str
) -> None:
    """Refuse millimetres beside angles that are those of another focal length."""
    if camera.size is None:
        degrees = camera.numbers[0]
        check_millimetres_agree_with_fov(entries, degrees, camera.aspect, location)
    else:
        check_millimetres_agree(entries, camera.numbers[0], camera.size, location)


def _refuse_other_lenses(entries: Mapping[str, Any], location: str) -> None:
    """Refuse a lens that is no pinhole, whose field of view means something else."""
    unusual = unusual_lens(entries)
    if unusual is not None:
        raise InputError(
            f"has '{unusual}' beside a field of view, which is read of ordinary lenses only: write "
            "fisheye:DEGREES, from the left to the right edge, if it is one",
            path=location,
        )
    statement = read_statement(entries, location)
    if statement.has_distortion or statement.model == "equidistant":
        raise InputError(
            "has a lens with distortion beside a field of view, which is read of lenses without "
            "distortion only: give its numbers as opencv:FX,FY,CX,CY,K1,K2,P1,P2 or "
            "fisheye:FX,FY,CX,CY,K1,K2,K3,K4",
            path=location,
        )


def _refuse_shifts(entries: Mapping[str, Any], location: str) -> None:
    """Refuse a principal point that is not the middle, and pixels that are not square."""
    aspects: dict[str, float] = {}
    for name, value in entries.items():
        simplified = simplified_name(str(name))
        numbers = _all_numbers(value)
        if _PIXEL_ASPECT.fullmatch(simplified.removesuffix("x").removesuffix("y")) and numbers:
            aspects[str(name)] = numbers[0]
        if _SHIFT.fullmatch(simplified) and any(numbers):
            raise _shift_error(str(name), value, location)
    # Blender states both sides of a pixel.
    is_square = len(set(aspects.values())) == 1 and (len(aspects) > 1 or 1 in aspects.values())
    if aspects and not is_square:
        name = next(name for name, aspect in aspects.items() if aspect != 1)
        raise _shift_error(name, f"{aspects[name]:g}", location)


def _shift_error(name: str, value: Any, location: str) -> InputError:
    shown = printable(f"{name}: {value}"[:60])
    return InputError(f"has '{shown}', which is not read: give FX,FY,CX,CY", path=location)


def _all_numbers(value: Any) -> list[float]:
    """Numbers of a value, of a list or of a mapping such as x and y."""
    if isinstance(value, Mapping):
        values = [*value.values()]
    else:
        values = value if isinstance(value, list) else [value]
    by_index = {str(index): element for index, element in enumerate(values)}
    return [number.value for number in named_numbers(by_index).values()]


def _gazebo_view(camera: Element, location: str) -> dict[str, Any]:
    """Entries of a camera of Gazebo's SDF."""
    image = camera.find("image")
    view = {
        "horizontal_fov_rad": camera.findtext("horizontal_fov"),
        "lens_type": camera.findtext("lens/type") or "",
        **{element.tag: element.text for element in camera.iterfind("distortion/*")},
        **({} if image is None else {element.tag: element.text for element in image}),
    }
    intrinsics = {element.tag: element.text for element in camera.iterfind("lens/intrinsics/*")}
    _refuse_other_intrinsics(view, intrinsics, location)
    return view


def _refuse_other_intrinsics(
    view: Mapping[str, Any], intrinsics: Mapping[str, str | None], location: str
) -> None:
    """Refuse Gazebo's intrinsics [px] that are not those of its angle in the middle."""
    numbers = {number.name: number.value for number in named_numbers(intrinsics).values()}
    camera = _camera_of_entries(view, "", location) if numbers else None
    if camera is None or camera.size is None:
        return
    focal = camera.numbers[0]
    for name in ("fx", "fy"):
        stated = numbers.get(name, focal)
        if abs(stated / focal - 1) > MAX_ROUNDING:
            raise two_focal_lengths_error(focal, stated, NamedNumber(name, stated), location)
    for name, side in zip(("cx", "cy"), camera.size, strict=True):
        # Gazebo writes half of the side, and OpenCV half a pixel less.
        stated = numbers.get(name, side / 2)
        if abs(stated - side / 2) > 1:
            raise _shift_error(name, f"{stated:g}", location)
    if numbers.get("s"):
        raise _shift_error("s", f"{numbers['s']:g}", location)


def _mitsuba_view(sensor: Element) -> dict[str, Any] | None:
    """Entries of a sensor of Mitsuba; None if it is no perspective camera."""
    values = {
        str(element.get("name")): element.get("value")
        for element in sensor.iter()
        if element.get("name")
    }
    if sensor.get("type") not in ("perspective", "thinlens") or "fov" not in values:
        return None
    axis = str(values.get("fov_axis") or values.get("fovAxis") or "x")
    fov_name = {"x": "fov_x_degrees", "y": "fov_y_degrees"}.get(axis, "fov_degrees")
    related = {
        name: value
        for name, value in values.items()
        if name in ("width", "height") or is_picture_change(name) or "offset" in name
    }
    return {fov_name: values["fov"], **related}
