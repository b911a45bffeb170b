"""A photograph inside a frame of fixed size, with one colour around it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.models.resampling.sampling import Grid, bilinear_points


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """Position of a photograph in the frame [px]."""

    top: int
    left: int
    height: int
    width: int
    scale: float

    def inside(self, field: Float32[np.ndarray, "*c h w"]) -> Float32[np.ndarray, "*c a b"]:
        """Crop a field of the frame's size to the photograph."""
        rows = slice(self.top, self.top + self.height)
        return field[..., rows, self.left : self.left + self.width]

    def framed(
        self,
        pixels: UInt8[np.ndarray, "a b 3"],
        frame: tuple[int, int],
        colour: tuple[float, float, float],
    ) -> Float32[np.ndarray, "h w 3"]:
        """Resize a photograph bilinearly to its place in a frame of one colour (0..255)."""
        image = np.empty((*frame, 3), np.float32)
        image[:] = colour
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        size = (self.height, self.width)
        image[rows, columns] = bilinear_points(pixels, size, grid=Grid.CENTRES)
        return image


def letterbox(shape: tuple[int, int], frame: tuple[int, int]) -> Letterbox:
    """Compute the position of a photograph of (height, width) in the middle of a frame."""
    scale = min(frame[0] / shape[0], frame[1] / shape[1])
    height, width = max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))
    return Letterbox(
        top=(frame[0] - height) // 2,
        left=(frame[1] - width) // 2,
        height=height,
        width=width,
        scale=scale,
    )
