"""Confidences that other programs write beside their depth."""

from collections.abc import Mapping
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


DEPTH_ARRAY = "depth"
"""Name of the depth in an npz file that has confidences too."""

KNOWN_CONFIDENCES: Mapping[str, ForeignConfidence] = {
    "moge": ForeignConfidence(
        meaning=Meaning.HIGHER,
        pattern="{id}/mask.png",
        source="moge/scripts/infer.py writes mask.png beside depth.exr, with 255 where the model "
        "predicts depth",
    ),
    "depth-anything-3": ForeignConfidence(
        meaning=Meaning.HIGHER,
        array="conf",
        source="docs/API.md: mini_npz files have conf beside depth, except those of the mono and "
        "metric models",
    ),
    "unidepth": ForeignConfidence(
        meaning=Meaning.LOWER,
        source="UniK3D, issue 18, by the author of both programs: the output is the expected error "
        "of the logarithm of depth, whatever its name",
    ),
    "metric3d": ForeignConfidence(
        meaning=Meaning.HIGHER,
        source="Metric3D, issue 45: the output is trained to be 1 minus the relative error, and is "
        "not clipped to 0 to 1",
    ),
    **{meaning.value: ForeignConfidence(meaning=meaning) for meaning in Meaning},
}


def confidence_from_numbers(numbers: Numbers, meaning: Meaning, path: Path) -> Field:
    """Convert the numbers of a file to confidence in [0, 1]; it is 0 where they are not finite.

    Probabilities stay as they are. Other numbers are stretched to 0 to 1 in each image. This keeps
    their order, and sparsification needs nothing else.
    """
    if numbers.ndim != 2:
        raise InputError(
            f"{path}: has the shape {numbers.shape}, expected one confidence per pixel"
        )
    values = numbers.astype(np.float64)
    is_finite = np.isfinite(values)
    if not is_finite.any():
        raise InputError(f"{path}: its confidence is NaN or infinite at all pixels")

    lowest, highest = float(values[is_finite].min()), float(values[is_finite].max())
    if meaning is Meaning.PROBABILITY:
        if lowest < 0 or highest > 1:
            raise InputError(
                f"confidences range from {lowest:g} to {highest:g}, but probabilities must be "
                "between 0 and 1",
                path=path,
                hint=Text(
                    "set ",
                    OptionName("sure"),
                    " to 'higher' or 'lower' if they are not probabilities",
                ),
            )
        confidence = values
    elif lowest == highest:
        # Equal numbers rank no pixel above another one, whatever their confidence.
        confidence = np.full(values.shape, 0.5)
    elif meaning is Meaning.HIGHER:
        confidence = (values - lowest) / (highest - lowest)
    else:
        confidence = (highest - values) / (highest - lowest)
    return np.where(is_finite, confidence, 0).astype(np.float32)
