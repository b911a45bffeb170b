"""Convert the colours of video frames to sRGB."""

from functools import lru_cache

import numpy as np

from rilievo.arrays.shapes import Float32, Pixels, UInt16
from rilievo.errors import InputError
from rilievo.io.colour_signals import DEFAULT_PEAK, ColourSignal
from rilievo.io.videos.container import ColorRange, Colorspace, VideoFrame

_UNSTATED = 2
"""Code point of an unspecified tag (ITU-T H.273)."""
_LUMA_COEFFICIENTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Luma coefficients of red and blue, by the code point of the matrix (ITU-T H.273)."""
_BT_709, _BT_601, _BT_2020 = 1, 6, 9
"""Code points of matrices (ITU-T H.273)."""
_UNSUPPORTED_MATRICES = {
    10: "BT.2020 colours with constant luminance",
    13: "colours with constant luminance",
    14: "ICtCp colours",
    15: "IPT colours of Dolby Vision (profile 5)",
}
_HD_ROWS = 720
"""Untagged frames with at least so many rows have the colours of high definition."""
_CONVERSION_HINT = (
    "convert it to SDR (BT.709) with a video editor, or with ffmpeg's filters zscale and tonemap"
)
_MIN_PEAK, _MAX_PEAK = 100.0, 10_000.0
"""Plausible luminance of the brightest pixel [cd/m²]."""


def frame_signal(picture: VideoFrame, *, peak: float | None = None) -> ColourSignal:
    """Determine the colour space of a frame by its tags.

    ``peak`` is the luminance of the video's brightest pixel [cd/m²], which not every frame states.
    By default it is what this frame states.
    """
    primaries, transfer = int(picture.color_primaries), int(picture.color_trc)
    return _signal(primaries, transfer, peak or _stated_peak(picture) or DEFAULT_PEAK)


@lru_cache(maxsize=16)
def _signal(primaries: int, transfer: int, peak: float) -> ColourSignal:
    """Make a signal, cached so that its tables are computed once for all frames."""
    return ColourSignal(primaries=primaries, transfer=transfer, peak=peak)


def check_signal(picture: VideoFrame, name: str) -> None:
    """Check that the colours of a frame can be converted.

    Raises:
        InputError: If they are logarithmic, of digital cinema, or of Dolby Vision without a base
            layer.
    """
    signal = frame_signal(picture)
    unsupported = signal.unread or _UNSUPPORTED_MATRICES.get(int(picture.colorspace))
    if unsupported is None and _has_dolby_vision(picture) and not _has_base_layer(picture):
        unsupported = "Dolby Vision without a base layer (profile 5)"
    if unsupported is not None:
        raise InputError(
            f"the video has {unsupported}, which rilievo does not support; {_CONVERSION_HINT}",
            path=name,
        )


def srgb_pixels(
    picture: VideoFrame, shape: tuple[int, int], *, peak: float | None = None
) -> Pixels:
    """Convert a frame to sRGB, resized to (height, width); ``peak`` as in ``frame_signal``."""
    height, width = shape
    signal = frame_signal(picture, peak=peak)
    if not signal.is_srgb:
        return signal.to_srgb(_deep_rgb(picture, shape, signal))
    # Untagged YCbCr is BT.709 in high definition and BT.601 below, as players assume.
    is_untagged_hd = int(picture.colorspace) == _UNSTATED and picture.height >= _HD_ROWS
    return picture.to_ndarray(
        format="rgb24",
        width=width,
        height=height,
        src_colorspace=Colorspace.ITU709 if is_untagged_hd else None,
    )


def _deep_rgb(
    picture: VideoFrame, shape: tuple[int, int], signal: ColourSignal
) -> UInt16[np.ndarray, "h w 3"]:
    """Convert a frame to R'G'B' of 16 bits; FFmpeg's own conversion from YCbCr rounds to 8 bits.

    The matrices are those of ITU-T H.273: luma is Y = kr R + kg G + kb B with kr + kg + kb = 1, and
    chroma is Cr = (R - Y) / (2 - 2 kr) and Cb = (B - Y) / (2 - 2 kb).
    """
    height, width = shape
    if picture.format.is_rgb:
        return picture.to_ndarray(format="rgb48le", width=width, height=height)
    codes = picture.to_ndarray(format="yuv444p16le", width=width, height=height, channel_last=True)
    y, cb, cr = _decode_ycbcr(codes.astype(np.float32), picture)
    kr, kb = _LUMA_COEFFICIENTS[_matrix(picture, signal)]
    red = y + 2 * (1 - kr) * cr
    blue = y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    rgb = np.stack([red, green, blue], axis=2).clip(0, 1)
    return np.rint(rgb * np.float32(65535)).astype(np.uint16)


def _decode_ycbcr(
    codes: Float32[np.ndarray, "h w 3"], picture: VideoFrame
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Convert codes of 16 bits to Y' in 0..1, and Cb and Cr in -0.5..0.5, by the frame's range."""
    y_codes, cb_codes, cr_codes = np.moveaxis(codes, 2, 0)
    if picture.color_range == ColorRange.JPEG:
        # Full range. Samples of fewer than 16 bits are stored in the upper bits.
        bits = picture.format.components[0].bits
        max_code = np.float32((2**bits - 1) * 2 ** (16 - bits))
        return y_codes / max_code, (cb_codes - 2**15) / max_code, (cr_codes - 2**15) / max_code
    # Limited range, in levels of 8 bits: 16 to 235 for luma, 16 to 240 for chroma.
    y = (y_codes / 256 - 16) / 219
    cb, cr = (cb_codes / 256 - 128) / 224, (cr_codes / 256 - 128) / 224
    return y, cb, cr


