"""Read intrinsics and lenses from calibration files of any supported format.

Supported are COLMAP's cameras, KITTI's ``calib.txt`` and ``calib_cam_to_cam.txt``, TUM's numbers,
DSO's ``camera.txt``, Kalibr, ROS, OpenCV, Open3D, ORB-SLAM, VINS, ``transforms.json``, npz
calibrations, rilievo's JSON, and K as text or npy. The modules ``programs``, ``scene_files``,
``texts`` and ``fov_cameras`` have further formats.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Matrix
from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.camera import camera_from_K
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.cameras.colmap import colmap_lens, read_cameras_bin
from rilievo.io.cameras.fov_cameras import find_fov_cameras, read_xml_camera_entries
from rilievo.io.cameras.lens_checks import (
    WRITE_NUMBERS_HINT,
    check_picture_size,
    checked_lens,
    intrinsics_from_matrix,
    no_camera_error,
    require_finite,
    several_cameras_error,
)
from rilievo.io.cameras.lens_entries import parse_lens_entries
from rilievo.io.cameras.numeric_text import (
    is_dso_file,
    parse_colmap_lines,
    parse_dso_lens,
    parse_kitti_lens,
    parse_lens_rows,
    parse_numbers,
    split_content_lines,
    try_parse_numbers,
)
from rilievo.io.cameras.opencv_files import parse_opencv_xml, parse_xml, read_npz_calibration
from rilievo.io.cameras.parsed_camera import ParsedCamera
from rilievo.io.cameras.picture_changes import is_picture_change
from rilievo.io.cameras.picture_sizes import stated_size
from rilievo.io.cameras.programs import parse_program_cameras
from rilievo.io.cameras.rectified_matrices import check_not_only_rectified
from rilievo.io.cameras.scene_files import parse_scene_text, parse_xml_cameras
from rilievo.io.cameras.search import find_cameras, is_camera
from rilievo.io.cameras.texts import parse_named_lines, parse_table, parse_text_cameras
from rilievo.io.cameras.values import number_or_nan
from rilievo.io.files.limits import check_regular, read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import parse_yaml
from rilievo.io.numbers import read_numbers

_SINTEL_MARK = b"PIEH"
"""First bytes of an MPI Sintel camera file, which are the float 202021.25."""
_SINTEL_K_BYTES = 72  # nine doubles

_PRINTED_ARRAY = re.compile(r"\s*\[[\[\]\s\d.,;eE+-]{1,10000}\]\s*")
"""Numbers in brackets, as NumPy and MATLAB print them."""

_MAX_DOCUMENTS = 100
"""Limit on the YAML documents that are read of a file. A ROS topic repeats its camera in each."""


def read_K(path: Path) -> Matrix:
    """Read K [px] from a text with four numbers (fx fy cx cy) or nine, or from a 3x3 npy array.

    Raises:
        InputError: If the file contains anything else.
    """
    if path.suffix != ".npy":
        return camera_from_K(_read_K_text(path), path).K
    K = read_numbers(path).astype(np.float64)
    if K.shape != (3, 3):
        raise InputError(
            f"the array has the shape {K.shape}; expected K with the shape (3, 3)", path=path
        )
    return camera_from_K(K, path).K


def _read_K_text(path: Path) -> Matrix:
    """Read K from a text file with fx, fy, cx and cy, or with the nine numbers of K in rows."""
    check_regular(path)
    try:
        numbers = parse_numbers(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(
            f"the file is not a list of numbers ({error})", path=path, hint=WRITE_NUMBERS_HINT
        ) from error
    except OSError as error:
        raise InputError(f"the file cannot be read ({reason(error)})", path=path) from error

    if len(numbers) == 4:
        return pinhole_K(*numbers)
    if len(numbers) == 9:
        return np.array(numbers).reshape(3, 3)
    raise InputError(
        f"expected 4 numbers (fx fy cx cy) or the 9 numbers of K, got {len(numbers)}",
        path=path,
    )


def read_lens(path: Path) -> SpelledLens:
    """Read the lens of a calibration file, whose format is recognised by name and content.

    Raises:
        InputError: If the file has no supported lens, or several different ones.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy_lens(path)
    if suffix == ".bin":
        return _read_colmap_binary(path)
    if suffix == ".npz":
        return parse_lens_entries(read_npz_calibration(path), printable(path))

    check_regular(path)
    first_bytes = _read_signature(path)
    _check_not_matlab(first_bytes, path)
    if first_bytes == _SINTEL_MARK:
        return _read_sintel_lens(path)

    text = read_text(path).removeprefix("\ufeff")
    if suffix in (".yaml", ".yml"):
        return _parse_yaml_lens(text, path)
    if suffix == ".xml" or text.lstrip().startswith("<"):
        return _parse_xml_lens(text, path)
    if suffix == ".toml":
        return _parse_toml_lens(text, path)
    if suffix != ".json" and _PRINTED_ARRAY.fullmatch(text) and not _is_json(text):
        return _parse_printed_array(text, path)
    if suffix == ".json" or text.lstrip().startswith(("{", "[[")):
        return _parse_json_lens(text, path)
    return _parse_text_lens(text, path)


