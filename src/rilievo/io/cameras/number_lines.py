"""Lenses in text without names of fields: COLMAP's lines, KITTI's, DSO's, and numbers alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import InputError
from rilievo.errors.messages import join_notes
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.cameras.colmap import colmap_lens
from rilievo.io.cameras.lens_checks import (
    camera_from_K,
    checked_lens,
    finite_numbers,
    intrinsics_of_matrix,
    picture_size,
    several_cameras_error,
)
from rilievo.io.cameras.lens_entries import UNNAMED_FOUR_NOTE, is_central
from rilievo.io.files.names import printable

_MAX_CHARACTERS = 100_000
"""Longest text that is read as numbers: a thousand times that of any calibration."""

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
"""Projections of KITTI and KITTI-360, in the order of preference."""


@dataclass(frozen=True, slots=True)
class _DsoModel:
    """Lens of ours for a model of DSO, and the number of its coefficients."""

    lens: str
    coefficients: int


_DSO_MODELS: Mapping[str, _DsoModel] = {
    "fov": _DsoModel("fov", 1),
    "pinhole": _DsoModel("pinhole", 1),
    "radtan": _DsoModel("opencv", 4),
    "equidistant": _DsoModel("fisheye", 4),
    "kannalabrandt": _DsoModel("fisheye", 4),
}
_DSO_MODEL_BY_NUMBERS: Mapping[int, str] = {5: "fov", 8: "radtan"}
"""Model of a line of DSO that names none, by how many numbers it has."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of a text file, without spaces around it; its number counts from 1."""

    number: int
    text: str
    path: Path

    @property
    def location(self) -> str:
        """File and line, as messages name them."""
        return f"{printable(self.path)}, line {self.number}"

    @property
    def label(self) -> str:
        """What stands before the first colon."""
        return self.text.partition(":")[0]


def lines_with_content(text: str, path: Path) -> list[TextLine]:
    """Lines of a text that are neither empty nor comments."""
    lines = [
        TextLine(number, line.strip(), path) for number, line in enumerate(text.splitlines(), 1)
    ]
    return [line for line in lines if line.text and not line.text.startswith("#")]


def parse_numbers(text: str) -> list[float]:
    """Numbers between spaces, commas or semicolons.

    Raises:
        ValueError: If the text holds anything else, or is very long.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters")
    return [float(word) for word in re.split(r"[\s,;]+", text.strip(" \t\r\n,;"))]


def numbers_or_empty(text: str) -> list[float]:
    """Numbers of a text; [] if it holds anything else."""
    try:
        return parse_numbers(text)
    except ValueError:
        return []


def colmap_lenses(lines: Sequence[TextLine]) -> list[SpelledLens]:
    """Lenses of the lines that have the form of COLMAP's ``cameras.txt``."""
    form = re.compile(r"\d+\s+[A-Z_]+\s")
    return [_lens_in_colmap_line(line) for line in lines if form.match(line.text)]


def _lens_in_colmap_line(line: TextLine) -> SpelledLens:
    try:
        _, model, width, height, *numbers = line.text.split()
        return colmap_lens(model, int(width), int(height), [*map(float, numbers)], line.location)
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"'{printable(line.text[:60])}' is no camera of COLMAP ({printable(str(error)[:60])})",
            path=line.location,
        ) from error


