"""Camera files of scanners and photogrammetry in XML and text.

Read are Metashape's ``cameras.xml`` and calibrations, RealSense's ``rs-enumerate-devices -c``,
ScanNet's and 3RScan's lists of names and numbers, MVSNet's cameras, and kapture's sensors. Others
are recognised, and refused by their name.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from rilievo.errors import InputError
from rilievo.io.cameras.models import READ, parse_xml
from rilievo.io.files.names import printable


class StatedCamera(NamedTuple):
    """Camera that a file states.

    Attributes:
        label: Its name in the file.
        lens: Name of a lens of ``geometry.cameras.spelling``.
        numbers: fx, fy, cx, cy and coefficients; the centre of the top-left pixel is (0, 0).
        size: Width and height of its pictures; None if not stated.
        aspect: Width over height of its pictures, if that is stated and their size is not.
        note: What was chosen where it was read, as a sentence.
    """

    label: str
    lens: str
    numbers: Sequence[float]
    size: tuple[float, float] | None
    aspect: float | None = None
    note: str | None = None


_UNREAD_TEXTS: Sequence[tuple[str, str, str]] = (
    (r"# Bundle file", "a file of Bundler", "COLMAP's, by 'colmap model_converter'"),
    (r"NVM_V3", "a file of VisualSFM", "COLMAP's, by 'colmap model_converter'"),
    (
        r"\APix4D camera calibration file",
        "Pix4D's internal parameters (.cam), in millimetres of a sensor",
        "its F and the sensor's width as Fmm/WIDTHmm if the lens has no distortion, or its numbers "
        "as opencv:F*S,F*S,PX*S-0.5,PY*S-0.5,K1,K2,T1,T2,K3, where S is the width of the pictures "
        "in pixels over that of the sensor",
    ),
    (
        r"\A#?\s*name,.*\bf\b.*\bpx\b",
        "RealityCapture's list of cameras, in shares of the longer side",
        "its f as Fmm/36mm if the lens has no distortion, or an export to COLMAP",
    ),
    (
        r"\A# Image list with two lines of data",
        "COLMAP's list of images and their poses",
        "the cameras.txt beside it",
    ),
    (
        r"\Ahttps?://\S+\s*\n\d+\s",
        "a clip of RealEstate10K, in shares of the width and the height",
        "FX*WIDTH,FY*HEIGHT,CX*WIDTH-0.5,CY*HEIGHT-0.5 of its second to fifth number",
    ),
    (
        r"\A(calib_time:.*\n)?R: .*\nT: ",
        "a pose of KITTI, such as that of the laser",
        "calib_cam_to_cam.txt",
    ),
    (
        r"aslam_cv\.libaslam_cv_python|\ACalibration results\s*\n=+",
        "a report of Kalibr",
        "the camchain.yaml beside it",
    ),
    (
        r"\A#usda ",
        "a scene of USD",
        "the focalLength and horizontalAperture of its camera as Fmm/WIDTHmm",
    ),
    (
        r"fileName imageWidth imageHeight",
        "Pix4D's list of calibrated cameras",
        "the K of your photograph's paragraph, as text",
    ),
    (
        r"\[(LEFT|RIGHT)_CAM_\w+\]",
        "a calibration of a ZED, with a camera for each side and resolution",
        "the numbers of yours, as opencv:FX,FY,CX,CY,K1,K2,P1,P2,K3",
    ),
    (
        r"# MVE view|\[camera\]\s*\n(.*\n)*focal_length",
        "a view of MVE, in shares of the longer side",
        "its focal_length times the longer side, as a focal length in pixels",
    ),
    (r"# ?Open3D|\[CameraIntrinsic\]", "an old trajectory of Open3D", "its JSON of a camera"),
)
"""Patterns of texts that are recognised and not read, their names, and what to take."""


def cameras_in_text(text: str, place: str) -> list[StatedCamera]:
    """Cameras of a text; [] if it has none of these forms.

    Raises:
        InputError: If it is of another form that is recognised, or its numbers are no camera.
    """
    for pattern, name, instead in _UNREAD_TEXTS:
        if re.search(pattern, text, re.MULTILINE):
            raise InputError(f"is {name}, which is not read; take {instead}", path=place)
    return (
        _cameras_of_realsense(text, place)
        or _camera_of_names(text, place)
        or _camera_of_mvsnet(text)
        or _cameras_of_kapture(text, place)
    )


_STREAM = re.compile(
    r"Intrinsic of \"(?P<stream>[^\"]+)\"(?P<numbers>.*?)(?=Intrinsic of|Extrinsic|Motion|\Z)",
    re.DOTALL,
)
_SIDE = {"width": r"Width:\s*(\d+)", "height": r"Height:\s*(\d+)"}
_FOCAL = {"fx": "Fx", "fy": "Fy", "cx": "PPX", "cy": "PPY"}


def _cameras_of_realsense(text: str, place: str) -> list[StatedCamera]:
    """Streams of ``rs-enumerate-devices -c``, which prints each with all of its formats."""
    cameras = []
    for match in _STREAM.finditer(text):
        part, stream = match["numbers"], match["stream"]
        sides = [re.search(pattern, part) for pattern in _SIDE.values()]
        found = [re.search(rf"{name}:\s*(\S+)", part) for name in _FOCAL.values()]
        if None in sides or None in found:
            continue
        numbers = [_number(each[1], place) for each in found if each is not None]
        width, height = (float(side[1]) for side in sides if side is not None)
        model = re.search(r"Distortion:\s*([^\n]+)", part)
        listed = re.search(r"Coeffs:\s*([^\n]+)", part)
        bend = [_number(word, place) for word in listed[1].split()] if listed else []
        name = model[1].strip() if model else "None"
        if any(bend) and name.lower() != "brown conrady":
            raise InputError(
                f"has the distortion '{printable(name[:60])}' of stream "
                f"'{printable(stream[:40])}'; {READ}",
                path=place,
            )
        lens = "opencv" if any(bend) else "pinhole"
        label = f"{stream} {width:g}x{height:g}"
        whole = [*numbers, *(bend if any(bend) else [])]
        cameras.append(StatedCamera(label, lens, whole, (width, height)))
    return cameras


_SCANNET = {
    "fx": ("fx_color", "fx"),
    "fy": ("fy_color", "fy"),
    "cx": ("mx_color", "cx"),
    "cy": ("my_color", "cy"),
    "width": ("colorwidth", "m_colorwidth", "width", "image_width"),
    "height": ("colorheight", "m_colorheight", "height", "image_height"),
}
_NAMED_LINE = re.compile(r"^\s*([A-Za-z_]\w*)\s*[=:]\s*([-+0-9.eE ]+?)\s*$", re.MULTILINE)
_BEND_NAMES = ("k1", "k2", "p1", "p2", "k3")


def _camera_of_names(text: str, place: str) -> list[StatedCamera]:
    """Lines ``name = numbers`` of ScanNet's and 3RScan's descriptions of a scan."""
    named = {name.lower(): words for name, words in _NAMED_LINE.findall(text)}
    if "fx_color" not in named and "m_calibrationcolorintrinsic" not in named:
        return []
    matrix = named.get("m_calibrationcolorintrinsic", "").split()
    found = {
        part: next((named[name] for name in names if name in named), None)
        for part, names in _SCANNET.items()
    }
    if len(matrix) == 16:
        found |= {"fx": matrix[0], "fy": matrix[5], "cx": matrix[2], "cy": matrix[6]}
    if any(found[part] is None for part in ("fx", "fy", "cx", "cy")):
        return []
    numbers = [_number(str(found[part]), place) for part in ("fx", "fy", "cx", "cy")]
    bend = [_number(named.get(name, "0"), place) for name in _BEND_NAMES]
    size = None
    if found["width"] is not None and found["height"] is not None:
        size = _number(str(found["width"]), place), _number(str(found["height"]), place)
    lens, whole = ("opencv", [*numbers, *bend]) if any(bend) else ("pinhole", numbers)
    return [StatedCamera("", lens, whole, size)]


def _camera_of_mvsnet(text: str) -> list[StatedCamera]:
    """Camera of MVSNet and DTU: ``extrinsic``, 4 x 4 numbers, ``intrinsic``, 3 x 3 numbers."""
    match = re.search(r"^\s*intrinsic\s+((?:[-+0-9.eE]+\s+){8}[-+0-9.eE]+)", text, re.MULTILINE)
    if match is None or not re.match(r"\s*extrinsic", text):
        return []
    fx, skew, cx, _, fy, cy, *_ = (float(word) for word in match[1].split())
    return [] if skew else [StatedCamera("", "pinhole", [fx, fy, cx, cy], None)]


def _cameras_of_kapture(text: str, place: str) -> list[StatedCamera]:
    """Sensors of kapture, whose cameras are COLMAP's in lines with commas."""
    cameras = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) < 6 or line.startswith("#") or words[2] != "camera":
            continue
        model, width, height = words[3], _number(words[4], place), _number(words[5], place)
        numbers = [_number(word, place) for word in words[6:]]
        cameras.append(StatedCamera(words[0], f"colmap:{model}", numbers, (width, height)))
    return cameras


