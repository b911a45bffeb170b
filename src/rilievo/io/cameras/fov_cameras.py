"""Find cameras that are given by a field of view, or by a focal length and a sensor width in mm.

Renderers and simulators write them: CARLA, Blender, glTF, three.js, Gazebo, Mitsuba, AirSim, Isaac
and NeRF's programs. A field of view without a direction is refused, because it may be horizontal,
vertical, or diagonal.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import read_lens_spec
from rilievo.io.cameras.focal_agreement import (
    MAX_MILLIMETRE_ROUNDING,
    MAX_ROUNDING,
    check_focal_mm_agrees,
    check_focal_mm_agrees_with_fov,
    check_sensor_fov_agrees,
    conflicting_focal_lengths_error,
)
from rilievo.io.cameras.fov_entries import (
    FILM_FOCAL_LENGTHS,
    FOCAL_LENGTHS,
    MAX_SENSOR_WIDTH,
    SENSOR_WIDTHS,
    AngleName,
    Direction,
    NamedNumber,
    first_number,
    named_numbers,
    parse_angle_name,
    sensor_fit,
)
from rilievo.io.cameras.parsed_camera import ParsedCamera, perspective_camera
from rilievo.io.cameras.picture_changes import (
    check_no_picture_changes,
    is_picture_change,
    unapplied_orientation_note,
)
from rilievo.io.cameras.picture_sizes import stated_size
from rilievo.io.cameras.values import is_number, normalize_name
from rilievo.io.files.names import printable

_MAX_DEPTH = 6  # a camera lies two or three levels deep in the files of known programs
_MAX_NODES = 20_000  # mappings and lists of one file, to bound the time for a hostile file

_DIRECTION_ENTRIES = ("fov_axis", "fovAxis", "fov_direction", "fov_type", "axis")
_SHIFT = re.compile(
    r"(lens|film|camera|sensor)?shift[xy]?|(horizontal|vertical)?(film|filmback)offset[xy]?|"
    r"(camera|horizontal|vertical)?apertureoffset[xy]?|principalpointoffset[xy]?"
)
"""Names of entries that move the principal point away from the middle."""
_PIXEL_ASPECT = re.compile(r"pixelaspect(ratio)?|(lens)?squeeze(ratio|factor)?|anamorphic\w*")
_NO_PINHOLE = re.compile(
    r"ortho|pano(?!pt)|fish.?eye|spherical|equirect|equidist|equisolid|stereograph|cylind|omnidir",
    re.IGNORECASE,
)
_LENS_TYPE_ENTRIES = (
    *("type", "cameratype", "projection", "projectiontype", "projectionmodel", "model"),
    *("lens", "lenstype", "lensmodel", "cameramodel", "distortionmodel", "cameraprojectiontype"),
)
"""Names of entries that may say that a lens is not a pinhole."""
_MAX_ASPECT_DIFFERENCE = 0.02
"""Largest relative difference between a stated aspect and that of the picture size."""
_MAX_CENTRE_DIFFERENCE = 1.0
"""Largest distance [px] of Gazebo's cx and cy from half the side of the picture.

Gazebo writes half the side, and OpenCV's convention has half a pixel less.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FieldOfView:
    """Horizontal and vertical field of view [rad]; None if not stated, but one of them is."""

    horizontal: float | None
    vertical: float | None


def find_fov_cameras(content: Any, location: str) -> list[ParsedCamera]:
    """Find the cameras in a JSON or YAML that are given by angles or millimetres.

    Raises:
        InputError: If one is ambiguous, contradicts itself, or is not a plain pinhole.
    """
    nodes_left = iter(range(_MAX_NODES))
    return list(_walk_tree(content, "", 0, nodes_left, location))


def read_xml_camera_entries(root: Element, location: str) -> list[dict[str, Any]]:
    """Convert Gazebo's and Mitsuba's cameras to entries for ``find_fov_cameras``.

    Raises:
        InputError: If Gazebo's intrinsics contradict its field of view.
    """
    gazebo_cameras = [
        _read_gazebo_camera(camera, location)
        for camera in root.iter("camera")
        if camera.findtext("horizontal_fov") is not None
    ]
    mitsuba_cameras = [
        _read_mitsuba_sensor(sensor) for sensor in root.iter("sensor") if _is_mitsuba_camera(sensor)
    ]
    return gazebo_cameras + mitsuba_cameras


