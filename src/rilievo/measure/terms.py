"""Parameters with which a page measures as ``rilievo.measure`` does."""

from collections.abc import Mapping

from rilievo.calibration.lengths import MOST_METRES, USUAL_LENGTHS
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
from rilievo.calibration.rectangles import RECTANGLES
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
from rilievo.types import DepthKind, Prediction


@frozen
class FloorPlane:
    """The floor below the camera, n·p + height = 0 in the camera frame.

    Attributes:
        normal: Unit normal, upwards.
        height: Height of the camera above it, in the unit of the depth.
    """

    normal: tuple[float, float, float]
    height: float


@frozen
class DistanceTerms:
    """Parameters for the ranges of distances, of the same meaning as those of ``Terms``."""

    own: float
    known_length: float
    far: float
    deeper: float
    fact_along: float


@frozen
class Terms:
    """Parameters for the ranges of lengths in one photograph; see ``rilievo.calibration.ranges``.

    Attributes:
        metric: Whether depth is in metres.
        own: Base of the range with the photograph's own metres.
        known_length: Base of the range once a length is known.
        far: Weight of the distance to known places.
        along: Weight of the share of a line that points away from the camera.
        deeper: Weight of the ratio of depths.
        fact_along: Weight of the share of a known length that points away from the camera.
        distance: Parameters for distances, which ``along`` is none of.
        is_street: Whether the floor tells the distances of things that stand on it.
        unknown_far: Distance, in widths of the photograph, that is assumed if nothing is known.
        angle_error: Error of an angle between two surfaces to expect [degrees].
        flat: Median relative residual of a plane up to which a surface is flat.
        floor: Floor that heights are measured from; None where none is seen.
        places: Places of known distances and lengths.
        lengths: Known lengths: column and row of either end, and the length [m].
        same_end: Most pixels between the ends of a known length and of the same line.
        things: Lengths of common objects by name [m].
        rectangles: Both sides of common rectangles by name [m].
        most_metres: Longest length that is accepted.
        window_radius: Radius of the window around a point whose median is its depth [px].
        line_samples: Number of samples along a line.
        line_ends: Share of a line at each end that is not sampled.
        line_miss: Relative residual that samples of a straight surface may have.
        line_least_pixels: Shortest line that is sampled [px].
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


def terms_of(prediction: Prediction, *, floor: bool = True) -> Terms:
    """Parameters for a prediction with depth and a camera.

    Args:
        prediction: The prediction that is measured in.
        floor: Whether the floor is looked for, which takes a while in many pixels.
    """
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