def kitti_lens(lines: Sequence[TextLine]) -> SpelledLens | None:
    """Lens of KITTI's projections, with a note if its cameras differ; None without one.

    Raises:
        InputError: If only the cameras before rectification are stated.
    """
    by_label = {line.label: line for line in lines if ":" in line.text}
    projections = [label for label in _KITTI_CAMERAS if label in by_label]
    if not projections:
        if "K_02" in by_label or "K_00" in by_label:
            raise InputError(
                "has KITTI's cameras before rectification alone (K_02 and D_02): for rectified "
                "pictures take its P_rect_02, for others give opencv:FX,FY,CX,CY,K1,K2,P1,P2,K3",
                path=printable(lines[0].path),
            )
        return None

    chosen, *others = projections
    lens = _lens_in_kitti_line(by_label[chosen], lines)
    notes: list[str] = []
    differing = [label for label in others if _is_other_lens(by_label[label], lines, lens)]
    if differing:
        differ = "differs" if len(differing) == 1 else "differ"
        notes.append(
            f"its camera is {chosen} of the file ({_KITTI_CAMERAS[chosen]}), and "
            f"{', '.join(differing)} {differ} from it: for another, keep only its line in the "
            "file, or give FX,FY,CX,CY"
        )
    raw = chosen.replace("P_rect_", "K_")
    if raw != chosen and raw in by_label:
        notes.append(
            f"its camera is that of rectified pictures ({chosen}), and {raw} is that of raw ones: "
            f"for a raw picture, give the numbers of {raw} and its D as opencv:FX,FY,CX,CY,K1,K2,"
            "P1,P2,K3"
        )
    return replace(lens, note=join_notes(notes)) if notes else lens


def _is_other_lens(line: TextLine, lines: Sequence[TextLine], lens: SpelledLens) -> bool:
    """Whether a line of KITTI has another lens; one that cannot be read has none."""
    try:
        return _lens_in_kitti_line(line, lines) != lens
    except InputError:
        return False


def _lens_in_kitti_line(line: TextLine, lines: Sequence[TextLine]) -> SpelledLens:
    """Lens of a 3x4 projection by rows, with the size that another line states."""
    projection = finite_numbers(numbers_or_empty(line.text.split(":", 1)[1]), line.location)
    if len(projection) != 12:
        raise InputError(f"'{printable(line.text[:40])}' has no twelve numbers", path=line.location)
    fx, fy, cx, cy = projection[0], projection[5], projection[2], projection[6]
    return checked_lens("pinhole", [fx, fy, cx, cy], _kitti_size(line, lines), line.location)


def _kitti_size(projection: TextLine, lines: Sequence[TextLine]) -> tuple[int, int] | None:
    """Size (height, width) of rectified pictures of a projection's camera; None if not stated."""
    camera = projection.label.removeprefix("P_rect_")
    if re.fullmatch(r"P\d", camera):
        camera = f"0{camera[1:]}"
    if len(camera) != 2 or not camera.isdigit():
        camera = "02"
    line = next((line for line in lines if line.text.startswith(f"S_rect_{camera}:")), None)
    if line is None:
        return None
    sides = numbers_or_empty(line.text.split(":", 1)[1])
    return picture_size(sides[0], sides[1], line.location) if len(sides) == 2 else None


def is_dso_file(lines: Sequence[TextLine]) -> bool:
    """Whether a text is DSO's ``camera.txt``: a lens, then the size of the pictures."""
    if len(lines) < 2 or not re.fullmatch(r"\d{1,6}\s+\d{1,6}", lines[1].text):
        return False
    words = lines[0].text.split(maxsplit=1)
    has_name = words[0].isalpha() and len(words) == 2
    return len(numbers_or_empty(words[1] if has_name else lines[0].text)) >= 5


def dso_lens(lines: Sequence[TextLine]) -> SpelledLens:
    """Lens of DSO's ``camera.txt``, whose first line may name its model."""
    line = lines[0]
    words = line.text.split()
    name = words.pop(0).lower() if words[0].isalpha() else ""
    numbers = numbers_or_empty(" ".join(words))
    model = _DSO_MODELS.get(name or _DSO_MODEL_BY_NUMBERS.get(len(numbers), ""))
    if model is None or len(numbers) != 4 + model.coefficients:
        raise InputError(
            f"'{printable(line.text[:60])}' is no lens of DSO; read are FOV "
            "and Pinhole (fx fy cx cy omega), RadTan and EquiDistant "
            "(fx fy cx cy and 4 coefficients)",
            path=line.location,
        )

    width, height = map(int, lines[1].text.split())
    size = picture_size(width, height, lines[1].location)
    fx, fy, cx, cy, *coefficients = numbers
    if cx < 1 and cy < 1:
        # Fractions of the width and the height, from the corner of the first pixel.
        fx, fy, cx, cy = fx * width, fy * height, cx * width - 0.5, cy * height - 0.5
    if model.lens == "pinhole" and any(coefficients):
        raise InputError("is a pinhole, whose fifth number is 0", path=line.location)
    return checked_lens(model.lens, [fx, fy, cx, cy, *coefficients], size, line.location)


