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
from rilievo.schema.typed_values import metres_of_unit

# A number of 32 bits has seven digits, and a user writes 655.35 for what is nearest to it.
_SAME_FLOAT = 1e-6
_MOST_BITS = 64
_MOST_CHANNELS = 4
_LETTERS = "rgba"
# Mean step of neighbours, in standard deviations: above in noise, below on surfaces.
_NOISE, _SURFACE = 0.1, 0.2
_TIMES_ROUGHER = 5.0
# Least and largest number of depth that floating-point numbers hold.
_LEAST_FLOAT, _MOST_FLOAT = 1e-4, 1e5
# Weights of channels that programs write, the most frequent first.
_KNOWN_WEIGHTS = (
    (1, 256, 65536),
    (65536, 256, 1),
    (1, 256, 0),
    (256, 1, 0),
    (0, 1, 256),
    (0, 256, 1),
    (1, 0, 256),
    (256, 0, 1),
    (1, 255, 65025),
    (65025, 255, 1),
)
KEYS = ("scale", "offset", "invalid", "bits", "channels", "min_depth", "max_depth", "array")


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
            if not is_pair or not (0 <= self.bits[0] < _MOST_BITS and self.bits[1] > 0):
                raise OptionError(
                    option=option,
                    problem="has 'bits' that are not the first bit and the number of bits",
                    hint="13 bits above 3 others are 3,13, and the lower 13 bits are 0,13",
                )
        weights = self.channels
        if weights is not None and (not any(weights) or len(weights) > _MOST_CHANNELS):
            raise OptionError(
                option=option,
                problem="has 'channels' that are not the weights of 1 to 4 channels",
                hint="R + 256 G + 65536 B is 1,256,65536, and red alone is 1,0,0",
            )

    def unpack(self, numbers: np.ndarray, shown: object) -> Shaped[np.ndarray, "h w"]:
        """One number a pixel, of the channels and bits that hold depth.

        Raises:
            InputError: If there are no such channels or bits.
        """
        if self.channels is not None:
            numbers = _combine_channels(numbers, self.channels, shown)
        elif numbers.ndim != 2:
            raise InputError(_words_of_channels(numbers), path=shown)
        if self.bits is not None:
            numbers = _take_bits(numbers, self.bits, shown)
        return numbers

    def has_whole_mark(
        self, numbers: np.ndarray, shown: object, stated: Sequence[float] = ()
    ) -> Mask | None:
        """Pixels whose whole number is an invalid one, beside declared bits.

        Args:
            numbers: Numbers of the file, with their channels.
            shown: Name of the file.
            stated: Invalid numbers that the file states. Of those that the user declares, the ones
                that are too large for the bits are whole numbers.

        Returns:
            None if there is no such number.
        """
        if self.bits is None:
            return None
        large = (mark for mark in self.invalid or () if mark >= 2 ** self.bits[1])
        marks = (*stated, *large)
        if not marks:
            return None
        return equals_any(replace(self, bits=None).unpack(numbers, shown), marks)


def parse_optional_encoding(
    encoding: str | None, unit: float | None, *, encoding_option: str, unit_option: str
) -> NumberEncoding:
    """Parse an encoding that a user may have declared beside the unit.

    Args:
        encoding: Pairs of ``key=value``; None if none is declared.
        unit: Metres of one number, where they are given apart.
        encoding_option: Option of the encoding, for refusals.
        unit_option: Option of the unit.

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

    Examples:
        >>> parse_encoding("bits=3,13 scale=0.001", "encoding").bits
        (3, 13)
    """
    values: dict[str, tuple[float, ...]] = {}
    array = None
    for part in text.replace(";", " ").split():
        name, sign, value = part.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not sign or name not in KEYS:
            raise OptionError(
                option=option,
                problem=f"has no '{part[:40]}'; {suggest(name, KEYS)}",
                hint='it is pairs such as "scale=0.001 invalid=0,65535 bits=3,13"',
            )
        if name == "array":
            array = value
            continue
        values[name] = _parse_values(name, value, option)
    encoding = NumberEncoding(
        scale=_single("scale", values, option),
        offset=_single("offset", values, option) or 0.0,
        invalid=values.get("invalid"),
        bits=_whole_or_none(values.get("bits"), option),
        channels=values.get("channels"),
        min_depth=_single("min_depth", values, option) or 0.0,
        max_depth=_single("max_depth", values, option),
        array=array,
    )
    encoding.check(option)
    return encoding


