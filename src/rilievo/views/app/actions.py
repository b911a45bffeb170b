"""Actions of visitors: functions from one session state to the next."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.calibration import Along, Known, KnownLength, KnownPoint
from rilievo.errors import InputError, OptionError
from rilievo.views.app import markup
from rilievo.views.app.answers import Answer, AnswerStore
from rilievo.views.app.files import offers
from rilievo.views.app.measuring import measure, say_spot, spot
from rilievo.views.app.pictures import depth_limits, jpeg, marked, photo_picture, shrinking
from rilievo.views.app.session import Colours, Point, Session
from rilievo.views.disagreement import disagreement

_MOST_UNDONE = 20
NO_SURFACE = (
    "There is no surface yet: this model gives no depth, or depth with an unknown shift, which "
    "would bend it. For the latter, give two known distances under Measure."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Views of an answer as HTML."""

    summary: str
    depth: str
    surface: str
    normals: str
    confidence: str
    files: str


def show(store: AnswerStore, answer: Answer, colours: Colours, model: str) -> Shown:
    """Draw all views of an answer.

    Raises:
        RilievoError: If the colour range does not fit this kind of depth, or the answer was
            deleted.
    """
    prediction = store.prediction(answer)
    depth = prediction.depth_or_none
    if depth is None:
        pictures = markup.hint("This model gives no depth.")
    else:
        limits = depth_limits(depth, colours.near_far)
        pictures = markup.depth_view(answer, depth.kind, colours, limits)
    surface = markup.hint(NO_SURFACE)
    if depth is not None and depth.is_depth:
        surface = markup.surface_view(answer)
    normals = markup.hint("This model gives no normals.")
    if prediction.has("normals"):
        normals = markup.picture_view(
            answer,
            "normals",
            "Surface normals as colours",
            "Blue faces you, red faces right, green faces up (x right, y up, z towards you).",
        )
    confidence = markup.hint("This model predicts no confidence.")
    if prediction.has("confidence"):
        confidence = "<h2>Confidence</h2>" + markup.picture_view(
            answer,
            "confidence",
            "Confidence in grey",
            "White is the highest confidence, black the lowest.",
        )
    return Shown(
        summary=markup.summary(answer, prediction, model),
        depth=pictures,
        surface=surface,
        normals=normals,
        confidence=confidence,
        files=markup.files_view(answer, colours, offers(prediction, answer.question.name)),
    )


def pick(session: Session, u: float | int, v: float | int) -> Session:
    """Handle a click: it sets point A, then point B, then A again."""
    if session.first is None or session.second is not None:
        return replace(session, first=(u, v), second=None)
    return replace(session, second=(u, v))


def on_photograph(
    store: AnswerStore, session: Session, column: float | int, row: float | int
) -> Point:
    """Pixel (u, v) of the photograph for a pixel of the picture on the page.

    Raises:
        InputError: If there is no answer.
    """
    step = shrinking(held(store, session).shape)
    return (column + 0.5) * step - 0.5, (row + 0.5) * step - 0.5


def held(store: AnswerStore, session: Session) -> Answer:
    """Current answer of the session.

    Raises:
        InputError: If there is none, or it was deleted.
    """
    if session.token is None:
        raise InputError("give a photograph first")
    return store.answer(session.token)


def measured(store: AnswerStore, session: Session) -> list[str]:
    """Describe the points and their distance, one sentence each.

    Raises:
        InputError: If a point lies outside, or there is no depth.
    """
    prediction = store.prediction(held(store, session))
    points = [point for point in (session.first, session.second) if point is not None]
    spots = [spot(prediction, u, v) for u, v in points]
    if len(spots) == 2:
        return list(measure(prediction, *spots).words)
    return [say_spot(prediction, "A", each) for each in spots]


def mark(store: AnswerStore, session: Session, folder: Path) -> Path:
    """Draw the points on the photograph, as a file that the page may show.

    Args:
        store: Store of the answer.
        session: Session with the points.
        folder: Folder of files that may be fetched.
    """
    answer = held(store, session)
    picture = photo_picture(store.prediction(answer))
    pairs = (("A", session.first), ("B", session.second))
    spots = [(name, *point) for name, point in pairs if point is not None]
    path = folder / "pictures" / f"{secrets.token_hex(16)}.jpg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(jpeg(marked(picture, spots, shrinking(answer.shape))))
    return path


