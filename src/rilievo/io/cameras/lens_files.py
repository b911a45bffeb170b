"""Read intrinsics and lenses from calibration files.

Supported are COLMAP's cameras, KITTI's ``calib.txt`` and ``calib_cam_to_cam.txt``, TUM's numbers,
DSO's ``camera.txt``, Kalibr, ROS, OpenCV, Open3D, ORB-SLAM, VINS, ``transforms.json``, npz
calibrations, rilievo's JSON, and K as text or npy; and the forms of ``programs``,
``scene_files``, ``texts`` and ``stated_views``.
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
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.cameras.colmap import colmap_lens, read_cameras_bin
from rilievo.io.cameras.lens_checks import (
    WRITE_NUMBERS_HINT,
    camera_from_K,
    checked_lens,
    finite_numbers,
    intrinsics_of_matrix,
    no_camera_error,
    picture_size,
    several_cameras_error,
)
from rilievo.io.cameras.lens_entries import lens_of_entries
from rilievo.io.cameras.number_lines import (
    colmap_lenses,
    dso_lens,
    is_dso_file,
    kitti_lens,
    lens_of_rows,
    lines_with_content,
    numbers_or_empty,
    parse_numbers,
)
from rilievo.io.cameras.opencv_files import parse_opencv_xml, parse_xml, read_npz_calibration
from rilievo.io.cameras.picture_changes import is_picture_change
from rilievo.io.cameras.picture_sizes import stated_size
from rilievo.io.cameras.programs import cameras_of_programs
from rilievo.io.cameras.rectified_matrices import refuse_rectified_alone
from rilievo.io.cameras.scene_files import cameras_in_text, cameras_in_xml
from rilievo.io.cameras.search import find_cameras, is_camera
from rilievo.io.cameras.stated_camera import StatedCamera
from rilievo.io.cameras.stated_views import views_in_content, views_in_xml
from rilievo.io.cameras.texts import cameras_of_text, entries_of_lines, rows_of_table
from rilievo.io.cameras.values import number_or_nan
from rilievo.io.files.limits import check_regular, read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_numbers
from rilievo.io.yaml_text import parse_yaml

_SINTEL_MARK = b"PIEH"
"""First bytes of a camera of MPI Sintel: 202021.25 as a float."""
_SINTEL_K_BYTES = 72  # nine doubles

_PRINTED_ARRAY = re.compile(r"\s*\[[\[\]\s\d.,;eE+-]{1,10000}\]\s*")
"""Numbers in brackets, as NumPy and MATLAB print them."""

_MAX_DOCUMENTS = 100
"""Most documents that are read of a YAML. A ROS topic repeats its camera in each."""


def read_K(path: Path) -> Matrix:
    """Read K [px] from four (fx fy cx cy) or nine numbers, or a 3x3 npy array.

    Raises:
        InputError: If the file holds anything else.
    """
    if path.suffix != ".npy":
        return camera_from_K(_read_K_text(path), path).K
    K = read_numbers(path).astype(np.float64)
    if K.shape != (3, 3):
        raise InputError(f"has shape {K.shape}, expected K, (3, 3)", path=path)
    return camera_from_K(K, path).K


def _read_K_text(path: Path) -> Matrix:
    check_regular(path)
    try:
        numbers = parse_numbers(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(
            f"holds no numbers alone ({error})", path=path, hint=WRITE_NUMBERS_HINT
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=path) from error

    if len(numbers) == 4:
        return pinhole_K(*numbers)
    if len(numbers) == 9:
        return np.array(numbers).reshape(3, 3)
    raise InputError(
        f"holds {len(numbers)} numbers, expected four (fx fy cx cy) or the nine of K", path=path
    )


def read_lens(path: Path) -> SpelledLens:
    """Read the lens of a calibration file, whose format is recognised by name and content.

    Raises:
        InputError: If it holds none, or several.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _lens_in_npy(path)
    if suffix == ".bin":
        return _lens_in_colmap_binary(path)
    if suffix == ".npz":
        return lens_of_entries(read_npz_calibration(path), printable(path))

    check_regular(path)
    first_bytes = _first_bytes(path)
    _refuse_matlab_file(first_bytes, path)
    if first_bytes == _SINTEL_MARK:
        return _lens_in_sintel_file(path)

    text = read_text(path).removeprefix("\ufeff")
    if suffix in (".yaml", ".yml"):
        return _lens_in_yaml(text, path)
    if suffix == ".xml" or text.lstrip().startswith("<"):
        return _lens_in_xml(text, path)
    if suffix == ".toml":
        return _lens_in_toml(text, path)
    if suffix != ".json" and _PRINTED_ARRAY.fullmatch(text) and not _is_json(text):
        return _lens_in_printed_array(text, path)
    if suffix == ".json" or text.lstrip().startswith(("{", "[[")):
        return _lens_in_json(text, path)
    return _lens_in_text(text, path)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_SINTEL_MARK))
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=printable(path)) from error