def _read_signature(path: Path) -> bytes:
    """Read the first bytes of a file, which tell binary formats apart."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SINTEL_MARK))
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({reason(error)})", path=printable(path)
        ) from error


def _read_npy_lens(path: Path) -> SpelledLens:
    """Read a K that is an array of shape (3, 3), (3, 4) or (4, 4)."""
    array = read_numbers(path)
    location = printable(path)
    if array.shape not in ((3, 3), (3, 4), (4, 4)):
        raise InputError(
            f"the array has the shape {array.shape}; expected (3, 3) for K or (3, 4) for a "
            "projection",
            path=location,
        )
    return _lens_from_matrix(array.astype(np.float64), location)


def _lens_from_matrix(array: np.ndarray, location: str) -> SpelledLens:
    numbers = require_finite(array.reshape(-1).tolist(), location)
    return checked_lens("pinhole", intrinsics_from_matrix(numbers, location), None, location)


def _read_colmap_binary(path: Path) -> SpelledLens:
    """Read the lens of COLMAP's ``cameras.bin``, in which all cameras have to be equal."""
    if path.name == "images.bin":
        raise InputError(
            "this is COLMAP's list of images and poses, which has no intrinsics; use the "
            "cameras.bin next to it",
            path=printable(path),
        )
    lenses = [
        colmap_lens(row.model, row.width, row.height, row.parameters, row.location)
        for row in read_cameras_bin(path)
    ]
    return _require_single_lens(lenses, printable(path))


def _require_single_lens(
    lenses: Sequence[SpelledLens], location: str, labels: Sequence[str] = ()
) -> SpelledLens:
    """Return the lens of a file if all of its cameras have the same one.

    ``labels`` are the names of the cameras for messages.
    """
    if not lenses or any(lens != lenses[0] for lens in lenses):
        raise several_cameras_error(labels or [""] * len(lenses), location)
    return lenses[0]


