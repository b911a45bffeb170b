"""The tool ``known``, by which an assistant states what it knows of a photograph."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from rilievo.calibration.sizes import (
    MAX_RECTANGLES,
    NAMED_LENGTHS,
    Along,
    Known,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_known,
    parse_length,
    parse_sides,
)
from rilievo.errors import OptionError
from rilievo.errors.messages import worded
from rilievo.geometry.cameras.spelling import LENSES
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.known_sizes import KnownSizes
from rilievo.schema.typed_values import metres_of
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

_MAX_FACTS = 64

_LENSES = "; ".join(
    f"{text}: {words}".replace("`", "'")
    for row in LENSES.values()
    for text, words in row.guide.items()
)
"""How to write each lens, for the description of an argument."""


class KnownArguments(ToolArguments):
    """Arguments of ``known``."""

    points: Annotated[list[Point], Field(max_length=4), ListOrText] = Field(default=[])
    """Both ends of a known length, the one point whose distance from the camera is known, or the
    four corners of a known rectangle, in order around it."""
    unit: Unit = "fraction"
    metres: float | Annotated[str, Field(max_length=40)] | None = None
    """Length or distance in metres, or with its unit: 30cm, 12in, 5'11"."""
    thing: Annotated[str, Field(max_length=40)] | None = None
    """Usual thing between the two points in place of metres, such as door, a4, letter, card,
    brick. With four corners the rectangle: a4, a5, letter, card, euro-pallet, or its sides, from
    corner 1 to 2 and from 2 to 3, such as 90cm x 2.1m."""
    along_ray: bool = True
    """Whether a distance is the straight line from the camera to the point, as a tape or a laser
    measures it; false: depth along the camera's axis."""
    camera_height: float | Annotated[str, Field(max_length=40)] | None = None
    """Height of the camera above the visible floor in metres, or with its unit."""
    fov: float | None = None
    """Horizontal field of view of the photograph in degrees, which narrows ranges."""
    projection: Annotated[str, Field(max_length=400)] | None = Field(
        default=None, description=f"Lens of a photograph that is no ordinary one. {_LENSES}."
    )
    forget: bool = False
    """Forget everything stated about this photograph before."""


class KnownResult(ToolResult):
    """All that is known of a photograph."""

    facts: list[str]
    """Facts stated about it, in words."""
    is_metric: bool
    """Whether its depth is in metres now."""
    method: str | None
    """Source of the metres."""
    expected_error: float | None
    """Relative error that the depth of eight in ten pixels should stay below."""
    residuals: list[float]
    """Fitted minus known metres of each length and distance: how far the facts agree."""
    notes: list[str]
    """Notes, such as facts that contradict each other."""


def state_fact(photographs: Photographs, request: KnownArguments) -> ToolAnswer[KnownResult]:
    """Add the stated facts to those about the photograph; facts that cannot be used are dropped."""
    _check_arguments(request)

    def change(facts: StatedFacts, shape: tuple[int, int]) -> StatedFacts:
        changed = _add_requested_facts(facts, request, shape)
        _check_facts(changed)
        return changed

    return _answer_with_all_facts(photographs.change_facts(request.photo, change))


def _add_requested_facts(
    facts: StatedFacts, request: KnownArguments, shape: tuple[int, int]
) -> StatedFacts:
    if request.forget:
        facts = StatedFacts()
    if request.points:
        facts = facts.with_fact(*_fact_and_words(request, shape))
    if request.camera_height is not None:
        sizes: Any = {"camera_height": request.camera_height}  # a number, or a text with its unit
        facts = replace(facts, camera_height=KnownSizes(**sizes).camera_height)
    if request.fov is not None:
        facts = replace(facts, fov=request.fov)
    if request.projection is not None:
        facts = replace(facts, projection=request.projection)
    return facts


def _check_facts(facts: StatedFacts) -> None:
    """Refuse too many facts, facts that exclude each other, and impossible values."""
    if len(facts.known) > _MAX_FACTS:
        raise OptionError(f"known: at most {_MAX_FACTS} facts about one photograph")
    rectangles = sum(isinstance(fact, KnownRectangle) for fact in facts.known)
    if rectangles > MAX_RECTANGLES:
        raise OptionError(f"known: at most {MAX_RECTANGLES} rectangles in one photograph")
    if facts.known and facts.camera_height is not None:
        raise OptionError(
            "known: lengths and distances do not go together with the camera's height; forget "
            "the others first (forget: true)"
        )
    if facts.fov is not None and facts.projection is not None:
        raise OptionError(
            "known: fov and projection do not go together; forget the others first (forget: true)"
        )
    # The options of the command line check the values.
    CameraOptions(fov=facts.fov, projection=facts.projection)
    KnownSizes(camera_height=facts.camera_height)


