"""What gives metres to a photograph: sizes that the user knows, or depth of another instrument."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Shaped, Size
from rilievo.calibration.sizes import Along, Known, KnownPoint
from rilievo.options.known_sizes import KnownSizes
from rilievo.records.instruments import NO_ERROR, DepthError, Instrument
from rilievo.records.prediction_record import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricReferences:
    """What gives metres to a photograph: known sizes, the camera height, or depth of a sensor.

    Attributes:
        known: Known points, lengths and rectangles.
        camera_height: Height of the camera above the floor [m].
        smooth: Whether the factor to metres may vary smoothly over the picture, so that depth is
            bent a little. In videos it may not, because all frames share one factor.
        sparse_points: Points with the depth of another instrument, which stand in place of
            ``known``.
        measured_depth: Map of a sensor [m], 0 in its gaps; None for points alone.
        sparse_along: Whether the instrument's depth is along the axis or along the ray; None if
            nobody says it.
        depth_error: Error of the instrument's depth that the user states; None if the user states
            none.
        recorded_instrument: The instrument by rilievo's record of its map; None without a record.
        sensor_doubts: What would make all depth of the instrument wrong.
        sensor_rounding: Error by which the instrument's numbers are rounded.
        method: Source of the metres if it is not the user, such as "markers".
        notes: Sentences on how the instrument's numbers were read.
        unused_camera_file: File of the instrument, if it states a camera that is not used.
    """

    known: tuple[Known, ...] = ()
    camera_height: float | None = None
    smooth: bool = True
    sparse_points: tuple[KnownPoint, ...] = ()
    measured_depth: Field | None = None
    sparse_along: Along | None = None
    depth_error: DepthError | None = None
    recorded_instrument: Instrument | None = None
    sensor_doubts: tuple[str, ...] = ()
    sensor_rounding: DepthError = NO_ERROR
    method: str | None = None
    notes: tuple[str, ...] = ()
    unused_camera_file: str | None = None

    @classmethod
    def from_options(cls, sizes: KnownSizes) -> "MetricReferences":
        """References of the options alone, without those in tables or in files of sensors."""
        return cls(known=sizes.known_sizes, camera_height=sizes.camera_height)

    @property
    def give_metres(self) -> bool:
        """Whether there is anything from which metres follow."""
        return bool(self.known or self.sparse_points) or self.camera_height is not None


def read_sensor_references(
    file: Path | Shaped[np.ndarray, "h w"], sizes: KnownSizes, shape: Size, orientation: int
) -> MetricReferences:
    """Read depth of another instrument for one photograph.

    Args:
        file: File or array of the instrument's depth.
        sizes: Options that say how to read it.
        shape: Height and width of the photograph.
        orientation: EXIF's orientation of the photograph.
    """
    # Few runs read depth of another instrument, and its readers are many.
    from rilievo.calibration.sparse import read_sparse

    sparse = read_sparse(
        file,
        shape,
        sizes.sparse_unit,
        sizes.sparse_crop,
        sizes.sparse_encoding,
        kind=sizes.sparse_kind,
        is_error_stated=sizes.stated_depth_error is not None,
        orientation=orientation,
    )
    return MetricReferences(
        sparse_points=sparse.points,
        measured_depth=sparse.measured,
        sparse_along=sparse.along,
        sensor_doubts=sparse.sensor_doubts,
        sensor_rounding=sparse.rounding,
        depth_error=sizes.stated_depth_error,
        recorded_instrument=sparse.instrument,
        notes=sparse.notes,
        unused_camera_file=sparse.camera_file,
    )


def calibration_words(calibration: Calibration, instrument: Instrument | None = None) -> str:
    """Where metres came from and how exact they should be, in a sentence."""
    expected_error = calibration.expected_error
    if calibration.measured_pixels is not None:
        source = _sensor_words(calibration, calibration.measured_pixels, instrument)
        if expected_error is None:
            return f"metres from {source}"
        return (
            f"metres from {source}, where the depth of 8 in 10 pixels should be within "
            f"{100 * expected_error:.1f} %"
        )
    source = calibration.method
    if calibration.own_depth is not None:
        source = f"the photograph's own depth ({calibration.own_depth})"
    if expected_error is None:
        return f"metres from {source}"
    return (
        f"metres from {source}; the depth of 8 in 10 pixels should be within "
        f"{100 * expected_error:.0f} %"
    )


def _sensor_words(calibration: Calibration, measured: int, instrument: Instrument | None) -> str:
    """How many pixels a sensor measured, and with which error, in words."""
    outliers = calibration.outliers or 0
    error = ""
    if instrument is not None:
        source = "assumed" if instrument.is_assumed else "stated"
        error = f" (8 in 10 within {instrument.error}, as {source})"
    return (
        f"{measured} measured pixels, which stay, without {outliers} outliers "
        f"({outliers / (measured + outliers):.1%}){error}; the network fills the rest"
    )
