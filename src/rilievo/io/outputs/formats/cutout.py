"""Photograph with what is near alone, as an RGBA PNG.

It ends at ``--colour-range``, or at Otsu's threshold of inverse depth (1979).
"""

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Float32, Mask, UInt8
from rilievo.io.map_pictures import Drawn, colour_range_from_depths, picture_quantity
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo

_BINS = 256
_SOFTNESS = 400


def write(job: WriteJob, depth: DepthMap, photo: Photo) -> FileFacts:
    """Write the near part; sky and pixels without depth are transparent."""
    values, near = picture_quantity(depth), depth.valid.copy()
    if job.prediction.sky is not None:
        near &= ~job.prediction.sky
    near &= values >= _least_inverse_depth(depth, values[near], job.options)
    picture = np.concatenate([photo.pixels, _soft_opacity(near)[..., None]], axis=2)
    return job.write_png(picture, job.facts("photograph, opaque where it is near"))


def _soft_opacity(near: Mask) -> UInt8[np.ndarray, "h w"]:
    """Opacity that falls inside the edge, where pixels are blended."""
    radius = max(near.shape) / _SOFTNESS
    mask = Image.fromarray(near.astype(np.uint8) * np.uint8(255))
    blurred = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)))
    return np.where(near, np.clip(2 * blurred.astype(np.int16) - 255, 0, 255), 0).astype(np.uint8)


def _least_inverse_depth(
    depth: DepthMap, values: Float32[np.ndarray, "n"], options: SaveOptions
) -> float:
    if options.colour_limits is not None:
        return colour_range_from_depths(*options.colour_limits, depth.kind, Drawn.INVERSE_DEPTH).low
    return otsu(values) if values.size else np.inf


def otsu(values: Float32[np.ndarray, "n"]) -> float:
    """Threshold with the greatest variance between two classes."""
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[::-1][1:]
    sums = np.cumsum(counts * centres)
    apart = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    best = int(np.argmax(below.astype(np.float64) * above * apart**2))
    return float(edges[best + 1])
