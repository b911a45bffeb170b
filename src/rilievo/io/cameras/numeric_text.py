"""Parse lenses from text that is mostly numbers: of COLMAP, KITTI and DSO, or numbers alone."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import InputError
from rilievo.errors.messages import join_notes
from rilievo.geometry.cameras.camera import camera_from_K
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.cameras.colmap import colmap_lens
from rilievo.io.cameras.lens_checks import (
    check_picture_size,
    checked_lens,
    intrinsics_from_matrix,
    require_finite,
    several_cameras_error,
)
from rilievo.io.cameras.lens_entries import UNNAMED_FOUR_NOTE, is_central
from rilievo.io.files.names import printable

_MAX_CHARACTERS = 100_000
"""Longest text that is parsed as numbers, which is a thousand times as long as any calibration."""

_KITTI_CAMERAS: Mapping[str, str] = {
    "P2": "the left colour camera",
    "P_rect_02": "the left colour camera",
    "P_rect_00": "the left camera",
    "P0": "the left grey camera",
    "P3": "the right colour camera",
    "P_rect_03": "the right colour camera",
    "P1": "the right grey camera",
    "P_rect_01": "the right camera",
}
"""Projections of KITTI and KITTI-360, in the order of preference. Each label ends with the digit of
its camera."""


@dataclass(frozen=True, slots=True)
class _DsoModel:
    """rilievo's name of the lens for a model of DSO, and the number of its coefficients."""

    lens: str
    coefficient_count: int


_DSO_MODELS: Mapping[str, _DsoModel] = {
    "fov": _DsoModel("fov", 1),
    "pinhole": _DsoModel("pinhole", 1),
    "radtan": _DsoModel("opencv", 4),
    "equidistant": _DsoModel("fisheye", 4),
    "kannalabrandt": _DsoModel("fisheye", 4),
}
_DSO_MODEL_BY_COUNT: Mapping[int, str] = {5: "fov", 8: "radtan"}
"""Model of a line of DSO that names no model, by its count of numbers."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of a text file, stripped of spaces; line numbers start at 1."""

    number: int
    text: str
    path: Path

    @property
    def location(self) -> str:
        """File and line, for messages."""
        return f"{printable(self.path)}, line {self.number}"

    @property
    def label(self) -> str:
        """What stands before the first colon."""
        return self.text.partition(":")[0]


def split_content_lines(text: str, path: Path) -> list[TextLine]:
    """Split a text into lines, without empty lines and comments."""
    lines = [
        TextLine(number, line.strip(), path) for number, line in enumerate(text.splitlines(), 1)
    ]
    return [line for line in lines if line.text and not line.text.startswith("#")]


def parse_numbers(text: str) -> list[float]:
    """Parse numbers that spaces, commas or semicolons separate.

    Raises:
        ValueError: If the text contains anything else, or is very long.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters; expected at most {_MAX_CHARACTERS:,}")
    return [float(word) for word in re.split(r"[\s,;]+", text.strip(" \t\r\n,;"))]


def try_parse_numbers(text: str) -> list[float]:
    """Parse numbers; return an empty list if the text contains anything else."""
    try:
        return parse_numbers(text)
    except ValueError:
        return []


def parse_colmap_lines(lines: Sequence[TextLine]) -> list[SpelledLens]:
    """Parse the lines that look like COLMAP's ``cameras.txt``: ID MODEL WIDTH HEIGHT ..."""
    colmap_line = re.compile(r"\d+\s+[A-Z_]+\s")
    return [_parse_colmap_line(line) for line in lines if colmap_line.match(line.text)]


def _parse_colmap_line(line: TextLine) -> SpelledLens:
    """Parse one camera of ``cameras.txt``: its id, model, width, height and parameters."""
    try:
        _, model, width, height, *numbers = line.text.split()
        return colmap_lens(model, int(width), int(height), [*map(float, numbers)], line.location)
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"'{printable(line.text[:60])}' is not a COLMAP camera; expected an id, a model, a "
            "width, a height and the model's parameters",
            path=line.location,
        ) from error


def parse_kitti_lens(lines: Sequence[TextLine]) -> SpelledLens | None:
    """Parse KITTI's projections and take the preferred camera, with a note if the others differ.

    Return None if the lines are not KITTI's.

    Raises:
        InputError: If only the cameras before rectification are stated.
    """
    line_by_label = {line.label: line for line in lines if ":" in line.text}
    projections = [label for label in _KITTI_CAMERAS if label in line_by_label]
    if not projections:
        if "K_02" in line_by_label or "K_00" in line_by_label:
            raise InputError(
                "the file only has KITTI's cameras before rectification (such as K_02 and D_02): "
                "for rectified images, add KITTI's line P_rect_02; for raw images, pass "
                "opencv:FX,FY,CX,CY,K1,K2,P1,P2,K3",
                path=printable(lines[0].path),
            )
        return None

    preferred, *others = projections
    lens = _parse_kitti_line(line_by_label[preferred], lines)
    different = [
        label for label in others if _has_different_lens(line_by_label[label], lines, lens)
    ]
    notes = [
        *_other_kitti_cameras_notes(preferred, different),
        *_raw_kitti_camera_notes(preferred, line_by_label),
    ]
    return replace(lens, note=join_notes(notes)) if notes else lens