def _lens_in_npy(path: Path) -> SpelledLens:
    """Lens of K as an array of 3x3, 3x4 or 4x4, by rows or columns."""
    array = read_numbers(path)
    location = printable(path)
    if array.shape not in ((3, 3), (3, 4), (4, 4)):
        raise InputError(
            f"has shape {array.shape}, expected K, (3, 3), or a projection, (3, 4)", path=location
        )
    return _lens_of_matrix(array.astype(np.float64), location)


def _lens_of_matrix(array: np.ndarray, location: str) -> SpelledLens:
    numbers = finite_numbers(array.reshape(-1).tolist(), location)
    return checked_lens("pinhole", intrinsics_of_matrix(numbers, location), None, location)


def _lens_in_colmap_binary(path: Path) -> SpelledLens:
    if path.name == "images.bin":
        raise InputError(
            "is COLMAP's list of images and their poses, which is not read; take the "
            "cameras.bin beside it",
            path=printable(path),
        )
    lenses = [
        colmap_lens(row.model, row.width, row.height, row.numbers, row.location)
        for row in read_cameras_bin(path)
    ]
    return _only_lens(lenses, printable(path))


def _only_lens(
    lenses: Sequence[SpelledLens], location: str, labels: Sequence[str] = ()
) -> SpelledLens:
    """The one lens that a file has, for one camera or for several with these names.

    Raises:
        InputError: If its cameras differ, or if it has none.
    """
    if not lenses or any(lens != lenses[0] for lens in lenses):
        raise several_cameras_error(labels or [""] * len(lenses), location)
    return lenses[0]


def _lens_in_sintel_file(path: Path) -> SpelledLens:
    """Lens of MPI Sintel: K by rows, as doubles, then the pose."""
    location = printable(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=location) from error
    K_bytes = content[len(_SINTEL_MARK) :][:_SINTEL_K_BYTES]
    if len(K_bytes) != _SINTEL_K_BYTES:
        raise InputError("is a camera of Sintel that is cut short; fetch it again", path=location)
    return _lens_of_matrix(np.frombuffer(K_bytes, "<f8"), location)


def _refuse_matlab_file(first_bytes: bytes, path: Path) -> None:
    """Refuse MATLAB's files of version 5 (text), and of 7.3 (HDF5)."""
    is_hdf5 = path.suffix.lower() == ".mat" and first_bytes == b"\x89HDF"
    if first_bytes == b"MATL" or is_hdf5:
        raise InputError(
            "is a file of MATLAB, which is not read: write jsonencode(toStruct(cameraParams)) into "
            "a JSON, or give opencv:FX,FY,CX-1,CY-1,K1,K2,P1,P2",
            path=printable(path),
        )


