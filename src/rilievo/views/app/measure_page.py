"""The tab for measuring: by clicks, or by typed columns and rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from rilievo.calibration import Along
from rilievo.views.app import actions, markup
from rilievo.views.app.question import read_point
from rilievo.views.app.session import Point, Session
from rilievo.views.app.site import Site

HOW = (
    "Click two points of the photograph, A and B, or type their column and row. "
    "To get metres, type a distance or length that you know; a new number for the same place "
    "replaces the old one. Under Surface you can draw lines and drag their ends."
)


LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """Components of the tab."""

    picture: Any
    first: Any
    second: Any
    measure: Any
    words: Any
    metres: Any
    along: Any
    know: Any
    undo: Any
    forget: Any

    @property
    def points(self) -> list[Any]:
        """Components that change with the points."""
        return [self.picture, self.first, self.second, self.words]


def measuring_view() -> Measuring:
    """Lay out the tab."""
    gr.HTML(markup.hint(HOW))
    picture = gr.Image(
        label="Photograph to click on",
        interactive=False,
        buttons=[],
        height=460,
        elem_id="measure-picture",
        visible=False,
    )
    words = gr.HTML(markup.NOTHING, elem_id="measured")
    with gr.Row():
        first = gr.Textbox(label="Point A: column, row", placeholder="320, 240", min_width=140)
        second = gr.Textbox(label="Point B: column, row", placeholder="400, 250", min_width=140)
        measure = gr.Button("Measure", min_width=120, elem_id="measure")
    with gr.Row():
        metres = gr.Textbox(label="Known distance or length, in metres", max_lines=1, min_width=140)
        along = gr.Radio(
            [
                ("To A straight from the camera (tape, laser)", "ray"),
                ("To A along the optical axis", "axis"),
                ("From A to B", LENGTH),
            ],
            value="ray",
            label="How it was measured",
            min_width=220,
        )
    with gr.Row():
        know = gr.Button("Take it as known", elem_id="know", min_width=140)
        undo = gr.Button("Undo", elem_id="undo-known", min_width=100)
        forget = gr.Button("Forget what is known", elem_id="forget", min_width=140)
    return Measuring(
        picture=picture,
        first=first,
        second=second,
        measure=measure,
        words=words,
        metres=metres,
        along=along,
        know=know,
        undo=undo,
        forget=forget,
    )


def join_measuring(site: Site, session: Any, view: Measuring) -> None:
    """Connect clicks and typed points to measurements."""

    def click(now: Session, event: gr.SelectData) -> dict[Any, Any]:
        def act() -> dict[Any, Any]:
            column, row = event.index
            return drawn(actions.pick(now, *actions.on_photograph(site.store, now, column, row)))

        return said(act)

    def type_points(now: Session, first: str, second: str) -> dict[Any, Any]:
        return said(lambda: drawn(replace(now, first=read_point(first), second=read_point(second))))

    def drawn(now: Session) -> dict[Any, Any]:
        words = actions.measured(site.store, now)
        return {
            session: now,
            view.picture: str(actions.mark(site.store, now, site.uploads)),
            view.first: _typed(now.first),
            view.second: _typed(now.second),
            view.words: markup.say(*words, *actions.say_known(now, actions.held(site.store, now))),
        }

    def said(act: Callable[[], dict[Any, Any]]) -> dict[Any, Any]:
        return site.told(act, lambda line: {view.words: markup.complain(line)})

    outputs = [session, *view.points]
    quick: Any = {"show_progress": "hidden", "api_visibility": "private"}
    view.picture.select(click, [session], outputs, trigger_mode="multiple", **quick)
    for trigger in (view.measure.click, view.first.submit, view.second.submit):
        trigger(type_points, [session, view.first, view.second], outputs, **quick)


def fresh(site: Site, now: Session) -> dict[str, Any]:
    """Contents of the tab for a new answer, by the names of ``Measuring``."""
    answer = actions.held(site.store, now)
    picture = gr.Image(value=str(actions.mark(site.store, now, site.uploads)), visible=True)
    depth = site.store.prediction(answer).depth_or_none
    words = actions.measured(site.store, now) if depth is not None else []
    return {
        "picture": picture,
        "first": _typed(now.first),
        "second": _typed(now.second),
        "words": markup.say(*words, *actions.say_known(now, answer)),
    }


def empty() -> dict[str, Any]:
    """Contents of the tab before the first answer, by the names of ``Measuring``."""
    picture = gr.Image(value=None, visible=False)
    return {"picture": picture, "first": "", "second": "", "words": markup.NOTHING}


def read_along(text: str) -> Along | None:
    """Direction in which a distance was measured; None for a length from A to B."""
    if text == LENGTH:
        return None
    return Along.RAY if text == Along.RAY else Along.AXIS


def _typed(point: Point | None) -> str:
    return "" if point is None else f"{point[0]:g}, {point[1]:g}"
