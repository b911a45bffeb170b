"""Convert signals of video and HDR pictures to sRGB, which the networks saw in training.

Signals are told apart by the code points of ITU-T H.273 for primaries and transfer (CICP).

PQ and HLG are those of ITU-R BT.2100. First they become light of a display [cd/m²], which has 1,000
cd/m² for HLG. Then the tone curve of ITU-R BT.2390 (section 5.4) is applied to the largest of the
three colours, from the peak of the picture to ``REFERENCE_WHITE``, which becomes white of sRGB. It
leaves what is darker than about 90 cd/m² as it is. At last, primaries become those of BT.709.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property

import numpy as np

from rilievo.arrays.shapes import Float32, Float64, Matrix, Pixels, UInt16

REFERENCE_WHITE = 203.0
"""Light of diffuse white in HDR pictures [cd/m²] (ITU-R BT.2408)."""
USUAL_PEAK = 1000.0
"""Peak of pictures that state none [cd/m²], and that of the display for HLG."""
_MOST_LIGHT = 10_000.0
"""Light of the largest PQ signal [cd/m²]."""
_FULL = 65535


class Transfer(IntEnum):
    """Transfers that are not read as sRGB."""

    LINEAR = 8
    LOG_100 = 9
    LOG_316 = 10
    PQ = 16
    CINEMA = 17
    HLG = 18


UNREAD_TRANSFERS = {
    Transfer.LOG_100: "a logarithmic signal",
    Transfer.LOG_316: "a logarithmic signal",
    Transfer.CINEMA: "a signal of digital cinema (SMPTE ST 428-1)",
}
"""Transfers that are refused, with their names."""
XYZ = 10
"""Primaries of CIE XYZ, as of digital cinema."""

_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    # Cinema's white is taken for that of the picture: (0.314, 0.351) would look green.
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
"""Chromaticities x, y of red, green, blue and white; others are nearly those of BT.709."""
_BT_709 = 1
_BT_2020 = 9
_UNSTATED = 2
_BT_2020_LIGHT = (0.2627, 0.6780, 0.0593)
"""Shares of the primaries of BT.2020 in luminance."""


@dataclass(frozen=True, kw_only=True)
class ColourSignal:
    """Signal of a picture.

    Attributes:
        primaries: Code point of its primaries.
        transfer: Code point of its transfer.
        peak: Light of its brightest pixel [cd/m²], for PQ.
    """

    primaries: int = _UNSTATED
    transfer: int = _UNSTATED
    peak: float = USUAL_PEAK

    @property
    def is_hdr(self) -> bool:
        """Whether it is PQ or HLG."""
        return self.transfer in (Transfer.PQ, Transfer.HLG)

    @property
    def unread(self) -> str | None:
        """Name of a signal that cannot be converted; None for others."""
        if self.primaries == XYZ:
            return "a signal of CIE XYZ"
        return UNREAD_TRANSFERS.get(Transfer(self.transfer)) if self._is_named else None

    @property
    def is_srgb(self) -> bool:
        """Whether its numbers are read as those of sRGB, as players show them."""
        return not self._is_named and self._known_primaries in (_BT_709, _UNSTATED)

    @property
    def name(self) -> str:
        """Name of the signal, for notes."""
        names = {Transfer.PQ: "PQ", Transfer.HLG: "HLG", Transfer.LINEAR: "linear light"}
        if self._is_named:
            return names.get(Transfer(self.transfer), self.unread or "")
        return "BT.2020" if self._known_primaries == _BT_2020 else "P3"

    @property
    def note(self) -> str | None:
        """Remark on a conversion of light; None where primaries alone are converted."""
        if not self.is_hdr:
            return None
        peak = f", from {self._used_peak:,.0f} cd/m²"
        return (
            f"its high dynamic range ({self.name}) was mapped to sRGB by ITU-R BT.2390{peak} to a "
            f"white of {REFERENCE_WHITE:g} cd/m²"
        )

    @property
    def _is_named(self) -> bool:
        return self.transfer in list(Transfer)

    @property
    def _known_primaries(self) -> int:
        """Primaries, of an HDR signal BT.2020 if it states none."""
        if self.primaries == _UNSTATED and self.is_hdr:
            return _BT_2020
        return self.primaries if self.primaries in _PRIMARIES else _BT_709

    @property
    def _used_peak(self) -> float:
        if self.transfer == Transfer.HLG:
            return USUAL_PEAK
        return min(max(self.peak, REFERENCE_WHITE), _MOST_LIGHT)

    def to_srgb(self, codes: UInt16[np.ndarray, "h w 3"]) -> Pixels:
        """Convert R'G'B' of 16 bits, where 65535 is white, to sRGB."""
        linear = self._relative_light(codes)
        if self._known_primaries != _BT_709:
            linear = linear @ self._to_bt709
        levels = np.rint(linear.clip(0, 1) * np.float32(_FULL)).astype(np.uint16)
        return _srgb_encoding()[levels]

    def _relative_light(self, codes: UInt16[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
        """Linear light, where 1 is white of sRGB."""
        if self.transfer == Transfer.PQ:
            factor = self._pq_tone_factors[codes.max(axis=2)]
            return _pq_light_table()[codes] * factor[..., None]
        if self.transfer == Transfer.HLG:
            light = hlg_display_light(_hlg_scene_table()[codes])
            return light * self._tone_factors(light.max(axis=2))[..., None]
        if self.transfer == Transfer.LINEAR:
            return codes.astype(np.float32) / np.float32(_FULL)
        return _srgb_decoding()[codes]

    @cached_property
    def _to_bt709(self) -> Float32[np.ndarray, "3 3"]:
        """Matrix by which rows of linear light are multiplied from the right."""
        from_own = _primaries_to_xyz(self._known_primaries)
        to_bt709 = np.linalg.inv(_primaries_to_xyz(_BT_709))
        return (to_bt709 @ from_own).T.astype(np.float32)

    @cached_property
    def _pq_tone_factors(self) -> Float32[np.ndarray, "65536"]:
        light = pq_light(np.arange(_FULL + 1) / _FULL)
        return self._tone_factors(light).astype(np.float32)

    def _tone_factors(self, light: np.ndarray) -> np.ndarray:
        """Factor from the largest colour's light [cd/m²] to its share of white."""
        nodes, factors = self._tone_nodes
        # Evenly spaced in the fourth root, so that dark tones have many nodes.
        return np.interp(np.sqrt(np.sqrt(light)), nodes, factors).astype(np.float32)

    @cached_property
    def _tone_nodes(self) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
        nodes = np.linspace(0, _MOST_LIGHT**0.25, 4097)[1:]
        light = nodes**4
        return nodes, tone_mapped(light, self._used_peak) / light / REFERENCE_WHITE


def pq_light(signal: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Light of a display [cd/m²] for a PQ signal in 0..1 (BT.2100, table 4)."""
    power = np.asarray(signal) ** (1 / _M2)
    return _MOST_LIGHT * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def pq_signal(light: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """PQ signal in 0..1 for light [cd/m²], the inverse of ``pq_light``."""
    power = (np.asarray(light) / _MOST_LIGHT) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def hlg_scene_light(signal: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Light of the scene in 0..1 for an HLG signal in 0..1 (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.asarray(signal)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def hlg_display_light(scene: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Light of a display of 1,000 cd/m² for that of the scene: system gamma 1.2."""
    luminance = scene @ np.array(_BT_2020_LIGHT, np.float32)
    gain = np.float32(USUAL_PEAK) * luminance ** np.float32(0.2)
    return scene * gain[..., None]


def tone_mapped(light: Float64[np.ndarray, "*n"], peak: float) -> Float64[np.ndarray, "*n"]:
    """Light [cd/m²] from a display of ``peak`` to one of ``REFERENCE_WHITE`` (BT.2390-11, 5.4)."""
    peak_signal = pq_signal(np.array(peak))
    white = float(pq_signal(np.array(REFERENCE_WHITE)) / peak_signal)
    signal = np.minimum(pq_signal(light) / peak_signal, 1)
    knee = 1.5 * white - 0.5
    if knee >= 1:
        return np.minimum(light, REFERENCE_WHITE)

    t = np.maximum(signal - knee, 0) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * white
    )
    return pq_light(np.where(signal < knee, signal, spline) * peak_signal)


def _primaries_to_xyz(primaries: int) -> Matrix:
    """Matrix from linear R, G, B to CIE XYZ, by chromaticities (SMPTE RP 177)."""
    columns = [(x / y, 1.0, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]
    *colours, white = np.array(columns)
    unscaled = np.stack(colours, axis=1)
    return unscaled * np.linalg.solve(unscaled, white)


@cache
def _pq_light_table() -> Float32[np.ndarray, "65536"]:
    return pq_light(np.arange(_FULL + 1) / _FULL).astype(np.float32)


@cache
def _hlg_scene_table() -> Float32[np.ndarray, "65536"]:
    return hlg_scene_light(np.arange(_FULL + 1) / _FULL).astype(np.float32)


@cache
def _srgb_decoding() -> Float32[np.ndarray, "65536"]:
    signal = np.arange(_FULL + 1) / _FULL
    linear = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@cache
def _srgb_encoding() -> np.ndarray:
    linear = np.arange(_FULL + 1) / _FULL
    signal = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * signal).astype(np.uint8)