def _matrix(picture: VideoFrame, signal: ColourSignal) -> int:
    """Return the code point of a frame's matrix; if it has no tag, the usual one of the signal."""
    matrix = int(picture.colorspace)
    if matrix in _LUMA_COEFFICIENTS:
        return matrix
    if signal.is_hdr or signal.primaries == _BT_2020:
        return _BT_2020
    return _BT_709 if picture.height >= _HD_ROWS else _BT_601


def _stated_peak(picture: VideoFrame) -> float | None:
    """Read the luminance of the brightest pixel [cd/m²] from MaxCLL or the mastering display.

    Return None if neither is stated, or plausible.
    """
    for luminance in (_max_content_light(picture), _max_display_luminance(picture)):
        if luminance is not None and _MIN_PEAK <= luminance <= _MAX_PEAK:
            return luminance
    return None


def _max_content_light(picture: VideoFrame) -> float | None:
    """Read MaxCLL, the light of the video's brightest pixel [cd/m²]; None if it is not stated."""
    light_levels = picture.side_data.get("CONTENT_LIGHT_LEVEL")
    if light_levels is None:
        return None
    return float(np.frombuffer(bytes(light_levels), np.uint32)[0])  # pyright: ignore[reportArgumentType]


def _max_display_luminance(picture: VideoFrame) -> float | None:
    """Read the largest luminance of the mastering display [cd/m²]; None if it is not stated.

    FFmpeg's AVMasteringDisplayMetadata has fractions for x and y of three primaries and of white,
    for the smallest and the largest luminance, and at the end two flags: whether it has primaries,
    and whether it has luminance.
    """
    display = picture.side_data.get("MASTERING_DISPLAY_METADATA")
    if display is None:
        return None
    numbers = np.frombuffer(bytes(display), np.int32).astype(np.float64)  # pyright: ignore[reportArgumentType]
    *_, numerator, denominator, _has_primaries, has_luminance = numbers
    if not has_luminance or denominator <= 0:
        return None
    return numerator / denominator


def _has_base_layer(picture: VideoFrame) -> bool:
    """Whether tags state the colours without Dolby Vision, as they do not in profile 5."""
    return _UNSTATED not in (int(picture.color_trc), int(picture.colorspace))


def _has_dolby_vision(picture: VideoFrame) -> bool:
    data = picture.side_data
    return any(data.get(name) is not None for name in ("DOVI_METADATA", "DOVI_RPU_BUFFER"))
