"""Confidences of other programs, in files beside their depth."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.errors import InputError
from rilievo.evaluation.arrays import Numbers
from rilievo.frozen import frozen
from rilievo.shapes import Field

DEPTH_ARRAY = "depth"


class Meaning(StrEnum):
    """Meaning of a larger confidence."""

    PROBABILITY = "probability"
    """Chance that depth is right within a factor of 1.25."""
    HIGHER = "higher"
    LOWER = "lower"


@frozen
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


def confidence_of(numbers: Numbers, meaning: Meaning, path: Path) -> Field:
    """Confidence in [0, 1] from stored numbers, surer where larger; NaN becomes 0."""
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
                hint="say {sure} higher or lower if they are none",
            )
        confidence = values
    elif least == most:
        confidence = np.full(values.shape, 0.5)
    else:
        from_end = values - least if meaning is Meaning.HIGHER else most - values
        # Stretched to 0 to 1 in each image, which keeps the order: sparsification asks for no more.
        confidence = from_end / (most - least)
    return np.where(finite, confidence, 0).astype(np.float32)


PEERS: Mapping[str, PeerConfidence] = {
    "moge": PeerConfidence(
        meaning=Meaning.HIGHER,
        pattern="{id}/mask.png",
        source="moge/scripts/infer.py: mask.png beside depth.exr, 255 where there is an answer",
    ),
    "depth-anything-3": PeerConfidence(
        meaning=Meaning.HIGHER,
        array="conf",
        source="docs/API.md: conf beside depth in mini_npz; its mono and metric models have none",
    ),
    "unidepth": PeerConfidence(
        meaning=Meaning.LOWER,
        source="UniK3D, issue 18, by the author of both: the output is the error to expect of the "
        "logarithm, whatever its name",
    ),
    "metric3d": PeerConfidence(
        meaning=Meaning.HIGHER,
        source="Metric3D, issue 45: trained to be 1 less the relative error, and not cut to 0 to 1",
    ),
    **{meaning.value: PeerConfidence(meaning=meaning) for meaning in Meaning},
}
