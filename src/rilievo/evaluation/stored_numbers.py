"""Numbers in files of other programs, made into depth, normals or points."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Field, Float32, Mask, Shaped, Vectors
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.metrics.metric import Numbers
from rilievo.io.depth.statements import DECLARED, DISPARITY, DISTANCE, INVERSE, DepthStatement
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind, DepthMap


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMap:
    """Points in the camera frame (x right, y down, z forward), one a pixel."""

    values: Vectors
    kind: DepthKind
    valid: Mask

    __eq__ = same_record
    __hash__ = no_hash


WHICH_INVERSE = (
    "inverse depth is disparity where its zero is at infinity, as Monodepth2's, and affine_inverse "
    "where that is not known, as MiDaS' and Depth Anything's"
)


class NumberKind(StrEnum):
    """Kind of depth, or of its inverse, in files."""

    METRIC = DepthKind.METRIC.value
    UP_TO_SCALE = DepthKind.UP_TO_SCALE.value
    AFFINE = DepthKind.AFFINE.value
    AFFINE_INVERSE = DepthKind.AFFINE_INVERSE.value
    DISPARITY = "disparity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueEncoding:
    """Meaning of the values in files, as the user states it.

    Attributes:
        scale: Metres of one stored unit, or of disparity, metres times stored unit.
    """

    number_kind: NumberKind | None
    scale: float | None = None

    @property
    def kind(self) -> DepthKind | None:
        """Kind of the depth that they become, or None."""
        if self.number_kind is NumberKind.DISPARITY:
            return DepthKind.UP_TO_SCALE if self.scale is None else DepthKind.METRIC
        return None if self.number_kind is None else DepthKind(self.number_kind)


def combine_encodings(
    stored: ValueEncoding, statement: DepthStatement, path: Path
) -> ValueEncoding:
    """Meaning of values by user and file, which must agree."""
    kind = statement.kind
    if kind == DISTANCE:
        raise InputError(
            f"{printable(path)}: states distance along the ray ({statement.source}), but depth is "
            "scored: convert it with its camera"
        )
    if kind in (INVERSE, DISPARITY) and stored.number_kind is NumberKind.AFFINE_INVERSE:
        return stored
    if kind == INVERSE:
        if stored.number_kind is NumberKind.DISPARITY:
            return stored
        raise OptionError(
            option="kind",
            problem=f"has to say which inverse depth {printable(path)} holds ({statement.source})",
            hint=WHICH_INVERSE,
        )
    if kind is None and not statement.is_decodable:
        return stored
    if kind is None and statement.source == DECLARED and stored.number_kind is not None:
        if stored.scale is not None and stored.number_kind is not NumberKind.DISPARITY:
            raise OptionError(
                option="scale",
                problem="stands beside an offset in metres",
                hint=Text("say both in ", OptionName("encoding", "scale=... offset=...")),
            )
        return stored
    kind = DepthKind.METRIC.value if kind is None else kind
    if stored.number_kind is not None and stored.number_kind != kind:
        raise OptionError(
            option="kind",
            problem=f"says '{stored.number_kind}', but {printable(path)} says '{kind}'",
            hint=Text("leave ", OptionName("kind"), " out"),
        )
    if stored.scale is not None and statement.is_decodable:
        raise OptionError(
            option="scale",
            problem="is for files that do not say their unit",
            hint=f"{printable(path)} does ({statement.source})",
        )
    return ValueEncoding(number_kind=NumberKind(kind), scale=stored.scale)


def depth_from_numbers(
    numbers: Numbers, stored: ValueEncoding, known: Mask | None = None
) -> DepthMap:
    """Depth; NaN, infinity, integer zero and pixels that are not ``known`` are invalid."""
    kind = stored.kind
    assert kind is not None, "asked for before a file is read"
    if numbers.ndim != 2:
        raise InputError(f"has shape {numbers.shape}, expected one number a pixel")
    whole = numbers.dtype.kind in "ui"
    if whole and kind is DepthKind.METRIC and stored.scale is None:
        raise InputError(
            f"holds whole numbers ({numbers.dtype}), which are hardly metres",
            hint=Text(
                "say ",
                OptionName("scale"),
                ", such as 0.001 for millimetres or 0.00390625 for KITTI's",
            ),
        )
    inverse = stored.number_kind is NumberKind.DISPARITY
    # In files of whole numbers, zero depth is how everybody says that there is none; and a
    # disparity of zero has no depth.
    empty = numbers == 0 if inverse or (whole and kind.is_depth) else np.zeros(numbers.shape, bool)
    if empty.all():
        raise InputError("is zero at all pixels")
    if known is not None:
        empty |= ~known
    values = _scale_depth(numbers, stored.scale, inverse=inverse)
    finite = np.isfinite(values)
    valid = finite & ~empty
    if not valid.any():
        raise InputError(f"is NaN or infinite at {(~finite).sum()} of {values.size} pixels")
    if kind.is_depth:
        _check_positive(values[valid], values.size, stored)
    return DepthMap(values=values, kind=kind, valid=valid)


def _check_positive(values: Float32[np.ndarray, " n"], pixels: int, stored: ValueEncoding) -> None:
    below = int((values <= 0).sum())
    if not below:
        return
    if (values > 0).any() and not (values < 0).any():
        raise InputError(
            f"is zero at {below} of {pixels} pixels, but {_kind_in_words(stored)} is positive; "
            "where zero says that there is no depth, store NaN",
            hint=Text("or say ", OptionName("encoding", "invalid=0")),
        )
    mark = float(values[values <= 0].min())
    if (values[values <= 0] == mark).all() and (values > 0).any():
        raise InputError(
            f"is zero or negative at {below} of {pixels} pixels, but {_kind_in_words(stored)} is "
            f"positive; where {mark:g} says that there is no depth, store NaN",
            hint=Text("or say ", OptionName("encoding", f"invalid={mark:g}")),
        )
    raise InputError(
        f"is zero or negative at {below} of {pixels} pixels, but {_kind_in_words(stored)} is "
        "positive; is its kind the right one?"
    )


def _scale_depth(
    numbers: Shaped[np.ndarray, "h w"], scale: float | None, *, inverse: bool
) -> Field:
    """Scale over numbers if ``inverse``, else times."""
    # What becomes infinite is no answer.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if inverse:
            depth = (1.0 if scale is None else scale) / numbers.astype(np.float64)
            return depth.astype(np.float32)
        return numbers.astype(np.float32) * np.float32(1 if scale is None else scale)


def _kind_in_words(stored: ValueEncoding) -> str:
    if stored.number_kind is NumberKind.DISPARITY:
        return f"a disparity without a shift ({WHICH_INVERSE})"
    return f"depth of kind '{stored.kind}'"


def points_from_numbers(numbers: Numbers, kind: DepthKind) -> PointMap:
    """Points; NaN and infinity are invalid."""
    points, valid = _read_vectors(numbers, "points", last=True)
    return PointMap(values=points, kind=kind, valid=valid)


def normals_from_numbers(numbers: Numbers) -> Vectors:
    """Normals of any length, 3 x h x w."""
    return _read_vectors(numbers, "normals", last=False)[0]


def _read_vectors(numbers: Numbers, what: str, *, last: bool) -> tuple[Vectors, Mask]:
    """Vectors 3 x h x w, and mask of finite ones."""
    if numbers.ndim != 3 or 3 not in (numbers.shape[0], numbers.shape[2]):
        expected = "(height, width, 3)" if last else "(3, height, width)"
        raise InputError(f"has shape {numbers.shape}, expected {what} {expected}")
    if numbers.dtype.kind != "f":
        ends = "x right, y down, z forward" + ("" if last else ", towards the camera")
        raise InputError(f"holds {numbers.dtype}; {what} are floating-point numbers: {ends}")
    # ``last`` tells the axis where two have three places.
    if numbers.shape[0] != 3 or (last and numbers.shape[2] == 3):
        numbers = np.moveaxis(numbers, 2, 0)
    vectors = np.ascontiguousarray(numbers, dtype=np.float32)
    valid = np.asarray(np.isfinite(vectors).all(axis=0))
    if not valid.any():
        raise InputError(f"is NaN or infinite at all of {valid.size} pixels")
    return vectors, valid
