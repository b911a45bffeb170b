"""Behaviour of the tab for photographs: events and their handlers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from rilievo.errors import ModelError, OptionError
from rilievo.views.app import actions, markup
from rilievo.views.app.answers import Answer
from rilievo.views.app.choices import open_choices
from rilievo.views.app.examples import EXAMPLES, Example
from rilievo.views.app.measure_page import LENGTH, empty, fresh, join_measuring, read_along
from rilievo.views.app.photo_layout import (
    Given,
    Views,
    chosen_column,
    photo_column,
    views_column,
)
from rilievo.views.app.question import CameraFrom, Question, read_number, read_point, safe_stem
from rilievo.views.app.session import Session, read_colours
from rilievo.views.app.site import Site

Changed = dict[Any, Any]
"""Components of the page and their new values."""


def photo_tab(site: Site) -> None:
    """Lay out the tab and connect its events."""
    session = gr.State(Session())
    with gr.Row(elem_classes="sheet"):
        # In reading order; a wide page shows the third below the first.
        with gr.Column(elem_classes="given"):
            photo, examples, status = photo_column()
        with gr.Column(elem_classes="views"):
            views = views_column(site)
        with gr.Column(elem_classes="chosen"):
            given = chosen_column(site, photo, examples, status)
    part = _Part(site, session, given, views)
    part.join_answer()
    part.join_examples()
    part.join_colours()
    part.join_known()
    part.join_compare()
    join_measuring(site, session, views.measuring)


class _Part:
    """Components of the tab, and their event handlers."""

    def __init__(self, site: Site, session: Any, given: Given, views: Views) -> None:
        self.site, self.session, self.given, self.views = site, session, given, views
        self.outputs = [
            *(session, given.status, views.depth, views.surface, views.normals, views.confidence),
            *(views.files, views.pair, *views.measuring.points),
        ]

    def join_answer(self) -> None:
        """Predict a photograph when it is given, and again on request."""
        given = self.given

        def ask(*asked: Any) -> Changed:
            return self.said(lambda: self.shown(self.answered(*asked)))

        def ask_at_once(*asked: Any) -> Changed:
            if asked[0] is None:
                return self.emptied("")
            # Old results would be taken for those of the new photograph.
            return self.site.told(
                lambda: self.shown(self.answered(*asked)),
                lambda line: self.emptied(markup.complain(line)),
            )

        inputs = [*given.asked, *given.colours]
        for trigger, act in ((given.photo.change, ask_at_once), (given.go.click, ask)):
            # Gradio would open pictures itself, with less clear errors.
            trigger(
                act,
                inputs,
                self.outputs,
                preprocess=False,
                show_progress="minimal",
                show_progress_on=[given.status],
                api_visibility="private",
                concurrency_id="answer",
                # Changes made while a prediction runs are handled after it.
                trigger_mode="always_last",
            )

    def join_examples(self) -> None:
        """Use an example as the photograph."""
        for example, button in zip(EXAMPLES, self.given.examples, strict=True):

            def pick(example: Example = example) -> str:
                return str(example.uploaded_to(self.site.uploads))

            button.click(
                pick, None, [self.given.photo], show_progress="hidden", api_visibility="private"
            )

    def join_colours(self) -> None:
        """Redraw depth when its colours change."""
        given, views = self.given, self.views

        def draw(now: Session, *colours: Any) -> Changed:
            def act() -> Changed:
                new = replace(now, colours=read_colours(*colours))
                if new.token is None:
                    return {self.session: new}
                answer = actions.held(self.site.store, new)
                shown = actions.show(self.site.store, answer, new.colours, "")
                return {self.session: new, views.depth: shown.depth, views.files: shown.files}

            return self.said(act)

        outputs = [self.session, given.status, views.depth, views.files]
        for trigger in (given.colour_map.input, given.near.submit, given.far.submit):
            trigger(draw, [self.session, *given.colours], outputs, api_visibility="private")

    def join_known(self) -> None:
        """Convert to metres by a known distance or length; undo and forget revert it."""
        parts = self.views.measuring

        def know(now: Session, first: str, second: str, typed: str, along: str) -> Changed:
            def act() -> Changed:
                # Typed points count even if Measure was not pressed; but half-typed text in B must
                # not break a distance of A.
                other = read_point(second) if along == LENGTH else now.second
                seen = replace(now, first=read_point(first), second=other)
                metres = read_number(typed, "the known distance or length")
                return self.shown(actions.know(self.site.store, seen, metres, read_along(along)))

            return self.measured(act)

        def undo(now: Session) -> Changed:
            return self.measured(lambda: self.shown(actions.undo(self.site.store, now)))

        def forget(now: Session) -> Changed:
            return self.measured(lambda: self.shown(actions.know_nothing(self.site.store, now)))

        for trigger, act, inputs in (
            (
                parts.know.click,
                know,
                [self.session, parts.first, parts.second, parts.metres, parts.along],
            ),
            (parts.undo.click, undo, [self.session]),
            (parts.forget.click, forget, [self.session]),
        ):
            trigger(act, inputs, self.outputs, show_progress="hidden", api_visibility="private")

    def join_compare(self) -> None:
        """Predict the same photograph with a second model."""
        views = self.views

        def compare(now: Session, model: str, flip: bool) -> Changed:
            def act() -> Changed:
                first = actions.held(self.site.store, now)
                question = replace(
                    first.question, model=self.choosable(model), flip=bool(flip), known=()
                )
                second = self.site.store.ask(question)
                words = actions.compared(self.site.store, (first, second))
                sides = [(self.named(each), each, now.colours) for each in (first, second)]
                return {views.pair: markup.pair_view(sides, words)}

            return self.site.told(act, lambda line: {views.pair: markup.complain(line)})

        views.compare.click(
            compare,
            [self.session, views.other, views.other_flip],
            [views.pair],
            show_progress="minimal",
            api_visibility="private",
            concurrency_id="answer",
        )

    def answered(
        self,
        photo: Any,
        model: str,
        flip: bool,
        camera_from: str,
        number: str | None,
        *colours: Any,
    ) -> Session:
        """Start a new session with the answer to a question."""
        if camera_from not in list(CameraFrom):
            raise OptionError(f"no camera from '{camera_from}'")
        drawn = read_colours(*colours)
        question = Question(
            photo=self.site.uploaded(photo),
            name=safe_stem(self.site.named(photo)),
            model=self.choosable(model),
            flip=bool(flip),
            camera_from=CameraFrom(camera_from),
            number=read_number(number, "the field of view or focal length"),
        )
        return Session(token=self.site.store.ask(question).token, colours=drawn)

    def choosable(self, model: str) -> str:
        """Check that the model may be chosen; browsers can send names that are not in the list."""
        if model not in {choice.name for choice in open_choices(self.site.listed)}:
            raise ModelError("this model cannot be chosen here")
        return model

    def shown(self, now: Session) -> Changed:
        """Update every component that shows an answer."""
        answer = actions.held(self.site.store, now)
        shown = actions.show(self.site.store, answer, now.colours, self.named(answer))
        views, measuring = self.views, fresh(self.site, now)
        parts = {getattr(views.measuring, name): value for name, value in measuring.items()}
        return {
            self.session: now,
            self.given.status: shown.summary,
            views.depth: shown.depth,
            views.surface: shown.surface,
            views.normals: shown.normals,
            views.confidence: shown.confidence,
            views.files: shown.files,
            views.pair: markup.hint("Choose a second model, or the same one mirrored."),
            **parts,
        }

    def emptied(self, status: str) -> Changed:
        """Reset every component to its initial state, and show a status."""
        views, measuring = self.views, empty()
        return {
            self.session: Session(),
            self.given.status: status,
            views.confidence: "",
            **dict.fromkeys((views.depth, views.surface, views.normals), markup.NOTHING),
            **dict.fromkeys((views.files, views.pair), markup.NOTHING),
            **{getattr(views.measuring, name): value for name, value in measuring.items()},
        }

    def named(self, answer: Answer) -> str:
        """Name of the model that answered, for display."""
        mirrored = " with mirror image" if answer.question.flip else ""
        return self.site.shown(answer.question.model) + mirrored

    def said(self, act: Callable[[], Changed]) -> Changed:
        """Result of a handler, or its error beside the photograph."""
        return self.site.told(act, lambda line: {self.given.status: markup.complain(line)})

    def measured(self, act: Callable[[], Changed]) -> Changed:
        """Result of a handler, or its error beside the measurements."""
        words = self.views.measuring.words
        return self.site.told(act, lambda line: {words: markup.complain(line)})