def _lens_in_xml(text: str, path: Path) -> SpelledLens:
    """Lens of an XML of Metashape, of a simulator, with attributes, or of OpenCV."""
    location = printable(path)
    stated = cameras_in_xml(text, location)
    if stated:
        return _only_stated_lens(stated, location)
    root = parse_xml(text, location)
    views = views_in_content(views_in_xml(root, location), location)
    if views:
        return _only_stated_lens(views, location)
    with_attributes = [dict(element.attrib) for element in root.iter() if "fx" in element.attrib]
    if with_attributes:
        return _lens_in_content(with_attributes, path)
    return lens_of_entries(parse_opencv_xml(text, location), location)


def _lens_in_toml(text: str, path: Path) -> SpelledLens:
    try:
        content = tomllib.loads(text)
    except ValueError as error:
        raise InputError(f"is no TOML ({reason(error)})", path=printable(path)) from error
    return _lens_in_content(content, path)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _lens_in_printed_array(text: str, path: Path) -> SpelledLens:
    rows = [numbers_or_empty(row) for row in re.split(r"[\];\n]+", text.replace("[", " "))]
    return _lens_of_rows([row for row in rows if row], path)


def _lens_of_rows(rows: Sequence[Sequence[float]], path: Path) -> SpelledLens:
    """Lens of numbers without names.

    Numbers of no form that is read are left to ``read_K``, which says what it expects.
    """
    lens = lens_of_rows(rows, path)
    if lens is not None:
        return lens
    (fx, _, cx), (_, fy, cy), _ = read_K(path).tolist()
    return SpelledLens(name="pinhole", numbers=(fx, fy, cx, cy))


def _lens_in_text(text: str, path: Path) -> SpelledLens:
    """Lens of a text of COLMAP, KITTI, DSO and others, of names and numbers, or of numbers."""
    location = printable(path)
    stated = cameras_in_text(text, location) or cameras_of_text(text, location)
    if stated:
        return _preferred_stated_lens(stated, location)

    lines = lines_with_content(text, path)
    colmap = colmap_lenses(lines)
    if colmap:
        return _only_lens(colmap, location)
    kitti = kitti_lens(lines)
    if kitti is not None:
        return kitti
    if is_dso_file(lines):
        return dso_lens(lines)
    entries = rows_of_table(text) or entries_of_lines(text)
    if entries:
        return _lens_in_content(entries, path)
    return _lens_of_rows([numbers_or_empty(line.text) for line in lines], path)


def _preferred_stated_lens(cameras: Sequence[StatedCamera], location: str) -> SpelledLens:
    """Lens of the only camera of a file, or of Middlebury's left one with a note."""
    if cameras[0].label != "cam0" or len(cameras) == 1:
        return _only_stated_lens(cameras, location)
    left, *others = (_lens_of_stated(camera, location) for camera in cameras)
    if all(lens == left for lens in others):
        return left
    return replace(
        left,
        note="its camera file has cam0 (im0.png) and cam1 (im1.png), which differ, and cam0 is "
        "taken: for the other, give FX,FY,CX,CY",
    )


def _only_stated_lens(cameras: Sequence[StatedCamera], location: str) -> SpelledLens:
    lenses = [_lens_of_stated(camera, location) for camera in cameras]
    return _only_lens(lenses, location, [camera.label for camera in cameras])


def _lens_of_stated(camera: StatedCamera, location: str) -> SpelledLens:
    numbers = finite_numbers(camera.numbers, location)
    if camera.lens.startswith("colmap:"):
        assert camera.size is not None, "kapture's cameras have a size"
        height, width = picture_size(*camera.size, location)
        return colmap_lens(camera.lens.removeprefix("colmap:"), width, height, numbers, location)
    if camera.lens == "equirect":
        return SpelledLens(name="equirect")
    size = None if camera.size is None else picture_size(*camera.size, location)
    lens = checked_lens(camera.lens, numbers, size, location)
    return replace(lens, note=camera.note, aspect=camera.aspect)


