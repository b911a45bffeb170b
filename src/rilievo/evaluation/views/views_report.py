"""Write images, ground truth and predictions as a page that opens from disk, or as a figure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rilievo.errors import OptionError, OutputError, RilievoError, suggest
from rilievo.errors.messages import OptionName, Text, note_about
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.wording import column_head, head, number, quantity, shortlist
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_items import (
    ModelColumn,
    ViewItem,
    ViewItems,
    WrittenPicture,
    item_notes,
)
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.io.checksums import CHECKSUMS, checksum_path, write_checksums
from rilievo.io.files.atomic import is_part, make_folder, remove, replacing, sweep_parts
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import DEPTH_COLOURS
from rilievo.io.replacement import replacing_with_checksums
from rilievo.pages.document import asset, page_pieces
from rilievo.pages.figures import check_figure_format, write_figure
from rilievo.pages.pictures import (
    Answer,
    Legend,
    Panel,
    comparison_panels,
    end_of_error_colours,
    jpeg_uri,
    photo_panel,
)
from rilievo.pages.tables import Table, make_heads
from rilievo.predicting.summary import Tally

PICTURES = "pictures"
"""Folder of the pictures beside the page."""
"""Most images of a page that contains its pictures; it has some 20 MB, which browsers open well."""
MAX_CAPTION_METRICS = 3
"""Most metrics below a picture."""
DEFAULT_FIGURE_ROWS = 4
"""Number of images in a figure for which the user chooses none."""

_PAGE_SUFFIXES = (".html", ".htm")
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
        """Value of an image; None if it has none."""
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
        address: Path of the picture's file beside the page, or its data as a URI.
        numbers: Names and values of metrics to write below it.
    """

    panel: Panel
    address: str
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


def sort_quantities(items: ViewItems) -> list[Sortable]:
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


def _item_panels(items: ViewItems, item: ViewItem) -> Iterator[Panel]:
    """Yield the pictures of one image: photograph, truth, each model's prediction and error."""
    yield photo_panel(item.photo)
    columns = items.columns
    shows_depth = not columns or any(column.kind is not None for column in columns)
    shows_normals = not columns or any(column.normals for column in columns)
    medians = [
        summary.median
        for column in columns
        for summary in column.summaries
        if summary.metric == "abs_rel"
    ]
    answers = {
        answer.column.label: Answer(
            depth=answer.prediction.depth_or_none,
            normals=answer.prediction.normals,
            sky=answer.prediction.sky,
        )
        for answer in item.answers
        if answer.prediction is not None
    }
    yield from comparison_panels(
        item.truth,
        answers,
        end_of_error_colours(medians),
        depth=shows_depth,
        normals=shows_normals,
    )
    for answer in item.answers:
        for picture in answer.pictures:
            yield _picture_panel(answer.column.label, picture)


def _picture_panel(model: str, picture: WrittenPicture) -> Panel:
    """Panel of a picture that ``rilievo predict`` wrote, with a legend for its usual colours."""
    facts = picture.facts
    title = model if facts.output == "colour" else f"{model}, {facts.output}"
    panel = photo_panel(picture.pixels, title)
    has_default_colours = facts.colour is not None and facts.colour.map == DEPTH_COLOURS
    legend = Legend(ramp="depth", marks=("far", "near")) if has_default_colours else None
    return replace(panel, words=f"{title}: {facts.holds}", legend=legend, model=model)


def make_card(
    items: ViewItems,
    quantities: Sequence[Sortable],
    item: ViewItem,
    order: int,
    folder: Path | None,
) -> Card:
    """Make the card of one image.

    Its pictures are written into ``folder``; if that is None, they become part of the page.
    """
    columns = {column.label: column for column in items.columns}
    figures = []
    for index, panel in enumerate(_item_panels(items, item)):
        # Metrics stand below what the model predicted, and not below its error too.
        column = columns.get(panel.title.removesuffix(", normals"))
        address = _embed_or_write_picture(panel, f"{order:06}-{index}", folder)
        figures.append(Figure(panel=panel, address=address, numbers=_metric_texts(item, column)))

    values = {}
    for sortable in quantities:
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


def models_table(items: ViewItems) -> Table:
    """Table of the models: what each shows, its licence and its usual metrics."""
    summary_of_metric = {
        summary.metric: summary for column in items.columns for summary in column.summaries
    }
    shown = [summary_of_metric[name] for name in shortlist([*summary_of_metric])]
    rows: list[tuple[str, ...]] = []
    for column in items.columns:
        value_of_metric = {summary.metric: summary.value for summary in column.summaries}
        values = [number(value_of_metric.get(summary.metric)) for summary in shown]
        rows.append((column.label, column.shows, column.made_by.licence, *values))
    words = ["shows", "licence"]
    metric_heads = [column_head(summary) for summary in shown]
    return Table(heads=make_heads("model", *words, *metric_heads, words=words), rows=tuple(rows))


