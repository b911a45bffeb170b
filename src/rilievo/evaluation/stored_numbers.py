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
from rilievo.io.depth.depth_metadata import (
    DISPARITY,
    DISTANCE,
    INVERSE,
    DepthMetadata,
)
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
    "inverse depth is 'disparity' if zero means infinity, as for Monodepth2, and 'affine_inverse' "
    "if its zero is unknown, as for MiDaS and Depth Anything"
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
        scale: Metres of one stored unit. For disparity, depth is ``scale`` over the stored number.
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


def combine_encodings(user: ValueEncoding, metadata: DepthMetadata, path: Path) -> ValueEncoding:
    """Combine what the user and the file state about its values.

    The user decides which inverse depth a file holds, and decides alone if the file states nothing.
    In all other cases the file decides, and the user may only add the scale that it leaves open.
    """
    kind = metadata.kind
    if kind == DISTANCE:
        raise InputError(
            f"{printable(path)}: contains distance along the ray ({metadata.source}), but the "
            "benchmark scores depth: convert the distance to depth with the camera"
        )
    # The user may know more about inverse depth than the file: whether its zero is at infinity.
    if kind in (INVERSE, DISPARITY) and user.number_kind is NumberKind.AFFINE_INVERSE:
        return user
    if kind == INVERSE:
        if user.is_disparity:
            return user
        raise OptionError(
            option="kind",
            problem=(
                f"must say which kind of inverse depth {printable(path)} contains "
                f"({metadata.source})"
            ),
            hint=WHICH_INVERSE,
        )
    if kind is None and not metadata.is_decodable:
        return user  # The file states nothing.
    # With both --encoding and --kind, the user has stated everything.
    is_encoding_from_user = kind is None and metadata.is_given_by_user
    if is_encoding_from_user and user.number_kind is not None:
        if user.scale is not None and not user.is_disparity:
            raise OptionError(
                option="scale",
                problem="cannot be combined with an offset in metres",
                hint=Text("give both in ", OptionName("encoding", "scale=... offset=...")),
            )
        return user

    # A file that states how to decode its numbers, but not their kind, holds metric depth.
    stated_kind = DepthKind.METRIC.value if kind is None else kind
    if user.number_kind is not None and user.number_kind != stated_kind:
        raise OptionError(
            option="kind",
            problem=f"says '{user.number_kind}', but {printable(path)} says '{stated_kind}'",
            hint=Text("leave ", OptionName("kind"), " out"),
        )
    if user.scale is not None and metadata.is_decodable:
        raise OptionError(
            option="scale",
            problem="only applies to files that do not state their unit",
            hint=f"{printable(path)} states its unit ({metadata.source})",
        )
    return ValueEncoding(number_kind=NumberKind(stated_kind), scale=user.scale)


def depth_from_numbers(
    numbers: Numbers, encoding: ValueEncoding, known: Mask | None = None
) -> DepthMap:
    """Convert the numbers of a file to a depth map.

    Pixels are invalid if they are NaN or infinite, an integer zero, a disparity of zero, or outside
    ``known``.
    """
    kind = encoding.kind
    assert kind is not None, "the kind is checked before files are read"
    if numbers.ndim != 2:
        raise InputError(f"has the shape {numbers.shape}, expected one value per pixel")
    is_integer = numbers.dtype.kind in "ui"
    if is_integer and kind is DepthKind.METRIC and encoding.scale is None:
        raise InputError(
            f"contains integers ({numbers.dtype}), which are unlikely to be metres",
            hint=Text(
                "set ",
                OptionName("scale"),
                " to the metres per stored number, such as 0.001 for millimetres or 1/256 for "
                "KITTI",
            ),
        )

    # Files of integers store 0 where there is no depth, and a disparity of zero has none.
    is_zero_empty = encoding.is_disparity or (is_integer and kind.is_depth)
    is_empty = numbers == 0 if is_zero_empty else np.zeros(numbers.shape, bool)
    if is_empty.all():
        raise InputError("is zero at all pixels, so it contains no depth")
    if known is not None:
        is_empty |= ~known
    values = _scale_numbers(numbers, encoding)
    is_finite = np.isfinite(values)
    valid = is_finite & ~is_empty
    if not valid.any():
        raise InputError(
            "contains no depth, because all pixels are empty, NaN or infinite "
            f"({(~is_finite).sum()} of {values.size} are NaN or infinite)"
        )
    if kind.is_depth:
        _check_positive_depth(values[valid], values.size, encoding)
    return DepthMap(values=values, kind=kind, valid=valid)


