"""Resizing of a network's maps to the size of the photograph."""

import numpy as np
from jaxtyping import Float32, Int
from PIL import Image

from rilievo.io.colour import bands


def resize(
    field: Float32[np.ndarray, "*c a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "*c h w"]:
    """Resize bilinearly with half-pixel centres; nothing overshoots, so depth stays positive."""
    if field.shape[-2:] == shape:
        return field
    if shape[0] > field.shape[-2] and shape[1] > field.shape[-1]:
        return _stretched(_widened(field, shape[1]), shape[0])
    if field.ndim > 2:
        return np.stack([resize(each, shape) for each in field])
    image = Image.fromarray(np.ascontiguousarray(field))
    # Converted in bands, because Pillow's export of pixels takes three times their memory.
    resized = np.empty(shape, np.float32)
    for rows in bands(shape):
        resized[rows] = _resized_rows(image, shape, rows)
    return resized


def _widened(field: Float32[np.ndarray, "*c a b"], width: int) -> Float32[np.ndarray, "*c a w"]:
    """Enlarge sideways."""
    first, share = places(field.shape[-1], width)
    with np.errstate(invalid="ignore"):  # infinite values are refused later
        wide = np.diff(field, axis=-1, append=field[..., -1:]).take(first, axis=-1)
        wide *= share
        wide += field.take(first, axis=-1)
    return wide


def _stretched(field: Float32[np.ndarray, "*c a w"], height: int) -> Float32[np.ndarray, "*c h w"]:
    """Enlarge downwards; in a third of the time that Pillow takes for rows of floats."""
    last = field.shape[-2] - 1
    first, share = places(last + 1, height)
    ends = np.searchsorted(first, np.arange(last + 1), side="right").tolist()
    stretched = np.empty((*field.shape[:-2], height, field.shape[-1]), np.float32)
    start = 0
    with np.errstate(invalid="ignore"):
        for row, end in enumerate(ends):
            band, line = stretched[..., start:end, :], field[..., row : row + 1, :]
            below = min(row + 1, last)
            np.multiply(share[start:end, None], field[..., below : below + 1, :] - line, out=band)
            band += line
            start = end
    return stretched


def places(length: int, count: int) -> tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
    """Pixel before each of ``count`` places along a line, and the share of the next one."""
    position = np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
    first = position.astype(np.int64)
    return first, (position - first).astype(np.float32)


def unit(
    normals: Float32[np.ndarray, "3 a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "3 h w"]:
    """Resize normals and scale them to unit length; where they cancel, they face the camera."""
    images = [Image.fromarray(np.ascontiguousarray(channel)) for channel in normals]
    resized = np.empty((3, *shape), np.float32)
    for rows in bands(shape):
        band = resized[:, rows]
        for channel, image in zip(band, images, strict=True):
            channel[:] = _resized_rows(image, shape, rows)
        length = np.sqrt(np.einsum("chw,chw->hw", band, band))
        lost = length < 1e-6
        if lost.any():
            band[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
            length[lost] = 1.0
        band /= length
    return resized


def _resized_rows(
    image: Image.Image, shape: tuple[int, int], rows: slice
) -> Float32[np.ndarray, "rows w"]:
    """Resize a field in Pillow's mode F to ``shape``, and return some rows."""
    height, width = shape
    # The box crops only the output grid; pixels beyond it still count at its edges.
    top, bottom = (row * image.height / height for row in (rows.start, rows.stop))
    size, box = (width, rows.stop - rows.start), (0.0, top, float(image.width), bottom)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
