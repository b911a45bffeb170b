"""The HTML document. Scripts, style and data are embedded, and nothing is loaded from elsewhere."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rilievo.io.facts import Sidecar, SurfaceFacts
from rilievo.io.limits import printable
from rilievo.io.markup import Markup, element, joined
from rilievo.io.page.parts import SURFACE_SCRIPTS, asset, data, measure_parts, surface_parts
from rilievo.io.page.pictures import NORMALS_TITLE, Bar, Picture
from rilievo.io.page.relief import Relief
from rilievo.io.page.wording import facts_of, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Contents of one page.

    Attributes:
        about: Facts about the prediction.
        json: The same facts as one-line JSON.
        photo: Picture of the photograph; None where the prediction has none.
        depth: Picture of depth; None where the prediction has none.
        bar: Colour bar of the depth picture.
        others: Further maps.
        relief: Surface to draw; None where there is none.
        surface: Facts about the relief.
        missing: Reason why there is no surface, where there is depth but none could be made.
        terms: A ``rilievo.measure.terms.Terms`` as JSON; None where there is no surface.
    """

    about: Sidecar
    json: str
    photo: Picture | None
    depth: Picture | None
    bar: Bar | None
    others: tuple[Picture, ...]
    relief: Relief | None
    surface: SurfaceFacts | None
    missing: str | None
    terms: str | None


def document(contents: Contents) -> str:
    """The whole page."""
    names: Sequence[str] = ["pair.js", "page.js"]
    if contents.relief is not None:
        names = SURFACE_SCRIPTS
    scripts = [asset(name) for name in names]
    style = _style(contents.bar)
    body = joined(
        _header(contents.about),
        element(
            "main",
            element("div", *_pictures(contents), class_="column"),
            element("div", *_surface_and_facts(contents), class_="column"),
        ),
        element(
            "footer",
            element("p", "Made by rilievo. Nothing on this page is loaded from elsewhere."),
        ),
        data("application/json", "rilievo", contents.json),
        *(Markup(f"<script>{script}</script>\n") for script in scripts),
    )
    head = _head(contents.about, style, scripts)
    return f'<!DOCTYPE html>\n<html lang="en">\n{head.text}\n<body>\n{body.text}</body>\n</html>\n'


def _head(about: Sidecar, style: str, scripts: list[str]) -> Markup:
    """Head whose content policy allows only the embedded scripts and style, and no loading."""
    allowed = " ".join(_digest(script) for script in scripts)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="generator", content=f"rilievo {printable(about.made_by.version)}"),
        element("title", f"{printable(about.source.file)}: depth and surface"),
        Markup(f"<style>{style}</style>"),
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _header(about: Sidecar) -> Markup:
    return element(
        "header",
        element("p", "Depth and surface", class_="eyebrow"),
        element("h1", printable(about.source.file)),
        element("p", statement(about), class_="statement"),
    )


def _pictures(contents: Contents) -> Iterator[Markup]:
    if contents.photo is not None and contents.depth is not None:
        yield element("section", *_pair(contents.photo, contents.depth, contents.bar))
    else:
        for picture in (contents.photo, contents.depth):
            if picture is not None:
                yield element("section", _figure(picture), _bar(contents.bar, picture))
    if contents.relief is not None and contents.terms is not None:
        yield element("section", *measure_parts(contents.terms), id="measure", hidden=True)
    for picture in contents.others:
        id = "normals" if picture.title == NORMALS_TITLE else None
        yield element("section", _figure(picture, id=id), class_="map")


def _surface_and_facts(contents: Contents) -> Iterator[Markup]:
    if contents.relief is not None:
        name = printable(contents.about.source.file)
        parts = surface_parts(contents.relief, f"Surface of {name} in 3-D")
        yield element("section", element("h2", "Surface in 3-D"), *parts)
    elif contents.missing is not None:
        yield element(
            "section", element("h2", "Surface"), element("p", contents.missing, class_="quiet")
        )
    rows = (
        element("div", element("dt", name), element("dd", value))
        for name, value in facts_of(contents.about, contents.surface)
    )
    licence = None
    if contents.relief is not None:
        licence = element(
            "details",
            element("summary", "Licence of the library that draws the surface"),
            element("p", "OGL 1.0.11, by Nathan Gordon and others:"),
            element("pre", asset("ogl.LICENSE")),
        )
    yield element("section", element("h2", "Facts"), element("dl", *rows), licence, class_="facts")


def _pair(photo: Picture, depth: Picture, bar: Bar | None) -> Iterator[Markup | None]:
    """Photograph and depth side by side; the script overlays them with a slider."""
    yield element("h2", "Photograph and depth", id="pair-title")
    yield element("div", _figure(photo, id="photo"), _figure(depth, id="depth"), id="pair")
    yield _bar(bar, depth)
    yield element("output", id="reading", class_="quiet", aria_live="off")


def _figure(picture: Picture, id: str | None = None) -> Markup:
    address = f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode('ascii')}"
    return element(
        "figure",
        element("figcaption", picture.title),
        element("img", src=address, alt=picture.words, id=id),
    )


def _bar(bar: Bar | None, picture: Picture) -> Markup | None:
    if bar is None or picture.title != "Depth":
        return None
    ticks = (element("span", tick) for tick in bar.ticks)
    return element(
        "div",
        element("div", class_="ramp"),
        element("div", *ticks, class_="ticks"),
        element("p", bar.caption, class_="quiet"),
        class_="bar",
    )


def _style(bar: Bar | None) -> str:
    colours = "none" if bar is None else f"linear-gradient(to right, {', '.join(bar.colours)})"
    return f":root {{ --ramp: {colours}; }}\n{asset('page.css')}"
