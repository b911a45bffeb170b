"""Parse camera files of scanners and photogrammetry in XML and text.

Supported are Metashape's ``cameras.xml`` and calibrations, RealSense's ``rs-enumerate-devices -c``,
ScanNet's and 3RScan's lists of names and numbers, MVSNet's cameras, and kapture's sensors. Further
formats are recognised, so that the error can name them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from rilievo.errors import InputError
from rilievo.io.cameras.lens_checks import SUPPORTED_MODELS
from rilievo.io.cameras.opencv_files import parse_xml
from rilievo.io.cameras.parsed_camera import ParsedCamera, perspective_camera
from rilievo.io.files.names import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnsupportedFormat:
    """A format that is recognised but not supported.

    Attributes:
        mark: What only such a file contains: a regular expression for text, a substring for XML.
        name: What the file is, for the message.
        alternative: What the user can use instead.
    """

    mark: str
    name: str
    alternative: str

    def error(self, location: str) -> InputError:
        return InputError(
            f"this is {self.name}, which is not supported; use {self.alternative}", path=location
        )


_UNSUPPORTED_TEXTS: Sequence[_UnsupportedFormat] = (
    _UnsupportedFormat(
        mark=r"# Bundle file",
        name="a Bundler file",
        alternative="a COLMAP model, converted with 'colmap model_converter'",
    ),
    _UnsupportedFormat(
        mark=r"NVM_V3",
        name="a VisualSFM file",
        alternative="a COLMAP model, converted with 'colmap model_converter'",
    ),
    _UnsupportedFormat(
        mark=r"\APix4D camera calibration file",
        name="a file of Pix4D's internal parameters (.cam), in millimetres on the sensor",
        alternative="its F and the sensor width as Fmm/WIDTHmm if the lens has no distortion, or "
        "its numbers as opencv:F*S,F*S,PX*S-0.5,PY*S-0.5,K1,K2,T1,T2,K3, where S is the image "
        "width in pixels divided by the sensor width",
    ),
    _UnsupportedFormat(
        mark=r"\A#?\s*name,.*\bf\b.*\bpx\b",
        name="RealityCapture's list of cameras, in fractions of the longer side",
        alternative="its f as Fmm/36mm if the lens has no distortion, or an export to COLMAP",
    ),
    _UnsupportedFormat(
        mark=r"\A# Image list with two lines of data",
        name="COLMAP's list of images and poses",
        alternative="the cameras.txt next to it",
    ),
    _UnsupportedFormat(
        mark=r"\Ahttps?://\S+\s*\n\d+\s",
        name="a RealEstate10K clip, in fractions of the width and the height",
        alternative="its second to fifth number as FX*WIDTH,FY*HEIGHT,CX*WIDTH-0.5,CY*HEIGHT-0.5",
    ),
    _UnsupportedFormat(
        mark=r"\A(calib_time:.*\n)?R: .*\nT: ",
        name="a KITTI pose, such as that of the laser scanner",
        alternative="calib_cam_to_cam.txt",
    ),
    _UnsupportedFormat(
        mark=r"aslam_cv\.libaslam_cv_python|\ACalibration results\s*\n=+",
        name="a Kalibr report",
        alternative="the camchain.yaml next to it",
    ),
    _UnsupportedFormat(
        mark=r"\A#usda ",
        name="a USD scene",
        alternative="the focalLength and horizontalAperture of its camera as Fmm/WIDTHmm",
    ),
    _UnsupportedFormat(
        mark=r"fileName imageWidth imageHeight",
        name="Pix4D's list of calibrated cameras",
        alternative="the K from your photograph's paragraph, as text",
    ),
    _UnsupportedFormat(
        mark=r"\[(LEFT|RIGHT)_CAM_\w+\]",
        name="a ZED calibration, with a camera for each side and resolution",
        alternative="the numbers of your camera, as opencv:FX,FY,CX,CY,K1,K2,P1,P2,K3",
    ),
    _UnsupportedFormat(
        mark=r"# MVE view|\[camera\]\s*\n(.*\n)*focal_length",
        name="an MVE view, in fractions of the longer side",
        alternative="its focal_length times the longer side, as a focal length in pixels",
    ),
    _UnsupportedFormat(
        mark=r"# ?Open3D|\[CameraIntrinsic\]",
        name="an old Open3D trajectory",
        alternative="Open3D's JSON file of the camera",
    ),
)
"""Texts that are recognised but not supported."""


def parse_scene_text(text: str, location: str) -> list[ParsedCamera]:
    """Parse the cameras of a text; return an empty list if it has none of these formats.

    Raises:
        InputError: If the format is recognised but not supported, or a number is malformed.
    """
    for unsupported in _UNSUPPORTED_TEXTS:
        if re.search(unsupported.mark, text, re.MULTILINE):
            raise unsupported.error(location)
    return (
        _parse_realsense_cameras(text, location)
        or _parse_scan_camera(text, location)
        or _parse_mvsnet_camera(text)
        or _parse_kapture_cameras(text, location)
    )


_REALSENSE_STREAM = re.compile(
    r"Intrinsic of \"(?P<stream>[^\"]+)\"(?P<description>.*?)"
    r"(?=Intrinsic of|Extrinsic|Motion|\Z)",
    re.DOTALL,
)


def _parse_realsense_cameras(text: str, location: str) -> list[ParsedCamera]:
    """Parse ``rs-enumerate-devices -c``, which lists each stream in all of its resolutions."""
    cameras = [
        _parse_realsense_camera(match["stream"], match["description"], location)
        for match in _REALSENSE_STREAM.finditer(text)
    ]
    return [camera for camera in cameras if camera is not None]


def _parse_realsense_camera(stream: str, description: str, location: str) -> ParsedCamera | None:
    """Parse the lines of a stream such as "Color"; None if size or intrinsics are missing."""
    width_and_height = [
        _find_realsense_value(name, r"\d+", description) for name in ("Width", "Height")
    ]
    intrinsic_words = [
        _find_realsense_value(name, r"\S+", description) for name in ("Fx", "Fy", "PPX", "PPY")
    ]
    if "" in width_and_height or "" in intrinsic_words:
        return None
    intrinsics = [_parse_number(word, location) for word in intrinsic_words]
    width, height = map(float, width_and_height)

    model = _find_realsense_value("Distortion", r"[^\n]+", description).strip() or "None"
    coefficient_words = _find_realsense_value("Coeffs", r"[^\n]+", description).split()
    coefficients = [_parse_number(word, location) for word in coefficient_words]
    if any(coefficients) and model.lower() != "brown conrady":
        raise InputError(
            f"the distortion '{printable(model[:60])}' of stream "
            f"'{printable(stream[:40])}' is not supported; {SUPPORTED_MODELS}",
            path=location,
        )
    label = f"{stream} {width:g}x{height:g}"
    return perspective_camera(label, intrinsics, coefficients, (width, height))


def _find_realsense_value(name: str, value_pattern: str, description: str) -> str:
    """Find what follows a name, as in ``Width: 640``; empty if it is missing."""
    match = re.search(rf"{name}:\s*({value_pattern})", description)
    return "" if match is None else match[1]


_SCAN_NAMES = {
    "fx": ("fx_color", "fx"),
    "fy": ("fy_color", "fy"),
    "cx": ("mx_color", "cx"),
    "cy": ("my_color", "cy"),
    "width": ("colorwidth", "m_colorwidth", "width", "image_width"),
    "height": ("colorheight", "m_colorheight", "height", "image_height"),
}
"""Lower-case names of the colour camera's numbers in the descriptions of scans."""
_MATRIX_OF_3RSCAN = "m_calibrationcolorintrinsic"
_NAMED_LINE = re.compile(r"([A-Za-z_]\w*)\s*[=:]\s*([-+0-9.eE][-+0-9.eE ]*)")
_OPENCV_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")


