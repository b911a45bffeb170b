"""Convert signals of video and HDR pictures to sRGB, which the networks saw in training.

Signals are told apart by the code points of ITU-T H.273 for primaries and transfer (CICP,
coding-independent code points).

PQ (perceptual quantizer) and HLG (hybrid log-gamma) are the signals of ITU-R BT.2100 for a high
dynamic range (HDR), and are converted in three steps. First they become light of
a display [cd/m²], whose peak is 1,000 cd/m² for HLG. Then the tone curve of ITU-R BT.2390 (section
5.4) maps the largest of the three colours from the peak of the picture to ``REFERENCE_WHITE``,
which becomes white of sRGB. It leaves light below about 90 cd/m² as it is. At last, the primaries
are converted to those of BT.709.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property

import numpy as np

from rilievo.arrays.shapes import Float32, Float64, Matrix, Pixels, UInt16

REFERENCE_WHITE = 203.0
"""Light of diffuse white in HDR pictures [cd/m²] (ITU-R BT.2408)."""
DEFAULT_PEAK = 1000.0
"""Peak of pictures that do not state one, and of the display for HLG [cd/m²]."""
_MAX_PQ_LIGHT = 10_000.0
"""Light of the largest PQ signal [cd/m²]."""
_WHITE_CODE = 65535
"""Largest code of a signal of 16 bits."""


class Transfer(IntEnum):
    """Transfers that are not read as sRGB."""

    LINEAR = 8
    LOG_100 = 9
    LOG_316 = 10
    PQ = 16
    CINEMA = 17
    HLG = 18


_UNREAD_TRANSFERS = {
    Transfer.LOG_100: "a logarithmic signal",
    Transfer.LOG_316: "a logarithmic signal",
    Transfer.CINEMA: "a digital cinema signal (SMPTE ST 428-1)",
}
"""Transfers that are refused, with their names."""
_XYZ = 10
"""Code point of the primaries of CIE XYZ, which digital cinema uses."""

_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    # DCI-P3 with D65 as white, because its own white, (0.314, 0.351), would look green.
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
"""Chromaticities x, y of red, green, blue and white by code point; others are close to BT.709."""
_BT_709, _UNSTATED, _BT_2020 = 1, 2, 9
_BT_2020_LUMINANCE = (0.2627, 0.6780, 0.0593)
"""Weights of red, green and blue of BT.2020 in luminance."""


@dataclass(frozen=True, kw_only=True)
class ColourSignal:
    """Meaning of a picture's colour codes.

    Attributes:
        peak: Light of the brightest pixel [cd/m²], for PQ.
    """

    primaries: int = _UNSTATED
    transfer: int = _UNSTATED
    peak: float = DEFAULT_PEAK

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is PQ or HLG."""
        return self.transfer in (Transfer.PQ, Transfer.HLG)

    @property
    def unread(self) -> str | None:
        """Name of a signal that cannot be converted; None if it can be."""
        if self.primaries == _XYZ:
            return "a CIE XYZ signal"
        if not self._has_special_transfer:
            return None
        return _UNREAD_TRANSFERS.get(Transfer(self.transfer))

    @property
    def is_srgb(self) -> bool:
        """Whether its codes are taken for sRGB, as players do."""
        return not self._has_special_transfer and self._known_primaries in (_BT_709, _UNSTATED)

    @property
    def name(self) -> str:
        """Name of the signal, for notes."""
        if self._has_special_transfer:
            names = {Transfer.PQ: "PQ", Transfer.HLG: "HLG", Transfer.LINEAR: "linear light"}
            return names.get(Transfer(self.transfer), self.unread or "")
        return "BT.2020" if self._known_primaries == _BT_2020 else "P3"

    @property
    def note(self) -> str | None:
        """Note on the tone mapping of an HDR picture; None for other pictures."""
        if not self.is_hdr:
            return None
        return (
            f"its high dynamic range ({self.name}) was mapped to sRGB with ITU-R BT.2390, from "
            f"{self._bounded_peak:,.0f} cd/m² to a white of {REFERENCE_WHITE:g} cd/m²"
        )

    @property
    def _has_special_transfer(self) -> bool:
        return self.transfer in list(Transfer)

    @property
    def _known_primaries(self) -> int:
        """Primaries for the conversion; BT.2020 for an HDR signal that does not state any."""
        if self.primaries == _UNSTATED and self.is_hdr:
            return _BT_2020
        return self.primaries if self.primaries in _PRIMARIES else _BT_709

    @property
    def _bounded_peak(self) -> float:
        """Peak for the tone curve [cd/m²], between white of sRGB and the largest PQ signal."""
        if self.transfer == Transfer.HLG:
            return DEFAULT_PEAK
        return min(max(self.peak, REFERENCE_WHITE), _MAX_PQ_LIGHT)

    def to_srgb(self, codes: UInt16[np.ndarray, "h w 3"]) -> Pixels:
        """Convert 16-bit codes of R'G'B', whose largest is 65535, to sRGB."""
        linear = self._relative_light(codes)
        if self._known_primaries != _BT_709:
            linear = linear @ self._to_bt709
        linear_codes = np.rint(linear.clip(0, 1) * np.float32(_WHITE_CODE)).astype(np.uint16)
        return _srgb_encoding_table()[linear_codes]

    def _relative_light(self, codes: UInt16[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
        """Linear light, where 1 is white of sRGB."""
        if self.transfer == Transfer.PQ:
            tone_factors = self._pq_tone_factors[codes.max(axis=2)]
            return _pq_light_table()[codes] * tone_factors[..., None]
        if self.transfer == Transfer.HLG:
            light = hlg_display_light(_hlg_scene_light_table()[codes])
            return light * self._tone_factors(light.max(axis=2))[..., None]
        if self.transfer == Transfer.LINEAR:
            return codes.astype(np.float32) / np.float32(_WHITE_CODE)
        return _srgb_decoding_table()[codes]

    @cached_property
    def _to_bt709(self) -> Float32[np.ndarray, "3 3"]:
        """Transposed matrix from the primaries to BT.709, for colours that are rows."""
        rgb_to_xyz = _primaries_to_xyz(self._known_primaries)
        xyz_to_bt709 = np.linalg.inv(_primaries_to_xyz(_BT_709))
        return (xyz_to_bt709 @ rgb_to_xyz).T.astype(np.float32)

    @cached_property
    def _pq_tone_factors(self) -> Float32[np.ndarray, "65536"]:
        """Lookup table of ``_tone_factors`` by the PQ code of the largest colour."""
        light = pq_light(np.arange(_WHITE_CODE + 1) / _WHITE_CODE)
        return self._tone_factors(light).astype(np.float32)

    def _tone_factors(self, light: np.ndarray) -> np.ndarray:
        """Factors that tone-map pixels, from light [cd/m²] to linear light with white at 1.

        All three colours of a pixel have the same factor, which depends on the largest of them,
        ``light``. It is interpolated in a table over the fourth root of light.
        """
        nodes, factors = self._tone_nodes
        fourth_root = np.sqrt(np.sqrt(light))
        return np.interp(fourth_root, nodes, factors).astype(np.float32)

    @cached_property
    def _tone_nodes(self) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
        """Table for interpolation: fourth roots of light [cd/m²], and the factors there."""
        # Evenly spaced in the fourth root, so that dark tones have many nodes.
        nodes = np.linspace(0, _MAX_PQ_LIGHT**0.25, 4097)[1:]
        light = nodes**4
        return nodes, tone_mapped(light, self._bounded_peak) / light / REFERENCE_WHITE


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
"""Constants m1 to c3 of PQ, named as in BT.2100, table 4."""


def pq_light(signal: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Light of a display [cd/m²] for a PQ signal in 0..1 (BT.2100, table 4: the EOTF)."""
    power = np.asarray(signal) ** (1 / _M2)
    return _MAX_PQ_LIGHT * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def pq_signal(light: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """PQ signal in 0..1 for light [cd/m²], the inverse of ``pq_light``."""
    power = (np.asarray(light) / _MAX_PQ_LIGHT) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def hlg_scene_light(signal: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Light of the scene in 0..1 for an HLG signal in 0..1 (BT.2100, table 5: inverse OETF)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # named as in the table
    signal = np.asarray(signal)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def hlg_display_light(scene_light: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Light [cd/m²] of a display with a peak of 1,000 cd/m² (the OOTF of HLG).

    The opto-optical transfer function (OOTF) is peak · luminance^(gamma - 1) · scene_light, with
    the system gamma 1.2.
    """
    luminance = scene_light @ np.array(_BT_2020_LUMINANCE, np.float32)
    gain = np.float32(DEFAULT_PEAK) * luminance ** np.float32(0.2)
    return scene_light * gain[..., None]


def tone_mapped(light: Float64[np.ndarray, "*n"], peak: float) -> Float64[np.ndarray, "*n"]:
    """Map light [cd/m²] of a display with this peak to ``REFERENCE_WHITE`` (BT.2390-11, 5.4).

    Light below the knee stays as it is. Above it, a cubic Hermite spline compresses the PQ signal,
    with slope 1 at the knee and slope 0 at the peak.
    """
    # All signals are fractions of the signal of the peak.
    peak_signal = pq_signal(np.array(peak))
    white_signal = float(pq_signal(np.array(REFERENCE_WHITE)) / peak_signal)
    signal = np.minimum(pq_signal(light) / peak_signal, 1)
    knee = 1.5 * white_signal - 0.5
    if knee >= 1:
        return np.minimum(light, REFERENCE_WHITE)

    t = np.maximum(signal - knee, 0) / (1 - knee)  # 0 at the knee, 1 at the peak
    spline = (  # value and slope at the knee, then value at the peak
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * white_signal
    )
    return pq_light(np.where(signal < knee, signal, spline) * peak_signal)


def _primaries_to_xyz(primaries: int) -> Matrix:
    """Matrix from linear R, G, B to CIE XYZ, by chromaticities (SMPTE RP 177).

    The columns are the primaries, scaled so that R = G = B = 1 is white.
    """
    xyz_at_luminance_1 = [(x / y, 1.0, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]
    *colours, white = np.array(xyz_at_luminance_1)
    unscaled_columns = np.stack(colours, axis=1)
    return unscaled_columns * np.linalg.solve(unscaled_columns, white)


@cache
def _pq_light_table() -> Float32[np.ndarray, "65536"]:
    """Light of a display [cd/m²] by PQ code."""
    return pq_light(np.arange(_WHITE_CODE + 1) / _WHITE_CODE).astype(np.float32)


@cache
def _hlg_scene_light_table() -> Float32[np.ndarray, "65536"]:
    """Light of the scene in 0..1 by HLG code."""
    return hlg_scene_light(np.arange(_WHITE_CODE + 1) / _WHITE_CODE).astype(np.float32)


@cache
def _srgb_decoding_table() -> Float32[np.ndarray, "65536"]:
    """Linear light in 0..1 by sRGB code."""
    signal = np.arange(_WHITE_CODE + 1) / _WHITE_CODE
    linear = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@cache
def _srgb_encoding_table() -> np.ndarray:
    """Signal of sRGB in 0..255 by linear light, where 65535 is white."""
    linear = np.arange(_WHITE_CODE + 1) / _WHITE_CODE
    signal = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * signal).astype(np.uint8)
