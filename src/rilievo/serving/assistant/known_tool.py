"""The tool ``known``, with which an assistant states what it knows about a photograph."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from rilievo.calibration.sizes import (
    NAMED_LENGTHS,
    Along,
    Known,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_circle,
    parse_known,
    parse_length,
    parse_sides,
)
from rilievo.errors import OptionError
from rilievo.errors.messages import worded
from rilievo.geometry.cameras.spelling import LENSES
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.known_sizes import KnownSizes
from rilievo.schema.typed_values import parse_metres
from rilievo.serving.assistant.photographs import (
    METRES,
    UNKNOWN_UNIT,
    Photographs,
    PredictedPhotograph,
)
from rilievo.serving.assistant.stated_facts import StatedFacts, pixel_points
from rilievo.serving.assistant.tool import (
    AssistantTool,
    ListOrText,
    Point,
    ToolAnswer,
    ToolArguments,
    ToolResult,
    Unit,
    join_nonempty_lines,
    notes_text,
    size_source_sentence,
    spell_argument,
)
from rilievo.serving.server.server_options import MAX_RECTANGLES

_MAX_FACTS = 64
_MAX_POINTS = 32
_LEAST_RIM_POINTS = 5

_LENS_GUIDE = "; ".join(
    f"'{spelling}' ({meaning})".replace("`", "'")
    for lens in LENSES.values()
    for spelling, meaning in lens.guide.items()
)
"""How to spell each lens, for the description of an argument."""


class KnownArguments(ToolArguments):
    """Arguments of ``known``."""

    points: Annotated[list[Point], Field(max_length=_MAX_POINTS), ListOrText] = Field(default=[])
    """Both ends of a known length, one point at a known distance from the camera, the four corners
    of a known rectangle in order around it, or five or more points of the rim of a known circle."""
    unit: Unit = "fraction"
    metres: float | Annotated[str, Field(max_length=40)] | None = None
    """Length, distance or diameter in metres, or with its unit: 30cm, 12in, 5'11"."""
    thing: Annotated[str, Field(max_length=40)] | None = None
    """Thing of a standard size between the two points, instead of metres, such as door, a4, letter,
    card, brick. With four corners, the kind of rectangle: a4, a5, letter, card, euro-pallet, or the
    lengths of its sides from corner 1 to 2 and from 2 to 3, such as 90cm x 2.1m. With five or more
    points, the kind of circle: cd, 1-euro, 2-euro, us-quarter."""
    along_ray: bool = True
    """Whether a distance is the straight line from the camera to the point, as a tape or a laser
    measures it; if false, it is the depth along the camera's axis."""
    camera_height: float | Annotated[str, Field(max_length=40)] | None = None
    """Height of the camera above the visible floor in metres, or with its unit."""
    fov: float | None = None
    """Horizontal field of view of the photograph in degrees. It makes the ranges narrower."""
    projection: Annotated[str, Field(max_length=400)] | None = Field(
        default=None,
        description=f"Lens of the photograph, if it is not an ordinary one. Give one "
        f"of these: {_LENS_GUIDE}.",
    )
    forget: bool = False
    """Forget everything that was stated about this photograph before."""


class KnownResult(ToolResult):
    """All that is known about a photograph."""

    facts: list[str]
    """Facts stated about it, in words."""
    is_metric: bool
    """Whether its depth is in metres now."""
    method: str | None
    """Source of the metres."""
    expected_error: float | None
    """Relative error that the depth of eight out of ten pixels should not exceed."""
    residuals: list[float]
    """Fitted minus known metres of each length and distance. They show how well the facts agree."""
    notes: list[str]
    """Notes, for example on facts that contradict each other."""


def state_fact(photographs: Photographs, request: KnownArguments) -> ToolAnswer[KnownResult]:
    """Add the stated facts to those about the photograph; facts that cannot be used are dropped."""
    _check_arguments(request)

    def add_and_check(facts: StatedFacts, shape: tuple[int, int]) -> StatedFacts:
        """Return the facts with the new ones; ``shape`` is (height, width)."""
        new_facts = _add_requested_facts(facts, request, shape)
        _check_facts(new_facts)
        return new_facts

    return _list_all_facts(photographs.change_facts(request.photo, add_and_check))