def _other_kitti_cameras_notes(used_label: str, different_labels: Sequence[str]) -> list[str]:
    """Return a note on the cameras of a file that differ from the used one, if there are any."""
    if not different_labels:
        return []
    differ = "differs" if len(different_labels) == 1 else "differ"
    return [
        f"rilievo uses {used_label} ({_KITTI_CAMERAS[used_label]}) from its camera file, where "
        f"{', '.join(different_labels)} {differ} from it: to use another camera, keep only its "
        "line in the file, or pass its FX,FY,CX,CY"
    ]


def _raw_kitti_camera_notes(used_label: str, labels_in_file: Container[str]) -> list[str]:
    """Return a note if a file also has the used camera as it was before rectification.

    Beside ``P_rect_02`` for rectified images, KITTI writes ``K_02`` and ``D_02`` for raw ones.
    """
    raw_label = used_label.replace("P_rect_", "K_")
    if raw_label == used_label or raw_label not in labels_in_file:
        return []
    return [
        f"rilievo uses the camera for rectified images from its camera file ({used_label}): if "
        f"the image is raw, pass the numbers of {raw_label} and "
        f"{raw_label.replace('K_', 'D_')} as opencv:FX,FY,CX,CY,K1,K2,P1,P2,K3; "
        "where a lens is not accepted, undistort the images first"
    ]


def _has_different_lens(line: TextLine, lines: Sequence[TextLine], lens: SpelledLens) -> bool:
    """Whether a line of KITTI has another lens; lines that cannot be parsed do not count."""
    try:
        return _parse_kitti_line(line, lines) != lens
    except InputError:
        return False


def _parse_kitti_line(line: TextLine, lines: Sequence[TextLine]) -> SpelledLens:
    """Parse a 3x4 projection in row-major order; another line may state the picture size."""
    projection = require_finite(try_parse_numbers(line.text.split(":", 1)[1]), line.location)
    if len(projection) != 12:
        raise InputError(
            f"'{printable(line.text[:40])}' does not have the twelve numbers of a projection "
            "matrix",
            path=line.location,
        )
    fx, _, cx, _, _, fy, cy, *_ = projection
    return checked_lens("pinhole", [fx, fy, cx, cy], _find_kitti_size(line, lines), line.location)


def _find_kitti_size(projection: TextLine, lines: Sequence[TextLine]) -> tuple[int, int] | None:
    """Find the size (height, width) of a camera's rectified pictures; None if it is not stated.

    The size of the projection ``P2:`` or ``P_rect_02:`` is a line ``S_rect_02: WIDTH HEIGHT``.
    """
    camera_digit = projection.label[-1]
    size_label = f"S_rect_0{camera_digit}:"
    size_line = next((line for line in lines if line.text.startswith(size_label)), None)
    if size_line is None:
        return None

    sides = try_parse_numbers(size_line.text.removeprefix(size_label))
    if len(sides) != 2:
        return None
    width, height = sides
    return check_picture_size(width, height, size_line.location)


def is_dso_file(lines: Sequence[TextLine]) -> bool:
    """Whether a text is DSO's ``camera.txt``: a line with a lens, then one with a picture size."""
    if len(lines) < 2 or not re.fullmatch(r"\d{1,6}\s+\d{1,6}", lines[1].text):
        return False
    lens_line = lines[0].text
    words = lens_line.split(maxsplit=1)
    has_model_name = words[0].isalpha() and len(words) == 2
    return len(try_parse_numbers(words[1] if has_model_name else lens_line)) >= 5


