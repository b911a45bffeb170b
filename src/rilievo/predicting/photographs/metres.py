"""Sizes that the user knows in a photograph, and words about metres."""

from dataclasses import dataclass

from rilievo.arrays.shapes import Field
from rilievo.calibration.sizes import Along, Known, KnownPoint
from rilievo.records.instruments import NO_ERROR, DepthError, Instrument
from rilievo.records.prediction_record import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Metres:
    """Sizes that the user knows."""

    known: tuple[Known, ...] = ()
    camera_height: float | None = None
    smooth: bool = True
    """Whether facts may bend depth; not of videos."""
    sparse: tuple[KnownPoint, ...] = ()
    """Points from an instrument, in place of ``known``."""
    measured: Field | None = None
    """Map [m] of a sensor, 0 for gaps."""
    sparse_along: Along | None = None
    """Direction of ``sparse`` and ``measured``; None if nobody says it."""
    depth_error: DepthError | None = None
    """Error of the sensor as the user states it; None: that of ``instrument``, or assumed."""
    instrument: Instrument | None = None
    """The instrument by rilievo's record of the sensor's map."""
    sensor_doubts: tuple[str, ...] = ()
    """What would make all metres of the sensor wrong."""
    sensor_rounding: DepthError = NO_ERROR
    """Error by which the sensor's numbers are rounded."""
    method: str | None = None
    """Source, unless the user."""
    notes: tuple[str, ...] = ()
    """Sentences on how the instrument's numbers were read."""
    camera_file: str | None = None
    """Name of the sensor's file, if it states a camera, which is not used."""

    def __bool__(self) -> bool:
        return bool(self.known or self.sparse) or self.camera_height is not None


def calibration_words(calibration: Calibration, instrument: Instrument | None = None) -> str:
    """Source and expected error of metres, in words."""
    method = calibration.method
    if calibration.own_depth is not None:
        method = f"the photograph's own depth ({calibration.own_depth})"
    if calibration.measured_pixels is not None:
        left = calibration.outliers or 0
        count = calibration.measured_pixels
        method = (
            f"{count} measured pixels, which stay, without {left} outliers "
            f"({left / (count + left):.1%}){_instrument_words(instrument)}; the network fills the "
            "rest"
        )
        if calibration.expected_error is not None:
            return (
                f"metres from {method}, where the depth of 8 in 10 pixels should be within "
                f"{100 * calibration.expected_error:.1f} %"
            )
    if calibration.expected_error is None:
        return f"metres from {method}"
    return (
        f"metres from {method}; the depth of 8 in 10 pixels should be within "
        f"{100 * calibration.expected_error:.0f} %"
    )


def _instrument_words(instrument: Instrument | None) -> str:
    """Error of the measured pixels, and whether it was stated, in words."""
    if instrument is None:
        return ""
    source = "assumed" if instrument.is_assumed else "stated"
    return f" (8 in 10 within {instrument.error}, as {source})"
