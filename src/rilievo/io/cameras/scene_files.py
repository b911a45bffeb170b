"""Camera files of scanners and photogrammetry in XML and text.

Read are Metashape's ``cameras.xml`` and calibrations, RealSense's ``rs-enumerate-devices -c``,
ScanNet's and 3RScan's lists of names and numbers, MVSNet's cameras, and kapture's sensors. Others
are recognised, and refused by their name.
"""

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from rilievo.errors import InputError
from rilievo.io.cameras.lens_checks import READABLE_MODELS
from rilievo.io.cameras.opencv_files import parse_xml
from rilievo.io.cameras.stated_camera import StatedCamera, perspective_camera
from rilievo.io.files.names import printable

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
"""Patterns of texts that are recognised and not read, their names, and what to take instead."""


def cameras_in_text(text: str, location: str) -> list[StatedCamera]:
    """Cameras of a text; [] if it has none of these forms.

    Raises:
        InputError: If it is of another form that is recognised, or its numbers are no camera.
    """
    for pattern, name, instead in _UNREAD_TEXTS:
        if re.search(pattern, text, re.MULTILINE):
            raise InputError(f"is {name}, which is not read; take {instead}", path=location)
    return (
        _cameras_of_realsense(text, location)
        or _camera_of_scan(text, location)
        or _camera_of_mvsnet(text)
        or _cameras_of_kapture(text, location)
    )


_REALSENSE_STREAM = re.compile(
    r"Intrinsic of \"(?P<stream>[^\"]+)\"(?P<numbers>.*?)(?=Intrinsic of|Extrinsic|Motion|\Z)",
    re.DOTALL,
)


def _cameras_of_realsense(text: str, location: str) -> list[StatedCamera]:
    """Streams of ``rs-enumerate-devices -c``, which prints each with all of its formats."""
    cameras = []
    for match in _REALSENSE_STREAM.finditer(text):
        stream, description = match["stream"], match["numbers"]
        sides = [re.search(rf"{name}:\s*(\d+)", description) for name in ("Width", "Height")]
        words = [re.search(rf"{name}:\s*(\S+)", description) for name in ("Fx", "Fy", "PPX", "PPY")]
        if None in sides or None in words:
            continue
        intrinsics = [_number(word[1], location) for word in words if word is not None]
        width, height = (float(side[1]) for side in sides if side is not None)

        model = re.search(r"Distortion:\s*([^\n]+)", description)
        model_name = model[1].strip() if model else "None"
        listed = re.search(r"Coeffs:\s*([^\n]+)", description)
        coefficients = [_number(word, location) for word in listed[1].split()] if listed else []
        if any(coefficients) and model_name.lower() != "brown conrady":
            raise InputError(
                f"has the distortion '{printable(model_name[:60])}' of stream "
                f"'{printable(stream[:40])}'; {READABLE_MODELS}",
                path=location,
            )
        label = f"{stream} {width:g}x{height:g}"
        cameras.append(perspective_camera(label, intrinsics, coefficients, (width, height)))
    return cameras


_SCAN_NAMES = {
    "fx": ("fx_color", "fx"),
    "fy": ("fy_color", "fy"),
    "cx": ("mx_color", "cx"),
    "cy": ("my_color", "cy"),
    "width": ("colorwidth", "m_colorwidth", "width", "image_width"),
    "height": ("colorheight", "m_colorheight", "height", "image_height"),
}
"""Names of the colour camera's numbers in the descriptions of scans, in small letters."""
_NAMED_LINE = re.compile(r"^\s*([A-Za-z_]\w*)\s*[=:]\s*([-+0-9.eE ]+?)\s*$", re.MULTILINE)
_OPENCV_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")