def _read_sintel_lens(path: Path) -> SpelledLens:
    """Read a camera of MPI Sintel: after the signature, K as nine doubles, then the pose."""
    location = printable(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({reason(error)})", path=location) from error
    K_bytes = content[len(_SINTEL_MARK) :][:_SINTEL_K_BYTES]
    if len(K_bytes) != _SINTEL_K_BYTES:
        raise InputError("this Sintel camera file is truncated; download it again", path=location)
    return _lens_from_matrix(np.frombuffer(K_bytes, "<f8"), location)


def _check_not_matlab(first_bytes: bytes, path: Path) -> None:
    """Raise ``InputError`` for MATLAB's binary files of version 5 and 7.3 (HDF5)."""
    is_hdf5 = path.suffix.lower() == ".mat" and first_bytes == b"\x89HDF"
    if first_bytes == b"MATL" or is_hdf5:
        raise InputError(
            "MATLAB files are not supported: save jsonencode(toStruct(cameraParams)) as a JSON "
            "file, or pass opencv:FX,FY,CX-1,CY-1,K1,K2,P1,P2",
            path=printable(path),
        )


def _parse_xml_lens(text: str, path: Path) -> SpelledLens:
    """Parse an XML of Metashape, of a simulator, with intrinsics as attributes, or of OpenCV."""
    location = printable(path)
    cameras = parse_xml_cameras(text, location)
    if cameras:
        return _require_single_camera(cameras, location)
    root = parse_xml(text, location)
    fov_cameras = find_fov_cameras(read_xml_camera_entries(root, location), location)
    if fov_cameras:
        return _require_single_camera(fov_cameras, location)
    with_attributes = [dict(element.attrib) for element in root.iter() if "fx" in element.attrib]
    if with_attributes:
        return _lens_from_content(with_attributes, path)
    return parse_lens_entries(parse_opencv_xml(text, location), location)


def _parse_toml_lens(text: str, path: Path) -> SpelledLens:
    """Parse TOML, whose tables are searched for a camera as mappings of JSON are."""
    try:
        content = tomllib.loads(text)
    except ValueError as error:
        raise InputError(
            f"the file is not valid TOML ({reason(error)})", path=printable(path)
        ) from error
    return _lens_from_content(content, path)


def _is_json(text: str) -> bool:
    """Whether a text such as [[1, 0], [0, 1]] is JSON, and not only a printed array."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse_printed_array(text: str, path: Path) -> SpelledLens:
    rows = [try_parse_numbers(row) for row in re.split(r"[\];\n]+", text.replace("[", " "))]
    return _lens_from_rows([row for row in rows if row], path)


def _lens_from_rows(rows: Sequence[Sequence[float]], path: Path) -> SpelledLens:
    """Parse a lens from rows of numbers without names.

    If they have no known form, ``read_K`` raises the error that says what is expected.
    """
    lens = parse_lens_rows(rows, path)
    if lens is not None:
        return lens
    (fx, _, cx), (_, fy, cy), _ = read_K(path).tolist()
    return SpelledLens(name="pinhole", numbers=(fx, fy, cx, cy))


def _parse_text_lens(text: str, path: Path) -> SpelledLens:
    """Parse a text, by trying the formats of programs, then named numbers, then numbers alone."""
    location = printable(path)
    cameras = parse_scene_text(text, location) or parse_text_cameras(text, location)
    if cameras:
        return _choose_parsed_lens(cameras, location)

    lines = split_content_lines(text, path)
    colmap_lenses = parse_colmap_lines(lines)
    if colmap_lenses:
        return _require_single_lens(colmap_lenses, location)
    kitti_lens = parse_kitti_lens(lines)
    if kitti_lens is not None:
        return kitti_lens
    if is_dso_file(lines):
        return parse_dso_lens(lines)
    entries = parse_table(text) or parse_named_lines(text)
    if entries:
        return _lens_from_content(entries, path)
    return _lens_from_rows([try_parse_numbers(line.text) for line in lines], path)


def _choose_parsed_lens(cameras: Sequence[ParsedCamera], location: str) -> SpelledLens:
    """Return the lens of a file's only camera, or of Middlebury's left camera with a note."""
    is_middlebury_pair = cameras[0].label == "cam0" and len(cameras) > 1
    if not is_middlebury_pair:
        return _require_single_camera(cameras, location)
    left_lens, *other_lenses = (_lens_from_camera(camera, location) for camera in cameras)
    if all(lens == left_lens for lens in other_lenses):
        return left_lens
    return replace(
        left_lens,
        note="its camera file has two different cameras, cam0 (im0.png) and cam1 (im1.png), and "
        "rilievo uses cam0: to use cam1, pass its FX,FY,CX,CY",
    )


def _require_single_camera(cameras: Sequence[ParsedCamera], location: str) -> SpelledLens:
    lenses = [_lens_from_camera(camera, location) for camera in cameras]
    return _require_single_lens(lenses, location, [camera.label for camera in cameras])


def _lens_from_camera(camera: ParsedCamera, location: str) -> SpelledLens:
    """Check a parsed camera and convert it to a lens."""
    numbers = require_finite(camera.numbers, location)
    if camera.is_colmap:
        assert camera.size is not None, "only kapture's parser makes them, with a size"
        height, width = check_picture_size(*camera.size, location)
        return colmap_lens(camera.lens, width, height, numbers, location)
    if camera.lens == "equirect":
        return SpelledLens(name="equirect")
    size = None if camera.size is None else check_picture_size(*camera.size, location)
    lens = checked_lens(camera.lens, numbers, size, location)
    return replace(lens, note=camera.note, aspect=camera.aspect)


def _parse_yaml_lens(text: str, path: Path) -> SpelledLens:
    """Parse YAML, including OpenCV's dialect and the documents that a ROS topic prints."""
    # OpenCV's header and tags are not standard YAML. Without them, it is an ordinary mapping.
    text = re.sub(r"\A%YAML[^\n]*\n", "", text).replace("!!opencv-matrix", "")
    # ROS prints a topic as several documents, each of which ends with a line of dashes.
    sections = re.split(r"^---[^\S\n]*$", text, flags=re.MULTILINE)
    documents = [section for section in sections if section.strip()]
    try:
        contents = [parse_yaml(document) for document in documents[:_MAX_DOCUMENTS]]
    except ModuleNotFoundError as missing:
        raise MissingExtraError("a calibration in YAML", "evaluate") from missing
    except ValueError as error:
        raise InputError(
            f"the file is not valid YAML ({reason(error)})", path=printable(path)
        ) from error

    content = contents[0] if len(contents) == 1 else {"documents": contents}
    if not isinstance(content, Mapping):
        raise no_camera_error(printable(path))
    return _lens_from_content(content, path)


def _parse_json_lens(text: str, path: Path) -> SpelledLens:
    """Parse JSON, and turn any failure into an ``InputError``."""
    try:
        content = json.loads(text, object_pairs_hook=_mapping_without_conflicts)
        return _lens_from_json_content(content, path)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"the file has no camera in a supported JSON form ({printable(reason(error)[:80])})",
            path=printable(path),
            hint=WRITE_NUMBERS_HINT,
        ) from error


