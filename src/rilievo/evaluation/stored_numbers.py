"""Convert the numbers in other programs' files to depth, normals or points."""

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
    """One point for each pixel, in the camera frame (x right, y down, z forward)."""

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
    """What the numbers of a file mean, as ``--kind`` names it."""

    METRIC = DepthKind.METRIC.value
    UP_TO_SCALE = DepthKind.UP_TO_SCALE.value
    AFFINE = DepthKind.AFFINE.value
    AFFINE_INVERSE = DepthKind.AFFINE_INVERSE.value
    DISPARITY = "disparity"
    """Inverse depth without a shift, as Monodepth2 calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueEncoding:
    """Meaning of the values in files of predictions, as the user states it.

    Attributes:
        number_kind: What the numbers mean; None if the user does not say.
        scale: Metres of one stored unit. Of disparity, depth is ``scale`` over the stored number.
    """

    number_kind: NumberKind | None
    scale: float | None = None

    @property
    def kind(self) -> DepthKind | None:
        """Kind of the depth that the numbers are converted to; None if unknown."""
        if self.number_kind is NumberKind.DISPARITY:
            return DepthKind.UP_TO_SCALE if self.scale is None else DepthKind.METRIC
        return None if self.number_kind is None else DepthKind(self.number_kind)

    @property
    def is_disparity(self) -> bool:
        """Whether depth is the inverse of the numbers."""
        return self.number_kind is NumberKind.DISPARITY


def combine_encodings(user: ValueEncoding, statement: DepthStatement, path: Path) -> ValueEncoding:
    """Combine what the user and the file state about its values.

    Raises:
        InputError: If the file holds distance along the ray.
        OptionError: If the two contradict each other, or leave open which inverse depth it is.
    """
    kind = statement.kind
    if kind == DISTANCE:
        raise InputError(
            f"{printable(path)}: states distance along the ray ({statement.source}), but depth is "
            "scored: convert it with its camera"
        )
    if kind in (INVERSE, DISPARITY) and user.number_kind is NumberKind.AFFINE_INVERSE:
        return user
    if kind == INVERSE:
        if user.is_disparity:
            return user
        raise OptionError(
            option="kind",
            problem=f"has to say which inverse depth {printable(path)} holds ({statement.source})",
            hint=WHICH_INVERSE,
        )
    if kind is None and not statement.is_decodable:
        return user
    if kind is None and statement.source == DECLARED and user.number_kind is not None:
        if user.scale is not None and not user.is_disparity:
            raise OptionError(
                option="scale",
                problem="stands beside an offset in metres",
                hint=Text("say both in ", OptionName("encoding", "scale=... offset=...")),
            )
        return user

    # Coded numbers without a kind are converted to metres.
    stated_kind = DepthKind.METRIC.value if kind is None else kind
    if user.number_kind is not None and user.number_kind != stated_kind:
        raise OptionError(
            option="kind",
            problem=f"says '{user.number_kind}', but {printable(path)} says '{stated_kind}'",
            hint=Text("leave ", OptionName("kind"), " out"),
        )
    if user.scale is not None and statement.is_decodable:
        raise OptionError(
            option="scale",
            problem="is for files that do not say their unit",
            hint=f"{printable(path)} does ({statement.source})",
        )
    return ValueEncoding(number_kind=NumberKind(stated_kind), scale=user.scale)


def depth_from_numbers(
    numbers: Numbers, encoding: ValueEncoding, known: Mask | None = None
) -> DepthMap:
    """Convert the numbers of a file to a depth map.

    Invalid are NaN, infinity, an integer zero, a disparity of zero, and pixels outside ``known``.

    Raises:
        InputError: If no pixel has depth, the unit is unclear, or depth is not positive.
    """
    kind = encoding.kind
    assert kind is not None, "asked for before a file is read"
    if numbers.ndim != 2:
        raise InputError(f"has shape {numbers.shape}, expected one number a pixel")
    is_integer = numbers.dtype.kind in "ui"
    if is_integer and kind is DepthKind.METRIC and encoding.scale is None:
        raise InputError(
            f"holds whole numbers ({numbers.dtype}), which are hardly metres",
            hint=Text(
                "say ",
                OptionName("scale"),
                ", such as 0.001 for millimetres or 0.00390625 for KITTI's",
            ),
        )

    # Files of integers store 0 where there is no depth, and a disparity of zero has none.
    zero_is_empty = encoding.is_disparity or (is_integer and kind.is_depth)
    empty = numbers == 0 if zero_is_empty else np.zeros(numbers.shape, bool)
    if empty.all():
        raise InputError("is zero at all pixels")
    if known is not None:
        empty |= ~known
    values = _scale_numbers(numbers, encoding)
    finite = np.isfinite(values)
    valid = finite & ~empty
    if not valid.any():
        raise InputError(f"is NaN or infinite at {(~finite).sum()} of {values.size} pixels")
    if kind.is_depth:
        _refuse_nonpositive_depth(values[valid], values.size, encoding)
    return DepthMap(values=values, kind=kind, valid=valid)


def _scale_numbers(numbers: Shaped[np.ndarray, "h w"], encoding: ValueEncoding) -> Field:
    """Depth from stored numbers: scale × number, or scale / number of a disparity."""
    scale = 1.0 if encoding.scale is None else encoding.scale
    # Pixels that become infinite count as having no depth.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if encoding.is_disparity:
            return (scale / numbers.astype(np.float64)).astype(np.float32)
        return numbers.astype(np.float32) * np.float32(scale)


def _refuse_nonpositive_depth(
    values: Float32[np.ndarray, " n"], pixels: int, encoding: ValueEncoding
) -> None:
    """Refuse depth that is zero or negative anywhere, with the likely reason.

    ``pixels`` is the number of pixels in the map, for the message.
    """
    nonpositive = values[values <= 0]
    if not nonpositive.size:
        return
    has_positive = bool((values > 0).any())
    kind = _kind_in_words(encoding)
    if has_positive and not (values < 0).any():
        raise InputError(
            f"is zero at {nonpositive.size} of {pixels} pixels, but {kind} is positive; "
            "where zero says that there is no depth, store NaN",
            hint=Text("or say ", OptionName("encoding", "invalid=0")),
        )
    lowest = float(nonpositive.min())
    if has_positive and (nonpositive == lowest).all():
        raise InputError(
            f"is zero or negative at {nonpositive.size} of {pixels} pixels, but {kind} is "
            f"positive; where {lowest:g} says that there is no depth, store NaN",
            hint=Text("or say ", OptionName("encoding", f"invalid={lowest:g}")),
        )
    raise InputError(
        f"is zero or negative at {nonpositive.size} of {pixels} pixels, but {kind} is "
        "positive; is its kind the right one?"
    )


def _kind_in_words(encoding: ValueEncoding) -> str:
    if encoding.is_disparity:
        return f"a disparity without a shift ({WHICH_INVERSE})"
    return f"depth of kind '{encoding.kind}'"


def points_from_numbers(numbers: Numbers, kind: DepthKind) -> PointMap:
    """Convert an array (height, width, 3) to points; NaN and infinity are invalid."""
    points, valid = _read_vectors(numbers, "points", channels_last=True)
    return PointMap(values=points, kind=kind, valid=valid)


def normals_from_numbers(numbers: Numbers) -> Vectors:
    """Convert an array (3, height, width) to normals, whose lengths are not changed."""
    return _read_vectors(numbers, "normals", channels_last=False)[0]


def _read_vectors(numbers: Numbers, what: str, *, channels_last: bool) -> tuple[Vectors, Mask]:
    """Vectors (3, height, width), and the mask of those that are finite.

    ``channels_last`` decides which axis has the coordinates where two are 3 long.
    """
    if numbers.ndim != 3 or 3 not in (numbers.shape[0], numbers.shape[2]):
        expected = "(height, width, 3)" if channels_last else "(3, height, width)"
        raise InputError(f"has shape {numbers.shape}, expected {what} {expected}")
    if numbers.dtype.kind != "f":
        axes = "x right, y down, z forward" + ("" if channels_last else ", towards the camera")
        raise InputError(f"holds {numbers.dtype}; {what} are floating-point numbers: {axes}")
    has_channels_last = numbers.shape[2] == 3 and (channels_last or numbers.shape[0] != 3)
    if has_channels_last:
        numbers = np.moveaxis(numbers, 2, 0)
    vectors = np.ascontiguousarray(numbers, dtype=np.float32)
    valid = np.asarray(np.isfinite(vectors).all(axis=0))
    if not valid.any():
        raise InputError(f"is NaN or infinite at all of {valid.size} pixels")
    return vectors, valid
