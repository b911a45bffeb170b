"""A triangle mesh with a colour at every vertex."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8


@dataclass(frozen=True, slots=True, kw_only=True)
class ColouredMesh:
    """A triangle mesh in the world frame.

    Attributes:
        points: Vertices.
        normals: Unit normals, towards the side from which the surface was seen.
        colours: RGB of the vertices.
        triangles: Numbers of their corners, counter-clockwise as seen from the side of the normals.
    """

    points: Float32[np.ndarray, "n 3"]
    normals: Float32[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"]
    triangles: Int32[np.ndarray, "m 3"]

    def turned(self, R: Float64[np.ndarray, "3 3"]) -> "ColouredMesh":
        """The same mesh in a frame that is turned about the origin: points become R p."""
        return ColouredMesh(
            points=(self.points @ R.T).astype(np.float32),
            normals=(self.normals @ R.T).astype(np.float32),
            colours=self.colours,
            triangles=self.triangles,
        )