def find_non_pinhole_entry(entries: Mapping[str, Any]) -> str | None:
    """Find an entry that names a lens other than a pinhole, such as "type: fisheye"."""
    for name, value in entries.items():
        is_lens_type = normalize_name(str(name)) in _LENS_TYPE_ENTRIES
        if is_lens_type and isinstance(value, str) and _NO_PINHOLE.search(value):
            return printable(f"{name}: {value}"[:60])
    return None


def _walk_tree(
    node: Any, label: str, depth: int, nodes_left: Iterator[int], location: str
) -> Iterator[ParsedCamera]:
    """Yield the camera of a mapping; if it has none, search the mappings and lists in it.

    ``label`` are the keys that lead to the node, and ``depth`` is their number. All calls share
    ``nodes_left`` and take an element of it for each node, so that the search ends with it.
    """
    if depth > _MAX_DEPTH or next(nodes_left, None) is None:
        return
    if isinstance(node, Mapping):
        camera = _parse_fov_camera(node, label, location)
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
        yield from _walk_tree(child, child_label, depth + 1, nodes_left, location)


def _parse_fov_camera(entries: Mapping[str, Any], label: str, location: str) -> ParsedCamera | None:
    """Parse the camera of one mapping; None if it has neither a field of view nor millimetres."""
    sides = _read_sides(entries, location)
    field_of_view = _parse_field_of_view(entries, sides, location)
    if field_of_view is not None:
        camera = _parse_angle_camera(entries, field_of_view, sides, label, location)
    else:
        camera = _parse_millimetre_camera(entries, sides, label, location)
    if camera is None:
        return None

    _check_is_pinhole(entries, location)
    _check_is_centred(entries, location)
    _check_has_square_pixels(entries, location)
    check_no_picture_changes(entries, sides or (), location, can_zoom=_is_three_js(entries))
    return replace(camera, note=unapplied_orientation_note(entries))


def _parse_angle_camera(
    entries: Mapping[str, Any],
    field_of_view: _FieldOfView,
    sides: tuple[float, float] | None,
    label: str,
    location: str,
) -> ParsedCamera:
    """Parse the camera of a mapping with a field of view, and check it by its millimetres."""
    if _is_three_js(entries):
        field_of_view = _apply_three_js_zoom(field_of_view, entries, location)
    camera = _camera_from_fov(field_of_view, _read_aspect(entries), sides, label, location)
    _check_focal_mm_agrees(entries, camera, location)
    return camera


def _is_three_js(entries: Mapping[str, Any]) -> bool:
    """Whether entries are a perspective camera of three.js."""
    return entries.get("type") == "PerspectiveCamera"


def _read_sides(entries: Mapping[str, Any], location: str) -> tuple[float, float] | None:
    """Read width and height [px]; None if they are not stated, or 0."""
    size = stated_size(entries)
    if len(size) != 2 or not all(size):
        return None
    try:
        width, height = float(size[0]), float(size[1])
    except (TypeError, ValueError, OverflowError):
        width, height = math.nan, math.nan  # not a size, which is refused below
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        shown = " x ".join(printable(str(side)[:20]) for side in size)
        raise InputError(
            f"the image size is {shown}; expected a width and a height in pixels", path=location
        )
    return width, height


def _parse_field_of_view(
    entries: Mapping[str, Any], sides: tuple[float, float] | None, location: str
) -> _FieldOfView | None:
    """Parse the fields of view among entries; None if there are none."""
    angles: dict[Direction, float] = {}
    for normalized_name, number in named_numbers(entries).items():
        name = parse_angle_name(normalized_name)
        direction = _find_direction(name, entries, sides)
        if direction is None:
            continue
        if direction not in (Direction.HORIZONTAL, Direction.VERTICAL):
            raise InputError(
                f"the field of view '{printable(number.name[:40])}: {number.value:g}' may be "
                "horizontal, vertical or diagonal: name it hfov or vfov, or pass the horizontal "
                "angle as pinhole:DEGREES",
                path=location,
            )
        angles.setdefault(direction, name.to_radians(number, location))
    if not angles:
        return None
    return _FieldOfView(
        horizontal=angles.get(Direction.HORIZONTAL), vertical=angles.get(Direction.VERTICAL)
    )