def _add_requested_facts(
    facts: StatedFacts, request: KnownArguments, shape: tuple[int, int]
) -> StatedFacts:
    """Add what a request states to the facts; ``shape`` is (height, width) of the photograph."""
    if request.forget:
        facts = StatedFacts()
    if request.points:
        size, sentence = _requested_size(request, shape)
        facts = facts.with_size(size, sentence)
    if request.camera_height is not None:
        # The option record also parses a text with a unit, such as "150cm".
        sizes: Any = {"camera_height": request.camera_height}
        facts = replace(facts, camera_height=KnownSizes(**sizes).camera_height)
    if request.fov is not None:
        facts = replace(facts, fov=request.fov)
    if request.projection is not None:
        facts = replace(facts, projection=request.projection)
    return facts


def _check_facts(facts: StatedFacts) -> None:
    """Raise OptionError for too many facts, facts that exclude each other, or impossible values."""
    if len(facts.known) > _MAX_FACTS:
        raise OptionError(
            f"known: at most {_MAX_FACTS} facts can be stated about one photograph; forget the "
            "earlier facts first (forget: true)"
        )
    rectangle_count = sum(isinstance(size, KnownRectangle) for size in facts.known)
    if rectangle_count > MAX_RECTANGLES:
        raise OptionError(
            f"known: at most {MAX_RECTANGLES} rectangles can be stated about one photograph; "
            "forget the earlier facts first (forget: true)"
        )
    if facts.known and facts.camera_height is not None:
        raise OptionError(
            "known: lengths and distances cannot be combined with the camera's height; give only "
            "one of them, or forget the earlier facts first (forget: true)"
        )
    if facts.fov is not None and facts.projection is not None:
        raise OptionError(
            "known: 'fov' and 'projection' cannot be combined; give only one of them, or forget "
            "the earlier facts first (forget: true)"
        )
    # The option records of the command line check the values.
    CameraOptions(fov=facts.fov, projection=facts.projection)
    KnownSizes(camera_height=facts.camera_height)


def _check_arguments(request: KnownArguments) -> None:
    """Raise OptionError for arguments that do not go together, or that state nothing."""
    sizes = [size for size in (request.metres, request.thing) if size is not None]
    if request.points and len(sizes) != 1:
        raise OptionError("known: give either 'metres' or 'thing' with 'points', but not both")
    if sizes and not request.points:
        raise OptionError(
            "known: 'metres' and 'thing' need 'points': one for a distance, two for a length, the "
            "four corners of a rectangle, or five or more of the rim of a circle"
        )
    point_count = len(request.points)
    if point_count == 3:
        raise OptionError(
            "known: three points do not state a size: give one point for a distance, two for a "
            "length, the four corners of a rectangle, or five or more of the rim of a circle"
        )
    if request.thing is not None and point_count == 1:
        raise OptionError(
            f"known: '{request.thing[:40]}' is the size of an object, so it needs two points (a "
            "length), four (a rectangle) or five (a circle), got one; to state a "
            "distance, give 'metres' instead"
        )
    if point_count == 4 and request.thing is None:
        raise OptionError(
            "known: four points are the corners of a rectangle; give its kind or its sides as "
            "'thing', such as a4 or 90cm x 2.1m"
        )
    camera_facts = (request.camera_height, request.fov, request.projection)
    states_camera = any(fact is not None for fact in camera_facts)
    if not (request.points or states_camera or request.forget):
        raise OptionError(
            "known: nothing was stated; give 'points' with 'metres' or 'thing', or give "
            "'camera_height', 'fov' or 'projection'"
        )


def _requested_size(request: KnownArguments, shape: tuple[int, int]) -> tuple[Known, str]:
    """Return the known size that a request states, and a sentence that repeats it to the user.

    The number of points says what it is: one point is at a known distance, two are the ends of a
    known length, four the corners of a rectangle, and five or more lie on the rim of a circle.
    """
    points = pixel_points(request.points, request.unit, shape)
    if len(points) >= _LEAST_RIM_POINTS:
        size, sentence = _requested_circle(request, points)
    elif len(points) == 4:
        size, sentence = _requested_rectangle(request, points)
    elif len(points) == 2:
        size, sentence = _requested_length(request, *points)
    else:
        [point] = points
        size, sentence = _requested_distance(request, point)
    # Formatting and parsing rounds the numbers exactly as the command line does.
    return parse_known(str(size)), sentence


def _requested_circle(
    request: KnownArguments, points: Sequence[tuple[float, float]]
) -> tuple[Known, str]:
    """Circle through points of its rim, whose diameter is a length or that of an object."""
    diameter = str(_requested_metres(request)) if request.thing is None else request.thing
    rim = ",".join(f"{u},{v}" for u, v in points)
    circle = parse_circle(f"{rim},{diameter.replace(',', ' ')}")
    return circle, f"the circle has a diameter of {circle.metres:g} m"