def _camera_of_scan(text: str, location: str) -> list[StatedCamera]:
    """Colour camera of lines ``name = numbers`` of ScanNet's and 3RScan's descriptions."""
    lines = {name.lower(): words for name, words in _NAMED_LINE.findall(text)}
    if "fx_color" not in lines and "m_calibrationcolorintrinsic" not in lines:
        return []
    words = {
        part: next((lines[name] for name in names if name in lines), None)
        for part, names in _SCAN_NAMES.items()
    }
    matrix = lines.get("m_calibrationcolorintrinsic", "").split()
    if len(matrix) == 16:
        words |= {"fx": matrix[0], "fy": matrix[5], "cx": matrix[2], "cy": matrix[6]}
    intrinsic_words = [words[part] for part in ("fx", "fy", "cx", "cy")]
    if None in intrinsic_words:
        return []

    intrinsics = [_number(str(word), location) for word in intrinsic_words]
    coefficients = [_number(lines.get(name, "0"), location) for name in _OPENCV_COEFFICIENTS]
    size = None
    if words["width"] is not None and words["height"] is not None:
        size = _number(words["width"], location), _number(words["height"], location)
    return [perspective_camera("", intrinsics, coefficients, size)]


def _camera_of_mvsnet(text: str) -> list[StatedCamera]:
    """Camera of MVSNet and DTU: ``extrinsic``, 4 x 4 numbers, ``intrinsic``, 3 x 3 numbers."""
    match = re.search(r"^\s*intrinsic\s+((?:[-+0-9.eE]+\s+){8}[-+0-9.eE]+)", text, re.MULTILINE)
    if match is None or not re.match(r"\s*extrinsic", text):
        return []
    fx, skew, cx, _, fy, cy, *_ = (float(word) for word in match[1].split())
    return [] if skew else [perspective_camera("", [fx, fy, cx, cy], (), None)]


def _cameras_of_kapture(text: str, location: str) -> list[StatedCamera]:
    """Sensors of kapture, whose cameras are COLMAP's in lines with commas."""
    cameras = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) < 6 or line.startswith("#") or words[2] != "camera":
            continue
        label, model = words[0], words[3]
        width, height, *numbers = (_number(word, location) for word in words[4:])
        cameras.append(
            StatedCamera(label=label, lens=f"colmap:{model}", numbers=numbers, size=(width, height))
        )
    return cameras


_METASHAPE_ROOTS = ("document", "chunk")  # of cameras.xml
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
"""Parts of XML that is recognised and not read, its names, and what to take instead."""


def cameras_in_xml(text: str, location: str) -> list[StatedCamera]:
    """Cameras of Metashape's XML; [] if it is another.

    Raises:
        InputError: If it is of a form that is recognised and not read, or a lens that is not read.
    """
    for mark, name, instead in _UNREAD_XML:
        if mark in text:
            raise InputError(f"is {name}, which is not read; take {instead}", path=location)
    root = parse_xml(text, location)
    is_calibration = any(root.find(name) is not None for name in ("projection", "f", "skew"))
    if root.tag == "calibration" and is_calibration:
        lens_type = root.findtext("projection", "frame")
        return [_metashape_camera(root, lens_type, root, "", location)]
    if root.tag not in _METASHAPE_ROOTS:
        return []
    return [
        _metashape_camera(
            _best_calibration(sensor, location),
            sensor.get("type", "frame"),
            sensor.find("resolution"),
            sensor.get("label", ""),
            location,
        )
        for sensor in root.iter("sensor")
    ]


def _best_calibration(sensor: Element, location: str) -> Element:
    """Calibration of a sensor that was adjusted, or else the first."""
    calibrations = sensor.findall("calibration")
    for calibration in calibrations:
        if calibration.get("class") == "adjusted":
            return calibration
    if calibrations:
        return calibrations[0]
    raise InputError(
        f"has a sensor '{printable(sensor.get('label', '')[:60])}' without a calibration: align "
        "the photographs in Metashape first",
        path=location,
    )


_FISHEYE_TYPES = ("fisheye", "equidistant", "equidistant_fisheye")
_NOT_OPENCV = ("k4", "p3", "p4")
"""Coefficients of Metashape's perspective lens that OpenCV's has not, or in another place."""
_METASHAPE_NUMBERS = (
    *("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4"),
)