def _embed_or_write_picture(panel: Panel, name: str, folder: Path | None) -> str:
    """Address of a picture: its data as a URI, or a file in ``folder`` that is written here."""
    if folder is None:
        return jpeg_uri(panel.jpeg())
    path = folder / PICTURES / f"{name}.jpg"  # digits alone: ids may hold anything
    make_folder(path.parent)
    with replacing(path) as part:
        part.write_bytes(panel.jpeg())
    return f"{PICTURES}/{name}.jpg"


def _metric_texts(item: ViewItem, column: ModelColumn | None) -> tuple[tuple[str, str], ...]:
    """Names and values of a model's first metrics for an image; none without a score."""
    score = None if column is None else column.scores.get(item.id)
    if column is None or score is None:
        return ()
    scored = [summary for summary in column.summaries if summary.metric in score.values]
    return tuple(
        (summary.label, quantity(score.values[summary.metric], summary.unit))
        for summary in scored[:MAX_CAPTION_METRICS]
    )


def write_paper_figure(
    targets: Sequence[str | Path],
    path: str | Path,
    source: SourceOptions | None = None,
    *,
    images: Sequence[str] = (),
) -> tuple[str, ...]:
    """Draw photographs, truth, predictions and errors as PDF, SVG or PNG, a row for each image.

    ``images`` are ids; by default four images are chosen, evenly spaced. The ids of the images in
    the figure are returned. ``targets`` are those of ``open_targets``.

    Raises:
        OptionError: If there is no such image, or the ending names no format.
    """
    check_figure_format(Path(path))
    items = open_targets(targets, source or SourceOptions())
    for id in images:
        if id not in items.ids:
            raise OptionError(f"no image '{id}' for the figure; {suggest(id, items.ids)}")
    chosen = tuple(images)
    if not chosen:
        count = min(DEFAULT_FIGURE_ROWS, len(items.ids))
        positions = np.linspace(0, len(items.ids) - 1, count).round().astype(int)
        chosen = tuple(items.ids[position] for position in positions)
    rows = [sorted(_item_panels(items, items.read(id)), key=_panel_order) for id in chosen]
    write_figure(rows, Path(path))
    return chosen


def _panel_order(panel: Panel) -> int:
    """Order in a row: photograph and truth, then predictions, then errors."""
    if panel.model is None:
        return 0
    return 2 if panel.title.startswith(f"{panel.model}, error") else 1


MOST_IN_PAGE = 60  # some 20 MB, which browsers handle well

