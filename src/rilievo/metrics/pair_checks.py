"""Checks of pairs of prediction and truth."""

import numpy as np
from jaxtyping import Bool, Float, Float64

from rilievo.errors import InputError, NoGroundTruthError


def check_maps(
    predicted: Float[np.ndarray, "..."],
    true: Float[np.ndarray, "..."],
    valid: Bool[np.ndarray, "h w"],
) -> None:
    """Refuse maps that do not lie on each other, and a mask that lets nothing through."""
    if predicted.shape != true.shape or true.shape[-2:] != valid.shape:
        raise InputError(
            f"prediction {predicted.shape}, truth {true.shape} and mask {valid.shape} differ"
        )
    if valid.dtype != bool:
        # Of whole numbers, numpy would make indices.
        raise InputError(f"the mask is {valid.dtype}, expected bool: convert it with mask > 0")
    if not valid.any():
        raise NoGroundTruthError("no valid pixel: this image has no ground truth that counts")


def confidence_at(
    confidence: Float[np.ndarray, "h w"] | None, valid: Bool[np.ndarray, "h w"]
) -> Float64[np.ndarray, "n"]:
    """Confidence at the pixels that count, once it is found to be one."""
    if confidence is None:
        raise InputError("the prediction has no confidence, which this benchmark judges")
    if confidence.shape != valid.shape:
        raise InputError(f"confidence {confidence.shape} and mask {valid.shape} differ")
    found = confidence[valid].astype(np.float64)
    if not (found.min() >= 0 and found.max() <= 1):
        bad = int((~((found >= 0) & (found <= 1))).sum())
        raise InputError(
            f"confidence is outside 0 to 1, or NaN, at {bad} of {found.size} valid pixels"
        )
    return found


def squared_lengths(name: str, normals: Float64[np.ndarray, "3 n"]) -> Float64[np.ndarray, "n"]:
    """Squared lengths, once each normal is found to have a direction."""
    squares = np.einsum("cn,cn->n", normals, normals)
    if not (squares.min() > 0 and squares.max() < np.inf):
        bad = int((~((squares > 0) & (squares < np.inf))).sum())
        raise InputError(
            f"{name} normals have length zero, NaN or infinity at {bad} of {squares.size} valid "
            "pixels: take them out of the mask"
        )
    return squares
