"""Write images, ground truth and predictions as a page that opens from disk."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.errors import OptionError, OutputError, RilievoError
from rilievo.errors.messages import OptionName, Text, note_about
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.wording import column_head, head, number, quantity, shortlist
from rilievo.evaluation.views.item_panels import item_panels
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_items import ModelColumn, ViewItem, ViewItems, item_notes
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.io.checksums import CHECKSUMS, checksum_path, replacing_with_checksums, write_checksums
from rilievo.io.files.atomic import (
    is_part,
    make_folder,
    remove,
    replacing,
    sweep_parts,
    write_bytes,
)
from rilievo.io.files.names import printable
from rilievo.pages.document import asset, page_pieces
from rilievo.pages.pictures import Panel, jpeg_uri
from rilievo.pages.tables import Table, make_headings
from rilievo.predicting.summary import Tally

INDEX = "index.html"
PICTURES = "pictures"
"""Folder of the pictures beside the page."""
MAX_EMBEDDED_IMAGES = 60
"""Most images of a page that contains its pictures; it has some 20 MB, which browsers open well."""
MAX_CAPTION_METRICS = 3
"""Most metrics below a picture."""

_PAGE_SUFFIXES = (".html", ".htm")
_PICTURE_SUFFIXES = (".pdf", ".svg", ".png", ".jpg", ".jpeg")
"""Suffixes of files that a page cannot be, though a folder could have such a name."""
_PICTURE_NAME = re.compile(r"\d{6,}-\d+\.jpg")
_GENERATOR = 'name="generator" content="rilievo report '
"""Text near the beginning of every page that rilievo wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sortable:
    """Quantity by which the page sorts and filters images.

    Attributes:
        key: Name of the quantity in the page's scripts.
        column: Model whose metric it is; None for the disagreement of models.
        metric: Name of the metric; None for the disagreement of models.
    """

    key: str
    label: str
    better: Better
    column: ModelColumn | None = None
    metric: str | None = None

    def value(self, item: ViewItem) -> float | None:
        """Value of an image, or None if the image has no value."""
        if self.column is None or self.metric is None:
            return item.disagreement
        score = self.column.scores.get(item.id)
        if score is None or self.metric not in score.values:
            return None
        return float(score.values[self.metric])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Picture on a card.

    Attributes:
        url: Path of the picture's file beside the page, or its data as a URI.
        numbers: Names and values of metrics to write below it.
    """

    panel: Panel
    url: str
    numbers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One image on the page.

    Attributes:
        order: Position of the image, from 0.
        values: Values by which it is sorted, by the keys of ``Sortable``.
    """

    item: ViewItem
    order: int
    figures: tuple[Figure, ...]
    values: Mapping[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenGallery:
    """Result of ``write_gallery``.

    Attributes:
        image_count: Number of images on the page.
        failed: Images that cannot be shown, with the reasons.
        faults: Predictions that cannot be shown, with the reasons.
    """

    page: Path
    image_count: int
    models: tuple[str, ...]
    failed: tuple[str, ...]
    faults: tuple[str, ...]


def write_gallery(
    targets: Sequence[str | Path],
    output: str | Path,
    source: SourceOptions | None = None,
    *,
    show: bool = True,
) -> WrittenGallery:
    """Write a page of images, ground truth and predictions.

    Targets are evaluations, folders of predictions, or a dataset's name. An ``output`` that ends in
    .html contains all pictures; any other one is a folder.

    Raises:
        OptionError: If there are too many images for one file, nothing to show, or the output has
            the suffix of a picture.
        InputError: If no image can be shown.
        OutputError: If the output exists but was not written by rilievo.
    """
    output = Path(output)
    if output.suffix.lower() in _PICTURE_SUFFIXES:
        raise OptionError(
            option="output",
            expected="a file that ends in .html, or a folder",
            value=output,
            hint=Text("for a figure, use ", OptionName("paper", str(output))),
        )
    is_single_file = output.suffix.lower() in _PAGE_SUFFIXES
    path = output if is_single_file else output / INDEX
    _check_replaceable(path, is_single_file=is_single_file)
    items = open_targets(targets, source or SourceOptions())
    if is_single_file and len(items.ids) > MAX_EMBEDDED_IMAGES:
        raise OptionError(
            problem=Text(
                f"{len(items.ids)} images are too many for a single file (at most "
                f"{MAX_EMBEDDED_IMAGES}): write to a folder with ",
                OptionName("output", str(output.with_suffix(""))),
                ", or select fewer with ",
                OptionName("limit"),
            )
        )

    picture_folder = _prepare_folder(path, is_single_file=is_single_file)
    progress = _GalleryProgress(
        failed=[
            note_about(printable(image_id), reason) for image_id, reason in items.absent.items()
        ]
    )
    with (
        Tally(output=path, total=len(items.ids), show=show) as tally,
        _replacing_page(path, is_single_file=is_single_file) as temporary,
        # File names may not be valid Unicode.
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        tally.part("images")
        cards = _make_cards(items, picture_folder, tally, progress)
        file.writelines(_page_pieces(items, cards, progress.failed))
        items.require_shown(progress.failed)
    if picture_folder is not None:
        write_checksums(picture_folder / CHECKSUMS, (path.name, *progress.written))
    return WrittenGallery(
        page=path,
        # The absent images are among the failed ones.
        image_count=len(items.ids) + len(items.absent) - len(progress.failed),
        models=tuple(column.label for column in items.columns),
        failed=tuple(progress.failed),
        faults=tuple(progress.faults),
    )


@dataclass(slots=True, kw_only=True)
class _GalleryProgress:
    """Failures, as in ``WrittenGallery``, and pictures written so far, relative to the page."""

    failed: list[str]
    faults: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


def _check_replaceable(path: Path, *, is_single_file: bool) -> None:
    """Check that a page and its pictures would replace nothing but a report of rilievo."""
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            if _GENERATOR in file.read(4096):
                return
        raise OutputError(
            problem=Text("rilievo did not write this page; choose another ", OptionName("output")),
            path=path,
        )
    if is_single_file or not path.parent.is_dir():
        return
    if not all(map(_is_leftover, path.parent.iterdir())):
        raise OutputError(
            f"{path.parent}: contains files but no report from rilievo; choose another folder"
        )


def _is_leftover(path: Path) -> bool:
    """Whether a file or folder was left by a report that was killed."""
    if path.name == PICTURES and path.is_dir():
        return all(
            _PICTURE_NAME.fullmatch(child.name) or is_part(child.name) for child in path.iterdir()
        )
    return is_part(path.name)


def _prepare_folder(path: Path, *, is_single_file: bool) -> Path | None:
    """Create the folder of a page, and return the folder for its pictures, if they are files.

    Half-written files and the checksums of an earlier report are removed.
    """
    make_folder(path.parent)
    sweep_parts(path.parent)
    if is_single_file:
        return None
    # The old checksums become wrong as soon as the first picture is replaced.
    remove(path.parent / CHECKSUMS)
    return path.parent


@contextmanager
def _replacing_page(path: Path, *, is_single_file: bool) -> Iterator[Path]:
    """Yield a temporary path for the page, which replaces the page when it is complete.

    A single file gets its checksum together with it.
    """
    if is_single_file:
        with (
            replacing_with_checksums(checksum_path(path), (path.name,)) as parts,
            replacing(parts[path.name]) as temporary,
        ):
            yield temporary
    else:
        with replacing(path) as temporary:
            yield temporary


def _page_pieces(items: ViewItems, cards: Iterator[Card], failed: Sequence[str]) -> Iterator[str]:
    """Yield the page in pieces, while cards are made, so that few are in memory."""
    sortables = sortable_quantities(items)
    columns = items.columns
    models = ", ".join(column.label for column in columns)
    panel_titles = ["Photograph", "True depth"]
    panel_titles += [
        column.label for column in columns if column.kind is not None or column.shows_pictures
    ]
    normals_titles = [f"{column.label}, normals" for column in columns if column.has_normals]
    if normals_titles:
        panel_titles += ["True normals", *normals_titles]
    return page_pieces(
        "gallery.html",
        scripts=tuple(map(asset, ("stage/slider.js", "pages.js", "gallery.js"))),
        allow_picture_files=True,
        title=f"{models} on {items.name}" if models else items.name,
        images=len(items.ids),
        models=models_table(items),
        orders=list(_sort_choices(sortables)),
        filters=[("", "every image"), *((sortable.key, sortable.label) for sortable in sortables)],
        titles=panel_titles,
        choices=[(title, title) for title in panel_titles],
        known=sortables,
        split=items.images.split,
        words=wording,
        cards=cards,
        failed=failed,
    )


def sortable_quantities(items: ViewItems) -> list[Sortable]:
    """Quantities to sort by: all metrics of all models, and the disagreement of several models."""
    metrics = [(column, summary) for column in items.columns for summary in column.summaries]
    quantities = [
        Sortable(
            key=f"m{index}",
            label=f"{head(summary)} of {column.label}",
            better=summary.better,
            column=column,
            metric=summary.metric,
        )
        for index, (column, summary) in enumerate(metrics)
    ]
    if sum(column.kind is not None for column in items.columns) > 1:
        quantities.append(Sortable(key="disagreement", label="disagreement", better=Better.LOWER))
    return quantities


def _sort_choices(sortables: Sequence[Sortable]) -> Iterator[tuple[str, str]]:
    """Yield the values and labels of the options in the page's sort menu.

    A value such as "m0:down" says by which quantity, and in which direction.
    """
    yield "order:up", "as in the dataset"
    for sortable in sortables:
        if sortable.column is None:  # the disagreement of the models
            yield f"{sortable.key}:down", "largest disagreement"
            continue
        is_higher_better = sortable.better is Better.HIGHER
        worst_first, best_first = ("up", "down") if is_higher_better else ("down", "up")
        yield f"{sortable.key}:{worst_first}", f"worst {sortable.label}"
        yield f"{sortable.key}:{best_first}", f"best {sortable.label}"


def models_table(items: ViewItems) -> Table:
    """Table of the models: what each shows, its licence and its shortlisted metrics."""
    # Models may share a metric; any of their summaries has its label and unit.
    summary_by_metric = {
        summary.metric: summary for column in items.columns for summary in column.summaries
    }
    shown_summaries = [summary_by_metric[name] for name in shortlist(list(summary_by_metric))]
    rows: list[tuple[str, ...]] = []
    for column in items.columns:
        value_by_metric = {summary.metric: summary.value for summary in column.summaries}
        values = [number(value_by_metric.get(summary.metric)) for summary in shown_summaries]
        rows.append((column.label, column.description, column.made_by.licence, *values))
    text_columns = ["shows", "licence"]
    metric_heads = [column_head(summary) for summary in shown_summaries]
    headings = make_headings("model", *text_columns, *metric_heads, words=text_columns)
    return Table(headings=headings, rows=tuple(rows))


def _make_cards(
    items: ViewItems, picture_folder: Path | None, tally: Tally, progress: _GalleryProgress
) -> Iterator[Card]:
    """Yield the card of each readable image; ``progress`` receives failures and written files."""
    sortables = sortable_quantities(items)
    for position, image_id in enumerate(items.ids):
        try:
            item = items.read(image_id)
        except RilievoError as error:
            failure = note_about(printable(image_id), error)
            progress.failed.append(failure)
            tally.failed(failure)
            continue
        for result in item.results:
            # A card shows pictures in place of a prediction that cannot be read.
            if result.fault is not None and not result.pictures:
                subject = f"{printable(image_id)}: {result.column.label}"
                progress.faults.append(note_about(subject, result.fault))
        card = make_card(items, sortables, item, position, picture_folder)
        if picture_folder is not None:
            progress.written += [figure.url for figure in card.figures]
        yield card
        tally.done()


def make_card(
    items: ViewItems,
    sortables: Sequence[Sortable],
    item: ViewItem,
    order: int,
    picture_folder: Path | None,
) -> Card:
    """Make the card of one image.

    Its pictures are written into ``picture_folder``; if that is None, they become part of the page.
    """
    columns = {column.label: column for column in items.columns}
    figures = []
    for index, panel in enumerate(item_panels(item)):
        # Metrics stand below what the model predicted, and not below its error too.
        column = columns.get(panel.title.removesuffix(", normals"))
        url = _embed_or_write_picture(panel, f"{order:06}-{index}", picture_folder)
        figures.append(Figure(panel=panel, url=url, numbers=_metric_texts(item, column)))

    values = {}
    for sortable in sortables:
        value = sortable.value(item)
        if value is not None:
            values[sortable.key] = value
    return Card(
        item=item,
        order=order,
        figures=tuple(figures),
        values=values,
        notes=tuple(item_notes(item)),
    )


def _embed_or_write_picture(panel: Panel, name: str, folder: Path | None) -> str:
    """URL of a picture: its data as a URI, or a file in ``folder`` that is written here."""
    if folder is None:
        return jpeg_uri(panel.jpeg())
    path = folder / PICTURES / f"{name}.jpg"  # digits alone: ids may hold anything
    make_folder(path.parent)
    write_bytes(path, panel.jpeg())
    return f"{PICTURES}/{name}.jpg"


def _metric_texts(item: ViewItem, column: ModelColumn | None) -> tuple[tuple[str, str], ...]:
    """Names and values of a model's first metrics for an image; empty if it has no score."""
    score = None if column is None else column.scores.get(item.id)
    if column is None or score is None:
        return ()
    scored = [summary for summary in column.summaries if summary.metric in score.values]
    return tuple(
        (summary.label, quantity(score.values[summary.metric], summary.unit))
        for summary in scored[:MAX_CAPTION_METRICS]
    )
