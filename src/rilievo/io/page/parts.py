"""Parts of a page that its scripts use: the surface, measuring lines, and their data."""

import base64
from collections.abc import Iterator
from pathlib import Path

from rilievo.io.json_record import to_json
from rilievo.io.markup import Markup, element
from rilievo.io.page.relief import Relief

SURFACE_SCRIPTS = (
    "ogl.js",
    "relief.js",
    "planes.js",
    "faces.js",
    "contour.js",
    "backing.js",
    "viewer.js",
    "steering.js",
    "ruler.js",
    "sheet.js",
    "lines.js",
    "pair.js",
    "page.js",
)
"""Scripts of a page with a surface, in loading order."""

_FOLDER = Path(__file__).parent
_LOOKS = (("photograph", "Photograph"), ("shape", "Shape"), ("points", "Points"))
_HELP = (
    "Drag to turn, with two fingers or the right button to shift; pinch to zoom, or use the wheel "
    "after a click or with Ctrl. Keys: arrows turn, Shift and arrows shift, + and − zoom, 0 resets."
)
_MEASURE_HELP = (
    "Drag the points, on the photograph or on the surface; arrow keys move a point by a pixel, "
    "with Shift by ten. Ctrl+Z takes the last change back, Ctrl+Shift+Z makes it again. A height "
    "is above the floor, an angle between the surfaces at its two points."
)
_THINGS = (
    ("line", "Add a line"),
    ("height", "Add a height"),
    ("area", "Add an area"),
    ("angle", "Add an angle"),
)


def surface_parts(relief: Relief, label: str) -> Iterator[Markup]:
    """Build the surface, its controls and its data.

    Args:
        relief: Surface to draw.
        label: Description of the surface, for screen readers.
    """
    yield from surface_controls(label)
    yield data("application/json", "surface-form", to_json(relief.form))
    yield data("text/plain", "surface-data", base64.b64encode(relief.data).decode("ascii"))


def surface_controls(label: str) -> Iterator[Markup]:
    """Canvas of a surface and its controls.

    Args:
        label: Name of the surface, for those who do not see it.
    """
    yield element("p", "The surface needs JavaScript and WebGL 2.", id="surface-state")
    canvas = element(
        "canvas",
        id="surface",
        tabindex=0,
        role="application",
        aria_label=f"{label}. {_HELP}",
        hidden=True,
    )
    yield element("div", canvas, class_="scene")
    looks = (
        element(
            "label",
            element(
                "input", type="radio", name_="look", value=value, checked=value == _LOOKS[0][0]
            ),
            words,
        )
        for value, words in _LOOKS
    )
    yield element(
        "form",
        element("fieldset", element("legend", "Show"), *looks),
        element("button", "From the camera", type="button", id="camera"),
        id="surface-controls",
        hidden=True,
    )
    yield element("p", _HELP, class_="quiet", id="surface-help", hidden=True)


def measure_parts(terms: str) -> Iterator[Markup]:
    """Build the section in which lines and other things are measured.

    Args:
        terms: A ``rilievo.measure.terms.Terms`` as JSON.
    """
    yield from measure_controls()
    yield data("application/json", "measure-terms", terms)


def measure_controls() -> Iterator[Markup]:
    """Controls of measuring, without the terms."""
    yield element("h2", "Measure")
    yield element("ol", id="lines")
    yield element(
        "div",
        *(element("button", words, type="button", id=f"add-{name}") for name, words in _THINGS),
        element("button", "Undo", type="button", id="undo", disabled=True),
        element("button", "Redo", type="button", id="redo", disabled=True),
        class_="buttons",
    )
    yield element("p", id="measure-words", class_="quiet", role="status")
    yield element("p", _MEASURE_HELP, class_="quiet")


def data(kind: str, id: str, text: str) -> Markup:
    """Embed data for scripts; in JSON and base64, "<" occurs only inside strings."""
    safe = text.replace("<", "\\u003c")
    return Markup(f'<script type="{kind}" id="{id}">{safe}</script>\n')


def asset(name: str) -> str:
    """Text of a script, style or licence that pages embed."""
    return (_FOLDER / name).read_text("utf-8")