_METASHAPE_ROOTS = ("document", "chunk")
_UNREAD_XML: Sequence[tuple[str, str, str]] = (
    ("<BlocksExchange", "BlocksExchange of ContextCapture", "an export to COLMAP or OpenCV"),
    (
        "<lensdatabase",
        "lensfun's database of lenses",
        "a calibration of your camera",
    ),
    (
        "stCamera:",
        "Adobe's lens profile (LCP), in shares of the picture",
        "FocalLengthX times the longer side as a focal length in pixels",
    ),
    (
        "capturingreality.com",
        "RealityCapture's XMP, in shares of the longer side",
        "its FocalLength35mm as Fmm/36mm if the lens has no distortion, or an export to COLMAP",
    ),
)
"""Marks of XML that is recognised and not read, its names, and what to take."""


def cameras_in_xml(text: str, place: str) -> list[StatedCamera]:
    """Cameras of Metashape's XML; [] if it is another.

    Raises:
        InputError: If it is of a form that is recognised and not read, or a lens that is not read.
    """
    for mark, name, instead in _UNREAD_XML:
        if mark in text:
            raise InputError(f"is {name}, which is not read; take {instead}", path=place)
    root = parse_xml(text, place)
    is_calibration = any(root.find(name) is not None for name in ("projection", "f", "skew"))
    if root.tag == "calibration" and is_calibration:
        return [_metashape_camera(root, root.findtext("projection", "frame"), root, "", place)]
    if root.tag not in _METASHAPE_ROOTS:
        return []
    return [
        _metashape_camera(
            _best_calibration(sensor, place),
            sensor.get("type", "frame"),
            sensor.find("resolution"),
            sensor.get("label", ""),
            place,
        )
        for sensor in root.iter("sensor")
    ]