def _parse_scan_camera(text: str, location: str) -> list[ParsedCamera]:
    """Parse the colour camera from the lines ``name = numbers`` of ScanNet and 3RScan.

    ScanNet names fx to cy, and 3RScan has a 4x4 matrix in row-major order.
    """
    matches = [_NAMED_LINE.fullmatch(line.strip()) for line in text.splitlines()]
    value_by_name = {match[1].lower(): match[2] for match in matches if match is not None}
    if "fx_color" not in value_by_name and _MATRIX_OF_3RSCAN not in value_by_name:
        return []
    value_by_parameter = {
        parameter: next((value_by_name[name] for name in names if name in value_by_name), None)
        for parameter, names in _SCAN_NAMES.items()
    }
    matrix = value_by_name.get(_MATRIX_OF_3RSCAN, "").split()
    if len(matrix) == 16:
        value_by_parameter |= {"fx": matrix[0], "fy": matrix[5], "cx": matrix[2], "cy": matrix[6]}
    intrinsic_values = [value_by_parameter[parameter] for parameter in ("fx", "fy", "cx", "cy")]
    if None in intrinsic_values:
        return []

    intrinsics = [_parse_number(str(value), location) for value in intrinsic_values]
    coefficients = [
        _parse_number(value_by_name.get(name, "0"), location) for name in _OPENCV_COEFFICIENTS
    ]
    width, height = value_by_parameter["width"], value_by_parameter["height"]
    size = None
    if width is not None and height is not None:
        size = (_parse_number(width, location), _parse_number(height, location))
    return [perspective_camera("", intrinsics, coefficients, size)]