def _parse_values(name: str, text: str, option: str) -> tuple[float, ...]:
    if name == "channels" and text and set(text.lower()) <= set(_LETTERS) and len(text) == 1:
        return single_channel_weights(text)
    if name == "invalid" and text == "[]":
        return ()
    read = metres_of_unit if name == "scale" else float
    try:
        values = tuple(read(part) for part in text.strip("[]()").split(","))
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


def single_channel_weights(letter: str) -> tuple[float, ...]:
    """Weights of one channel alone: r, g, b or a."""
    place = _LETTERS.index(letter.lower())
    return tuple(float(place == other) for other in range(max(3, place + 1)))


def _single(name: str, values: dict[str, tuple[float, ...]], option: str) -> float | None:
    if name not in values:
        return None
    if len(values[name]) != 1:
        raise OptionError(option=option, problem=f"has several numbers for '{name}', expected one")
    return values[name][0]


def _whole_or_none(values: tuple[float, ...] | None, option: str) -> tuple[int, ...] | None:
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


def equals_any(stored: Shaped[np.ndarray, "..."], values: Sequence[float]) -> Mask:
    """Whether numbers are one of some values; floating-point numbers to six digits."""
    if stored.dtype.kind in "ui":
        return np.isin(stored, values)
    mask = np.zeros(stored.shape, bool)
    for value in values:
        with np.errstate(invalid="ignore", over="ignore"):
            near = np.abs(stored.astype(np.float64) - value) <= _SAME_FLOAT * abs(value)
        mask |= near | (stored == value)
    return mask


def _combine_channels(
    numbers: np.ndarray, weights: tuple[float, ...], shown: object
) -> Shaped[np.ndarray, "h w"]:
    if numbers.ndim == 2:
        raise InputError(
            "has one number a pixel, so 'channels' has nothing to combine; leave it out", path=shown
        )
    planes = _channels_last(numbers)
    count = planes.shape[-1]
    if any(weights[count:]):
        raise InputError(
            f"has {count} channels, but 'channels' weighs {len(weights)} of them", path=shown
        )
    used = [(weight, planes[..., at]) for at, weight in enumerate(weights[:count]) if weight]
    if len(used) == 1 and used[0][0] == 1:
        return np.ascontiguousarray(used[0][1])
    combined = sum(weight * plane.astype(np.float64) for weight, plane in used)
    assert isinstance(combined, np.ndarray), "some weight is not zero"
    is_whole = planes.dtype.kind in "ui" and all(float(w).is_integer() and w > 0 for w, _ in used)
    if is_whole and combined.max() < 2**32:
        return combined.astype(np.uint32)
    return combined


def _channels_last(numbers: np.ndarray) -> np.ndarray:
    few = range(2, _MOST_CHANNELS + 1)
    is_first = numbers.shape[0] in few and numbers.shape[-1] not in few
    return np.moveaxis(numbers, 0, -1) if is_first else numbers


def _take_bits(
    stored: Shaped[np.ndarray, "h w"], bits: tuple[int, ...], shown: object
) -> Shaped[np.ndarray, "h w"]:
    whole = stored
    if stored.dtype.kind not in "ui":
        known = np.isfinite(stored)
        if not np.array_equal(stored[known], np.rint(stored[known])):
            raise InputError("holds numbers with fractions, which have no 'bits'", path=shown)
        largest = np.abs(stored[known]).max(initial=0)
        size = np.uint16 if largest < 2**16 else np.uint32
        whole = np.where(known, stored, 0).astype(size)
    first, count = bits
    width = 8 * whole.dtype.itemsize
    if first >= width or count > width:
        raise InputError(
            f"has numbers of {width} bits, but 'bits' names {count} from bit {first}", path=shown
        )
    unsigned = whole.view(whole.dtype.str.replace("i", "u")).astype(np.uint64)
    taken = unsigned >> np.uint64(first)
    if first + count > width:
        taken |= unsigned << np.uint64(width - first)
    mask = np.uint64((1 << count) - 1)
    return (taken & mask).astype(np.uint16 if count <= 16 else np.uint32)


