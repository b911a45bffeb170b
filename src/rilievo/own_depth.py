"""Depth that a photograph's file holds beside its pixels, as telephones write it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from rilievo.sameness import no_hash, same_record


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDepth:
    """Depth map of a photograph's own file.

    Attributes:
        source: How the file stores it: "GDepth", "Dynamic Depth", "Apple" or "HEIF".
        metres: Depth [m], upright, stretched over the whole photograph; 0 where there is none.
            None where it is not used.
        along_ray: Whether ``metres`` are straight from the camera rather than along its axis.
        unused: Why there are no metres, in words; None where there are.
        broken: Whether that is because the file is damaged or contradicts itself.
    """

    source: str
    metres: Float32[np.ndarray, "h w"] | None = None
    along_ray: bool = False
    unused: str | None = None
    broken: bool = False

    __eq__ = same_record
    __hash__ = no_hash
