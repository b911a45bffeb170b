"""Calibrations that programs with OpenCV write: XML of its FileStorage, and npz of NumPy."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import is_distortion_name
from rilievo.io.cameras.names import FOCAL_X, MATRICES
from rilievo.io.cameras.rectified_matrices import is_rectified_matrix
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member, one_line_errors, open_npz

_NPZ_MATRICES = (
    *("K", "mtx", "camera_matrix", "cameraMatrix", "intrinsics", "intrinsic_matrix", "M1"),
)
_NPZ_SIZES = ("image_size", "imageSize", "img_size", "size", "resolution")
_MAX_NUMBERS = 14
"""Most numbers of one array: OpenCV's longest list of coefficients has 14."""


def parse_xml(text: str, location: str) -> Element:
    """Root of an XML.

    Raises:
        InputError: If it is none, or declares entities.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("declares entities, which no calibration needs", path=location)
    try:
        return fromstring(re.sub(r"\A\s*<\?xml[^>]*\?>", "", text))
    except (ParseError, ValueError, RecursionError) as error:
        raise InputError(f"is no XML ({error})", path=location) from error


def parse_opencv_xml(text: str, location: str) -> Mapping[str, Any]:
    """Read numbers and texts of OpenCV's FileStorage by the names of their elements."""
    root = parse_xml(text, location)
    entries: dict[str, Any] = {}
    for element in root.iter():
        if element is root:
            continue
        value = _element_value(element)
        if element.tag in (*FOCAL_X, *MATRICES) and entries.get(element.tag, value) != value:
            raise InputError(
                f"holds several cameras ('{printable(element.tag[:30])}' differs): keep the one of "
                "this photograph",
                path=location,
            )
        entries[element.tag] = value
    return entries


def _element_value(element: Element) -> Any:
    """Numbers, one number or text of an element."""
    data = element.find("data")
    text = ((element if data is None else data).text or "").strip()
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        return text.strip('"')
    is_scalar = data is None and len(numbers) == 1
    return numbers[0] if is_scalar else numbers


def read_npz_calibration(path: Path) -> Mapping[str, Any]:
    """Read matrix, coefficients, resolution and model of an npz file, in Kalibr's names.

    Raises:
        InputError: If it has no matrix under a name that is known, or a larger array in its place.
    """
    entries: dict[str, Any] = {}
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        members = archive.files
        distortions = [name for name in members if is_distortion_name(name)]
        for kalibr_name, names in (
            ("camera_matrix", _NPZ_MATRICES),
            ("distortion_coeffs", distortions),
            ("resolution", _NPZ_SIZES),
        ):
            name = next((name for name in names if name in members), None)
            if name is not None:
                array = npz_member(archive, name)
                _check_is_of_one_camera(array, name, path)
                entries[kalibr_name] = _flat_floats(array)

        for name in filter(is_rectified_matrix, members):
            array = npz_member(archive, name)
            if array.dtype.kind in "uif" and array.size in (9, 12):
                entries[name] = _flat_floats(array)

        for name in ("distortion_model", "camera_model", "model"):
            if name in members and npz_member(archive, name).size == 1:
                entries["distortion_model"] = str(npz_member(archive, name).item())

    if "camera_matrix" not in entries:
        raise _no_matrix_error(members, path)
    return entries


def _check_is_of_one_camera(array: np.ndarray, name: str, path: Path) -> None:
    if array.dtype.kind not in "uif" or array.size > _MAX_NUMBERS:
        raise InputError(
            f"its '{name}' is {array.shape} {array.dtype}, expected the numbers of one camera",
            path=printable(path),
        )


def _flat_floats(array: np.ndarray) -> list[float]:
    return np.asarray(array, np.float64).reshape(-1).tolist()


def _no_matrix_error(members: Sequence[str], path: Path) -> InputError:
    return InputError(
        f"has no camera in a form that is read; expected an array "
        f"{', '.join(_NPZ_MATRICES[:4])}, and it has {printable(', '.join(members[:8]))}",
        path=printable(path),
    )
