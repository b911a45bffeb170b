"""How raw values are converted to depth: channels, bits, scale, offset and invalid values.

The keys are those of ``depth:`` in ``rilievo.yaml``. On the command line, they are one option, such
as ``--encoding "bits=3,13 scale=0.001 invalid=0,65535"``.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Mask, Shaped, StoredMap
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import OptionName, Text, TextPart, count_text
from rilievo.io.depth.channels import (
    CHANNEL_LETTERS,
    MAX_CHANNELS,
    channels_problem,
    combine_channels,
)
from rilievo.schema.typed_values import UNITS, parse_unit

KEYS = ("scale", "offset", "invalid", "bits", "channels", "min_depth", "max_depth", "array")
KEY_SYNONYMS = {
    "unit": "scale",
    "units": "scale",
    "factor": "scale",
    "nodata": "invalid",
    "no_data": "invalid",
}
"""Names that users try, which do not look like the key that they mean. Errors suggest that key."""
_YAML_KEY = rf"'(?:{'|'.join(KEYS)})(?:: [^']*)?'"
_ADVISED_KEYS = re.compile(
    rf"(?:(?<=set )|(?<=such as )){_YAML_KEY}(?: and {_YAML_KEY})*(?: in rilievo\.yaml)?"
)
"""Keys that a message advises the user to set, such as "'scale: 0.001' and 'offset: 2'"."""
_MAX_BITS = 64
_MAX_FLOAT_DIFFERENCE = 1e-6
"""Relative; a float of 32 bits has seven digits, and a user writes 655.35 for what is nearest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberEncoding:
    """How a user declares that raw values are converted to depth.

    Attributes:
        scale: Factor to metres.
        offset: Added after scaling [m].
        invalid: Values that mean "no depth". They are compared with the extracted ``bits``, or with
            the whole raw value if they are too large for those. Zero means "no depth", too, unless
            the tuple is empty. None declares nothing.
        bits: (first bit, bit count) of the depth in a raw value; bit 0 is the lowest. Bits that
            pass the highest continue at the lowest, as SUN RGB-D's (3, 16).
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
            raise OptionError(
                option=option, problem=f"has the offset {self.offset:g}; expected a finite number"
            )
        if self.bits is not None:
            _check_bits(self.bits, option)
        if self.channels is not None:
            _check_channel_weights(self.channels, option)

    def unpack(self, pixels: np.ndarray, display_name: object) -> StoredMap:
        """Combine the channels and extract the bits that hold depth, to one value per pixel.

        ``pixels`` are all values of the file, which messages call ``display_name``.

        Raises:
            InputError: If there are no such channels or bits.
        """
        if self.channels is not None:
            pixels = combine_channels(pixels, self.channels, display_name)
        elif pixels.ndim != 2:
            raise InputError(channels_problem(pixels), path=display_name)
        if self.bits is not None:
            pixels = _extract_bits(pixels, self.bits, display_name)
        return pixels

    def find_invalid_pixels(
        self, pixels: np.ndarray, display_name: object, stated: Sequence[float] = ()
    ) -> Mask | None:
        """Find pixels whose whole raw value is invalid, if only some of its bits hold depth.

        Such values are those that the file states (``stated``), and those of the user that are too
        large for the bits.

        Returns:
            The invalid pixels, or None if no bits or no such values are declared.
        """
        if self.bits is None:
            return None
        _, bit_count = self.bits
        too_large = [value for value in self.invalid or () if value >= 2**bit_count]
        invalid_values = (*stated, *too_large)
        if not invalid_values:
            return None
        whole_values = replace(self, bits=None).unpack(pixels, display_name)
        return equals_any(whole_values, invalid_values)

    def is_within_limits(self, depth: AnyPlane) -> Mask:
        """Whether depth [m] lies between ``min_depth`` and ``max_depth``; False where it is NaN.

        Affine depth may be negative, so a ``min_depth`` of 0 is no limit.
        """
        lowest = self.min_depth if self.min_depth > 0 else -np.inf
        highest = np.inf if self.max_depth is None else self.max_depth
        with np.errstate(invalid="ignore"):
            return (depth >= lowest) & (depth <= highest)


def parse_optional_encoding(
    encoding: str | None, unit: float | None, *, encoding_option: str, unit_option: str
) -> NumberEncoding:
    """Parse the encoding option, which may stand beside a unit option.

    ``unit`` are the metres per raw value that the unit option gives, if any. The names of both
    options are used in messages.

    Raises:
        OptionError: If the encoding is malformed, or both options give the scale.
    """
    if encoding is None:
        return NumberEncoding()
    declared = parse_encoding(encoding, encoding_option)
    if declared.scale is not None and unit is not None:
        raise OptionError(
            option=unit_option,
            problem=Text("and the scale in ", OptionName(encoding_option), " both set the unit"),
            hint="give only one of them",
        )
    return declared


def parse_encoding(text: str, option: str) -> NumberEncoding:
    """Parse ``key=value`` pairs that blanks or semicolons separate; lists are separated by commas.

    Pairs may also be written as in YAML, such as ``invalid: [0, 65535]``.

    Raises:
        OptionError: If a key or a value is impossible.

    Examples:
        >>> parse_encoding("bits=3,13 scale=0.001", "encoding").bits
        (3, 13)
    """
    numbers_by_key: dict[str, tuple[float, ...]] = {}
    array = None
    without_blanks_in_pairs = re.sub(r"\s*([:=,])\s*", r"\1", text.replace(";", " "))
    for pair in without_blanks_in_pairs.split():
        key, value = _split_pair(pair, option)
        if key == "array":
            array = value
        else:
            numbers_by_key[key] = _parse_values(key, value, option)
    encoding = NumberEncoding(
        scale=_single_value("scale", numbers_by_key, option),
        offset=_single_value("offset", numbers_by_key, option) or 0.0,
        invalid=numbers_by_key.get("invalid"),
        bits=_parse_integers(numbers_by_key.get("bits"), option),
        channels=numbers_by_key.get("channels"),
        min_depth=_single_value("min_depth", numbers_by_key, option) or 0.0,
        max_depth=_single_value("max_depth", numbers_by_key, option),
        array=array,
    )
    encoding.check(option)
    return encoding


def _split_pair(pair: str, option: str) -> tuple[str, str]:
    """Split ``key=value`` into a known key and the text of its value.

    Warnings show keys as in YAML, such as "invalid: [0, 65535]", and users paste them, so a colon
    may stand in place of the equals sign.
    """
    separator = "=" if "=" in pair else ":"
    name, found_separator, value = pair.partition(separator)
    key = name.lower().replace("-", "_")
    if not found_separator:
        raise OptionError(
            option=option,
            problem=f"has '{pair[:40]}', which is not a pair of a key and its value",
            hint='write pairs with spaces between them, as in "scale=0.001 invalid=0,65535"',
        )
    if key not in KEYS:
        raise OptionError(
            option=option, problem=f"does not accept '{key[:40]}'", hint=_suggest_key(key)
        )
    return key, value


def name_encoding_options(message: TextPart, *, encoding_option: str, unit_option: str) -> Text:
    """Reword advice to set keys of ``rilievo.yaml`` as advice to pass options.

    Messages about numbers serve datasets, whose keys stand in this file, and single depth maps,
    for which the user passes options.

    Examples:
        >>> from rilievo.errors.messages import spell_flag
        >>> advice = name_encoding_options(
        ...     "set 'invalid: [0, 255]'", encoding_option="encoding", unit_option="unit"
        ... )
        >>> advice.worded(spell_flag)
        'set --encoding invalid=0,255'

    Args:
        message: Warning or error.
        encoding_option: Option that takes pairs of a key and its value.
        unit_option: Option that takes the metres per raw value, in place of the key ``scale``.
    """
    reworded: list[TextPart] = []
    for part in Text(message).parts:
        if isinstance(part, str):
            reworded += _reword_advised_keys(part, encoding_option, unit_option)
        else:
            reworded.append(part)
    return Text(*reworded)


def _reword_advised_keys(
    message: str, encoding_option: str, unit_option: str
) -> Iterator[str | OptionName]:
    """Yield the pieces of a message, with an option in place of each advice to set keys."""
    end_of_last_advice = 0
    for advice in _ADVISED_KEYS.finditer(message):
        yield message[end_of_last_advice : advice.start()]
        yield _option_for_keys(advice[0], encoding_option, unit_option)
        end_of_last_advice = advice.end()
    yield message[end_of_last_advice:]


def _option_for_keys(keys: str, encoding_option: str, unit_option: str) -> OptionName:
    """Return the option that sets the quoted keys of a message; "..." is a value it leaves open."""
    values: dict[str, str] = {}
    for declaration in re.findall("'([^']*)'", keys):
        key, _, value = declaration.partition(": ")
        is_list = value.startswith("[") and value != "[]"
        values[key] = value.strip("[]").replace(", ", ",") if is_list else value or "..."
    if [*values] == ["scale"]:
        return OptionName(unit_option, values["scale"])
    return OptionName(encoding_option, " ".join(f"{key}={value}" for key, value in values.items()))


@contextmanager
def naming_encoding_options(*, encoding_option: str, unit_option: str) -> Iterator[None]:
    """Reword the errors of reading a file with ``name_encoding_options``."""
    try:
        yield
    except InputError as error:
        problem = name_encoding_options(
            error.text(path=""), encoding_option=encoding_option, unit_option=unit_option
        )
        raise type(error)(path=error.path, problem=problem) from error


def parse_channel_letter(text: str) -> tuple[float, ...] | None:
    """Return the weights that select one channel alone: r, g, b or a; None for other texts."""
    if len(text) != 1 or text.lower() not in CHANNEL_LETTERS:
        return None
    channel = CHANNEL_LETTERS.index(text.lower())
    weights = [0.0] * max(3, channel + 1)
    weights[channel] = 1.0
    return tuple(weights)


def _suggest_key(name: str) -> str:
    if name in KEY_SYNONYMS:
        return f"did you mean '{KEY_SYNONYMS[name]}'?"
    return suggest(name, KEYS)


def equals_any(raw_values: Shaped[np.ndarray, "..."], values: Sequence[float]) -> Mask:
    """Whether each raw value equals one of some values; floats are compared to six digits."""
    if raw_values.dtype.kind in "ui":
        return np.isin(raw_values, values)
    mask = np.zeros(raw_values.shape, bool)
    for value in values:
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(raw_values.astype(np.float64) - value)
            mask |= (difference <= _MAX_FLOAT_DIFFERENCE * abs(value)) | (raw_values == value)
    return mask


def _parse_values(name: str, text: str, option: str) -> tuple[float, ...]:
    """Parse the value of a key: comma-separated numbers, or the letter of a channel."""
    if name == "channels":
        weights = parse_channel_letter(text)
        if weights is not None:
            return weights
    if name == "invalid" and text == "[]":
        return ()
    parse_number = parse_unit if name == "scale" else float
    try:
        numbers = tuple(parse_number(part) for part in text.strip("[]()").split(","))
    except ValueError as error:
        raise _no_number_error(name, text, option) from error
    if any(math.isnan(number) for number in numbers):
        is_invalid = name == "invalid"
        remedy = "NaN is always invalid, so leave it out" if is_invalid else "expected a number"
        raise OptionError(option=option, problem=f"has '{name}={text[:40]}'; {remedy}")
    return numbers


def _no_number_error(name: str, text: str, option: str) -> OptionError:
    """Return the error for a key whose value is no number, and no unit in the case of a scale."""
    expected = "numbers"
    if name == "scale":
        expected = f"a number, a fraction such as 1/256, or a unit ({UNITS})"
    hint = ""
    may_be_array_name = name == "channels" and re.search("[A-Za-z]", text) is not None
    if may_be_array_name:
        hint = (
            "to choose an array in an npz file or a channel in an EXR file, write "
            f"'array={text[:40]}'"
        )
    return OptionError(
        option=option, problem=f"has '{name}={text[:40]}'; expected {expected}", hint=hint
    )


def _single_value(name: str, values: dict[str, tuple[float, ...]], option: str) -> float | None:
    """Return the only number of a key; None if the key is missing."""
    if name not in values:
        return None
    if len(values[name]) != 1:
        raise OptionError(option=option, problem=f"has several numbers for '{name}'; expected one")
    return values[name][0]


def _parse_integers(values: tuple[float, ...] | None, option: str) -> tuple[int, ...] | None:
    """Convert the numbers of 'bits' to integers, or raise ``OptionError``; None stays None."""
    if values is None:
        return None
    if any(not value.is_integer() for value in values):
        raise OptionError(
            option=option,
            problem="has 'bits' that are not integers",
            hint="write the first bit and the number of bits, such as bits=3,13",
        )
    return tuple(int(value) for value in values)


def _check_positive(name: str, value: float | None, option: str) -> None:
    if value is not None and not 0 < value < math.inf:
        raise OptionError(
            option=option, problem=f"has '{name}={value:g}'; expected a positive number"
        )


def _check_bits(bits: tuple[int, ...], option: str) -> None:
    """Check that bits are a first bit and a bit count."""
    is_valid = len(bits) == 2 and 0 <= bits[0] < _MAX_BITS and bits[1] > 0
    if not is_valid:
        raise OptionError(
            option=option,
            problem="needs the first bit and the number of bits for 'bits'",
            hint="for example, 3,13 selects the 13 bits above the lowest 3, and 0,13 the lowest 13 "
            "bits",
        )


def _check_channel_weights(weights: tuple[float, ...], option: str) -> None:
    """Check that there are weights for at most four channels, of which one counts."""
    if not any(weights) or len(weights) > MAX_CHANNELS:
        raise OptionError(
            option=option,
            problem="needs 1 to 4 weights for 'channels', not all of them 0",
            hint="for example, 1,256,65536 stands for R + 256 G + 65536 B, and 1,0,0 for red alone",
        )


def _extract_bits(raw_values: StoredMap, bits: tuple[int, ...], display_name: object) -> StoredMap:
    """Extract a range of bits from each value; bits beyond the highest wrap around to the lowest.

    ``bits`` are (first bit, bit count). Floats have to be whole numbers.
    """
    integers = raw_values
    if raw_values.dtype.kind not in "ui":
        integers = _whole_floats_to_integers(raw_values, display_name)
    first_bit, bit_count = bits
    type_bits = 8 * integers.dtype.itemsize
    if first_bit >= type_bits or bit_count > type_bits:
        raise InputError(
            f"the array has {type_bits}-bit values, but 'bits' selects "
            f"{count_text(bit_count, 'bit')} beginning with bit {first_bit}",
            path=display_name,
        )
    # Signed integers are reinterpreted, so that shifts to the right fill with zeros.
    unsigned = integers.view(integers.dtype.str.replace("i", "u")).astype(np.uint64)
    shifted = unsigned >> np.uint64(first_bit)
    wraps_around = first_bit + bit_count > type_bits
    if wraps_around:
        # The lowest bits follow above the highest ones.
        shifted |= unsigned << np.uint64(type_bits - first_bit)
    lowest_bits = np.uint64((1 << bit_count) - 1)
    return (shifted & lowest_bits).astype(np.uint16 if bit_count <= 16 else np.uint32)


def _whole_floats_to_integers(raw_values: StoredMap, display_name: object) -> StoredMap:
    """Convert floats that are whole numbers to unsigned integers; NaN and infinity become 0."""
    is_finite = np.isfinite(raw_values)
    if not np.array_equal(raw_values[is_finite], np.rint(raw_values[is_finite])):
        raise InputError(
            "the array has values that are not integers, so 'bits' cannot be used; leave it out",
            path=display_name,
        )
    largest = np.abs(raw_values[is_finite]).max(initial=0)
    integer_type = np.uint16 if largest < 2**16 else np.uint32
    return np.where(is_finite, raw_values, 0).astype(integer_type)
