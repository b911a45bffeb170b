"""References for metric depth: sizes that the user knows, or depth of another instrument."""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Field, Mask
from rilievo.calibration.sizes import Along, Known, KnownPoint
from rilievo.options.known_sizes import KnownSizes
from rilievo.records.depth_map import OwnDepth
from rilievo.records.instruments import NO_ERROR, DepthError, Instrument
from rilievo.records.sample import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricReferences:
    """References that determine metres in a photograph.

    There are three kinds. ``known``, ``camera_height`` and ``marker_side`` are sizes that the user
    knows. ``own_depth`` is in the photograph's file. The attributes from ``sparse_points`` to
    ``sensor_rounding`` are about the depth of another instrument, and have their defaults if there
    is none.

    Attributes:
        known: Known points, lengths and rectangles.
        camera_height: Height of the camera above the floor [m].
        marker_side: Side of printed markers [m]; None to not look for them.
        own_depth: Depth in the photograph's own file, used if there is no other reference; None if
            the file has none, or the user does not want it.
        smooth: Whether the factor to metres may vary smoothly over the picture. In videos it may
            not, because all frames share one factor.
        sparse_points: Points with depth of another instrument, used instead of ``known``.
        sparse_count: Number of points of the instrument, of which ``sparse_points`` are a selection
            spread over the picture; None if there is no instrument.
        sparse_coverage: Fraction of the picture's pixels with such a point.
        measured_depth: Depth map of a sensor [m], 0 in its gaps; None for points alone.
        sparse_along: Whether that depth is along the axis or along the ray; None if not stated.
        depth_error: Error of that depth as the user states it; None if not stated.
        recorded_instrument: Instrument in rilievo's record of the map; None without a record.
        sensor_doubts: Reasons why all depth of the instrument may be wrong.
        sensor_rounding: Rounding error of the instrument's values.
        method: Source of the metres if it is not the user, such as "markers".
        notes: Notes on how the instrument's file was interpreted.
        unused_camera_file: File of the instrument, if it states a camera that is not used.
    """

    known: tuple[Known, ...] = ()
    camera_height: float | None = None
    marker_side: float | None = None
    own_depth: OwnDepth | None = None
    smooth: bool = True
    sparse_points: tuple[KnownPoint, ...] = ()
    sparse_count: int | None = None
    sparse_coverage: float = 0.0
    measured_depth: Field | None = None
    sparse_along: Along | None = None
    depth_error: DepthError | None = None
    recorded_instrument: Instrument | None = None
    sensor_doubts: tuple[str, ...] = ()
    sensor_rounding: DepthError = NO_ERROR
    method: str | None = None
    notes: tuple[str, ...] = ()
    unused_camera_file: str | None = None

    @property
    def give_metres(self) -> bool:
        """Whether there is any reference besides markers and the file's own depth."""
        return bool(self.known or self.sparse_points) or self.camera_height is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is no reference at all."""
        return not self.give_metres and self.marker_side is None and self.own_depth is None


def read_references(sizes: KnownSizes, photo: Photo) -> MetricReferences:
    """Collect the references for a photograph from the sizes that belong to it.

    Depth of another instrument is read, and turned upright as the photograph was. Sizes in a table
    are left out, because they belong to many photographs.

    Raises:
        InputError: If the sensor file is broken.
        OptionError: If the options do not fit the sensor file.
    """
    references = MetricReferences(
        known=sizes.known_sizes,
        camera_height=sizes.camera_height,
        marker_side=sizes.markers,
        own_depth=photo.own_depth if sizes.own_depth else None,
    )
    if sizes.sparse is None:
        return references
    # Imported on demand, because few runs need it and it imports many readers.
    from rilievo.predicting.metres.sparse import read_sparse

    sparse = read_sparse(
        sizes.sparse,
        photo.shape,
        sizes.sparse_unit,
        sizes.sparse_crop,
        sizes.sparse_encoding,
        kind=sizes.sparse_kind,
        is_error_stated=sizes.stated_depth_error is not None,
        orientation=photo.orientation,
        cam_T_sensor=sizes.sensor_transform,
        camera=photo.camera,
    )
    return replace(
        references,
        sparse_points=sparse.points,
        sparse_count=sparse.point_count,
        sparse_coverage=sparse.coverage,
        measured_depth=_without_transparent_pixels(sparse.measured, photo.transparent),
        sparse_along=sparse.along,
        sensor_doubts=sparse.sensor_doubts,
        sensor_rounding=sparse.rounding_error,
        depth_error=sizes.stated_depth_error,
        recorded_instrument=sparse.instrument,
        notes=sparse.notes,
        unused_camera_file=sparse.ignored_camera_file,
    )


def _without_transparent_pixels(measured: Field | None, transparent: Mask | None) -> Field | None:
    """Remove measured depth at transparent pixels of the photograph, which show nothing.

    The map may have another size than the photograph.
    """
    if measured is None or transparent is None:
        return measured
    height, width = measured.shape
    rows = ((np.arange(height) + 0.5) * transparent.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * transparent.shape[1] / width).astype(int)
    return np.where(transparent[rows[:, None], columns], np.float32(0), measured)
