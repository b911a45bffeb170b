"""The page around the cards: heading, controls for sorting and comparing, and missing images."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rilievo.evaluate.thumbnails import gradient
from rilievo.evaluate.wording import ARROWS, count, head, number
from rilievo.io.markup import Markup, element, joined
from rilievo.io.palette import DEPTH_COLOURS
from rilievo.metrics.metric import Better
from rilievo.version import VERSION
from rilievo.views.gallery.cards import Sortable
from rilievo.views.view_items import ViewItems

GENERATOR = f"rilievo report {VERSION}"
_FOLDER = Path(__file__).parent


def page(
    items: ViewItems,
    cards: Iterable[Markup],
    sortables: Sequence[Sortable],
    failed: Sequence[str],
) -> Iterator[str]:
    """Yield the page in pieces, in order.

    Args:
        items: Images and models to show.
        cards: Cards, built while the page is written.
        sortables: Quantities to sort by.
        failed: Images that cannot be shown; read after the cards, which append to it.
    """
    script = (_FOLDER / "gallery.js").read_text("utf-8")
    yield '<!DOCTYPE html>\n<html lang="en">\n'
    yield _head(items, script).text
    yield '\n<body>\n<a class="skip" href="#cards">Skip to the images</a>\n'
    yield _header(items).text
    yield _controls(items, sortables).text
    yield '\n<main id="cards">\n'
    for each in cards:
        yield f"{each.text}\n"
    yield "</main>\n"
    yield _closing(failed).text
    yield f"\n<script>{script}</script>\n</body>\n</html>\n"


def title(items: ViewItems) -> str:
    """Title with models and number of images."""
    models = ", ".join(column.label for column in items.columns)
    return f"{models} on {items.name}" if models else items.name


def _head(items: ViewItems, script: str) -> Markup:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    style = (_FOLDER / "gallery.css").read_text("utf-8")
    ramp = f":root {{ --ramp: {gradient(DEPTH_COLOURS)}; }}\n"
    return element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="generator", content=GENERATOR),
        element("title", title(items)),
        Markup(f"<style>\n{ramp}{style}</style>"),
    )


def _header(items: ViewItems) -> Markup:
    images = count(len(items.ids))
    return element(
        "header",
        element("p", "Gallery", class_="eyebrow"),
        element("h1", title(items)),
        element(
            "p",
            f"{images} images. Near is bright in every depth picture; depth in metres of one image "
            "shares one scale, that of the truth. Grey: no depth.",
            class_="quiet",
        ),
        _models(items),
    )


def _models(items: ViewItems) -> Markup | None:
    """Facts about each model, and its scores over all images."""
    if not items.columns:
        return None
    metrics = {
        (each.metric, head(each.label, each.unit), each.better): None
        for column in items.columns
        for each in column.summaries
    }
    heads = (
        element("th", f"{label} {ARROWS[better]}", scope="col") for _, label, better in metrics
    )
    rows = []
    for column in items.columns:
        own = {each.metric: each.value for each in column.summaries}
        rows.append(
            element(
                "tr",
                element("th", column.label, scope="row"),
                element("td", column.shows, class_="text"),
                element("td", column.made_by.licence, class_="text"),
                *(element("td", number(own.get(metric))) for metric, _, _ in metrics),
            )
        )
    fixed = (element("th", name, scope="col", class_="text") for name in ("shows", "licence"))
    table = element(
        "table",
        element("thead", element("tr", element("th", "model", scope="col"), *fixed, *heads)),
        element("tbody", *rows),
    )
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label="Models")


def _controls(items: ViewItems, sortables: Sequence[Sortable]) -> Markup:
    """Controls; hidden until the script runs, because they need it."""
    titles = list(_titles(items))
    right = titles[2] if len(titles) > 2 else titles[1]
    modes = [("side", "side by side"), ("slide", "two, with a slider")]
    return element(
        "form",
        _labelled("Order", _select("sort", _orders(sortables))),
        _labelled("Sift by", _select("sift", [("", "every image"), *_plain(sortables)])),
        _labelled("from", element("input", id="least", type="number", step="any", size=8)),
        _labelled("to", element("input", id="most", type="number", step="any", size=8)),
        _labelled("Name has", element("input", id="name", type="search", size=14)),
        _labelled("Show", _select("mode", modes)),
        _labelled("Left", _select("left", [(each, each) for each in titles])),
        _labelled("Right", _select("right", [(each, each) for each in titles], chosen=right)),
        element("output", id="shown"),
        id="controls",
        hidden=True,
    )


def _titles(items: ViewItems) -> Iterator[str]:
    """Titles of the pictures that can be compared."""
    yield from ("Photograph", "True depth")
    yield from (column.label for column in items.columns if column.kind is not None)
    normals = [f"{column.label}, normals" for column in items.columns if column.normals]
    if normals:
        yield from ("True normals", *normals)


def _orders(sortables: Sequence[Sortable]) -> Iterator[tuple[str, str]]:
    yield "order:up", "as in the dataset"
    for each in sortables:
        if each.column is None:
            yield f"{each.key}:down", "largest disagreement"
            continue
        worst = "up" if each.better is Better.HIGHER else "down"
        best = "down" if worst == "up" else "up"
        yield f"{each.key}:{worst}", f"worst {each.label}"
        yield f"{each.key}:{best}", f"best {each.label}"


def _plain(sortables: Sequence[Sortable]) -> Iterator[tuple[str, str]]:
    return ((each.key, each.label) for each in sortables)


def _select(id: str, options: Iterable[tuple[str, str]], chosen: str | None = None) -> Markup:
    return element(
        "select",
        *(
            element("option", label, value=value, selected=value == chosen)
            for value, label in options
        ),
        id=id,
    )


def _labelled(label: str, control: Markup) -> Markup:
    return element("label", element("span", label), control)


def _closing(failed: Sequence[str]) -> Markup:
    missing = None
    if failed:
        missing = element(
            "section",
            element("h2", f"{count(len(failed))} images that cannot be shown"),
            element("ul", *(element("li", line) for line in failed)),
            class_="missing",
        )
    made = element("p", f"Made by rilievo {VERSION}. Nothing is loaded from elsewhere.")
    return joined(missing, element("footer", made))