def _scale_numbers(numbers: Shaped[np.ndarray, "h w"], encoding: ValueEncoding) -> Field:
    """Convert stored numbers to depth: scale × number, or scale / number for disparity."""
    scale = 1.0 if encoding.scale is None else encoding.scale
    # Pixels that become infinite count as having no depth.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if encoding.is_disparity:
            return (scale / numbers.astype(np.float64)).astype(np.float32)
        return numbers.astype(np.float32) * np.float32(scale)


def _check_positive_depth(
    values: Float32[np.ndarray, " n"], pixel_count: int, encoding: ValueEncoding
) -> None:
    """Raise an InputError with the likely reason if depth is zero or negative anywhere.

    ``pixel_count`` is the number of pixels in the map, for the message.
    """
    nonpositive = values[values <= 0]
    if not nonpositive.size:
        return
    has_positive = bool((values > 0).any())
    has_negative = bool((values < 0).any())
    kind_words = _kind_in_words(encoding)
    if has_positive and not has_negative:
        raise InputError(
            f"is zero at {nonpositive.size} of {pixel_count} pixels, but {kind_words} must be "
            "positive; if zero means that there is no depth, store NaN instead",
            hint=Text("or set ", OptionName("encoding", "invalid=0")),
        )
    # One repeated number, such as -1, probably marks pixels without depth.
    lowest = float(nonpositive.min())
    if has_positive and (nonpositive == lowest).all():
        raise InputError(
            f"is zero or negative at {nonpositive.size} of {pixel_count} pixels, but {kind_words} "
            f"must be positive; if {lowest:g} means that there is no depth, store NaN instead",
            hint=Text("or set ", OptionName("encoding", f"invalid={lowest:g}")),
        )
    raise InputError(
        f"is zero or negative at {nonpositive.size} of {pixel_count} pixels, but {kind_words} must "
        "be positive; check that the kind is right"
    )


def _kind_in_words(encoding: ValueEncoding) -> str:
    """Words for the kind of depth that a file holds, for messages."""
    if encoding.is_disparity:
        return f"a disparity without a shift ({WHICH_INVERSE})"
    return f"depth of kind '{encoding.kind}'"


def points_from_numbers(numbers: Numbers, kind: DepthKind) -> PointMap:
    """Convert an array (height, width, 3) to points; NaN and infinity are invalid."""
    points, valid = _read_vectors(numbers, "points", prefer_channels_last=True)
    return PointMap(values=points, kind=kind, valid=valid)


def normals_from_numbers(numbers: Numbers) -> Vectors:
    """Convert an array (3, height, width) to normals, whose lengths are not changed."""
    return _read_vectors(numbers, "normals", prefer_channels_last=False)[0]


def _read_vectors(
    numbers: Numbers, name: str, *, prefer_channels_last: bool
) -> tuple[Vectors, Mask]:
    """Convert an array to vectors (3, height, width), with the mask of those that are finite.

    Both axis orders are accepted. If both outer axes have length 3, ``prefer_channels_last``
    decides which one has the coordinates. ``name`` is "points" or "normals", for messages.
    """
    if numbers.ndim != 3 or 3 not in (numbers.shape[0], numbers.shape[2]):
        expected_shape = "(height, width, 3)" if prefer_channels_last else "(3, height, width)"
        raise InputError(f"has the shape {numbers.shape}, expected {name} {expected_shape}")
    if numbers.dtype.kind != "f":
        axes = "x right, y down and z forward"
        if name == "normals":
            axes += ", which point towards the camera"
        raise InputError(f"contains {numbers.dtype}, expected floating-point {name} with {axes}")
    is_channels_last = numbers.shape[2] == 3 and (prefer_channels_last or numbers.shape[0] != 3)
    if is_channels_last:
        numbers = np.moveaxis(numbers, 2, 0)
    vectors = np.ascontiguousarray(numbers, dtype=np.float32)
    valid = np.asarray(np.isfinite(vectors).all(axis=0))
    if not valid.any():
        raise InputError(f"is NaN or infinite at all {valid.size} pixels")
    return vectors, valid