def _parse_mvsnet_camera(text: str) -> list[ParsedCamera]:
    """Parse MVSNet's and DTU's text: ``extrinsic``, 4 x 4 numbers, ``intrinsic``, 3 x 3 numbers."""
    match = re.search(
        r"^[^\S\n]*intrinsic\s+((?:[-+0-9.eE]+\s+){8}[-+0-9.eE]+)", text, re.MULTILINE
    )
    if match is None or not re.match(r"\s*extrinsic", text):
        return []
    fx, skew, cx, _, fy, cy, *_ = (float(word) for word in match[1].split())
    return [] if skew else [perspective_camera("", [fx, fy, cx, cy], (), None)]


def _parse_kapture_cameras(text: str, location: str) -> list[ParsedCamera]:
    """Parse kapture's sensors, whose cameras are COLMAP's with commas between the fields."""
    cameras = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) < 6 or line.startswith("#"):
            continue
        label, _name, sensor_type, model, *parameters = words
        if sensor_type != "camera":
            continue
        width, height, *numbers = (_parse_number(word, location) for word in parameters)
        cameras.append(
            ParsedCamera(
                label=label, lens=model, numbers=numbers, size=(width, height), is_colmap=True
            )
        )
    return cameras


_METASHAPE_ROOTS = ("document", "chunk")  # of cameras.xml
_UNSUPPORTED_XML: Sequence[_UnsupportedFormat] = (
    _UnsupportedFormat(
        mark="<BlocksExchange",
        name="a BlocksExchange file from ContextCapture",
        alternative="an export to COLMAP or OpenCV",
    ),
    _UnsupportedFormat(
        mark="<lensdatabase",
        name="lensfun's lens database",
        alternative="a calibration of your camera",
    ),
    _UnsupportedFormat(
        mark="stCamera:",
        name="an Adobe lens profile (LCP), in fractions of the image",
        alternative="its FocalLengthX times the longer side, as a focal length in pixels",
    ),
    _UnsupportedFormat(
        mark="capturingreality.com",
        name="RealityCapture's XMP, in fractions of the longer side",
        alternative="its FocalLength35mm as Fmm/36mm if the lens has no distortion, or an export "
        "to COLMAP",
    ),
)
"""XML that is recognised but not supported."""


def parse_xml_cameras(text: str, location: str) -> list[ParsedCamera]:
    """Parse the cameras of Metashape's XML; return an empty list for any other XML.

    Raises:
        InputError: If the format is recognised but not supported, or if the lens is not supported.
    """
    for unsupported in _UNSUPPORTED_XML:
        if unsupported.mark in text:
            raise unsupported.error(location)
    root = parse_xml(text, location)
    is_calibration = any(root.find(name) is not None for name in ("projection", "f", "skew"))
    if root.tag == "calibration" and is_calibration:
        lens_type = root.findtext("projection", "frame")
        return [_parse_metashape_camera(root, lens_type, root, "", location)]
    if root.tag not in _METASHAPE_ROOTS:
        return []
    return [
        _parse_metashape_camera(
            _find_calibration(sensor, location),
            sensor.get("type", "frame"),
            sensor.find("resolution"),
            sensor.get("label", ""),
            location,
        )
        for sensor in root.iter("sensor")
    ]


def _find_calibration(sensor: Element, location: str) -> Element:
    """Find the adjusted calibration of a sensor; if there is none, take the first calibration."""
    calibrations = sensor.findall("calibration")
    for calibration in calibrations:
        if calibration.get("class") == "adjusted":
            return calibration
    if calibrations:
        return calibrations[0]
    label = sensor.get("label", "")[:60]
    name = f"the sensor '{printable(label)}'" if label else "a sensor without a label"
    raise InputError(
        f"{name} has no calibration: align the photographs in Metashape first",
        path=location,
    )


_FISHEYE_TYPES = ("fisheye", "equidistant", "equidistant_fisheye")
_NOT_OPENCV = ("k4", "p3", "p4")
"""Coefficients of Metashape's perspective lens that OpenCV's lens has no equivalent for."""
_METASHAPE_NUMBERS = (
    *("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4"),
)


