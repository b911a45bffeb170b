"""The page of the folder: what stands there before a photograph is given, and parts of a result."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rilievo.io.json_record import to_json
from rilievo.io.markup import Markup, element
from rilievo.io.page.parts import data, measure_controls, surface_controls
from rilievo.io.page.pictures import NORMALS_TITLE
from rilievo.measure.terms import Terms
from rilievo.version import VERSION
from rilievo.views.browser.app_parts import (
    EXAMPLES,
    examples,
    history_parts,
    server_files,
    statement,
    video_choices,
)

GENERATOR = "rilievo page"
"""Mark by which an older page is known."""

# WebAssembly is compiled from bytes, for which browsers ask leave.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; object-src 'none'; "
    "base-uri 'self'; form-action 'none'"
)
"""Content-Security-Policy of the page."""
_DOWNLOADS = (
    ("png16", "Depth, PNG of 16 bits"),
    ("ply", "Points, PLY"),
    ("glb", "Mesh, GLB"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageModel:
    """A network that visitors can choose.

    Attributes:
        name: Name that it has in rilievo.
        file: Address of its ONNX file beside the page.
        sha256: Hash of the file.
        megabytes: Size of the file.
    """

    name: str
    file: str
    sha256: str
    megabytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """What the page knows of the server behind it.

    Attributes:
        base: Path of the page on its host, which addresses of results begin with.
        models: Models of the server, as ``/v1/models`` lists them.
        keep_minutes: Minutes without use after which a result is deleted.
        max_bytes: Size of the largest file that it takes.
        examples: Photographs to try, by the name of their file without suffix.
    """

    base: str
    models: Sequence[Mapping[str, object]]
    keep_minutes: float | int
    max_bytes: int
    examples: Mapping[str, str] = field(default_factory=lambda: dict(EXAMPLES))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Settings that the scripts read from the page.

    Attributes:
        version: Version of rilievo.
        models: Networks; the first is used until another is chosen.
        colours: RGB of the colour map, 256 times three bytes in base64.
        example: Address of a photograph to try.
        terms: Terms of measuring, by the kind of depth and by whether the camera is known.
        app: The server behind the page; None where there is none.
    """

    version: str = VERSION
    models: Sequence[PageModel]
    colours: str
    example: str
    terms: Mapping[str, Mapping[str, Terms]]
    app: AppSettings | None = None


def document(settings: PageSettings) -> str:
    """The whole page as HTML."""
    app = settings.app
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("base", href=app.base) if app else None,
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="generator", content=f"{GENERATOR} {VERSION}"),
        element("title", "Depth and surface of a photograph"),
        element("link", rel="icon", href="icon.svg"),
        None if app else element("link", rel="manifest", href="page.webmanifest"),
        element("link", rel="stylesheet", href="page.css"),
    )
    body = element(
        "body",
        _header(app),
        element("section", *_question(app), id="ask"),
        element("section", *_live(), id="live", hidden=True),
        *(history_parts() if app else ()),
        element("main", id="result", hidden=True),
        element("template", *_result(app), id="result-parts"),
        element(
            "footer",
            element(
                "p",
                "Made by rilievo; the network is run by ONNX Runtime. ",
                element("a", "Licences", href="licences.txt"),
            ),
        ),
        element("noscript", element("p", "This page computes in your browser: allow JavaScript.")),
        data("application/json", "page-settings", to_json(settings)),
        element("script", type="module", src="app.js"),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en').text}\n"


def _header(app: AppSettings | None) -> Markup:
    here = (
        "The network runs in this browser: nothing is uploaded, and after the first visit it works "
        "without a network connection."
    )
    return element(
        "header",
        element("p", "rilievo", class_="eyebrow"),
        element("h1", "Depth and surface of a photograph"),
        element(
            "p",
            statement(app.keep_minutes) if app else here,
            class_="statement",
        ),
    )


def _question(app: AppSettings | None) -> Iterator[Markup]:
    accept = "image/*,video/*" if app else "image/*"
    photo = element(
        "input", type="file", id="photo-file", accept=accept, multiple=bool(app), disabled=True
    )
    words = "Choose photographs or a video" if app else "Choose a photograph"
    example = element("button", "Try an example", type="button", id="example", disabled=True)
    yield element(
        "div",
        element("label", photo, words, class_="button first"),
        element("button", "Use the camera", type="button", id="camera-start", disabled=True),
        None if app else example,
        class_="buttons",
    )
    yield element("p", f"Or drop {'them' if app else 'one'} here, or paste one.", class_="quiet")
    if app:
        yield examples(app.examples)
    model = element("select", id="model", disabled=True)
    sharp = element("input", type="checkbox", id="sharp", checked=True, disabled=True)
    view = element(
        "input", type="number", id="fov", min=1, max=170, step="any", placeholder="as in the file"
    )
    file = element("input", type="file", id="model-file", accept=".onnx", hidden=True)
    yield element(
        "div",
        element("label", "Model ", model),
        element("label", "Field of view ", view, " °"),
        element("label", sharp, "Depth follows the photograph's edges"),
        video_choices() if app else None,
        file,
        class_="choices",
    )
    yield element("p", "The page is made ready …", id="state", role="status")


def _live() -> Iterator[Markup]:
    yield element("h2", "Camera")
    video = element("video", id="video", playsinline=True, muted=True)
    depth = element("canvas", id="live-depth", role="img", aria_label="Depth of the camera's view")
    yield element("div", video, depth, class_="pair")
    yield element(
        "div",
        element("button", "Take this picture", type="button", id="camera-take"),
        element("button", "Stop", type="button", id="camera-stop"),
        element("output", id="rate", class_="quiet", aria_live="off"),
        class_="buttons",
    )


def _result(app: AppSettings | None) -> Iterator[Markup]:
    pair = element(
        "div", _figure("Photograph", "photo"), _figure("Depth", "depth"), id="pair", class_="pair"
    )
    bar = element(
        "div",
        element("div", class_="ramp"),
        element("div", id="ticks", class_="ticks"),
        element("p", id="result-kind", class_="quiet"),
        class_="bar",
    )
    reading = element("output", id="reading", class_="quiet", aria_live="off")
    yield element(
        "div",
        element("section", element("h2", id="result-title"), pair, bar, reading),
        element("section", *measure_controls(), id="measure", hidden=True, data_needs="surface"),
        element("section", _figure(NORMALS_TITLE, "normals"), class_="map"),
        class_="column",
    )
    surface = surface_controls("Surface of the photograph in 3-D")
    yield element(
        "div",
        element("section", element("h2", "Surface in 3-D"), *surface),
        element("section", *(server_files() if app else ()), *_downloads()),
        element("section", element("h2", "Facts"), element("dl", id="facts"), class_="facts"),
        class_="column",
    )


def _figure(title: str, id: str) -> Markup:
    canvas = element("canvas", id=id, role="img", aria_label=title)
    return element("figure", element("figcaption", title), canvas)


def _downloads() -> Iterator[Markup]:
    yield element("h2", "Files", class_="in-browser")
    buttons = (
        element(
            "button",
            words,
            type="button",
            data_output=output,
            data_needs=None if output == "png16" else "surface",
        )
        for output, words in _DOWNLOADS
    )
    yield element("div", *buttons, class_="buttons in-browser")
    yield element(
        "p",
        "In metres once the length of a line is known; until then in an unknown unit.",
        class_="quiet",
        data_needs="surface",
    )
