"""Combine the channels of a picture to one depth value per pixel, as a weighted sum."""

from collections.abc import Sequence

import numpy as np

from rilievo.arrays.shapes import Float64, Shaped, StoredMap
from rilievo.errors import InputError
from rilievo.io.depth.roughness import MAX_SURFACE_ROUGHNESS, roughness

MAX_CHANNELS = 4
CHANNEL_LETTERS = "rgba"
_MIN_FLOAT, _MAX_FLOAT = 1e-4, 1e4  # plausible floats of depth, in any common unit
_MIN_ROUGHNESS_RATIO = 2  # of the worst weights and the worst channel, to the right weights
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


def combine_channels(
    pixels: np.ndarray, weights: Sequence[float], display_name: object
) -> StoredMap:
    """Return the weighted sum of the channels, as integers if they can hold it exactly.

    Raises:
        InputError: If there are fewer channels than weights. It names the file ``display_name``.
    """
    if pixels.ndim == 2:
        raise InputError(
            "the array has one value per pixel, so 'channels' has nothing to combine; leave it out",
            path=display_name,
        )
    planes = _channels_last(pixels)
    channel_count = planes.shape[-1]
    if any(weights[channel_count:]):
        raise InputError(
            f"'channels' has {len(weights)} weights, but the number of channels in the array is "
            f"{channel_count}; give at most one weight per channel",
            path=display_name,
        )

    used_channels = [channel for channel, weight in enumerate(weights[:channel_count]) if weight]
    assert used_channels, "NumberEncoding.check requires a weight that is not zero"
    if len(used_channels) == 1 and weights[used_channels[0]] == 1:
        return np.ascontiguousarray(planes[..., used_channels[0]])

    combined = np.zeros(planes.shape[:-1])
    for channel in used_channels:
        combined += weights[channel] * planes[..., channel].astype(np.float64)
    used_weights = [weights[channel] for channel in used_channels]
    are_counts = all(weight > 0 and float(weight).is_integer() for weight in used_weights)
    is_whole = planes.dtype.kind in "ui" and are_counts
    if is_whole and combined.max() < 2**32:
        return combined.astype(np.uint32)
    return combined


def channels_problem(pixels: np.ndarray) -> str:
    """Return the error for an array with channels: what they look like, and the key to add."""
    problem = (
        f"the array has the shape {pixels.shape}; expected one value per pixel, (height, width)"
    )
    planes = _channels_last(pixels)
    if planes.ndim != 3 or planes.shape[-1] > MAX_CHANNELS:
        return problem
    return f"{problem}; {_channels_advice(planes)}"


def _channels_advice(planes: Shaped[np.ndarray, "h w c"]) -> str:
    """Say what up to four channels look like, and how the user can combine them to depth."""
    red = planes[..., 0]
    green_and_blue = [planes[..., channel] for channel in range(1, min(3, planes.shape[-1]))]
    if all(np.array_equal(red, colour) for colour in green_and_blue):
        return "its channels are equal: set 'channels: [1, 0, 0]' to use the first one"
    if not any(colour.any() for colour in green_and_blue):
        return "all channels but the first are 0: set 'channels: [1, 0, 0]'"
    if _are_floats_in_bytes(planes):
        return (
            "its channels look like the four bytes of floating-point numbers: save these as npy or "
            "EXR (numpy: array.view('<f4')[..., 0])"
        )

    weights = smoothest_weights(planes)
    if weights is not None:
        listed = ", ".join(str(weight) for weight in weights)
        return (
            f"its channels look like one number, {_format_sum(weights)}: set 'channels: "
            f"[{listed}]', and 'scale' to the metres per step of this number"
        )
    if planes.shape[-1] == 2:
        return (
            "if the second channel is alpha or a confidence, set 'channels: [1, 0]'; if both "
            "channels make up one number, set their weights, such as 'channels: [1, 256]'"
        )
    return (
        "if its channels make up one number, set their weights, such as 'channels: [1, 256, "
        "65536]' for R + 256 G + 65536 B; a false-colour image cannot be converted to depth"
    )


def smoothest_weights(planes: np.ndarray) -> tuple[int, ...] | None:
    """Find the known weights that combine 8-bit channels to smooth surfaces.

    Return None if no weights do, or if the channels are those of a colour picture.
    """
    if planes.dtype != np.uint8:
        return None
    channels = [channel.astype(np.float64) for channel in np.moveaxis(planes, -1, 0)]
    roughness_by_weights = _roughness_by_known_weights(channels)
    if not roughness_by_weights:
        return None

    best = min(roughness_by_weights, key=lambda weights: roughness_by_weights[weights])
    least_roughness = roughness_by_weights[best]
    # Channels of a colour picture are smooth with any weights, and each alone. The bytes of one
    # number are smooth only with the right weights, and its lower bytes alone are noise.
    min_roughness = _MIN_ROUGHNESS_RATIO * least_roughness
    other_weights_are_rough = max(roughness_by_weights.values()) > min_roughness
    channels_are_rough = max(map(roughness, channels[: len(best)])) > min_roughness
    is_one_number = other_weights_are_rough and channels_are_rough
    return best if is_one_number and least_roughness < MAX_SURFACE_ROUGHNESS else None


def _roughness_by_known_weights(
    channels: Sequence[Float64[np.ndarray, "h w"]],
) -> dict[tuple[int, ...], float]:
    """Compute the roughness of the channels' sum for all known weights that can combine them.

    Weights are left out if fewer than two channels count, or if a channel that counts is empty.
    """
    roughness_by_weights: dict[tuple[int, ...], float] = {}
    for known_weights in _KNOWN_WEIGHTS:
        weights = known_weights[: len(channels)]
        used_channels = [channel for channel, weight in enumerate(weights) if weight]
        if len(used_channels) < 2 or weights in roughness_by_weights:
            continue
        if all(channels[channel].any() for channel in used_channels):
            weighted = [channels[channel] * weight for channel, weight in enumerate(weights)]
            roughness_by_weights[weights] = roughness(np.sum(weighted, axis=0))
    return roughness_by_weights


def _channels_last(pixels: np.ndarray) -> np.ndarray:
    """Move the channels to the last axis if they are on the first."""
    channel_counts = range(2, MAX_CHANNELS + 1)
    is_first = pixels.shape[0] in channel_counts and pixels.shape[-1] not in channel_counts
    return np.moveaxis(pixels, 0, -1) if is_first else pixels


def _are_floats_in_bytes(planes: np.ndarray) -> bool:
    """Whether four 8-bit channels are the bytes of 32-bit floats, in either byte order."""
    if planes.dtype != np.uint8 or planes.shape[-1] != 4:
        return False
    for order in ("<f4", ">f4"):
        floats = np.ascontiguousarray(planes).view(order)[..., 0]
        positive = floats[np.isfinite(floats) & (floats > 0)]
        if positive.size < 0.5 * floats.size or not _MIN_FLOAT < np.median(positive) < _MAX_FLOAT:
            continue
        if positive.max() < _MAX_FLOAT and roughness(floats) < MAX_SURFACE_ROUGHNESS:
            return True
    return False


def _format_sum(weights: Sequence[int]) -> str:
    """Format weights as a sum such as "R + 256 G", the smallest weight first."""
    terms = [
        f"{weight} {letter.upper()}" if weight > 1 else letter.upper()
        for weight, letter in sorted(zip(weights, CHANNEL_LETTERS, strict=False))
        if weight
    ]
    return " + ".join(terms)
