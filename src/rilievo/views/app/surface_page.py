"""The surface to turn, zoom and measure on, as a small page that the app shows in a frame.

It is drawn by the script of the page that ``--save html`` writes, keyboard included. Gradio's own
viewer weighs seven times as much and says nothing to a screen reader.
"""

from rilievo.errors import InputError
from rilievo.geometry.surface import surface_step
from rilievo.io.json_record import to_json
from rilievo.io.markup import Markup, element
from rilievo.io.page.parts import SURFACE_SCRIPTS, asset, measure_parts, surface_parts
from rilievo.io.page.relief import pack_relief
from rilievo.io.writing import SaveOptions
from rilievo.measure.terms import terms_of
from rilievo.types import Prediction

MOST_POINTS = 150_000
"""Of the surface on the page: what a phone turns without a stutter."""

_STYLE = """
body { background: transparent; }
#surface { aspect-ratio: auto; height: calc(100vh - 13rem); max-height: none; }
#measure { margin-top: 1rem; }
.stage { margin-top: 1rem; }
.stage::after { display: none; }
@media (max-width: 560px) { #surface { height: calc(100vh - 18rem); } }
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
    terms = to_json(terms_of(prediction))
    scripts = map(asset, SURFACE_SCRIPTS)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Surface in 3-D"),
        Markup(f"<style>{asset('page.css')}{_STYLE}</style>"),
    )
    photo = element("img", id="photo", src="photo.jpg", alt="The photograph")
    body = element(
        "body",
        *surface_parts(relief, "Surface in 3-D"),
        element(
            "section",
            *measure_parts(terms),
            element("div", photo, class_="stage", id="stage"),
            id="measure",
            hidden=True,
        ),
        *(Markup(f"<script>{script}</script>") for script in scripts),
    )
    page = element("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{page.text}\n"
