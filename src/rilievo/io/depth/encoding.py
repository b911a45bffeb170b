"""How stored numbers become values: channels, bits, scale, offset and invalid numbers.

The keys are those of ``depth:`` in ``rilievo.yaml``. Where a file is given on the command line they
are one option, such as ``--encoding "bits=3,13 scale=0.001 invalid=0,65535"``.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Mask, Shaped
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import OptionName, Text
from rilievo.io.depth.channels import (
    CHANNEL_LETTERS,
    MAX_CHANNELS,
    channels_problem,
    combine_channels,
    single_channel_weights,
)
from rilievo.schema.typed_values import metres_of_unit

KEYS = ("scale", "offset", "invalid", "bits", "channels", "min_depth", "max_depth", "array")
_MAX_BITS = 64
_MAX_FLOAT_DIFFERENCE = 1e-6
"""Relative; a float of 32 bits has seven digits, and a user writes 655.35 for what is nearest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberEncoding:
    """What a user declares about the numbers of a depth file.

    Attributes:
        scale: Factor to metres.
        offset: Added after scaling [m].
        invalid: Numbers that mean "no depth", of the ``bits`` if these are declared. A number that
            is too large for the bits is one of the whole stored numbers. Zero means "no depth",
            too, unless the tuple is empty. None says nothing.
        bits: First bit and number of bits of depth in a stored number, from the lowest (0). Where
            they pass the highest bit they go on at the lowest, as SUN RGB-D's (3, 16).
        channels: Weight of each channel; (1, 256, 65536) is R + 256 G + 65536 B.
        min_depth: Least valid depth [m].
        max_depth: Largest valid depth [m].
        array: Array of npz, or channel of EXR.
    """

    scale: float | None = None
    offset: float = 0.0
    invalid: tuple[float, ...] | None = None
    bits: tuple[int, ...] | None = None
    channels: tuple[float, ...] | None = None
    min_depth: float = 0.0
    max_depth: float | None = None
    array: str | None = None

    def check(self, option: str) -> None:
        """Check the values.

        Raises:
            OptionError: If one is impossible.
        """
        _check_positive("scale", self.scale, option)
        _check_positive("max_depth", self.max_depth, option)
        if not math.isfinite(self.offset):
            raise OptionError(option=option, problem=f"has the offset {self.offset:g}")
        if self.bits is not None:
            is_pair = len(self.bits) == 2
            if not is_pair or not (0 <= self.bits[0] < _MAX_BITS and self.bits[1] > 0):
                raise OptionError(
                    option=option,
                    problem="has 'bits' that are not the first bit and the number of bits",
                    hint="13 bits above 3 others are 3,13, and the lower 13 bits are 0,13",
                )
        weights = self.channels
        if weights is not None and (not any(weights) or len(weights) > MAX_CHANNELS):
            raise OptionError(
                option=option,
                problem="has 'channels' that are not the weights of 1 to 4 channels",
                hint="R + 256 G + 65536 B is 1,256,65536, and red alone is 1,0,0",
            )

    def unpack(self, numbers: np.ndarray, shown: object) -> Shaped[np.ndarray, "h w"]:
        """Take the channels and bits that hold depth out of numbers, one number a pixel.

        Args:
            numbers: Numbers of the file, with their channels.
            shown: Name of the file in messages.

        Raises:
            InputError: If there are no such channels or bits.
        """
        if self.channels is not None:
            numbers = combine_channels(numbers, self.channels, shown)
        elif numbers.ndim != 2:
            raise InputError(channels_problem(numbers), path=shown)
        if self.bits is not None:
            numbers = _take_bits(numbers, self.bits, shown)
        return numbers

    def find_invalid_whole_numbers(
        self, numbers: np.ndarray, shown: object, stated: Sequence[float] = ()
    ) -> Mask | None:
        """Find pixels whose whole number is an invalid one, where bits are declared.

        Args:
            numbers: Numbers of the file, with their channels.
            shown: Name of the file in messages.
            stated: Invalid numbers that the file states. Of those that the user declares, the ones
                that are too large for the bits are whole numbers.

        Returns:
            None if there is no such number.
        """
        if self.bits is None:
            return None
        size = 2 ** self.bits[1]
        large = [number for number in self.invalid or () if number >= size]
        marks = (*stated, *large)
        if not marks:
            return None
        whole_numbers = replace(self, bits=None).unpack(numbers, shown)
        return equals_any(whole_numbers, marks)


def parse_optional_encoding(
    encoding: str | None, unit: float | None, *, encoding_option: str, unit_option: str
) -> NumberEncoding:
    """Parse an encoding that a user may have declared beside the unit.

    Args:
        encoding: Pairs of ``key=value``; None if none is declared.
        unit: Metres of one number, where they are given apart.
        encoding_option: Option of the encoding in messages.
        unit_option: Option of the unit in messages.

    Raises:
        OptionError: If it is broken, or both give the scale.
    """
    if encoding is None:
        return NumberEncoding()
    declared = parse_encoding(encoding, encoding_option)
    if declared.scale is not None and unit is not None:
        raise OptionError(
            option=unit_option,
            problem=Text("and the scale of ", OptionName(encoding_option), " say the same"),
            hint="give one of them",
        )
    return declared


