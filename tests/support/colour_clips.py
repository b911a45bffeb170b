"""Lossless clips of 10 bits with tags of their colours, made with PyAV."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BT_709, BT_2020, P3 = 1, 9, 12
PQ, HLG = 16, 18
LIMITED, FULL = 1, 2
_SHARES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourTags:
    """Code points of ITU-T H.273; 2 is not stated."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    levels: int = LIMITED


def write_signal(
    path: Path, signal: np.ndarray, tags: ColourTags, *, matrix: int | None = None
) -> Path:
    """Write two frames of R'G'B' in 0..1, coded as Y'CbCr 4:4:4 of 10 bits by ``matrix``."""
    red_share, blue_share = _SHARES[matrix or tags.matrix]
    red, green, blue = np.moveaxis(signal.astype(np.float64), 2, 0)
    y = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    cb, cr = (blue - y) / (2 * (1 - blue_share)), (red - y) / (2 * (1 - red_share))
    if tags.levels == FULL:
        planes = [1023 * y, 512 + 1023 * cb, 512 + 1023 * cr]
    else:
        planes = [64 + 876 * y, 512 + 896 * cb, 512 + 896 * cr]
    codes = [np.rint(plane).clip(0, 1023).astype(np.uint16) for plane in planes]

    height, width = signal.shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p10le"
        _tag(stream.codec_context, tags)
        for index in range(2):
            frame = av.VideoFrame(width, height, "yuv444p10le")
            for plane, values in zip(frame.planes, codes, strict=True):
                row = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                row[:, :width] = values
                plane.update(row.tobytes())
            _tag(frame, tags)
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _tag(target: object, tags: ColourTags) -> None:
    target.color_primaries, target.color_trc = tags.primaries, tags.transfer  # pyright: ignore
    target.colorspace, target.color_range = tags.matrix, tags.levels  # pyright: ignore
