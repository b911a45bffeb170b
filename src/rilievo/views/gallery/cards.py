"""Card of one image: its pictures, scores and notes."""

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
from rilievo.views.gallery.pictures import Picture, pictures_of
from rilievo.views.view_items import Column, ViewItem, ViewItems, notes_of

PICTURES = "pictures"
"""Folder of the pictures beside a page."""

CAPTIONED = 3
"""Number of metrics under a picture; a click shows all."""


@runtime_checkable
class Place(Protocol):
    """Storage for pictures."""

    def address(self, name: str, jpeg: bytes) -> str:
        """Store a picture, and return the address that the page uses."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InPage:
    """Storage in the page itself."""

    def address(self, name: str, jpeg: bytes) -> str:
        """Address that holds the whole picture (data URL)."""
        return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Storage in files beside the page.

    Attributes:
        folder: Folder of the page.
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
    """A quantity by which images can be sorted and filtered.

    Attributes:
        key: Name of the attribute that holds it.
        label: Label for display.
        better: Whether lower or higher is better.
        column: Model of the metric; None for quantities of all models.
        metric: Name of the metric; None for quantities of all models.
    """

    key: str
    label: str
    better: Better
    column: Column | None = None
    metric: str | None = None


def sortables(items: ViewItems) -> list[Sortable]:
    """Every metric of every model, and the disagreement of models."""
    pairs = [(column, each) for column in items.columns for each in column.summaries]
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
    if sum(column.kind is not None for column in items.columns) > 1:
        found.append(Sortable(key="disagreement", label="disagreement", better=Better.LOWER))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Builder of the cards of one page.

    Attributes:
        items: Images and models to show.
        place: Storage of pictures.
        sortables: Quantities to sort by.
    """

    items: ViewItems
    place: Place
    sortables: Sequence[Sortable]

    def card(self, item: ViewItem, order: int) -> Markup:
        """Build the card of one image; its scores are also in ``data-`` attributes, for the script.

        Raises:
            OutputError: If a picture cannot be written.
        """
        values = dict(_values(self.sortables, item))
        figures = [
            _figure(item, picture, self.place.address(f"{order:06}-{count}", picture.jpeg()))
            for count, picture in enumerate(pictures_of(item))
        ]
        data = {f"data_{key}": repr(value) for key, value in values.items()}
        return element(
            "article",
            element("h2", printable(item.id)),
            element("div", *figures, class_="panels"),
            _notes(item),
            self._details(item, values),
            class_="card",
            data_name=printable(item.id),
            data_order=order,
            **data,
        )

    def _details(self, item: ViewItem, values: Mapping[str, float]) -> Markup:
        height, width, _ = item.photo.shape
        facts = [("size", f"{width} × {height} px")]
        if self.items.images.split is not None:
            facts.append(("split", self.items.images.split))
        if item.camera is not None:
            K = item.camera.K
            facts.append(("fx, fy", f"{K[0, 0]:.1f}, {K[1, 1]:.1f} px"))
            facts.append(("cx, cy", f"{K[0, 2]:.1f}, {K[1, 2]:.1f} px"))
        held = [each for each in self.sortables if each.key in values]
        facts += [(each.label, number(values[each.key])) for each in held]
        rows = (element("div", element("dt", name), element("dd", value)) for name, value in facts)
        return element(
            "details", element("summary", "All numbers"), element("dl", *rows, class_="facts")
        )


def _values(known: Sequence[Sortable], item: ViewItem) -> Iterator[tuple[str, float]]:
    for each in known:
        if each.column is not None and each.metric is not None:
            score = each.column.scores.get(item.id)
            if score is not None and each.metric in score.values:
                yield each.key, float(score.values[each.metric])
        else:
            depths = [shown.seen.depth for shown in item.shown if shown.seen is not None]
            differing = disagreement([depth for depth in depths if depth is not None])
            if differing is not None:
                yield each.key, differing


def _figure(item: ViewItem, picture: Picture, address: str) -> Markup:
    height, width, _ = item.photo.shape
    return element(
        "figure",
        element("figcaption", picture.title),
        element(
            "img",
            src=address,
            alt=f"{picture.words} ({printable(item.id)})",
            width=width,
            height=height,
            loading="lazy",
            decoding="async",
        ),
        _ramp(picture),
        _numbers(item, picture.column),
        data_title=picture.title,
    )


def _ramp(picture: Picture) -> Markup | None:
    if picture.ends is None:
        return None
    far, near = picture.ends
    return element("div", element("span", far), element("span", near), class_="ramp")


def _numbers(item: ViewItem, column: Column | None) -> Markup | None:
    score = None if column is None else column.scores.get(item.id)
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


def _notes(item: ViewItem) -> Markup | None:
    lines = list(notes_of(item))
    return (
        element("ul", *(element("li", line) for line in lines), class_="notes") if lines else None
    )