def parse_encoding(text: str, option: str) -> NumberEncoding:
    """Parse ``key=value`` pairs, apart by blanks or semicolons; values of a list by commas.

    Raises:
        OptionError: If a key or a value is impossible.

    Examples:
        >>> parse_encoding("bits=3,13 scale=0.001", "encoding").bits
        (3, 13)
    """
    values: dict[str, tuple[float, ...]] = {}
    array = None
    for pair in text.replace(";", " ").split():
        name, sign, value = pair.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not sign or name not in KEYS:
            raise OptionError(
                option=option,
                problem=f"has no '{pair[:40]}'; {suggest(name, KEYS)}",
                hint='it is pairs such as "scale=0.001 invalid=0,65535 bits=3,13"',
            )
        if name == "array":
            array = value
        else:
            values[name] = _parse_values(name, value, option)
    encoding = NumberEncoding(
        scale=_single_value("scale", values, option),
        offset=_single_value("offset", values, option) or 0.0,
        invalid=values.get("invalid"),
        bits=_integers_or_none(values.get("bits"), option),
        channels=values.get("channels"),
        min_depth=_single_value("min_depth", values, option) or 0.0,
        max_depth=_single_value("max_depth", values, option),
        array=array,
    )
    encoding.check(option)
    return encoding


def equals_any(stored: Shaped[np.ndarray, "..."], values: Sequence[float]) -> Mask:
    """Whether numbers are one of some values; floats to six digits."""
    if stored.dtype.kind in "ui":
        return np.isin(stored, values)
    mask = np.zeros(stored.shape, bool)
    for value in values:
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(stored.astype(np.float64) - value)
            mask |= (difference <= _MAX_FLOAT_DIFFERENCE * abs(value)) | (stored == value)
    return mask


def _parse_values(name: str, text: str, option: str) -> tuple[float, ...]:
    """Parse the value of a key: numbers apart by commas, or the letter of a channel."""
    is_letter = len(text) == 1 and text.lower() in CHANNEL_LETTERS
    if name == "channels" and is_letter:
        return single_channel_weights(text)
    if name == "invalid" and text == "[]":
        return ()
    parse_number = metres_of_unit if name == "scale" else float
    try:
        values = tuple(parse_number(part) for part in text.strip("[]()").split(","))
    except ValueError as error:
        is_name = name == "channels" and re.search("[A-Za-z]", text) is not None
        raise OptionError(
            option=option,
            problem=f"has '{name}={text[:40]}', expected numbers",
            hint=f"an array of npz or a channel of EXR is 'array={text[:40]}'" if is_name else "",
        ) from error
    if any(math.isnan(value) for value in values):
        raise OptionError(option=option, problem=f"has '{name}={text[:40]}'; NaN is invalid anyway")
    return values


def _single_value(name: str, values: dict[str, tuple[float, ...]], option: str) -> float | None:
    """The only number of a key; None if the key is not there."""
    if name not in values:
        return None
    if len(values[name]) != 1:
        raise OptionError(option=option, problem=f"has several numbers for '{name}', expected one")
    return values[name][0]


def _integers_or_none(values: tuple[float, ...] | None, option: str) -> tuple[int, ...] | None:
    if values is None:
        return None
    if any(not value.is_integer() for value in values):
        raise OptionError(option=option, problem="has 'bits' that are not whole numbers")
    return tuple(int(value) for value in values)


def _check_positive(name: str, value: float | None, option: str) -> None:
    if value is not None and not 0 < value < math.inf:
        raise OptionError(
            option=option, problem=f"has {name} {value:g}", hint="it is a positive number"
        )


def _take_bits(
    stored: Shaped[np.ndarray, "h w"], bits: tuple[int, ...], shown: object
) -> Shaped[np.ndarray, "h w"]:
    """Take some bits out of numbers; they go on at the lowest where they pass the highest."""
    integers = stored
    if stored.dtype.kind not in "ui":
        integers = _integers_of_floats(stored, shown)
    first, count = bits
    width = 8 * integers.dtype.itemsize
    if first >= width or count > width:
        raise InputError(
            f"has numbers of {width} bits, but 'bits' names {count} from bit {first}", path=shown
        )
    unsigned = integers.view(integers.dtype.str.replace("i", "u")).astype(np.uint64)
    taken = unsigned >> np.uint64(first)
    if first + count > width:
        taken |= unsigned << np.uint64(width - first)
    mask = np.uint64((1 << count) - 1)
    return (taken & mask).astype(np.uint16 if count <= 16 else np.uint32)


def _integers_of_floats(
    stored: Shaped[np.ndarray, "h w"], shown: object
) -> Shaped[np.ndarray, "h w"]:
    is_finite = np.isfinite(stored)
    if not np.array_equal(stored[is_finite], np.rint(stored[is_finite])):
        raise InputError("holds numbers with fractions, which have no 'bits'", path=shown)
    largest = np.abs(stored[is_finite]).max(initial=0)
    integer_type = np.uint16 if largest < 2**16 else np.uint32
    return np.where(is_finite, stored, 0).astype(integer_type)