def _lens_from_json_content(content: Any, path: Path) -> SpelledLens:
    """Parse the camera in JSON; if the key "camera" has intrinsics, as in rilievo's, only that."""
    camera = content.get("camera") if isinstance(content, Mapping) else None
    if not isinstance(camera, Mapping) or not is_camera(camera):
        return _lens_from_content(content, path)
    if isinstance(content.get("source"), Mapping):
        return _lens_from_result(camera, content["source"], path)
    # A crop or a zoom beside the camera still matters, so that it is refused.
    changes = {name: value for name, value in content.items() if is_picture_change(name)}
    return _lens_from_content({**changes, **camera}, path)


def _mapping_without_conflicts(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Build a mapping of JSON; raise ``ValueError`` if a name occurs with different values."""
    mapping: dict[str, Any] = {}
    for name, value in pairs:
        if name in mapping and mapping[name] != value:
            raise ValueError(f"'{name[:40]}' appears twice with different values")
        mapping[name] = value
    return mapping


def _lens_from_result(
    camera: Mapping[str, Any], source: Mapping[str, Any], path: Path
) -> SpelledLens:
    """Parse the camera of a JSON that rilievo wrote, whose ``source`` has the photograph's size."""
    lens = _lens_from_content(camera, path)
    size = stated_size(source)
    has_intrinsics = len(lens.numbers) >= 4
    if len(size) != 2 or not has_intrinsics or lens.size is not None:
        return lens
    width, height = (number_or_nan(side) for side in size)
    return replace(lens, size=check_picture_size(width, height, printable(path)))


def _lens_from_content(content: Any, path: Path) -> SpelledLens:
    """Parse the only camera in JSON, YAML or TOML; turn any failure into an ``InputError``."""
    try:
        return _find_lens_in_content(content, path)
    except InputError:
        raise
    except OptionError as error:
        raise InputError(problem=Text(error), path=printable(path)) from error
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
        raise InputError(
            f"the file has no camera in a supported form ({printable(reason(error)[:80])})",
            path=printable(path),
            hint=WRITE_NUMBERS_HINT,
        ) from error


def _find_lens_in_content(content: Any, path: Path) -> SpelledLens:
    """Find the only camera: in a program's own format, then by intrinsics, then by angles."""
    location = printable(path)
    if isinstance(content, list) and content and not isinstance(content[0], Mapping):
        content = {"K": content}
    program_cameras = parse_program_cameras(content, location)
    if program_cameras:
        return _require_single_camera(program_cameras, location)

    cameras = find_cameras(content, location)
    if not cameras:
        fov_cameras = find_fov_cameras(content, location)
        if fov_cameras:
            return _require_single_camera(fov_cameras, location)
        check_not_only_rectified(content, location)
        raise no_camera_error(location, content)

    lenses: list[SpelledLens] = []
    for camera in cameras:
        camera_location = f"{location}, {camera.label}" if camera.label else location
        lenses.append(parse_lens_entries(camera.entries, camera_location, camera.label))
    return _require_single_lens(lenses, location, [camera.label for camera in cameras])