def _parse_metashape_camera(
    calibration: Element, lens_type: str, resolution: Element | None, label: str, location: str
) -> ParsedCamera:
    """Parse a camera of Metashape, whose cx and cy count from the middle of the picture.

    ``lens_type``, ``resolution`` and ``label`` are those of the sensor; the calibration may have a
    type and a size of its own.
    """
    own_resolution = calibration.find("resolution")
    width, height = _read_element_size(
        resolution if own_resolution is None else own_resolution, location
    )
    lens_type = (calibration.get("type") or lens_type).lower()
    if lens_type in ("spherical", "equirectangular"):
        return ParsedCamera(label=label, lens="equirect", numbers=(), size=(width, height))

    numbers = {
        name: _read_element_number(calibration, name, location) for name in _METASHAPE_NUMBERS
    }
    if calibration.find("f") is None and calibration.find("fx") is not None:
        return _parse_photoscan_camera(calibration, numbers, label, (width, height), location)
    _check_metashape_is_supported(lens_type, numbers, location)

    fx, fy = numbers["f"] + numbers["b1"], numbers["f"]
    cx, cy = numbers["cx"] + (width - 1) / 2, numbers["cy"] + (height - 1) / 2
    intrinsics = [fx, fy, cx, cy]
    if lens_type in _FISHEYE_TYPES:
        coefficients = [numbers[name] for name in ("k1", "k2", "k3", "k4")]
        lens_numbers = [*intrinsics, *coefficients]
        return ParsedCamera(label=label, lens="fisheye", numbers=lens_numbers, size=(width, height))
    # Metashape's p1 stands at r² + 2 x², where OpenCV has p2.
    coefficients = [numbers[name] for name in ("k1", "k2", "p2", "p1", "k3")]
    return perspective_camera(label, intrinsics, coefficients, (width, height))


def _check_metashape_is_supported(
    lens_type: str, numbers: Mapping[str, float], location: str
) -> None:
    """Check that the lens type, and every coefficient that is not 0, has an OpenCV equivalent."""
    unsupported = ("b2", *_NOT_OPENCV)
    if lens_type in _FISHEYE_TYPES:
        unsupported = ("b2", "p3", "p4", "p1", "p2")
    name = next((name for name in unsupported if numbers[name]), None)
    if name is not None:
        problem = f"'{name}: {numbers[name]:g}'"
    elif lens_type not in ("frame", *_FISHEYE_TYPES):
        problem = f"the type '{printable(lens_type[:40])}'"
    else:
        return
    raise InputError(
        f"{problem} of Metashape's camera model is not supported: optimise the cameras without "
        "it, or export to OpenCV or COLMAP",
        path=location,
    )


def _parse_photoscan_camera(
    calibration: Element,
    numbers: Mapping[str, float],
    label: str,
    size: tuple[float, float],
    location: str,
) -> ParsedCamera:
    """Parse a camera of PhotoScan before version 1.2 (manual of Agisoft Lens 0.4).

    Its centre counts from the corner of the picture, and its p1 and p2 are those of OpenCV.
    """
    skew = _read_element_number(calibration, "skew", location)
    unsupported = {"skew": skew, **{name: numbers[name] for name in _NOT_OPENCV}}
    for name, number in unsupported.items():
        if number:
            raise InputError(
                f"this is an old PhotoScan calibration (fx and fy) with '{name}: {number:g}', "
                "which is not supported: optimise the cameras without it, or export to OpenCV",
                path=location,
            )
    fx = _read_element_number(calibration, "fx", location)
    fy = _read_element_number(calibration, "fy", location)
    intrinsics = [fx, fy, numbers["cx"] - 0.5, numbers["cy"] - 0.5]
    coefficients = [numbers[name] for name in _OPENCV_COEFFICIENTS]
    return perspective_camera(label, intrinsics, coefficients, size)


def _read_element_size(element: Element | None, location: str) -> tuple[float, float]:
    """Read width and height [px] from the attributes or the child elements of an element."""
    if element is None:
        raise InputError("the file gives no image size: add the width and height", path=location)
    words = [element.get(name) or element.findtext(name) or "" for name in ("width", "height")]
    width, height = (_parse_number(word, location) for word in words)
    return width, height


def _read_element_number(element: Element, name: str, location: str) -> float:
    """Read the number in a child element; 0 if there is no such child."""
    return _parse_number(element.findtext(name) or "0", location)


def _parse_number(word: str, location: str) -> float:
    """Parse a word as a number, or raise ``InputError``."""
    try:
        return float(word)
    except ValueError as error:
        raise InputError(
            f"the file has '{printable(word[:40])}' where a number is expected", path=location
        ) from error
