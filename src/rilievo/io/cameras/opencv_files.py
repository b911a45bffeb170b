"""Read calibrations that programs with OpenCV write: XML of its FileStorage, and NumPy's npz."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np
from numpy.lib.npyio import NpzFile

from rilievo.errors import InputError
from rilievo.io.cameras.distortions import is_distortion_name
from rilievo.io.cameras.names import FOCAL_X, MATRICES
from rilievo.io.cameras.rectified_matrices import is_rectified_matrix
from rilievo.io.files.archives import npz_member
from rilievo.io.files.names import printable
from rilievo.io.numbers import decoder_errors_as_input_errors, open_npz

_NPZ_MATRICES = (
    *("K", "mtx", "camera_matrix", "cameraMatrix", "intrinsics", "intrinsic_matrix", "M1"),
)
_NPZ_SIZES = ("image_size", "imageSize", "img_size", "size", "resolution")
_MAX_NUMBERS = 14
"""Largest size of an array. OpenCV's longest list of coefficients has 14 numbers."""


def parse_xml(text: str, location: str) -> Element:
    """Parse an XML safely, and return its root element.

    Raises:
        InputError: If it is malformed, or declares entities, which may expand without bound.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(
            "the file declares XML entities, which are not supported: remove them", path=location
        )
    try:
        return fromstring(re.sub(r"\A\s*<\?xml[^>]*\?>", "", text))
    except (ParseError, ValueError, RecursionError) as error:
        raise InputError(f"the file is not valid XML ({error})", path=location) from error


def parse_opencv_xml(text: str, location: str) -> Mapping[str, Any]:
    """Parse the elements of OpenCV's FileStorage into entries of numbers, lists and texts.

    Raises:
        InputError: If it has several cameras that differ.
    """
    root = parse_xml(text, location)
    entries: dict[str, Any] = {}
    for element in root.iter():
        if element is root:
            continue
        value = _element_value(element)
        if element.tag in (*FOCAL_X, *MATRICES) and entries.get(element.tag, value) != value:
            raise InputError(
                f"the file has several cameras (their '{printable(element.tag[:30])}' differs): "
                "keep only the one that took this photograph",
                path=location,
            )
        entries[element.tag] = value
    return entries


def _element_value(element: Element) -> Any:
    """Parse an element as a list of numbers, as one number, or else as text."""
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
        InputError: If there is no matrix under a known name, or if an array is too large.
    """
    with open_npz(path) as archive, decoder_errors_as_input_errors(printable(path), "npz file"):
        members = archive.files
        entries = {
            **_read_camera_arrays(archive, path),
            **_read_rectified_matrices(archive),
            **_read_model_name(archive),
        }
    if "camera_matrix" not in entries:
        raise _no_matrix_error(members, path)
    return entries


def _read_camera_arrays(archive: NpzFile, path: Path) -> dict[str, list[float]]:
    """Read matrix, coefficients and resolution under Kalibr's names, where they exist."""
    distortion_names = [name for name in archive.files if is_distortion_name(name)]
    possible_names_by_entry = {
        "camera_matrix": _NPZ_MATRICES,
        "distortion_coeffs": distortion_names,
        "resolution": _NPZ_SIZES,
    }
    entries: dict[str, list[float]] = {}
    for entry_name, possible_names in possible_names_by_entry.items():
        name = next((name for name in possible_names if name in archive.files), None)
        if name is not None:
            array = npz_member(archive, name)
            _check_single_camera_array(array, name, path)
            entries[entry_name] = _flat_floats(array)
    return entries


def _read_rectified_matrices(archive: NpzFile) -> dict[str, list[float]]:
    """Read the 3x3 and 3x4 matrices of rectified pictures, by their own names."""
    arrays = {
        name: npz_member(archive, name) for name in filter(is_rectified_matrix, archive.files)
    }
    return {
        name: _flat_floats(array)
        for name, array in arrays.items()
        if array.dtype.kind in "uif" and array.size in (9, 12)
    }


def _read_model_name(archive: NpzFile) -> dict[str, str]:
    """Read the name of the lens model; empty if there is none. The last of several counts."""
    entries: dict[str, str] = {}
    for name in ("distortion_model", "camera_model", "model"):
        if name in archive.files and npz_member(archive, name).size == 1:
            entries["distortion_model"] = str(npz_member(archive, name).item())
    return entries


def _check_single_camera_array(array: np.ndarray, name: str, path: Path) -> None:
    """Check that an array has numbers, and not so many as those of several cameras."""
    if array.dtype.kind not in "uif" or array.size > _MAX_NUMBERS:
        raise InputError(
            f"its array '{name}' has the shape {array.shape} and the type {array.dtype}; expected "
            "the numbers of one camera",
            path=printable(path),
        )


def _flat_floats(array: np.ndarray) -> list[float]:
    return np.asarray(array, np.float64).reshape(-1).tolist()


def _no_matrix_error(members: Sequence[str], path: Path) -> InputError:
    """Return the error for an npz file without a camera matrix, which lists its arrays."""
    return InputError(
        "the file has no camera in a supported form; expected one of the arrays "
        f"{', '.join(_NPZ_MATRICES[:4])}, but the file has "
        f"{printable(', '.join(members[:8]))}",
        path=printable(path),
    )
