"""A small page with the surface to turn, zoom and measure on, shown in an iframe.

It uses the script of the page that ``--save html`` writes, with keyboard control. Gradio's own
viewer is seven times as large and is silent to screen readers.
"""

from rilievo.errors import InputError
from rilievo.geometry.surface import surface_step
from rilievo.io.json_record import to_json
from rilievo.io.markup import Markup, element
from rilievo.io.page.parts import SURFACE_SCRIPTS, asset, measure_parts, surface_parts
from rilievo.io.page.relief import pack_relief
from rilievo.io.writing import SaveOptions
from rilievo.measure.terms import terms_of
from rilievo.pages.document import asset as pages_asset
from rilievo.types import Prediction

MOST_POINTS = 150_000
"""Most points of the surface on the page, so that telephones turn it smoothly."""

_STYLE = """
body { background: transparent; }
#surface { aspect-ratio: auto; height: calc(100vh - 13rem); max-height: none; }
#measure { margin-top: 1rem; }
.stage { margin-top: 1rem; }
.stage::after { display: none; }
@media (max-width: 560px) { #surface { height: calc(100vh - 18rem); } }
"""


def surface_page(prediction: Prediction) -> str:
    """Build the page; the photograph is loaded from a neighbouring address.

    Raises:
        InputError: If there is no depth for a surface, or the surface is empty.
    """
    depth, camera = prediction.depth_or_none, prediction.camera
    if depth is None or camera is None:
        raise InputError("this model gives no depth, so there is no surface")
    step = surface_step(depth.shape, MOST_POINTS)
    relief = pack_relief(depth.depth(), camera.K, depth.valid, step=step, cut=SaveOptions().cut)
    if relief is None:
        raise InputError("the surface is empty: no pixel is connected to a neighbour")
    terms = to_json(terms_of(prediction))
    scripts = map(asset, SURFACE_SCRIPTS)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Surface in 3-D"),
        Markup(f"<style>{pages_asset('style.css')}{asset('page.css')}{_STYLE}</style>"),
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
