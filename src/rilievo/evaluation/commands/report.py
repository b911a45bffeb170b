"""Command ``rilievo report``, which writes a page of predictions beside the ground truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import fault_lines, printing, say
from rilievo.errors.messages import count_text
from rilievo.evaluation.options import ignore_pillow_warnings
from rilievo.evaluation.views.gallery_page import WrittenGallery, write_gallery
from rilievo.evaluation.views.paper_figure import write_paper_figure
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    targets: Annotated[tuple[str, ...], option(positional=True, metavar="TARGET")] = ()
    """Folders that 'rilievo evaluate' or 'rilievo predict' wrote (give several to see models side
    by side), or the name of a dataset.
    """
    output: Annotated[Path, option(aliases=("-o",), metavar="FILE.html|FOLDER")] = Path(
        "rilievo-report"
    )
    """Folder for the page and its pictures, or, for few images, a single file with everything."""
    paper: Annotated[Path | None, option(metavar="FIGURE.pdf")] = None
    """Draw a figure for a paper instead, with a row for each image: photograph, ground truth, and
    each model's prediction and error. PDF and SVG files keep text as text; PNG files have 300 dots
    per inch.
    """
    rows: Annotated[str | None, option(comma_separated=True, metavar="ID,ID")] = None
    """Ids of the images in the figure; by default four, evenly spread over all images."""
    source: Annotated[SourceOptions, option(inline=True)]


def main(arguments: Sequence[str]) -> int:
    """Write a page of predictions beside the truth, and return 1 if some are not shown."""
    ignore_pillow_warnings()
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo report",
        description=(
            "Write a dataset, predictions or evaluations as an HTML page that needs no server."
        ),
        examples=(
            "rilievo report results -o page",
            "rilievo report small theirs -o page",
            "rilievo report small theirs --paper figure.pdf",
        ),
    )
    if request.paper is not None:
        requested_ids: Sequence[str] = ()
        if request.rows:
            requested_ids = [image_id.strip() for image_id in request.rows.split(",")]
        drawn_ids = write_paper_figure(
            request.targets, request.paper, request.source, images=requested_ids
        )
        with printing():
            say(f"{count_text(len(drawn_ids), 'image')}: {request.paper}")
        return 0
    gallery = write_gallery(request.targets, request.output, request.source)
    with printing():
        say("\n".join(_gallery_lines(gallery)))
    return 1 if gallery.failed or gallery.faults else 0


def _gallery_lines(gallery: WrittenGallery) -> Iterator[str]:
    models = ", ".join(gallery.models) or "no model"
    yield f"{count_text(gallery.image_count, 'image')}, {models}: {gallery.page}"
    yield from fault_lines(gallery.failed, gallery.faults)