def lens_of_rows(rows: Sequence[Sequence[float]], path: Path) -> SpelledLens | None:
    """Lens of numbers without names; None if they have no form that is read.

    They are K by rows, or fx, fy, cx and cy with or without coefficients. Several rows of the
    latter are a camera each, which have to be equal.
    """
    lengths = {len(row) for row in rows}
    is_matrix = len(rows) in (3, 4) and lengths in ({3}, {4}) and rows[1][0] == 0
    is_camera_per_row = len(rows) > 1 and len(lengths) == 1 and lengths <= {4, 6, 8, 9}
    if not is_camera_per_row or is_matrix:
        numbers = [number for row in rows for number in row]
        return _lens_of_numbers(numbers, path, is_matrix=is_matrix)

    lenses: list[SpelledLens] = []
    for row in rows:
        lens = _lens_of_numbers(row, path, is_matrix=False)
        if lens is None:
            return None
        lenses.append(lens)
    if any(lens != lenses[0] for lens in lenses):
        labels = [f"line {number}" for number in range(1, len(rows) + 1)]
        raise several_cameras_error(labels, printable(path))
    return lenses[0]


def _lens_of_numbers(
    numbers: Sequence[float], path: Path, *, is_matrix: bool
) -> SpelledLens | None:
    """Lens of one camera's numbers; None if they have no form that is read.

    Six numbers are width, height, fx, fy, cx and cy, as in ARKitScenes; Matterport3D has k1, k2,
    p1, p2 and k3 behind them.
    """
    location = printable(path)
    count = len(numbers)
    if count in (8, 9) and not is_matrix and [*numbers[6:]] != [0, 0, 1]:
        if _are_coefficients(numbers[4:]) and min(numbers[:4]) > 0:
            lens = checked_lens("opencv", numbers, None, location)
            return replace(lens, note=UNNAMED_FOUR_NOTE) if count == 8 else lens
        if count == 8:
            raise InputError(
                "holds 8 numbers, of which the last four are hardly k1, k2, p1 and p2: write fx "
                "fy cx cy k1 k2 p1 p2",
                path=location,
            )
    if count in (6, 10, 11) and _are_size_and_intrinsics(numbers[:6]):
        size = picture_size(numbers[0], numbers[1], location)
        has_distortion = any(numbers[6:])
        if has_distortion:
            return checked_lens("opencv", numbers[2:], size, location)
        return checked_lens("pinhole", numbers[2:6], size, location)
    if count in (4, 9, 12, 16):
        intrinsics = intrinsics_of_matrix(numbers, location)
        camera_from_K(pinhole_K(*intrinsics), path)
        return checked_lens("pinhole", intrinsics, None, location)
    return None


def _are_coefficients(numbers: Sequence[float]) -> bool:
    """Whether numbers may be k1, k2, p1, p2 and perhaps k3."""
    k1, k2, p1, p2, *_ = numbers
    return max(abs(k1), abs(k2)) < 100 and max(abs(p1), abs(p2)) < 1


def _are_size_and_intrinsics(numbers: Sequence[float]) -> bool:
    width, height, fx, fy, cx, cy = numbers
    are_whole = width.is_integer() and height.is_integer()
    return are_whole and min(fx, fy) > 0 and is_central(cx, cy, width, height)
