"""The surface to turn and zoom, as a small page that the app shows in a frame.

It is drawn by the script of the page that ``--save html`` writes, keyboard included. Gradio's own
viewer weighs seven times as much and says nothing to a screen reader.
"""

import base64
from importlib.resources import files

from rilievo.errors import InputError
from rilievo.geometry.surface import surface_step
from rilievo.io.json_record import to_json
from rilievo.io.markup import Markup, element, joined
from rilievo.io.page.relief import Relief, pack_relief
from rilievo.io.writing import SaveOptions
from rilievo.types import Prediction

MOST_POINTS = 150_000
"""Of the surface on the page: what a phone turns without a stutter."""

HELP = (
    "Drag to turn, with two fingers or the right button to shift, wheel or pinch to zoom. Keys: "
    "arrows turn, Shift and arrows shift, + and − zoom, 0 goes back."
)
_LOOKS = (("photograph", "Photograph"), ("shape", "Shape"), ("points", "Points"))
_STYLE = """
body { background: transparent; }
#photo { display: none; }
#surface { aspect-ratio: auto; height: calc(100vh - 7.5rem); max-height: none; }
@media (max-width: 560px) { #surface { height: calc(100vh - 13rem); } }
"""


def surface_page(prediction: Prediction) -> str:
    """The page; the photograph is fetched from beside it.

    Raises:
        InputError: If there is no depth to make a surface of, or nothing is left of it.
    """
    depth, camera = prediction.depth_or_none, prediction.camera
    if depth is None or camera is None:
        raise InputError("this model gives no depth, so there is no surface")
    step = surface_step(depth.shape, MOST_POINTS)
    relief = pack_relief(depth.depth(), camera.K, depth.valid, step=step, cut=SaveOptions().cut)
    if relief is None:
        raise InputError("nothing is left of the surface: no pixel has a neighbour it meets")
    scripts = (_asset("ogl.js"), _asset("page.js"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Surface in 3-D"),
        Markup(f"<style>{_asset('page.css')}{_STYLE}</style>"),
    )
    body = element(
        "body",
        element("img", id="photo", src="photo.jpg", alt=""),
        *_drawing(),
        _data("application/json", "surface-form", to_json(relief.form)),
        _data("text/plain", "surface-data", _packed(relief)),
        *(Markup(f"<script>{script}</script>") for script in scripts),
    )
    page = element("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{page.text}\n"


def _drawing() -> list[Markup]:
    """What the script draws on, and what steers it."""
    looks = (
        element(
            "label",
            element("input", type="radio", name_="look", value=value, checked=not place),
            label,
        )
        for place, (value, label) in enumerate(_LOOKS)
    )
    return [
        element("p", "The surface needs JavaScript and WebGL 2.", id="surface-state"),
        element(
            "canvas",
            id="surface",
            tabindex=0,
            role="application",
            aria_label=f"Surface in 3-D. {HELP}",
            hidden=True,
        ),
        element(
            "form",
            element("fieldset", element("legend", "Show"), joined(*looks)),
            element("button", "From the camera", type="button", id="camera"),
            element("button", "Reset", type="button", id="reset"),
            id="surface-controls",
            hidden=True,
        ),
        element("p", HELP, class_="quiet", id="surface-help", hidden=True),
    ]


def _data(kind: str, id: str, text: str) -> Markup:
    """Data for the script; nothing in it ends the element."""
    safe = text.replace("<", "\\u003c")
    return Markup(f'<script type="{kind}" id="{id}">{safe}</script>')


def _packed(relief: Relief) -> str:
    return base64.b64encode(relief.data).decode("ascii")


def _asset(name: str) -> str:
    return files("rilievo.io.page").joinpath(name).read_text("utf-8")