def _metashape_camera(
    calibration: Element, lens_type: str, resolution: Element | None, label: str, location: str
) -> StatedCamera:
    """Camera of Metashape, whose cx and cy count from the middle of the picture.

    Args:
        calibration: Element with the numbers, and perhaps a type and a size of its own.
        lens_type: Metashape's type of its sensor.
        resolution: Element with the size of its sensor.
        label: Name of its sensor.
        location: File, for messages.
    """
    own_resolution = calibration.find("resolution")
    width, height = _sides_of_element(
        resolution if own_resolution is None else own_resolution, location
    )
    lens_type = (calibration.get("type") or lens_type).lower()
    if lens_type in ("spherical", "equirectangular"):
        return StatedCamera(label=label, lens="equirect", numbers=(), size=(width, height))

    numbers = {name: _number_of_element(calibration, name, location) for name in _METASHAPE_NUMBERS}
    if calibration.find("f") is None and calibration.find("fx") is not None:
        return _old_photoscan_camera(calibration, numbers, label, (width, height), location)
    _refuse_unread_metashape(lens_type, numbers, location)

    intrinsics = [
        numbers["f"] + numbers["b1"],
        numbers["f"],
        numbers["cx"] + (width - 1) / 2,
        numbers["cy"] + (height - 1) / 2,
    ]
    if lens_type in _FISHEYE_TYPES:
        coefficients = [numbers[name] for name in ("k1", "k2", "k3", "k4")]
        return StatedCamera(
            label=label,
            lens="fisheye",
            numbers=[*intrinsics, *coefficients],
            size=(width, height),
        )
    # Metashape's p1 stands at r² + 2 x², where OpenCV has p2.
    coefficients = [numbers[name] for name in ("k1", "k2", "p2", "p1", "k3")]
    return perspective_camera(label, intrinsics, coefficients, (width, height))


def _refuse_unread_metashape(lens_type: str, numbers: Mapping[str, float], location: str) -> None:
    """Refuse a type of lens that is not read, or a coefficient that it has in Metashape alone."""
    unread = ("b2", "p3", "p4", "p1", "p2") if lens_type in _FISHEYE_TYPES else ("b2", *_NOT_OPENCV)
    name = next((name for name in unread if numbers[name]), None)
    if name is not None:
        problem = f"'{name}: {numbers[name]:g}'"
    elif lens_type not in ("frame", *_FISHEYE_TYPES):
        problem = f"the type '{printable(lens_type[:40])}'"
    else:
        return
    raise InputError(
        f"has {problem} of Metashape's model, which is not read: optimise the cameras without it, "
        "or export to OpenCV or COLMAP",
        path=location,
    )


def _old_photoscan_camera(
    calibration: Element,
    numbers: Mapping[str, float],
    label: str,
    size: tuple[float, float],
    location: str,
) -> StatedCamera:
    """Camera of PhotoScan before version 1.2 (manual of Agisoft Lens 0.4).

    Its centre counts from the corner of the picture, and its p1 and p2 are those of OpenCV.
    """
    skew = _number_of_element(calibration, "skew", location)
    unread = {"skew": skew, **{name: numbers[name] for name in _NOT_OPENCV}}
    for name, number in unread.items():
        if number:
            raise InputError(
                f"is an old PhotoScan calibration (fx and fy) with '{name}: {number:g}', which "
                "is not read: optimise the cameras without it, or export to OpenCV",
                path=location,
            )
    fx = _number_of_element(calibration, "fx", location)
    fy = _number_of_element(calibration, "fy", location)
    intrinsics = [fx, fy, numbers["cx"] - 0.5, numbers["cy"] - 0.5]
    coefficients = [numbers[name] for name in _OPENCV_COEFFICIENTS]
    return perspective_camera(label, intrinsics, coefficients, size)


def _sides_of_element(element: Element | None, location: str) -> tuple[float, float]:
    """Width and height [px] of an element, as attributes or as elements in it."""
    if element is None:
        raise InputError("states no size of the pictures", path=location)
    words = [element.get(name) or element.findtext(name) or "" for name in ("width", "height")]
    width, height = (_number(word, location) for word in words)
    return width, height


def _number_of_element(element: Element, name: str, location: str) -> float:
    """Number of an element in another one; 0 without it."""
    return _number(element.findtext(name) or "0", location)


def _number(word: str, location: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise InputError(
            f"has '{printable(word[:40])}' where a number is expected", path=location
        ) from error