def _find_direction(
    name: AngleName, entries: Mapping[str, Any], sides: tuple[float, float] | None
) -> Direction | None:
    """Find the direction of an angle by its name, another entry, or the program that wrote it.

    Return None if the name is not that of a field of view.
    """
    if name.direction is not Direction.NOT_STATED:
        return name.direction
    stated_axis = next(
        (str(entries[entry]).lower() for entry in _DIRECTION_ENTRIES if entry in entries), ""
    )
    if stated_axis in ("x", "h", "horizontal", "width"):
        return Direction.HORIZONTAL
    if stated_axis in ("y", "v", "vertical", "height"):
        return Direction.VERTICAL

    is_carla_or_airsim = "image_size_x" in entries or "ImageType" in entries
    if is_carla_or_airsim:
        return Direction.HORIZONTAL
    if _is_three_js(entries):
        return Direction.VERTICAL
    is_square = sides is not None and sides[0] == sides[1]
    return Direction.HORIZONTAL if is_square else Direction.NOT_STATED


def _apply_three_js_zoom(
    field_of_view: _FieldOfView, entries: Mapping[str, Any], location: str
) -> _FieldOfView:
    """Apply the zoom of three.js, which enlarges the middle of the picture.

    The zoom multiplies the focal length, so it divides the tangent of half the field of view.
    """
    _check_shows_full_picture(entries.get("view"), location)
    zoom = entries.get("zoom", 1)
    if not is_number(zoom) or not 0 < zoom < math.inf:
        quoted = printable(str(zoom)[:20])
        raise InputError(f"'zoom' is {quoted}; expected a positive number", path=location)

    def zoomed(angle: float | None) -> float | None:
        return None if angle is None else 2 * math.atan(math.tan(angle / 2) / zoom)

    return _FieldOfView(
        horizontal=zoomed(field_of_view.horizontal), vertical=zoomed(field_of_view.vertical)
    )


def _check_shows_full_picture(view: Any, location: str) -> None:
    """Check that ``view`` of three.js, by which a camera may show a part of its picture, does not.

    It does so only if it is ``enabled``.
    """
    if not isinstance(view, Mapping) or not view.get("enabled"):
        return
    shown_part = [view.get(name) for name in ("width", "height", "offsetX", "offsetY")]
    full_picture = [view.get("fullWidth"), view.get("fullHeight"), 0, 0]
    if shown_part != full_picture:
        raise InputError(
            "'view' (setViewOffset) selects a part of a larger image, which is not supported: "
            "pass FX,FY,CX,CY of that part",
            path=location,
        )


def _read_aspect(entries: Mapping[str, Any]) -> float:
    """Read width over height; NaN if it is not stated."""
    aspect = first_number(named_numbers(entries), ("aspect", "aspectratio"))
    return math.nan if aspect is None else aspect.value


def _camera_from_fov(
    field_of_view: _FieldOfView,
    aspect: float,
    sides: tuple[float, float] | None,
    label: str,
    location: str,
) -> ParsedCamera:
    """Make a pinhole camera from one or both fields of view.

    Args:
        field_of_view: Fields of view that the file states.
        aspect: Width over height that the file states, or NaN.
        sides: Width and height of the picture [px]; None if the file does not state them.
        label: Name of the camera within the file.
        location: Name of the file, for errors.

    Raises:
        InputError: If the fields of view, the aspect and the size contradict each other.
    """
    if sides is None:
        return _camera_from_fov_without_size(field_of_view, aspect, label, location)
    width, height = sides
    _check_aspect_agrees(aspect, width, height, location)
    fx = _focal_length(width, field_of_view.horizontal)
    fy = _focal_length(height, field_of_view.vertical)
    if fx is not None and fy is not None:
        if abs(fx / fy - 1) > MAX_ROUNDING:
            raise _conflicting_angles_error(field_of_view, fx, width, height, location)
        return _centred_camera(label, fx, fy, sides)
    # With a single angle, fx and fy are equal, because such cameras have square pixels.
    focal = fy if fx is None else fx
    assert focal is not None, "a field of view has at least one angle"
    return _centred_camera(label, focal, focal, sides)