INDEX = "index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenGallery:
    """Result of ``write_gallery``.

    Attributes:
        images: Number of images on the page.
        models: Labels of the models.
        failed: Images that cannot be shown, with the reasons.
        faults: Predictions that cannot be shown, with the reasons.
    """

    page: Path
    images: int
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
    .html contains all pictures; else it is a folder.

    Raises:
        OptionError: If there are too many images for one file, or nothing to show.
        InputError: If no image can be shown.
        OutputError: If the output is not a report that rilievo wrote.
    """
    output = Path(output)
    is_single_file = output.suffix.lower() in _PAGE_SUFFIXES
    path = output if is_single_file else output / INDEX
    _refuse_foreign_files(path, is_single_file=is_single_file)
    items = open_targets(targets, source or SourceOptions())
    if is_single_file and len(items.ids) > MOST_IN_PAGE:
        raise OptionError(
            problem=Text(
                f"{len(items.ids)} images are too many for one file (at most "
                f"{MOST_IN_PAGE}): give a folder, ",
                OptionName("output", str(output.with_suffix(""))),
                ", or fewer with ",
                OptionName("limit"),
            )
        )

    folder = _prepare_folder(path, is_single_file=is_single_file)
    progress = _GalleryProgress(
        failed=[note_about(printable(id), why) for id, why in items.absent.items()]
    )
    with (
        Tally(output=path, total=len(items.ids), show=show) as tally,
        _replacing_page(path, is_single_file=is_single_file) as part,
        # File names may not be valid Unicode.
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        tally.part("images")
        cards = _make_cards(items, folder, tally, progress)
        file.writelines(_page_pieces(items, cards, progress.failed))
        items.require_shown(progress.failed)
    if folder is not None:
        write_checksums(folder / CHECKSUMS, (path.name, *progress.written))
    return WrittenGallery(
        page=path,
        images=len(items.ids) + len(items.absent) - len(progress.failed),
        models=tuple(column.label for column in items.columns),
        failed=tuple(progress.failed),
        faults=tuple(progress.faults),
    )


@dataclass(slots=True, kw_only=True)
class _GalleryProgress:
    """What happened so far while the cards of a page were made, one after the other.

    Attributes:
        failed: Images that cannot be shown, with the reasons.
        faults: Predictions that cannot be shown, with the reasons.
        written: Pictures that were written, relative to the page.
    """

    failed: list[str]
    faults: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


def _prepare_folder(path: Path, *, is_single_file: bool) -> Path | None:
    """Create the folder of a page, and return it if it is for pictures too.

    Half-written files and the checksums of an earlier report are removed.
    """
    make_folder(path.parent)
    sweep_parts(path.parent)
    if is_single_file:
        return None
    remove(path.parent / CHECKSUMS)  # of pictures that are replaced one by one now
    return path.parent


@contextmanager
def _replacing_page(path: Path, *, is_single_file: bool) -> Iterator[Path]:
    """Yield a path to write the page to; a single file gets its checksum together with it."""
    if is_single_file:
        with (
            replacing_with_checksums(checksum_path(path), (path.name,)) as parts,
            replacing(parts[path.name]) as part,
        ):
            yield part
    else:
        with replacing(path) as part:
            yield part


def _page_pieces(items: ViewItems, cards: Iterator[Card], failed: Sequence[str]) -> Iterator[str]:
    """Yield the page in pieces, while cards are made."""
    quantities = sort_quantities(items)
    columns = items.columns
    models = ", ".join(column.label for column in columns)
    titles = ["Photograph", "True depth"]
    titles += [column.label for column in columns if column.kind is not None or column.pictures]
    normals = [f"{column.label}, normals" for column in columns if column.normals]
    if normals:
        titles += ["True normals", *normals]
    return page_pieces(
        "gallery.html",
        scripts=tuple(map(asset, ("stage/slider.js", "pages.js", "gallery.js"))),
        beside=True,
        title=f"{models} on {items.name}" if models else items.name,
        images=len(items.ids),
        models=models_table(items),
        orders=list(_sort_choices(quantities)),
        filters=[("", "every image"), *((choice.key, choice.label) for choice in quantities)],
        titles=titles,
        choices=[(title, title) for title in titles],
        known=quantities,
        split=items.images.split,
        words=wording,
        cards=cards,
        failed=failed,
    )


def _sort_choices(quantities: Sequence[Sortable]) -> Iterator[tuple[str, str]]:
    """Yield the values and labels of the page's list of orders."""
    yield "order:up", "as in the dataset"
    for choice in quantities:
        if choice.column is None:
            yield f"{choice.key}:down", "largest disagreement"
            continue
        worst, best = ("up", "down") if choice.better is Better.HIGHER else ("down", "up")
        yield f"{choice.key}:{worst}", f"worst {choice.label}"
        yield f"{choice.key}:{best}", f"best {choice.label}"


def _make_cards(
    items: ViewItems, folder: Path | None, tally: Tally, progress: _GalleryProgress
) -> Iterator[Card]:
    """Yield the card of each image that can be read, and record what fails."""
    quantities = sort_quantities(items)
    for order, id in enumerate(items.ids):
        try:
            item = items.read(id)
        except RilievoError as error:
            failure = note_about(printable(id), error)
            progress.failed.append(failure)
            tally.failed(failure)
            continue
        for answer in item.answers:
            if answer.fault is not None and not answer.pictures:
                subject = f"{printable(id)}: {answer.column.label}"
                progress.faults.append(note_about(subject, answer.fault))
        card = make_card(items, quantities, item, order, folder)
        if folder is not None:
            progress.written += [figure.address for figure in card.figures]
        yield card
        tally.done()


def _refuse_foreign_files(path: Path, *, is_single_file: bool) -> None:
    """Refuse to replace files of anything but rilievo's reports."""
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
            f"{path.parent}: holds files but no report of ours; choose another folder"
        )


def _is_leftover(path: Path) -> bool:
    """Whether a file or folder was left by a report that was killed."""
    if path.name == PICTURES and path.is_dir():
        return all(
            _PICTURE_NAME.fullmatch(child.name) or is_part(child.name) for child in path.iterdir()
        )
    return is_part(path.name)
