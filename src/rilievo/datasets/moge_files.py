"""Files of MoGe's bundle of evaluation sets: depth coded by its logarithm, segments, cameras."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt
from PIL.PngImagePlugin import PngImageFile

from rilievo.errors import InputError
from rilievo.io.decode import told_in_one_line
from rilievo.io.json_record import parse_json
from rilievo.io.limits import check_regular, printable, read_text
from rilievo.io.numbers import read_map

UNKNOWN, INFINITE = 0, 65535
"""Stored numbers that are no depth: nothing is known, and nothing is there (sky)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Objects of an image.

    Attributes:
        mask: Number of the object of each pixel.
        labels: Name of an object to its number; numbers without a name are none.
    """

    mask: UInt[np.ndarray, "h w"]
    labels: Mapping[str, int]


def read_log_depth(path: Path) -> Float32[np.ndarray, "h w"]:
    """Depth of a 16-bit PNG that holds its logarithm; NaN where unknown, infinite for sky.

    Numbers from 1 to 65534 run from the text ``near`` of the file to ``far``, evenly in the
    logarithm; a text ``unit``, which older files have, is a factor.

    Raises:
        InputError: If the file is broken, or its texts are missing or no such numbers.
    """
    stored = _sixteen_bits(path)
    texts = _texts(path)
    near, far = (_positive(texts, name, path) for name in ("near", "far"))
    unit = _positive(texts, "unit", path) if "unit" in texts else 1.0
    share = (stored.astype(np.float64) - 1) / (INFINITE - 2)
    depth = (unit * near ** (1 - share) * far**share).astype(np.float32)
    depth[stored == UNKNOWN] = np.nan
    depth[stored == INFINITE] = np.inf
    return depth


def read_segmentation(path: Path) -> Segmentation:
    """Objects of a PNG whose text ``labels`` names them.

    Raises:
        InputError: If the file is broken, or the text is no object of whole numbers.
    """
    stored = read_map(path)
    if stored.dtype.kind != "u":
        raise InputError(f"{path}: holds {stored.dtype}, expected whole numbers")
    text = _texts(path).get("labels", "{}")
    try:
        labels = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: its labels are no JSON: {error}") from error
    if not isinstance(labels, dict) or not all(type(each) is int for each in labels.values()):
        raise InputError(f"{path}: its labels are no names with whole numbers")
    return Segmentation(mask=stored, labels=labels)


def read_intrinsics(path: Path) -> Float64[np.ndarray, "3 3"]:
    """Intrinsics of ``meta.json`` in shares of the image's sides, its centre at (0.5, 0.5).

    Raises:
        InputError: If the file is broken or holds no such intrinsics.
    """
    try:
        meta = parse_json(read_text(path))
        rows = meta["intrinsics"] if isinstance(meta, dict) else None
        found = np.array(rows, np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: has no intrinsics: {error}") from error
    if found.shape != (3, 3) or not np.isfinite(found).all() or not (found[0, 0] and found[1, 1]):
        raise InputError(
            f"{path}: its intrinsics are no finite 3x3 matrix with focal lengths: "
            f"{json.dumps(rows)[:200]}"
        )
    return found


def _sixteen_bits(path: Path) -> UInt[np.ndarray, "h w"]:
    stored = read_map(path)
    if stored.dtype != np.uint16:
        raise InputError(f"{path}: holds {stored.dtype}, expected 16-bit PNG")
    return stored


def _texts(path: Path) -> Mapping[str, str]:
    """Text fields of a PNG."""
    check_regular(path)
    with (
        told_in_one_line(printable(path), "PNG file"),
        path.open("rb") as stream,
        PngImageFile(stream) as image,
    ):
        return {str(name): each for name, each in image.info.items() if isinstance(each, str)}


def _positive(texts: Mapping[str, str], name: str, path: Path) -> float:
    try:
        value = float(texts[name])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: has no number '{name}' in its text; MoGe's bundle codes depth by 'near' and "
            "'far' there"
        ) from error
    if not (value > 0 and math.isfinite(value)):
        raise InputError(f"{path}: its '{name}' is {value:g}, expected above zero")
    return value