def _check_aspect_agrees(aspect: float, width: float, height: float, location: str) -> None:
    """Check that a stated aspect agrees with the size of the picture; NaN agrees with any."""
    if abs(aspect * height / width - 1) > _MAX_ASPECT_DIFFERENCE:
        raise InputError(
            f"the image size of {width:g}x{height:g} pixels has an aspect ratio of "
            f"{width / height:.4g}, but the file gives {aspect:.4g}: keep only the correct value",
            path=location,
        )


def _conflicting_angles_error(
    field_of_view: _FieldOfView, fx: float, width: float, height: float, location: str
) -> InputError:
    """Return the error for two fields of view that do not belong to square pixels.

    Files from Blender cause it, because Blender's ``angle_y`` ignores the picture's proportions.
    """
    expected = math.degrees(2 * math.atan(height / 2 / fx))
    return InputError(
        f"the field of view is {math.degrees(field_of_view.horizontal or 0):.4g} degrees "
        f"horizontally and {math.degrees(field_of_view.vertical or 0):.4g} degrees vertically, "
        f"but the horizontal angle of {width:g}x{height:g} square pixels implies "
        f"{expected:.4g} degrees vertically: keep only the correct angle",
        path=location,
    )


def _focal_length(side: float, angle: float | None) -> float | None:
    """Focal length with which a side of a picture [px] spans an angle [rad]; None without one."""
    return None if angle is None else side / 2 / math.tan(angle / 2)


def _camera_from_fov_without_size(
    field_of_view: _FieldOfView, aspect: float, label: str, location: str
) -> ParsedCamera:
    """Make a pinhole camera for pictures of any size, by fields of view and perhaps an aspect.

    Of square pixels, the aspect is tan(horizontal / 2) / tan(vertical / 2), so that two of the
    three determine the other.
    """
    horizontal, vertical = field_of_view.horizontal, field_of_view.vertical
    if horizontal is not None and vertical is not None:
        aspect = math.tan(horizontal / 2) / math.tan(vertical / 2)
    has_aspect = 0 < aspect < math.inf
    if horizontal is None:
        assert vertical is not None, "a field of view has at least one angle"
        if not has_aspect:
            raise InputError(
                f"the file gives a vertical field of view of {math.degrees(vertical):g} degrees "
                "but no image size: add the width and height, or pass the horizontal angle as "
                "pinhole:DEGREES",
                path=location,
            )
        horizontal = 2 * math.atan(aspect * math.tan(vertical / 2))
    return ParsedCamera(
        label=label,
        lens="pinhole",
        numbers=[math.degrees(horizontal)],
        size=None,
        aspect=aspect if has_aspect else None,
    )


def _centred_camera(label: str, fx: float, fy: float, sides: tuple[float, float]) -> ParsedCamera:
    """Make a pinhole camera whose principal point is the middle of its pictures."""
    width, height = sides
    return perspective_camera(label, [fx, fy, (width - 1) / 2, (height - 1) / 2], (), sides)


def _parse_millimetre_camera(
    entries: Mapping[str, Any], sides: tuple[float, float] | None, label: str, location: str
) -> ParsedCamera | None:
    """Parse a camera with a focal length and a sensor width in millimetres; None if it has none."""
    numbers = named_numbers(entries)
    focal = first_number(numbers, FOCAL_LENGTHS)
    sensor_width = first_number(numbers, SENSOR_WIDTHS)
    film_focal = first_number(numbers, FILM_FOCAL_LENGTHS)
    if film_focal is not None and sensor_width is None:
        raise InputError(
            f"the focal length '{printable(film_focal.name[:40])}: {film_focal.value:g}' is a 35 "
            f"mm equivalent, which is not supported in a file: pass {film_focal.value:g}mm instead",
            path=location,
        )
    if focal is None:
        return None
    if sensor_width is None and normalize_name(focal.name) in ("f", "lens"):
        return None  # These short names may mean anything.
    has_plausible_sensor = sensor_width is not None and 0 < sensor_width.value <= MAX_SENSOR_WIDTH
    if sensor_width is None or not has_plausible_sensor or focal.value <= 0:
        raise _missing_sensor_error(focal, location)
    if sides is None or not _sensor_width_lies_along_width(entries, sides):
        raise InputError(
            "the file gives the focal length and the sensor width in millimetres, but not which "
            "side of the image the sensor width belongs to: if it is the longer side, pass "
            f"{focal.value:g}mm/{sensor_width.value:g}mm",
            path=location,
        )

    width, _ = sides
    focal_in_pixels = focal.value / sensor_width.value * width
    check_sensor_fov_agrees(entries, focal_in_pixels, sides, MAX_MILLIMETRE_ROUNDING, location)
    return _centred_camera(label, focal_in_pixels, focal_in_pixels, sides)


