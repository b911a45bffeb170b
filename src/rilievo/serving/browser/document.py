"""HTML and settings of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rilievo.calibration.ranges import MIN_RESIDUAL
from rilievo.geometry.cameras.spelling import LENSES
from rilievo.io.json_record import to_json
from rilievo.measure.page_terms import Terms
from rilievo.pages.document import fill_text_template
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_record import Need, UsualSize
from rilievo.records.depth_map import DepthKind
from rilievo.serving.browser.page_graph import PageGraph
from rilievo.version import VERSION

EXAMPLES: Mapping[str, str] = {
    "hat": "A woman with a hat",
    "coffee": "A cup of coffee",
    "tent": "A tent before mountains",
    "houseboat": "A houseboat",
    "cafe": "Two people at a table",
    "bear": "A bear",
}
"""Photographs to try, by their files; the page opens with the first."""
FILES: Mapping[str, str] = {name: row.label or name for name, row in OUTPUTS.own.items()}
SIZES: Mapping[str, UsualSize] = {
    **{name: row.usual_size for name, row in OUTPUTS.own.items() if row.usual_size is not None},
    "side": UsualSize(0, 3.2, 99),
    "anaglyph": UsualSize(0, 1.6, 99),
}
"""Usual sizes of outputs and stereo layouts."""
DOWNLOADS: Mapping[str, str] = {
    **{name: FILES[name] for name, row in OUTPUTS.own.items() if row.is_made_in_browser},
    "side": "Stereo, side by side",
    "anaglyph": "Stereo, red and cyan",
}
"""Files that scripts make, likewise."""
SURFACES = frozenset(name for name, row in OUTPUTS.own.items() if Need.CAMERA in row.needs)
"""Outputs of surfaces."""
CHOICES: Mapping[str, str] = {
    "": "as it looks",
    **{row.choice: row.label for row in LENSES.values() if row.choice},
}
"""Lenses, as the option ``projection`` spells them."""
VIDEOS: Mapping[str, str] = {
    name: row.video.label for name, row in OUTPUTS.own.items() if row.video and row.video.label
}
"""Outputs of a video, the usual one first."""

GENERATOR = "rilievo page"
"""Mark of our pages, also older ones."""

# WebAssembly is compiled from bytes, for which browsers ask leave.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; object-src 'none'; "
    "base-uri 'self'; form-action 'none'"
)
"""Content-Security-Policy of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageModel:
    """Network that visitors can choose.

    Attributes:
        file: Address of its ONNX file beside the page.
        kind: Kind of its depth; affine depth is anchored to the first network's.
        commercial: Whether its licence allows commercial use; None if unknown.
        graph: Input and output, if neither its file nor the scripts know them.
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
    """Facts of the server behind the page.

    Attributes:
        base: Path of the page on its host.
        models: Models, as ``/v1/models`` lists them.
        keep_minutes: Minutes without use that a result stays.
        max_bytes: Size of the largest file.
        embeds: Whether other pages may embed results.
    """

    base: str
    models: Sequence[Mapping[str, object]]
    keep_minutes: float | int
    max_bytes: int
    embeds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MisfitTerms:
    """Parameters by which the page widens the ranges of anchored depth.

    Attributes:
        misfit: Weight of the logarithm of the residual.
        disorder: Weight of 1 minus the rank correlation.
        least_residual: Least residual that counts.
    """

    misfit: float
    disorder: float
    least_residual: float = MIN_RESIDUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Settings that the scripts read from the page.

    Attributes:
        models: Networks; the first is used until another is chosen.
        colours: Colour map: 256 times RGB in hexadecimal.
        terms: Terms of measuring, by the kind of depth and whether the camera is known.
        misfit: Error of the fit of anchored depth.
    """

    version: str = VERSION
    models: Sequence[PageModel]
    colours: str
    examples: Mapping[str, str] = field(default_factory=lambda: dict(EXAMPLES))
    terms: Mapping[str, Mapping[str, Terms]]
    misfit: MisfitTerms
    app: AppSettings | None = None


def page_html(settings: PageSettings) -> str:
    """HTML of the page."""
    return fill_text_template(
        "browser.html",
        settings=settings,
        policy=POLICY,
        generator=GENERATOR,
        json=to_json(settings),
        videos=VIDEOS,
        sizes=SIZES,
        lenses=CHOICES,
        files=FILES,
        downloads=DOWNLOADS,
        surfaces=SURFACES,
    )