def _requested_rectangle(
    request: KnownArguments, points: Sequence[tuple[float, float]]
) -> tuple[Known, str]:
    """Rectangle of a kind, such as "a4", or with sides, such as "90cm x 2.1m"."""
    assert request.thing is not None, "_check_arguments has checked it"
    rectangle = KnownRectangle(corners=tuple(points), sides=parse_sides(request.thing))
    first_side, second_side = rectangle.lengths
    return rectangle, (
        f"the rectangle {request.thing} has sides of {first_side:g} and {second_side:g} m"
    )


def _requested_distance(request: KnownArguments, point: tuple[float, float]) -> tuple[Known, str]:
    """Point at a known distance from the camera, or with a known depth."""
    u, v = point
    along = Along.RAY if request.along_ray else Along.AXIS
    size = KnownPoint(u=u, v=v, metres=_requested_metres(request), along=along)
    quantity = "distance from the camera" if request.along_ray else "depth"
    return size, f"the {quantity} of the point {u:g},{v:g} is {size.metres:g} m"


def _requested_length(
    request: KnownArguments, start: tuple[float, float], end: tuple[float, float]
) -> tuple[Known, str]:
    """Length between two points, as a number or as that of an object such as "door"."""
    (u1, v1), (u2, v2) = start, end
    ends = f"{u1:g},{v1:g} to {u2:g},{v2:g}"
    if request.thing is None:
        size = KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=_requested_metres(request))
        return size, f"the line from {ends} is {size.metres:g} m long"
    # The syntax of --known-length, where the name of an object stands for its length.
    object_name = request.thing.replace(",", " ")
    size = parse_length(f"{u1},{v1},{u2},{v2},{object_name}")
    return size, f"the line from {ends} ({request.thing}) is {size.metres:g} m long"


def _requested_metres(request: KnownArguments) -> float:
    """Known length or distance [m], from a number or a text with a unit."""
    assert request.metres is not None, "_check_arguments has checked it"
    if not isinstance(request.metres, str):
        return request.metres
    try:
        return parse_metres(request.metres)
    except ValueError:
        raise OptionError(
            f"known: '{request.metres}' is not a length; write it like 2.35, 30cm or 5'11\""
        ) from None


def _list_all_facts(photograph: PredictedPhotograph) -> ToolAnswer[KnownResult]:
    """List what is known about a photograph now, and where its metres come from."""
    calibration = photograph.prediction.calibration
    record = KnownResult(
        facts=list(photograph.facts.sentences),
        is_metric=photograph.is_metric,
        method=None if calibration is None else calibration.method,
        expected_error=None if calibration is None else calibration.expected_error,
        residuals=[] if calibration is None else list(calibration.residuals),
        notes=[worded(note, spell_argument) for note in photograph.notes],
    )
    facts = "; ".join(photograph.facts.sentences)
    # The first line lists the facts already, so the sentence on metres must not repeat them.
    without_facts = replace(photograph, facts=StatedFacts())
    text = join_nonempty_lines(
        (
            f"Facts stated about this photograph: {facts}."
            if facts
            else "No facts are stated about this photograph.",
            size_source_sentence(without_facts, METRES if photograph.is_metric else UNKNOWN_UNIT),
            notes_text(photograph.notes_without_scale_source),
        )
    )
    return ToolAnswer(text=text, result=record)


KNOWN = AssistantTool(
    name="known",
    title="State a known size",
    description=(
        "State what the user knows about a photograph: a length (two points, and metres or a "
        f"thing: {', '.join(NAMED_LENGTHS)}), a rectangle (four corners, and a thing or the "
        "lengths of its sides), a circle such as a coin (five or more points of its rim, and "
        "metres or a thing), a distance from the camera (one point and metres), or the camera's "
        "height above the floor, field of view or lens. Later answers about this photograph use "
        "the fact, including answers to other clients of this server. The server forgets the fact "
        "when the file changes or the server stops. State only what the user said or what is "
        "certain, because all metres depend on it. A length works best if it lies across the "
        "picture and near the object to measure. Sizes in the plane of a known rectangle are the "
        "most certain."
    ),
    arguments_type=KnownArguments,
    result_type=KnownResult,
    answer=state_fact,
    only_reads=False,
)