def _sensor_width_lies_along_width(entries: Mapping[str, Any], sides: tuple[float, float]) -> bool:
    """Whether the width of the sensor is certainly that of the picture.

    Blender's ``sensor_fit`` may say so. If nothing says it, it is only certain of landscape
    pictures, because a camera that is held upright turns its sensor.
    """
    width, height = sides
    match sensor_fit(entries):
        case "HORIZONTAL":
            return True
        case "VERTICAL":
            return False
        case _:
            return width >= height


def _missing_sensor_error(focal: NamedNumber, location: str) -> InputError:
    """Return the error for a focal length without a sensor, in millimetres or an unknown unit."""
    name = printable(focal.name[:40])
    length = f"{focal.value:g}"
    if normalize_name(focal.name).endswith("mm"):
        return InputError(
            f"the file gives a focal length in millimetres ('{name}: {length}') but no sensor "
            f"width: pass {length}mm/WIDTHmm, or {length}mm if it is a 35 mm equivalent",
            path=location,
        )
    return InputError(
        f"the focal length '{name}: {length}' has no unit: pass {length} if it is in pixels, "
        f"{length}mm if it is a 35 mm equivalent, or {length}mm/WIDTHmm with the sensor width",
        path=location,
    )


def _check_focal_mm_agrees(entries: Mapping[str, Any], camera: ParsedCamera, location: str) -> None:
    """Check that the file's focal length [mm] and sensor size, if any, agree with ``camera``."""
    if camera.size is None:
        check_focal_mm_agrees_with_fov(entries, camera.horizontal_fov, camera.aspect, location)
    else:
        check_focal_mm_agrees(entries, camera.fx, camera.size, location)


def _check_is_pinhole(entries: Mapping[str, Any], location: str) -> None:
    """Check that the lens has no distortion, because a field of view would mean something else."""
    entry = find_non_pinhole_entry(entries)
    if entry is not None:
        raise InputError(
            f"the file has '{entry}', but a field of view is only supported for pinhole cameras: "
            "if this lens is a fisheye, pass fisheye:DEGREES with the angle from the left to the "
            "right edge; otherwise remove this entry",
            path=location,
        )
    spec = read_lens_spec(entries, location)
    if spec.has_distortion or spec.model == "equidistant":
        raise InputError(
            "the file gives a field of view and a lens with distortion, which is not supported: "
            "pass the lens as opencv:FX,FY,CX,CY,K1,K2,P1,P2 or fisheye:FX,FY,CX,CY,K1,K2,K3,K4",
            path=location,
        )


def _check_is_centred(entries: Mapping[str, Any], location: str) -> None:
    """Check that no entry moves the principal point away from the middle of the picture."""
    for entry_name, value in entries.items():
        is_shift = _SHIFT.fullmatch(normalize_name(str(entry_name))) is not None
        if is_shift and any(_all_numbers(value)):
            raise _unsupported_entry_error(str(entry_name), value, location)


def _check_has_square_pixels(entries: Mapping[str, Any], location: str) -> None:
    """Check that the pixels are square.

    Files state one aspect of the pixels, which has to be 1, or as Blender the relative lengths of
    their sides in two entries for x and y, which have to be equal.
    """
    stated_by_name: dict[str, float] = {}
    for entry_name, value in entries.items():
        name_without_axis = normalize_name(str(entry_name)).removesuffix("x").removesuffix("y")
        numbers = _all_numbers(value)
        if _PIXEL_ASPECT.fullmatch(name_without_axis) and numbers:
            stated_by_name[str(entry_name)] = numbers[0]

    stated = [*stated_by_name.values()]
    are_equal_sides = len(stated) > 1 and len(set(stated)) == 1
    if not stated or stated == [1] or are_equal_sides:
        return
    name = next(name for name, number in stated_by_name.items() if number != 1)
    raise _unsupported_entry_error(name, f"{stated_by_name[name]:g}", location)