def parse_dso_lens(lines: Sequence[TextLine]) -> SpelledLens:
    """Parse DSO's ``camera.txt``, whose first line may begin with the name of its model."""
    lens_line, size_line = lines[0], lines[1]
    first_word, *other_words = lens_line.text.split()
    if first_word.isalpha():
        numbers = try_parse_numbers(" ".join(other_words))
        model_name = first_word.lower()
    else:
        numbers = try_parse_numbers(lens_line.text)
        model_name = _DSO_MODEL_BY_COUNT.get(len(numbers), "")
    model = _DSO_MODELS.get(model_name)
    if model is None or len(numbers) != 4 + model.coefficient_count:
        raise InputError(
            f"'{printable(lens_line.text[:60])}' is not a supported DSO lens; expected FOV or "
            "Pinhole (fx fy cx cy omega), or RadTan or EquiDistant (fx fy cx cy and 4 "
            "coefficients)",
            path=lens_line.location,
        )

    width, height = map(int, size_line.text.split())
    size = check_picture_size(width, height, size_line.location)
    fx, fy, cx, cy, *coefficients = numbers
    if cx < 1 and cy < 1:
        # Fractions of the width and the height, from the corner of the first pixel.
        fx, fy, cx, cy = fx * width, fy * height, cx * width - 0.5, cy * height - 0.5
    if model.lens == "pinhole" and any(coefficients):
        raise InputError(
            "the fifth number of DSO's Pinhole must be 0; if it is the omega of a lens with "
            "distortion, write FOV instead of Pinhole",
            path=lens_line.location,
        )
    return checked_lens(model.lens, [fx, fy, cx, cy, *coefficients], size, lens_line.location)


def parse_lens_rows(rows: Sequence[Sequence[float]], path: Path) -> SpelledLens | None:
    """Parse rows of numbers without names; None if they have no known form.

    They are the rows of K, or fx, fy, cx and cy with or without coefficients. If there are several
    rows of the latter form, each is a camera, and all have to be equal.
    """
    lengths = {len(row) for row in rows}
    # A row of intrinsics begins with a focal length, which is not 0.
    is_matrix = len(rows) in (3, 4) and lengths in ({3}, {4}) and rows[1][0] == 0
    is_camera_per_row = len(rows) > 1 and len(lengths) == 1 and lengths <= {4, 6, 8, 9}
    if not is_camera_per_row or is_matrix:
        numbers = [number for row in rows for number in row]
        return _parse_unnamed_numbers(numbers, path, is_matrix=is_matrix)

    lenses: list[SpelledLens] = []
    for row in rows:
        lens = _parse_unnamed_numbers(row, path, is_matrix=False)
        if lens is None:
            return None
        lenses.append(lens)
    if any(lens != lenses[0] for lens in lenses):
        labels = [f"line {number}" for number in range(1, len(rows) + 1)]
        raise several_cameras_error(labels, printable(path))
    return lenses[0]


def _parse_unnamed_numbers(
    numbers: Sequence[float], path: Path, *, is_matrix: bool
) -> SpelledLens | None:
    """Parse the numbers of one camera by their count; None if they have no known form.

    - 4: fx, fy, cx, cy
    - 8 or 9: the same, k1, k2, p1, p2, and perhaps k3; 9 may also be K
    - 6: width, height, fx, fy, cx, cy, as in ARKitScenes
    - 10 or 11: the same with k1, k2, p1, p2, and perhaps k3, as in Matterport3D
    - 12 or 16: a projection matrix
    """
    location = printable(path)
    count = len(numbers)
    ends_like_matrix = [*numbers[6:]] == [0, 0, 1]  # the last row of K
    if count in (8, 9) and not is_matrix and not ends_like_matrix:
        if _are_coefficients(numbers[4:]) and min(numbers[:4]) > 0:
            lens = checked_lens("opencv", numbers, None, location)
            return replace(lens, note=UNNAMED_FOUR_NOTE) if count == 8 else lens
        if count == 8:
            raise _implausible_coefficients_error(location)
    if count in (6, 10, 11) and _are_size_and_intrinsics(numbers[:6]):
        width, height, *lens_numbers = numbers
        size = check_picture_size(width, height, location)
        has_distortion = any(lens_numbers[4:])
        if has_distortion:
            return checked_lens("opencv", lens_numbers, size, location)
        return checked_lens("pinhole", lens_numbers[:4], size, location)
    if count in (4, 9, 12, 16):
        intrinsics = intrinsics_from_matrix(numbers, location)
        camera_from_K(pinhole_K(*intrinsics), path)
        return checked_lens("pinhole", intrinsics, None, location)
    return None


def _implausible_coefficients_error(location: str) -> InputError:
    """Return the error for 8 numbers of which the last four are no coefficients of OpenCV."""
    return InputError(
        "the last four of the 8 numbers are unlikely to be k1, k2, p1 and p2: write the numbers in "
        "the order fx fy cx cy k1 k2 p1 p2",
        path=location,
    )


def _are_coefficients(numbers: Sequence[float]) -> bool:
    """Whether numbers are plausible as k1, k2, p1, p2 and perhaps k3."""
    k1, k2, p1, p2, *_ = numbers
    return max(abs(k1), abs(k2)) < 100 and max(abs(p1), abs(p2)) < 1


def _are_size_and_intrinsics(numbers: Sequence[float]) -> bool:
    """Whether numbers are plausible as width, height, fx, fy, cx and cy."""
    width, height, fx, fy, cx, cy = numbers
    are_whole = width.is_integer() and height.is_integer()
    return are_whole and min(fx, fy) > 0 and is_central(cx, cy, width, height)