def _check_arguments(request: KnownArguments) -> None:
    """Refuse arguments that do not go together, or state nothing."""
    sizes = [option for option in (request.metres, request.thing) if option is not None]
    if request.points and len(sizes) != 1:
        raise OptionError("known: points take either metres or a thing")
    if sizes and not request.points:
        raise OptionError(
            "known: metres and things need points: two for a length, one for a distance"
        )
    count = len(request.points)
    if count == 3 or (request.thing is not None and count == 1):
        raise OptionError(
            f"known: a {(request.thing or 'thing')[:40]} lies between two points, or four corners, "
            f"got {count}"
        )
    if count == 4 and request.thing is None:
        raise OptionError("known: four corners take a thing, such as a4 or 90cm x 2.1m")
    camera_facts = (request.camera_height, request.fov, request.projection)
    states_camera = any(fact is not None for fact in camera_facts)
    if not (request.points or states_camera or request.forget):
        raise OptionError(
            "known: state a length (two points and metres, or a thing), a distance (one point and "
            "metres), camera_height, fov or projection"
        )


def _fact_and_words(request: KnownArguments, shape: tuple[int, int]) -> tuple[Known, str]:
    """Read the known rectangle, length or distance of a request, and say it in a sentence."""
    points = pixel_points(request.points, request.unit, shape)
    fact: Known
    match points:
        case [_, _, _, _]:
            assert request.thing is not None, "checked"
            fact = KnownRectangle(corners=tuple(points), sides=parse_sides(request.thing))
            first, second = fact.lengths
            words = f"the rectangle {request.thing} has sides of {first:g} and {second:g} m"
        case [(u, v)]:
            along = Along.RAY if request.along_ray else Along.AXIS
            fact = KnownPoint(u=u, v=v, metres=_requested_metres(request), along=along)
            words = f"the point {fact.u:g},{fact.v:g} is {fact.metres:g} m away"
        case [(u1, v1), (u2, v2)] if request.thing is not None:
            fact = parse_length(f"{u1},{v1},{u2},{v2},{request.thing.replace(',', ' ')}")
            words = f"the {request.thing} is {fact.metres:g} m long"
        case [(u1, v1), (u2, v2)]:
            fact = KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=_requested_metres(request))
            words = f"the line {u1:g},{v1:g} to {u2:g},{v2:g} is {fact.metres:g} m long"
        case _:
            raise AssertionError("the number of points is checked")
    # Read from its text, it is the same as that of the command line.
    return parse_known(str(fact)), words


def _requested_metres(request: KnownArguments) -> float:
    assert request.metres is not None, "checked"
    if not isinstance(request.metres, str):
        return request.metres
    try:
        return metres_of(request.metres)
    except ValueError:
        raise OptionError(
            f"known: '{request.metres}' is no length, such as 2.35, 30cm or 5'11\""
        ) from None


def _answer_with_all_facts(photograph: PredictedPhotograph) -> ToolAnswer[KnownResult]:
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
    # The first line lists the facts, so the line on the source of metres leaves them out.
    without_facts = replace(photograph, facts=StatedFacts())
    text = join_nonempty_lines(
        (
            f"Known of this photograph: {facts}." if facts else "Nothing is known of it now.",
            size_source_sentence(without_facts, METRES if photograph.is_metric else UNKNOWN_UNIT),
            notes_text(photograph.notes_besides_metres),
        )
    )
    return ToolAnswer(text=text, result=record)


KNOWN = AssistantTool(
    name="known",
    title="State a known size",
    description=(
        "State a size that the user knows in a photograph: a length (two points, and metres or a "
        f"thing: {', '.join(NAMED_LENGTHS)}), a rectangle (four corners, and a thing or its "
        "sides), in whose plane sizes are most certain, a distance from the camera (one point and "
        "metres), "
        "the camera's height above the floor, its field of view, or its lens. Later answers about "
        "this photograph use it, also those to other clients of this server; it is forgotten when "
        "the file changes or the server ends. State only what the user said or what is certain, as "
        "all metres depend on it. A length across the picture, near what will be measured, serves "
        "best."
    ),
    arguments_type=KnownArguments,
    result_type=KnownResult,
    answer=state_fact,
    only_reads=False,
)
