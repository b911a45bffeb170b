"""Confidences of other programs, in files beside their depth."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.metrics.metric import Numbers


class Meaning(StrEnum):
    """Meaning of a larger confidence."""

    PROBABILITY = "probability"
    """Chance that depth is right within a factor of 1.25."""
    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfidence:
    """Place and meaning of one program's confidences.

    Attributes:
        array: Name in the npz file of the depth.
        pattern: File of its own, with ``{id}``.
        source: Place where its authors say so.
    """

    meaning: Meaning
    array: str = "confidence"
    pattern: str | None = None
    source: str = ""


def confidence_from_numbers(numbers: Numbers, meaning: Meaning, path: Path) -> Field:
    """Confidence in [0, 1], surer where larger; NaN becomes 0."""
    if numbers.ndim != 2:
        raise InputError(f"{path}: has shape {numbers.shape}, expected one confidence a pixel")
    values = numbers.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise InputError(f"{path}: its confidence is NaN or infinite at all pixels")
    least, most = float(values[finite].min()), float(values[finite].max())
    if meaning is Meaning.PROBABILITY:
        if least < 0 or most > 1:
            raise InputError(
                f"confidences reach from {least:g} to {most:g}, but probabilities lie in 0 to 1",
                path=path,
                hint=Text("say ", OptionName("sure"), " higher or lower if they are none"),
            )
        confidence = values
    elif least == most:
        confidence = np.full(values.shape, 0.5)
    else:
        from_end = values - least if meaning is Meaning.HIGHER else most - values
        # Stretched to 0 to 1 in each image, which keeps the order: sparsification asks for no more.
        confidence = from_end / (most - least)
    return np.where(finite, confidence, 0).astype(np.float32)
