"""Confidences that other programs write beside their depth."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.metrics.metric import Numbers


class Meaning(StrEnum):
    """Meaning of a larger number."""

    PROBABILITY = "probability"
    """Probability that depth is right within a factor of 1.25."""
    HIGHER = "higher"
    """Surer."""
    LOWER = "lower"
    """Less sure: the number is an uncertainty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignConfidence:
    """Where a program stores its confidences, and what they mean.

    Attributes:
        array: Name of the array in the npz file of the depth.
        pattern: Name of a separate file, with ``{id}``; None if they are in the file of the depth.
        source: Where the program's authors say so.
    """

    meaning: Meaning
    array: str = "confidence"
    pattern: str | None = None
    source: str = ""


def confidence_from_numbers(numbers: Numbers, meaning: Meaning, path: Path) -> Field:
    """Confidence in [0, 1] from the numbers of a file; 0 where they are NaN or infinite.

    Probabilities stay as they are. Other numbers are stretched to 0 to 1 in each image, which
    keeps their order, and sparsification needs no more.

    Raises:
        InputError: If there is not one finite number a pixel, or probabilities leave 0 to 1.
    """
    if numbers.ndim != 2:
        raise InputError(f"{path}: has shape {numbers.shape}, expected one confidence a pixel")
    values = numbers.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise InputError(f"{path}: its confidence is NaN or infinite at all pixels")

    lowest, highest = float(values[finite].min()), float(values[finite].max())
    if meaning is Meaning.PROBABILITY:
        if lowest < 0 or highest > 1:
            raise InputError(
                f"confidences reach from {lowest:g} to {highest:g}, but probabilities lie in "
                "0 to 1",
                path=path,
                hint=Text("say ", OptionName("sure"), " higher or lower if they are none"),
            )
        confidence = values
    elif lowest == highest:
        confidence = np.full(values.shape, 0.5)
    elif meaning is Meaning.HIGHER:
        confidence = (values - lowest) / (highest - lowest)
    else:
        confidence = (highest - values) / (highest - lowest)
    return np.where(finite, confidence, 0).astype(np.float32)
