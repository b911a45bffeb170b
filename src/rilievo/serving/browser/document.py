"""The HTML of the page, the choices that it offers, and the settings that its scripts read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rilievo.geometry.cameras.spelling import LENSES
from rilievo.io.json_record import to_json
from rilievo.measure.page_terms import DoubtTerms, MisfitTerms, Terms
from rilievo.pages.document import fill_text_template
from rilievo.prediction.output import OUTPUTS, Need, UsualSize
from rilievo.records.depth_map import DepthKind
from rilievo.serving.browser.page_graph import PageGraph
from rilievo.version import VERSION

EXAMPLES: Mapping[str, str] = {
    "hat": "A woman with a hat",
    "coffee": "A cup of coffee",
    "tent": "A tent in front of mountains",
    "houseboat": "A houseboat",
    "cafe": "Two people at a table",
    "bear": "A bear",
}
"""Photographs to try, by the names of their files; the page opens with the first."""
FILES: Mapping[str, str] = {name: row.label or name for name, row in OUTPUTS.own.items()}
"""Labels of all outputs."""
SIZES: Mapping[str, UsualSize] = {
    **{name: row.usual_size for name, row in OUTPUTS.own.items() if row.usual_size is not None},
    "side": UsualSize(0, 3.2, 99),
    "anaglyph": UsualSize(0, 1.6, 99),
}
"""Usual file sizes of outputs and stereo layouts, which the page shows before a download."""
DOWNLOADS: Mapping[str, str] = {
    **{name: FILES[name] for name, row in OUTPUTS.own.items() if row.is_made_in_browser},
    "side": "Stereo, side by side",
    "anaglyph": "Stereo, red and cyan",
}
"""Labels of the outputs that the scripts make in the browser."""
SURFACES = frozenset(name for name, row in OUTPUTS.own.items() if Need.CAMERA in row.needs)
"""Outputs that are surfaces, and therefore need the camera."""
LENSES_TO_CHOOSE: Mapping[str, str] = {
    "": "automatic",
    **{row.choice: row.label for row in LENSES.values() if row.choice},
}
"""Labels of the lenses that a visitor can choose, by their spelling in ``projection``."""
VIDEOS: Mapping[str, str] = {
    name: row.video.label for name, row in OUTPUTS.own.items() if row.video and row.video.label
}
"""Labels of the outputs of a video, the default first."""

GENERATOR = "rilievo page"
"""Mark in the HTML by which pages that rilievo wrote are recognised, also older ones."""

# Browsers compile WebAssembly only with 'wasm-unsafe-eval'.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; object-src 'none'; "
    "base-uri 'self'; form-action 'none'"
)
"""Content-Security-Policy of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageModel:
    """A network that visitors can choose.

    Attributes:
        file: URL of its ONNX file, relative to the page.
        kind: Kind of its depth. The page finds the scale and shift of affine depth from the depth
            of the first network.
        commercial: Whether its licence allows commercial use; None if that is unknown.
        note: Remark that visitors should read, such as a limit of the model.
        graph: Inputs, outputs and normalisation of an ONNX graph by others; None if they stand in
            the file's metadata or in the page's scripts.
    """

    name: str
    file: str
    sha256: str
    licence: str
    megabytes: float
    kind: DepthKind | None
    commercial: bool | None = None
    note: str = ""
    graph: PageGraph | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """What the page needs to know about the server behind it.

    Attributes:
        base: Path of the page on its host.
        models: The models that the server offers, as ``/v1/models`` lists them.
        keep_minutes: Minutes after which a result that nobody uses is deleted.
        max_bytes: Size of the largest file that a visitor may send [bytes].
        embeds: Whether other pages may embed results.
    """

    base: str
    models: Sequence[Mapping[str, object]]
    keep_minutes: float | int
    max_bytes: int
    embeds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Settings that the scripts read from the page.

    Attributes:
        models: Networks that run in the browser; the first is used until a visitor chooses one.
        colours: Colour map, 256 times RGB, in hexadecimal.
        terms: Terms from which ranges of sizes are computed, first by kind of depth, then by
            whether the camera is "assumed" or "known".
        doubt: How ranges become wider or narrower by the network's confidence.
        misfit: How ranges on anchored depth become wider.
        app: The server behind the page, or None for a page without a server.
    """

    version: str = VERSION
    models: Sequence[PageModel]
    colours: str
    examples: Mapping[str, str] = field(default_factory=lambda: dict(EXAMPLES))
    terms: Mapping[str, Mapping[str, Terms]]
    doubt: DoubtTerms = field(default_factory=DoubtTerms)
    misfit: MisfitTerms
    app: AppSettings | None = None


def page_html(settings: PageSettings) -> str:
    """Fill the template of the page."""
    return fill_text_template(
        "browser.html",
        settings=settings,
        policy=POLICY,
        generator=GENERATOR,
        json=to_json(settings),
        videos=VIDEOS,
        sizes=SIZES,
        lenses=LENSES_TO_CHOOSE,
        files=FILES,
        downloads=DOWNLOADS,
        surfaces=SURFACES,
    )