def _lens_in_yaml(text: str, path: Path) -> SpelledLens:
    # OpenCV's header and tags are not standard YAML; they mark an ordinary mapping.
    text = re.sub(r"\A%YAML[^\n]*\n", "", text).replace("!!opencv-matrix", "")
    # ROS' topics are printed as documents, each with a line of dashes at its end.
    parts = re.split(r"^---[^\S\n]*$", text, flags=re.MULTILINE)
    documents = [part for part in parts if part.strip()]
    try:
        contents = [parse_yaml(document) for document in documents[:_MAX_DOCUMENTS]]
    except ModuleNotFoundError as missing:
        raise MissingExtraError("a calibration in YAML", "evaluate") from missing
    except ValueError as error:
        raise InputError(f"is no YAML ({reason(error)})", path=printable(path)) from error

    content = contents[0] if len(contents) == 1 else {"documents": contents}
    if not isinstance(content, Mapping):
        raise no_camera_error(printable(path))
    return _lens_in_content(content, path)


def _lens_in_json(text: str, path: Path) -> SpelledLens:
    try:
        content: Any = json.loads(text, object_pairs_hook=_mapping_of_pairs)
        # The JSON of a result has other numbers beside its camera.
        camera = content.get("camera") if isinstance(content, Mapping) else None
        if not (isinstance(camera, Mapping) and is_camera(camera)):
            return _lens_in_content(content, path)
        if isinstance(content.get("source"), Mapping):
            return _lens_in_result(camera, content["source"], path)
        changes = {name: value for name, value in content.items() if is_picture_change(name)}
        return _lens_in_content({**changes, **camera}, path)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"is no camera in JSON that is read ({printable(reason(error)[:80])})",
            path=printable(path),
            hint=WRITE_NUMBERS_HINT,
        ) from error


def _mapping_of_pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Mapping of JSON, in which a name stands once, or with the same value."""
    mapping: dict[str, Any] = {}
    for name, value in pairs:
        if name in mapping and mapping[name] != value:
            raise ValueError(f"it states '{name[:40]}' twice")
        mapping[name] = value
    return mapping


def _lens_in_result(
    camera: Mapping[str, Any], source: Mapping[str, Any], path: Path
) -> SpelledLens:
    """Lens of a JSON that rilievo wrote, whose ``source`` states the size of the photograph."""
    lens = _lens_in_content(camera, path)
    size = stated_size(source)
    has_intrinsics = len(lens.numbers) >= 4
    if len(size) != 2 or not has_intrinsics or lens.size is not None:
        return lens
    width, height = (number_or_nan(side) for side in size)
    return replace(lens, size=picture_size(width, height, printable(path)))


def _lens_in_content(content: Any, path: Path) -> SpelledLens:
    """Lens of the only camera in a JSON, YAML or TOML; every failure is an ``InputError``."""
    try:
        return _lens_of_content(content, path)
    except InputError:
        raise
    except OptionError as error:
        raise InputError(problem=Text(error), path=printable(path)) from error
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
        raise InputError(
            f"has no camera in a form that is read ({printable(reason(error)[:80])})",
            path=printable(path),
            hint=WRITE_NUMBERS_HINT,
        ) from error


def _lens_of_content(content: Any, path: Path) -> SpelledLens:
    location = printable(path)
    if isinstance(content, list) and content and not isinstance(content[0], Mapping):
        content = {"K": content}
    stated = cameras_of_programs(content, location)
    if stated:
        return _only_stated_lens(stated, location)

    cameras = find_cameras(content, location)
    if not cameras:
        views = views_in_content(content, location)
        if views:
            return _only_stated_lens(views, location)
        refuse_rectified_alone(content, location)
        raise no_camera_error(location, content)

    lenses: list[SpelledLens] = []
    for camera in cameras:
        where = f"{location}, {camera.label}" if camera.label else location
        lenses.append(lens_of_entries(camera.entries, where, camera.label))
    return _only_lens(lenses, location, [camera.label for camera in cameras])
