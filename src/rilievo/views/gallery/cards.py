"""One image on the page: its pictures, its numbers, and what deserves a look."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from rilievo.evaluate.wording import head, number, quantity
from rilievo.io.atomic import make_folder, replacing
from rilievo.io.limits import printable
from rilievo.io.markup import Markup, element
from rilievo.metrics.metric import Better
from rilievo.views.disagreement import disagreement
from rilievo.views.exhibition import Column, Exhibit, Exhibition, notes_of
from rilievo.views.gallery.pictures import Picture, pictures_of

PICTURES = "pictures"
"""Folder of the pictures beside a page."""

CAPTIONED = 3
"""Metrics under a picture; all of them are one click away."""


@runtime_checkable
class Place(Protocol):
    """Where pictures are kept."""

    def address(self, name: str, jpeg: bytes) -> str:
        """Keep a picture, and say how the page names it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InPage:
    """In the page itself."""

    def address(self, name: str, jpeg: bytes) -> str:
        """All of it, as text."""
        return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """In files beside the page.

    Attributes:
        folder: Of the page.
        written: Paths of the pictures, relative to the folder.
    """

    folder: Path
    written: list[str] = field(default_factory=list)

    def address(self, name: str, jpeg: bytes) -> str:
        """A relative path, made of digits alone: ids may hold anything."""
        path = self.folder / PICTURES / f"{name}.jpg"
        make_folder(path.parent)
        with replacing(path) as part:
            part.write_bytes(jpeg)
        self.written.append(f"{PICTURES}/{name}.jpg")
        return self.written[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sortable:
    """A number by which images are sorted and sifted.

    Attributes:
        key: Of the attribute that holds it.
        label: For people.
        better: Which way is better.
        column: Whose metric it is; None for what is of all models.
        metric: Its name; None likewise.
    """

    key: str
    label: str
    better: Better
    column: Column | None = None
    metric: str | None = None


def sortables(exhibition: Exhibition) -> list[Sortable]:
    """Every metric of every model, and how much models disagree."""
    pairs = [(column, each) for column in exhibition.columns for each in column.summaries]
    found = [
        Sortable(
            key=f"m{count}",
            label=f"{head(each.label, each.unit)} of {column.label}",
            better=each.better,
            column=column,
            metric=each.metric,
        )
        for count, (column, each) in enumerate(pairs)
    ]
    if sum(column.kind is not None for column in exhibition.columns) > 1:
        found.append(Sortable(key="disagreement", label="disagreement", better=Better.LOWER))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Makes the cards of one page.

    Attributes:
        exhibition: What is shown.
        place: Where pictures are kept.
        sortables: Of the exhibition.
    """

    exhibition: Exhibition
    place: Place
    sortables: Sequence[Sortable]

    def card(self, exhibit: Exhibit, order: int) -> Markup:
        """One image; its numbers stand in ``data-`` attributes too, by which the script sorts.

        Raises:
            OutputError: If a picture cannot be written.
        """
        values = dict(_values(self.sortables, exhibit))
        figures = [
            _figure(exhibit, picture, self.place.address(f"{order:06}-{count}", picture.jpeg()))
            for count, picture in enumerate(pictures_of(exhibit))
        ]
        data = {f"data_{key}": repr(value) for key, value in values.items()}
        return element(
            "article",
            element("h2", printable(exhibit.id)),
            element("div", *figures, class_="panels"),
            _notes(exhibit),
            self._details(exhibit, values),
            class_="card",
            data_name=printable(exhibit.id),
            data_order=order,
            **data,
        )

    def _details(self, exhibit: Exhibit, values: Mapping[str, float]) -> Markup:
        height, width, _ = exhibit.photo.shape
        facts = [("size", f"{width} × {height} px")]
        if self.exhibition.images.split is not None:
            facts.append(("split", self.exhibition.images.split))
        if exhibit.camera is not None:
            K = exhibit.camera.K
            facts.append(("fx, fy", f"{K[0, 0]:.1f}, {K[1, 1]:.1f} px"))
            facts.append(("cx, cy", f"{K[0, 2]:.1f}, {K[1, 2]:.1f} px"))
        held = [each for each in self.sortables if each.key in values]
        facts += [(each.label, number(values[each.key])) for each in held]
        rows = (element("div", element("dt", name), element("dd", value)) for name, value in facts)
        return element(
            "details", element("summary", "All numbers"), element("dl", *rows, class_="facts")
        )


def _values(known: Sequence[Sortable], exhibit: Exhibit) -> Iterator[tuple[str, float]]:
    for each in known:
        if each.column is not None and each.metric is not None:
            score = each.column.scores.get(exhibit.id)
            if score is not None and each.metric in score.values:
                yield each.key, float(score.values[each.metric])
        else:
            depths = [shown.seen.depth for shown in exhibit.shown if shown.seen is not None]
            differing = disagreement([depth for depth in depths if depth is not None])
            if differing is not None:
                yield each.key, differing


def _figure(exhibit: Exhibit, picture: Picture, address: str) -> Markup:
    height, width, _ = exhibit.photo.shape
    return element(
        "figure",
        element("figcaption", picture.title),
        element(
            "img",
            src=address,
            alt=f"{picture.words} ({printable(exhibit.id)})",
            width=width,
            height=height,
            loading="lazy",
            decoding="async",
        ),
        _ramp(picture),
        _numbers(exhibit, picture.column),
        data_title=picture.title,
    )


def _ramp(picture: Picture) -> Markup | None:
    if picture.ends is None:
        return None
    far, near = picture.ends
    return element("div", element("span", far), element("span", near), class_="ramp")


def _numbers(exhibit: Exhibit, column: Column | None) -> Markup | None:
    score = None if column is None else column.scores.get(exhibit.id)
    if column is None or score is None:
        return None
    first = [each for each in column.summaries if each.metric in score.values][:CAPTIONED]
    spans = (
        element(
            "span", f"{each.label} ", element("b", quantity(score.values[each.metric], each.unit))
        )
        for each in first
    )
    return element("p", *spans, class_="numbers")


def _notes(exhibit: Exhibit) -> Markup | None:
    lines = list(notes_of(exhibit))
    return (
        element("ul", *(element("li", line) for line in lines), class_="notes") if lines else None
    )