def _unsupported_entry_error(name: str, value: Any, location: str) -> InputError:
    entry = printable(f"{name}: {value}"[:60])
    return InputError(f"'{entry}' is not supported: pass FX,FY,CX,CY instead", path=location)


def _all_numbers(value: Any) -> list[float]:
    """List the numbers in a value, in a list, or in a mapping such as {x: 0, y: 1}."""
    if isinstance(value, Mapping):
        elements = [*value.values()]
    else:
        elements = value if isinstance(value, list) else [value]
    # named_numbers parses numbers in texts, too, and needs a name for each.
    element_by_name = {str(index): element for index, element in enumerate(elements)}
    return [number.value for number in named_numbers(element_by_name).values()]


def _read_gazebo_camera(camera: Element, location: str) -> dict[str, Any]:
    """Convert a camera of Gazebo's SDF to entries.

    Raises:
        InputError: If its intrinsics contradict its field of view.
    """
    image = camera.find("image")
    camera_entries = {
        "horizontal_fov_rad": camera.findtext("horizontal_fov"),
        "lens_type": camera.findtext("lens/type") or "",
        **{element.tag: element.text for element in camera.iterfind("distortion/*")},
        **({} if image is None else {element.tag: element.text for element in image}),
    }
    intrinsics = {element.tag: element.text for element in camera.iterfind("lens/intrinsics/*")}
    _check_gazebo_intrinsics_agree(camera_entries, intrinsics, location)
    return camera_entries


def _check_gazebo_intrinsics_agree(
    camera_entries: Mapping[str, Any], intrinsics: Mapping[str, str | None], location: str
) -> None:
    """Check that Gazebo's intrinsics are those of the camera that its field of view describes.

    Gazebo's SDF may state both. The field of view describes a camera with square pixels, no skew
    and the principal point in the middle, so the intrinsics fx, fy, cx, cy [px] and the skew ``s``
    have to be the same. Those that are not stated agree with anything.
    """
    stated = {number.name: number.value for number in named_numbers(intrinsics).values()}
    if not stated:
        return
    camera = _parse_fov_camera(camera_entries, "", location)
    if camera is None or camera.size is None:
        return

    for name in ("fx", "fy"):
        focal = stated.get(name, camera.fx)
        if abs(focal / camera.fx - 1) > MAX_ROUNDING:
            raise conflicting_focal_lengths_error(
                camera.fx, focal, NamedNumber(name, focal), location
            )
    for name, side in zip(("cx", "cy"), camera.size, strict=True):
        centre = stated.get(name, side / 2)
        if abs(centre - side / 2) > _MAX_CENTRE_DIFFERENCE:
            raise _unsupported_entry_error(name, f"{centre:g}", location)
    skew = stated.get("s", 0.0)
    if skew:
        raise _unsupported_entry_error("s", f"{skew:g}", location)


def _is_mitsuba_camera(sensor: Element) -> bool:
    """Whether a sensor of Mitsuba is a perspective camera with a field of view."""
    is_perspective = sensor.get("type") in ("perspective", "thinlens")
    return is_perspective and "fov" in _mitsuba_properties(sensor)


def _mitsuba_properties(sensor: Element) -> dict[str, str | None]:
    """Collect the values of all elements of a sensor that have a name."""
    return {
        str(element.get("name")): element.get("value")
        for element in sensor.iter()
        if element.get("name")
    }


def _read_mitsuba_sensor(sensor: Element) -> dict[str, Any]:
    """Convert a perspective camera of Mitsuba to entries, with the angle's direction as a name."""
    values = _mitsuba_properties(sensor)
    axis = str(values.get("fov_axis") or values.get("fovAxis") or "x")
    fov_name = {"x": "fov_x_degrees", "y": "fov_y_degrees"}.get(axis, "fov_degrees")
    related = {
        name: value
        for name, value in values.items()
        if name in ("width", "height") or is_picture_change(name) or "offset" in name
    }
    return {fov_name: values["fov"], **related}
