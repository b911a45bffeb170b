"""DA-2K: photographs with pairs of points, one of which is nearer (Yang et al. 2024)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Int64
from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import PhotoFiles
from rilievo.data.datasets.text_files import contents_text
from rilievo.errors import InputError
from rilievo.io.files.limits import MAX_PIXELS, read_text
from rilievo.io.json_record import parse_json
from rilievo.records.sample import OrderedPoints, Truth

_CARD = DatasetCard(
    name="da2k",
    title="DA-2K (Yang et al. 2024, Depth Anything V2)",
    summary="1,000 photographs of eight scenarios with 2,000 pairs of points labelled by people",
    homepage="https://huggingface.co/datasets/depth-anything/DA-2K",
    licence="as its page states",
    commercial=False,
    layout="""\
annotations.json    photograph to pairs: point1, point2 as [row, column],
                    closer_point
images/SCENARIO/NAME""",
    splits=(
        "all",
        "indoor",
        "outdoor",
        "non_real",
        "transparent_reflective",
        "adverse_style",
        "aerial",
        "underwater",
        "object",
    ),
    caveats=(
        (
            "It only tests the order of depth: a model that gets the order right may be wrong "
            "about every distance."
        ),
        "The annotators only chose pairs that they were sure about.",
    ),
)

ANNOTATIONS = "annotations.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A photograph, and its pairs of points as (row, column)."""

    image: Path
    nearer: Int64[np.ndarray, "n 2"]
    farther: Int64[np.ndarray, "n 2"]


class Da2k(PhotoFiles[_Entry]):
    """Photographs with pairs of points. A split is a scenario, or ``all``."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        path = request.root / ANNOTATIONS
        if not path.is_file():
            raise InputError(
                f"{request.root}: expected {ANNOTATIONS}, found {contents_text(request.root)}"
            )
        files_by_id = {}
        for name, pairs in _read_annotations(path).items():
            if request.split == "all" or request.split in Path(name).parts:
                image_id = Path(name).with_suffix("").as_posix()
                files_by_id[image_id] = _parse_pairs(request.root / name, pairs, path)
        self._set_listed_images(files_by_id, request.list_file)

    def truth(self, id: str) -> Truth:
        """Read the pairs of points."""
        entry = self._entry(id)
        height, width, _ = self.image(id).shape
        for points in (entry.nearer, entry.farther):
            if (points < 0).any() or (points >= [height, width]).any():
                raise InputError(
                    f"{entry.image}: a point in {ANNOTATIONS} lies outside the image, which has "
                    f"{width}x{height} pixels"
                )
        order = OrderedPoints(size=(height, width), nearer=entry.nearer, farther=entry.farther)
        return Truth(id=id, order=order)


def _read_annotations(path: Path) -> Mapping[str, Any]:
    try:
        record = parse_json(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise InputError(
            f"{path}: expected a JSON object that maps each photograph to its pairs of points"
        )
    return record


def _parse_pairs(image: Path, pairs: Any, annotations: Path) -> _Entry:
    """Parse the pairs of an image, of which ``closer_point`` names the nearer point."""
    nearer, farther = [], []
    try:
        for pair in pairs:
            nearer_name = pair["closer_point"]
            farther_name = {"point1": "point2", "point2": "point1"}[nearer_name]
            nearer.append(_parse_row_and_column(pair[nearer_name]))
            farther.append(_parse_row_and_column(pair[farther_name]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{annotations}: each pair of '{image.name}' needs point1, point2 and closer_point, "
            f"got {json.dumps(pairs)[:200]}"
        ) from error
    return _Entry(
        image=image,
        nearer=np.array(nearer, np.int64).reshape(-1, 2),
        farther=np.array(farther, np.int64).reshape(-1, 2),
    )


def _parse_row_and_column(value: Any) -> tuple[int, int]:
    row, column = value
    if type(row) is bool or type(column) is bool or int(row) != row or int(column) != column:
        raise ValueError(f"{value} is not a row and a column")
    if max(abs(row), abs(column)) > MAX_PIXELS:
        raise ValueError(f"{value} is outside any image")
    return int(row), int(column)