def _best_calibration(sensor: Element, place: str) -> Element:
    """Calibration of a sensor that was adjusted, or else the first."""
    calibrations = sensor.findall("calibration")
    adjusted = [each for each in calibrations if each.get("class") == "adjusted"]
    for each in (*adjusted, *calibrations):
        return each
    raise InputError(
        f"has a sensor '{printable(sensor.get('label', '')[:60])}' without a calibration: align "
        "the photographs in Metashape first",
        path=place,
    )


def _metashape_camera(
    calibration: Element, kind: str, sides: Element | None, label: str, place: str
) -> StatedCamera:
    """Camera of Metashape, whose cx and cy count from the middle of the picture."""
    own_sides = calibration.find("resolution")
    width, height = _sides_of_element(own_sides if own_sides is not None else sides, place)
    kind = (calibration.get("type") or kind).lower()
    if kind in ("spherical", "equirectangular"):
        return StatedCamera(label, "equirect", (), (width, height))

    part = {
        name: _number(calibration.findtext(name) or "0", place)
        for name in ("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")
    }
    if calibration.find("f") is None and calibration.find("fx") is not None:
        return _old_photoscan_camera(calibration, part, label, (width, height), place)
    is_fisheye = kind in ("fisheye", "equidistant", "equidistant_fisheye")
    unread = ("b2", "p3", "p4", "p1", "p2") if is_fisheye else ("b2", "k4", "p3", "p4")
    other = next((name for name in unread if part[name]), None)
    if other is not None or kind not in ("frame", "fisheye", "equidistant", "equidistant_fisheye"):
        why = f"'{other}: {part[other]:g}'" if other else f"the type '{printable(kind[:40])}'"
        raise InputError(
            f"has {why} of Metashape's model, which is not read: optimise the cameras without it, "
            "or export to OpenCV or COLMAP",
            path=place,
        )
    centre = [part["cx"] + (width - 1) / 2, part["cy"] + (height - 1) / 2]
    focal = [part["f"] + part["b1"], part["f"], *centre]
    if is_fisheye:
        bend = [part[name] for name in ("k1", "k2", "k3", "k4")]
        return StatedCamera(label, "fisheye", [*focal, *bend], (width, height))
    # Metashape's p1 stands at r² + 2 x², where OpenCV has p2.
    bend = [part[name] for name in ("k1", "k2", "p2", "p1", "k3")]
    lens, whole = ("opencv", [*focal, *bend]) if any(bend) else ("pinhole", focal)
    return StatedCamera(label, lens, whole, (width, height))


def _old_photoscan_camera(
    calibration: Element,
    part: Mapping[str, float],
    label: str,
    size: tuple[float, float],
    place: str,
) -> StatedCamera:
    """Camera of PhotoScan before version 1.2 (manual of Agisoft Lens 0.4).

    Its centre counts from the corner of the picture, and its p1 and p2 are those of OpenCV.
    """
    skew = _number(calibration.findtext("skew") or "0", place)
    unread = {"skew": skew, **{name: part[name] for name in ("k4", "p3", "p4")}}
    other = next((name for name, number in unread.items() if number), None)
    if other is not None:
        raise InputError(
            f"is an old PhotoScan calibration (fx and fy) with '{other}: {unread[other]:g}', which "
            "is not read: optimise the cameras without it, or export to OpenCV",
            path=place,
        )
    fx, fy = (_number(calibration.findtext(name) or "0", place) for name in ("fx", "fy"))
    focal = [fx, fy, part["cx"] - 0.5, part["cy"] - 0.5]
    bend = [part[name] for name in ("k1", "k2", "p1", "p2", "k3")]
    lens, whole = ("opencv", [*focal, *bend]) if any(bend) else ("pinhole", focal)
    return StatedCamera(label, lens, whole, size)


def _sides_of_element(element: Element | None, place: str) -> tuple[float, float]:
    if element is None:
        raise InputError("states no size of the pictures", path=place)
    words = [element.get(name) or element.findtext(name) or "" for name in ("width", "height")]
    width, height = (_number(word, place) for word in words)
    return width, height


def _number(word: str, place: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise InputError(
            f"has '{printable(word[:40])}' where a number is expected", path=place
        ) from error
