"""Pictures of a report: photographs, ground truth and predictions of the images it shows."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.types import DepthMap, Truth


@runtime_checkable
class Pictures(Protocol):
    """The few images that a report shows, read when asked for.

    All arrays of one image have the same size: that of its truth under the benchmark, which is
    the photograph's after the benchmark's input crop. An image that cannot be read any more raises
    a ``RilievoError``.
    """

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph as the model saw it, RGB."""
        ...

    def depth(self, id: str) -> DepthMap | None:
        """Predicted depth [m] as it was scored, aligned and clipped; None where there is none."""
        ...

    def normals(self, id: str) -> Float32[np.ndarray, "3 h w"] | None:
        """Predicted normals, unit, towards the camera; None where there are none."""
        ...

    def truth(self, id: str) -> Truth:
        """Ground truth; its masks hold just the pixels that were scored."""
        ...
