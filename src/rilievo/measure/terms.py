"""Parameters with which a page measures as ``rilievo.measure`` does."""

from collections.abc import Mapping

from rilievo.calibration.ranges import (
    KNOWN_LENGTHS,
    angle_error,
    base_of,
    log_spread,
    weight_of,
)
from rilievo.calibration.readings import (
    LINE_ENDS,
    LINE_LEAST_PIXELS,
    LINE_MISS,
    LINE_SAMPLES,
    WINDOW_RADIUS,
)
from rilievo.calibration.record import Floor
from rilievo.calibration.sizes import MOST_METRES, RECTANGLES, USUAL_LENGTHS
from rilievo.depth_map import DepthKind
from rilievo.frozen import frozen
from rilievo.measure.expectation import (
    SAME_END,
    UNKNOWN_FAR,
    Place,
    doubt_of,
    is_assumed,
    known_lengths,
    known_places,
    method_of,
    misfit_of,
)
from rilievo.measure.extents import find_ground, is_street
from rilievo.measure.quantities import FLAT
from rilievo.prediction_record import PredictionRecord


@frozen
class FloorPlane:
    """Floor, n·p + height = 0 in the camera frame, n up."""

    normal: tuple[float, float, float]
    height: float


@frozen
class DistanceTerms:
    """Parameters for ranges of distances, as in ``Terms``."""

    own: float
    known_length: float
    far: float
    deeper: float
    fact_along: float


@frozen
class Terms:
    """Parameters for ranges of lengths; see ``rilievo.calibration.ranges``.

    Attributes:
        own: Base with the photograph's own metres.
        known_length: Base once a length is known.
        far: Weight of the distance to known places.
        along: Weight of a line's share that points away.
        deeper: Weight of the ratio of depths.
        fact_along: Weight of a known length's such share.
        is_street: Whether the floor tells distances.
        unknown_far: Distance in widths if nothing is known.
        angle_error: Error of an angle [degrees].
        flat: Residual of a flat surface.
        lengths: Column and row of ends, and length [m].
        things: Lengths of objects [m].
        rectangles: Sides [m].
        window_radius: Radius of a point's median [px].
        line_ends: Share of a line not sampled.
        line_miss: Relative residual of a straight surface.
        line_least_pixels: Shortest sampled line [px].
    """

    metric: bool
    own: float
    known_length: float
    far: float
    along: float
    deeper: float
    fact_along: float
    distance: DistanceTerms
    is_street: bool
    unknown_far: float = UNKNOWN_FAR
    angle_error: float
    flat: float = FLAT
    floor: FloorPlane | None
    places: tuple[Place, ...]
    lengths: tuple[tuple[float, ...], ...]
    same_end: float = SAME_END
    things: Mapping[str, float]
    rectangles: Mapping[str, tuple[float, float]]
    most_metres: float = MOST_METRES
    window_radius: int = WINDOW_RADIUS
    line_samples: int = LINE_SAMPLES
    line_ends: float = LINE_ENDS
    line_miss: float = LINE_MISS
    line_least_pixels: float = LINE_LEAST_PIXELS


def terms_of(prediction: PredictionRecord, *, floor: bool = True) -> Terms:
    """Parameters for a prediction; the floor takes a while."""
    anchored = misfit_of(prediction)
    is_anchored = anchored is not None

    def weight(feature: str, what: str = "length") -> float:
        return weight_of(what, feature, is_anchored=is_anchored)

    def base(method: str, what: str = "length") -> float:
        more = weight("assumed", what) * is_assumed(prediction.known_camera)
        if anchored is None:
            more += log_spread(doubt_of(prediction))
        else:
            more += weight("misfit", what) * anchored.misfit
            more += weight("disorder", what) * anchored.disorder
        return base_of(what, method, is_anchored=is_anchored) + more

    ground = find_ground(prediction) if floor else None
    return Terms(
        metric=prediction.depth.kind is DepthKind.METRIC,
        own=base(method_of(prediction)),
        known_length=base(KNOWN_LENGTHS),
        far=weight("far"),
        along=weight("along"),
        deeper=weight("deeper"),
        fact_along=weight("fact_along"),
        distance=DistanceTerms(
            own=base(method_of(prediction), "depth"),
            known_length=base(KNOWN_LENGTHS, "depth"),
            far=weight("far", "depth"),
            deeper=weight("deeper", "depth"),
            fact_along=weight("fact_along", "depth"),
        ),
        is_street=ground is not None and is_street(prediction, ground),
        angle_error=angle_error(is_anchored=is_anchored),
        floor=None if ground is None else _plane(ground),
        places=tuple(known_places(prediction)),
        lengths=tuple(
            tuple(map(float, (line.u1, line.v1, line.u2, line.v2, line.metres)))
            for line in known_lengths(prediction)
        ),
        things=USUAL_LENGTHS,
        rectangles=RECTANGLES,
    )


def _plane(floor: Floor) -> FloorPlane:
    right, down, forward = floor.normal.tolist()
    return FloorPlane(normal=(right, down, forward), height=floor.height)
