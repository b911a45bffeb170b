"""Depth in several channels of a picture, which their weights combine to one number a pixel."""

from collections.abc import Sequence

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import InputError
from rilievo.io.depth.roughness import MAX_SURFACE_ROUGHNESS, roughness

MAX_CHANNELS = 4
CHANNEL_LETTERS = "rgba"
_MIN_FLOAT, _MAX_FLOAT = 1e-4, 1e4  # of depth that floats hold, in any common unit
_MIN_ROUGHNESS_RATIO = 2  # of other weights, and of single channels, to the right weights
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
"""Weights of channels that programs write, the most frequent first."""


def single_channel_weights(letter: str) -> tuple[float, ...]:
    """Weights of one channel alone: r, g, b or a."""
    channel = CHANNEL_LETTERS.index(letter.lower())
    weights = [0.0] * max(3, channel + 1)
    weights[channel] = 1.0
    return tuple(weights)


def combine_channels(
    numbers: np.ndarray, weights: Sequence[float], shown: object
) -> Shaped[np.ndarray, "h w"]:
    """Sum of the channels with their weights; integers as long as these hold it.

    Raises:
        InputError: If there are no channels, or fewer than weights; ``shown`` is the file's name.
    """
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

    used = [channel for channel, weight in enumerate(weights[:count]) if weight]
    if len(used) == 1 and weights[used[0]] == 1:
        return np.ascontiguousarray(planes[..., used[0]])
    weighted = [weights[channel] * planes[..., channel].astype(np.float64) for channel in used]
    combined = sum(weighted)
    assert isinstance(combined, np.ndarray), "some weight is not zero"

    has_whole_weights = all(float(weights[channel]).is_integer() for channel in used)
    is_positive = all(weights[channel] > 0 for channel in used)
    is_whole = planes.dtype.kind in "ui" and has_whole_weights and is_positive
    if is_whole and combined.max() < 2**32:
        return combined.astype(np.uint32)
    return combined


def channels_problem(numbers: np.ndarray) -> str:
    """Say that an array has channels, what they look like, and which key says so."""
    problem = f"has shape {numbers.shape}, expected one number a pixel, (height, width)"
    planes = _channels_last(numbers)
    if planes.ndim != 3 or planes.shape[-1] > MAX_CHANNELS:
        return problem
    first = planes[..., 0]
    other_colours = [planes[..., channel] for channel in range(1, min(3, planes.shape[-1]))]
    if all(np.array_equal(first, colour) for colour in other_colours):
        return f"{problem}; its channels are equal: say 'channels: [1, 0, 0]', which is the first"
    if not any(colour.any() for colour in other_colours):
        return f"{problem}; only the first has numbers: say 'channels: [1, 0, 0]'"
    if _are_floats_in_bytes(planes):
        return (
            f"{problem}; its channels look like the four bytes of floating-point numbers: write "
            "these as npy or EXR (numpy: array.view('<f4')[..., 0])"
        )

    weights = smoothest_weights(planes)
    if weights is not None:
        listed = ", ".join(str(weight) for weight in weights)
        return (
            f"{problem}; its channels look like one number, {_sum_words(weights)}: say "
            f"'channels: [{listed}]' and its 'scale' [m]"
        )
    if planes.shape[-1] == 2:
        return (
            f"{problem}; if the second is alpha or a confidence, say 'channels: [1, 0]', and if "
            "both are one number, say their weights, such as 'channels: [1, 256]'"
        )
    return (
        f"{problem}; if its channels are one number, say their weights, such as 'channels: [1, "
        "256, 65536]' for R + 256 G + 65536 B; a picture in false colours holds no depth"
    )


def smoothest_weights(planes: np.ndarray) -> tuple[int, ...] | None:
    """Weights that make surfaces of the channels of 8 bits; None if none does."""
    if planes.dtype != np.uint8:
        return None
    roughness_of_weights: dict[tuple[int, ...], float] = {}
    for known in _KNOWN_WEIGHTS:
        weights = known[: planes.shape[-1]]
        used = [channel for channel, weight in enumerate(weights) if weight]
        if len(used) < 2 or weights in roughness_of_weights:
            continue
        if all(planes[..., channel].any() for channel in used):
            parts = [
                planes[..., at].astype(np.float64) * weight for at, weight in enumerate(weights)
            ]
            roughness_of_weights[weights] = roughness(np.sum(parts, axis=0))
    if not roughness_of_weights:
        return None

    best = min(roughness_of_weights, key=lambda weights: roughness_of_weights[weights])
    least = roughness_of_weights[best]
    # Channels of a colour picture are smooth in any order, and each alone.
    orders_are_rough = max(roughness_of_weights.values()) > _MIN_ROUGHNESS_RATIO * least
    channels = [planes[..., at].astype(np.float64) for at in range(len(best))]
    channels_are_rough = max(map(roughness, channels)) > _MIN_ROUGHNESS_RATIO * least
    is_one_number = orders_are_rough and channels_are_rough
    return best if is_one_number and least < MAX_SURFACE_ROUGHNESS else None


def _channels_last(numbers: np.ndarray) -> np.ndarray:
    """Move the channels to the last axis if they are on the first."""
    counts = range(2, MAX_CHANNELS + 1)
    is_first = numbers.shape[0] in counts and numbers.shape[-1] not in counts
    return np.moveaxis(numbers, 0, -1) if is_first else numbers


def _are_floats_in_bytes(planes: np.ndarray) -> bool:
    """Whether four channels of 8 bits are the bytes of floats with surfaces."""
    if planes.dtype != np.uint8 or planes.shape[-1] != 4:
        return False
    for order in ("<f4", ">f4"):
        numbers = np.ascontiguousarray(planes).view(order)[..., 0]
        known = numbers[np.isfinite(numbers) & (numbers > 0)]
        if known.size < 0.5 * numbers.size or not _MIN_FLOAT < np.median(known) < _MAX_FLOAT:
            continue
        if known.max() < _MAX_FLOAT and roughness(numbers) < MAX_SURFACE_ROUGHNESS:
            return True
    return False


def _sum_words(weights: Sequence[int]) -> str:
    """Text such as "R + 256 G", the smallest weight first."""
    terms = [
        f"{weight} {letter.upper()}" if weight > 1 else letter.upper()
        for weight, letter in sorted(zip(weights, CHANNEL_LETTERS, strict=False))
        if weight
    ]
    return " + ".join(terms)
