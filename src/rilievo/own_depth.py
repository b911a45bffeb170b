"""Depth map stored in a photograph's file beside its pixels, as by telephones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from rilievo.sameness import no_hash, same_record


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDepth:
    """Depth map of a photograph's own file.

    Attributes:
        source: Format in the file: "GDepth", "Dynamic Depth", "Apple" or "HEIF".
        metres: Depth [m], upright, resized to the whole photograph; 0 where there is none. None if
            it is not used.
        along_ray: Whether ``metres`` are distances from the camera instead of depth along its axis.
        unused: Reason why there are no metres; None if there are.
        broken: Whether the reason is that the file is damaged or contradicts itself.
    """

    source: str
    metres: Float32[np.ndarray, "h w"] | None = None
    along_ray: bool = False
    unused: str | None = None
    broken: bool = False

    __eq__ = same_record
    __hash__ = no_hash
