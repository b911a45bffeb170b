"""The page of the folder: its settings, and what fills its template.

Parts of the page that a server behind it adds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field

from rilievo.calibration.ranges import LEAST_RESIDUAL
from rilievo.frozen import frozen
from rilievo.geometry.cameras.spelling import LENSES
from rilievo.io.json_record import to_json
from rilievo.measure.terms import Terms
from rilievo.pages.document import text_of
from rilievo.prediction.output import OUTPUTS, Need, UsualSize
from rilievo.serving.browser.page_graph import PageGraph
from rilievo.types import DepthKind
from rilievo.version import VERSION

EXAMPLES: Mapping[str, str] = {
    "tent": "A tent before mountains",
    "houseboat": "A houseboat",
    "hat": "A woman with a hat",
    "cafe": "Two people at a table",
    "coffee": "A cup of coffee",
    "bear": "A bear",
}
"""Photographs to try, by the name of their file; the first is shown when the page opens."""

FILES: Mapping[str, str] = {name: row.label or name for name, row in OUTPUTS.own.items()}
"""Files to download, by the names of outputs."""

SIZES: Mapping[str, UsualSize] = {
    **{name: row.usual_size for name, row in OUTPUTS.own.items() if row.usual_size is not None},
    "side": UsualSize(0, 3.2, 99),
    "anaglyph": UsualSize(0, 1.6, 99),
}
"""Usual sizes of files, by the names of outputs and of layouts of stereo pictures."""

DOWNLOADS: Mapping[str, str] = {
    **{name: FILES[name] for name, row in OUTPUTS.own.items() if row.in_browser},
    "side": "Stereo, side by side",
    "anaglyph": "Stereo, red and cyan",
}
"""Files that scripts make, by the names of outputs and of layouts of stereo pictures."""

SURFACES = frozenset(name for name, row in OUTPUTS.own.items() if Need.CAMERA in row.needs)
"""Outputs that are made where there is a surface."""

CHOICES: Mapping[str, str] = {
    "": "as it looks",
    **{row.choice: row.label for row in LENSES.values() if row.choice},
}
"""Lenses that visitors name, as the option ``projection`` spells them."""

VIDEOS: Mapping[str, str] = {
    name: row.video.words for name, row in OUTPUTS.own.items() if row.video and row.video.words
}
"""Outputs of a video, the first unless others are chosen."""


GENERATOR = "rilievo page"
"""Mark by which an older page is known."""

# WebAssembly is compiled from bytes, for which browsers ask leave.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; object-src 'none'; "
    "base-uri 'self'; form-action 'none'"
)
"""Content-Security-Policy of the page."""


@frozen
class PageModel:
    """A network that visitors can choose.

    Attributes:
        name: Name that it has in rilievo.
        file: Address of its ONNX file beside the page.
        sha256: Hash of the file.
        licence: Licence of the network.
        megabytes: Size of the file.
        kind: Kind of its depth; affine depth is anchored to the first network's.
        commercial: Whether its licence allows commercial use; None if unknown.
        note: Note of its card.
        graph: Way in which it is fed and read; None if its file says so, or the scripts know.
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


@frozen
class AppSettings:
    """Facts of the server behind the page.

    Attributes:
        base: Path of the page on its host, which addresses of results begin with.
        models: Models of the server, as ``/v1/models`` lists them.
        keep_minutes: Minutes without use after which a result is deleted.
        max_bytes: Size of the largest file that it takes.
        embeds: Whether other pages may embed its results.
    """

    base: str
    models: Sequence[Mapping[str, object]]
    keep_minutes: float | int
    max_bytes: int
    embeds: bool = False


@frozen
class MisfitTerms:
    """Parameters by which the page widens the ranges of depth that it anchors.

    Attributes:
        misfit: Weight of the logarithm of the residual.
        disorder: Weight of 1 minus the rank correlation.
        least_residual: Least residual that counts.
    """

    misfit: float
    disorder: float
    least_residual: float = LEAST_RESIDUAL


@frozen
class PageSettings:
    """Settings that the scripts read from the page.

    Attributes:
        version: Version of rilievo.
        models: Networks; the first is used until another is chosen.
        colours: RGB of the colour map, 256 times three bytes in hexadecimal.
        examples: Photographs to try, by the name of their file without suffix; the first is shown
            when the page opens.
        terms: Terms of measuring, by the kind of depth and by whether the camera is known.
        misfit: Error that the fit of anchored depth adds to them.
        app: The server behind the page; None where there is none.
    """

    version: str = VERSION
    models: Sequence[PageModel]
    colours: str
    examples: Mapping[str, str] = field(default_factory=lambda: dict(EXAMPLES))
    terms: Mapping[str, Mapping[str, Terms]]
    misfit: MisfitTerms
    app: AppSettings | None = None


def document(settings: PageSettings) -> str:
    """The whole page as HTML."""
    return text_of(
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
