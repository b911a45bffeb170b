"""What a report needs to see of the images that it shows."""

from typing import Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.depth_map import DepthMap
from rilievo.types import Truth


class Pictures(Protocol):
    """The images of one evaluation, each read when it is asked for and then let go.

    All that is given of one id has the same height and width.
    """

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph, RGB."""
        ...

    def depth(self, id: str) -> DepthMap | None:
        """The prediction as it was scored: in metres, after alignment; None where there is none."""
        ...

    def normals(self, id: str) -> Float32[np.ndarray, "3 h w"] | None:
        """Predicted unit normals, towards the camera; None where there are none."""
        ...

    def truth(self, id: str) -> Truth:
        """Ground truth; valid where it was scored."""
        ...