def know(
    store: AnswerStore, session: Session, metres: float | int | None, along: Along | None
) -> Session:
    """Add a known distance or length, and convert depth to metres if that determines the scale.

    Args:
        store: Store of the answer.
        session: Session with point A, and with B for a length.
        metres: Number that was typed.
        along: Direction in which the distance of A was measured; None for the length from A to B.
            An earlier fact about the same place is replaced.

    Raises:
        RilievoError: If a point or the number is missing, or the facts contradict the depth.
    """
    answer = held(store, session)
    if session.first is None:
        raise OptionError("click a point of the photograph first: it becomes point A")
    if along is None and session.second is None:
        raise OptionError("a length goes from A to B: click a second point")
    if metres is None:
        raise OptionError("type the distance or length that you know, in metres")
    (u, v), second = session.first, session.second
    spot(store.prediction(answer), u, v)
    fact: Known
    if along is None and second is not None:
        spot(store.prediction(answer), *second)
        fact = KnownLength(u1=u, v1=v, u2=second[0], v2=second[1], metres=metres)
    else:
        fact = KnownPoint(u=u, v=v, metres=metres, along=along or Along.RAY)
    others = tuple(each for each in session.known if _pixels(each) != _pixels(fact))
    return _knowing(store, session, (*others, fact))


def know_nothing(store: AnswerStore, session: Session) -> Session:
    """Remove every known distance and length; depth in the photograph's file is used again."""
    return _knowing(store, session, ())


def undo(store: AnswerStore, session: Session) -> Session:
    """Undo the last change of the known facts.

    Raises:
        OptionError: If there was no change.
    """
    if not session.past:
        raise OptionError("there is nothing to undo: no known distance was given yet")
    return replace(_knowing(store, session, session.past[-1]), past=session.past[:-1])


def _knowing(store: AnswerStore, session: Session, known: tuple[Known, ...]) -> Session:
    """Answer the session's question again with exactly these facts."""
    answer = held(store, session)
    kind = store.networks.model(answer.question.model).card.kind
    new = replace(session, known=known, past=(*session.past, session.known)[-_MOST_UNDONE:])
    if kind is not None and not kind.is_depth and len(known) == 1:
        # One point alone is accepted for depth with an unknown shift, though it gives no metres
        # yet.
        known = ()
        if not answer.question.known:
            return new
    return replace(new, token=store.calibrated(answer, known).token)


def _pixels(known: Known) -> frozenset[tuple[int, int]]:
    """Pixels of a point, or of both ends of a length."""
    if isinstance(known, KnownPoint):
        return frozenset({(round(known.u), round(known.v))})
    ends = (known.u1, known.v1), (known.u2, known.v2)
    return frozenset((round(u), round(v)) for u, v in ends)


def say_known(session: Session, answer: Answer) -> list[str]:
    """Describe the known facts."""
    lines = [f"Known: {_say_fact(each)}." for each in session.known]
    if session.known and not answer.question.known:
        lines.append("This model needs a second known point, clearly nearer or farther.")
    return lines


def _say_fact(known: Known) -> str:
    if isinstance(known, KnownLength):
        ends = (known.u1, known.v1), (known.u2, known.v2)
        first, second = (f"column {u:.0f}, row {v:.0f}" for u, v in ends)
        return f"from {first} to {second} it is {known.metres:g} m"
    way = "straight" if known.along is Along.RAY else "along the optical axis"
    return f"column {known.u:.0f}, row {known.v:.0f} is {known.metres:g} m away ({way})"


def compared(store: AnswerStore, answers: Sequence[Answer]) -> list[str]:
    """Describe how far two answers agree on the order of depth."""
    depths = [prediction.depth_or_none for prediction in map(store.prediction, answers)]
    found = disagreement([depth for depth in depths if depth is not None])
    if found is None:
        return ["They cannot be compared: one gives no depth, or a flat one."]
    return [
        f"They agree on the order of depth to {100 * (1 - found):.1f} % "
        "(rank correlation of their depths; 100 % is the same order everywhere).",
        "Colours stretch each answer by itself, so they compare shapes and not sizes.",
    ]