def _words_of_channels(numbers: np.ndarray) -> str:
    """Say what channels look like, and which key says so."""
    shape = f"has shape {numbers.shape}, expected one number a pixel, (height, width)"
    planes = _channels_last(numbers)
    if planes.ndim != 3 or planes.shape[-1] > _MOST_CHANNELS:
        return shape
    first = planes[..., 0]
    colours = planes[..., :3]
    if all(np.array_equal(first, colours[..., at]) for at in range(1, colours.shape[-1])):
        return f"{shape}; its channels are equal: say 'channels: [1, 0, 0]', which is the first"
    if not any(colours[..., at].any() for at in range(1, colours.shape[-1])):
        return f"{shape}; only the first has numbers: say 'channels: [1, 0, 0]'"
    if _are_floats_in_bytes(planes):
        return (
            f"{shape}; its channels look like the four bytes of floating-point numbers: write "
            "these as npy or EXR (numpy: array.view('<f4')[..., 0])"
        )
    weights = smoothest_weights(planes)
    if weights is not None:
        listed = ", ".join(str(weight) for weight in weights)
        words = " + ".join(
            f"{weight} {letter.upper()}" if weight > 1 else letter.upper()
            for weight, letter in sorted(zip(weights, _LETTERS, strict=False))
            if weight
        )
        return (
            f"{shape}; its channels look like one number, {words}: say 'channels: [{listed}]' and "
            "its 'scale' [m]"
        )
    if planes.shape[-1] == 2:
        return (
            f"{shape}; if the second is alpha or a confidence, say 'channels: [1, 0]', and if both "
            "are one number, say their weights, such as 'channels: [1, 256]'"
        )
    return (
        f"{shape}; if its channels are one number, say their weights, such as 'channels: [1, 256, "
        "65536]' for R + 256 G + 65536 B; a picture in false colours holds no depth"
    )


def _are_floats_in_bytes(planes: np.ndarray) -> bool:
    """Whether four channels of 8 bits are the bytes of floating-point numbers with surfaces."""
    if planes.dtype != np.uint8 or planes.shape[-1] != 4:
        return False
    for order in ("<f4", ">f4"):
        numbers = np.ascontiguousarray(planes).view(order)[..., 0]
        known = numbers[np.isfinite(numbers) & (numbers > 0)]
        if (
            known.size < 0.5 * numbers.size
            or not _LEAST_FLOAT < np.median(known) < 1 / _LEAST_FLOAT
        ):
            continue
        if known.max() < 1 / _LEAST_FLOAT and roughness(numbers) < _SURFACE:
            return True
    return False


def smoothest_weights(planes: np.ndarray) -> tuple[int, ...] | None:
    """Weights that make surfaces of the channels of 8 bits; None if none does."""
    if planes.dtype != np.uint8:
        return None
    steps: dict[tuple[int, ...], float] = {}
    for known in _KNOWN_WEIGHTS:
        weights = known[: planes.shape[-1]]
        if sum(map(bool, weights)) < 2 or weights in steps:
            continue
        parts = [planes[..., at].astype(np.float64) * weight for at, weight in enumerate(weights)]
        if not all(part.any() for part, weight in zip(parts, weights, strict=True) if weight):
            continue
        steps[weights] = roughness(np.sum(parts, axis=0))
    if not steps:
        return None
    best = min(steps, key=lambda weights: steps[weights])
    # Channels of a colour picture are smooth in any order.
    is_one_number = steps[best] < _SURFACE and max(steps.values()) > 2 * steps[best]
    single = [roughness(planes[..., at].astype(np.float64)) for at in range(planes.shape[-1])]
    return best if is_one_number and max(single[: len(best)]) > 2 * steps[best] else None


def roughness(stored: Shaped[np.ndarray, "h w"]) -> float:
    """Mean step between neighbours in standard deviations: about 0.05 on surfaces, 1 in noise."""
    values = stored.astype(np.float64)
    known = np.isfinite(values) & (values > 0)
    pairs = known[:, 1:] & known[:, :-1]
    if np.count_nonzero(pairs) < 100:
        return math.nan
    spread = float(values[known].std())
    steps = np.abs(np.diff(values, axis=1))[pairs]
    return float(steps.mean()) / spread if spread else 0.0


def is_much_smoother(stored: np.ndarray, other: np.ndarray) -> bool:
    """Whether the second of two readings shows surfaces, and the first shows noise beside it."""
    first, second = roughness(stored), roughness(other)
    return first > _NOISE and second < _SURFACE and first > _TIMES_ROUGHER * second
