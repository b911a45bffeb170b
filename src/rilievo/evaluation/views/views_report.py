"""Page of images, ground truth and predictions, which opens from disk."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from rilievo.io.checksums import CHECKSUMS, write_checksums
from rilievo.io.checksums import checksum_path as checksum_of
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
CAPTIONED = 3
ROWS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sortable:
    """Quantity by which images are sorted and filtered."""

    key: str
    label: str
    better: Better
    column: ModelColumn | None = None
    metric: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Picture on a card."""

    panel: Panel
    address: str
    numbers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One image on the page."""

    item: ViewItem
    order: int
    figures: tuple[Figure, ...]
    values: Mapping[str, float]
    notes: tuple[str, ...]


def sort_quantities(items: ViewItems) -> list[Sortable]:
    """Metrics of every model, and the disagreement of models."""
    pairs = [(column, summary) for column in items.columns for summary in column.summaries]
    sort_keys = [
        Sortable(
            key=f"m{count}",
            label=f"{head(summary)} of {column.label}",
            better=summary.better,
            column=column,
            metric=summary.metric,
        )
        for count, (column, summary) in enumerate(pairs)
    ]
    if sum(column.kind is not None for column in items.columns) > 1:
        sort_keys.append(Sortable(key="disagreement", label="disagreement", better=Better.LOWER))
    return sort_keys


def _item_panels(items: ViewItems, item: ViewItem) -> Iterator[Panel]:
    """Pictures of one image: photograph, truth, each model and its error."""
    summaries = [entry for column in items.columns for entry in column.summaries]
    end = end_of_error_colours([entry.median for entry in summaries if entry.metric == "abs_rel"])
    yield photo_panel(item.photo)
    columns = items.columns
    depth = not columns or any(column.kind is not None for column in columns)
    normals = not columns or any(column.normals for column in columns)
    answers = {
        entry.column.label: Answer(
            depth=entry.seen.depth_or_none, normals=entry.seen.normals, sky=entry.seen.sky
        )
        for entry in item.shown
        if entry.seen is not None
    }
    yield from comparison_panels(item.truth, answers, end, depth=depth, normals=normals)
    for entry in item.shown:
        for picture in entry.pictures:
            yield _picture_panel(entry.column.label, picture)


def _picture_panel(model: str, picture: WrittenPicture) -> Panel:
    facts = picture.facts
    title = model if facts.output == "colour" else f"{model}, {facts.output}"
    panel = photo_panel(picture.pixels, title)
    usual = facts.colour is not None and facts.colour.map == DEPTH_COLOURS
    legend = Legend(ramp="depth", marks=("far", "near")) if usual else None
    return replace(panel, words=f"{title}: {facts.holds}", legend=legend, model=model)


def make_card(
    items: ViewItems, sortable: Sequence[Sortable], item: ViewItem, order: int, beside: Path | None
) -> Card:
    """Card of one image; ``beside`` is a folder for pictures."""
    columns = {column.label: column for column in items.columns}
    figures = [
        Figure(
            panel=panel,
            address=_embed_or_write_picture(panel, f"{order:06}-{place}", beside),
            # Under the picture of what the model gave, and not under that of its error too.
            numbers=_metric_texts(item, columns.get(panel.title.removesuffix(", normals"))),
        )
        for place, panel in enumerate(_item_panels(items, item))
    ]
    return Card(
        item=item,
        order=order,
        figures=tuple(figures),
        values=dict(_sort_values(sortable, item)),
        notes=tuple(item_notes(item)),
    )


def models_table(items: ViewItems) -> Table:
    """Table of models: what each shows, licence and metrics."""
    summaries = {
        summary.metric: summary for column in items.columns for summary in column.summaries
    }
    chosen = [summaries[name] for name in shortlist([*summaries])]
    numbers = [column_head(summary) for summary in chosen]
    rows: list[tuple[str, ...]] = []
    for column in items.columns:
        own = {summary.metric: summary.value for summary in column.summaries}
        values = [number(own.get(summary.metric)) for summary in chosen]
        rows.append((column.label, column.shows, column.made_by.licence, *values))
    words = ["shows", "licence"]
    return Table(heads=make_heads("model", *words, *numbers, words=words), rows=tuple(rows))


def _embed_or_write_picture(panel: Panel, name: str, beside: Path | None) -> str:
    """Data of a picture as address, or path of a file."""
    if beside is None:
        return jpeg_uri(panel.jpeg())
    path = beside / PICTURES / f"{name}.jpg"  # digits alone: ids may hold anything
    make_folder(path.parent)
    with replacing(path) as part:
        part.write_bytes(panel.jpeg())
    return f"{PICTURES}/{name}.jpg"


def _sort_values(columns: Sequence[Sortable], item: ViewItem) -> Iterator[tuple[str, float]]:
    """Key and number of each quantity."""
    for sortable in columns:
        if sortable.column is not None and sortable.metric is not None:
            score = sortable.column.scores.get(item.id)
            if score is not None and sortable.metric in score.values:
                yield sortable.key, float(score.values[sortable.metric])
        elif (differing := item.disagreement) is not None:
            yield sortable.key, differing


def _metric_texts(item: ViewItem, column: ModelColumn | None) -> tuple[tuple[str, str], ...]:
    score = None if column is None else column.scores.get(item.id)
    if column is None or score is None:
        return ()
    having = [summary for summary in column.summaries if summary.metric in score.values][:CAPTIONED]
    return tuple(
        (summary.label, quantity(score.values[summary.metric], summary.unit)) for summary in having
    )


def write_paper_figure(
    targets: Sequence[str | Path],
    path: str | Path,
    source: SourceOptions | None = None,
    *,
    images: Sequence[str] = (),
) -> tuple[str, ...]:
    """Draw photographs, truth, predictions and errors as PDF, SVG or PNG, a row an image.

    By default ``images`` are some, evenly spaced; their names are returned.
    """
    check_figure_format(Path(path))
    items = open_targets(targets, source or SourceOptions())
    for name in images:
        if name not in items.ids:
            raise OptionError(f"no image '{name}' for the figure; {suggest(name, items.ids)}")
    places = np.linspace(0, len(items.ids) - 1, min(ROWS, len(items.ids))).round().astype(int)
    chosen = tuple(images) or tuple(items.ids[place] for place in places)
    rows = [sorted(_item_panels(items, items.read(id)), key=_panel_order) for id in chosen]
    write_figure(rows, Path(path))
    return chosen


def _panel_order(panel: Panel) -> int:
    """Order in a row: photograph and truth, predictions, errors."""
    return 0 if panel.model is None else 2 if panel.title.startswith(f"{panel.model}, error") else 1


MOST_IN_PAGE = 60  # some 20 MB, which browsers handle well

INDEX = "index.html"
_SUFFIXES = (".html", ".htm")
_PICTURE = re.compile(r"\d{6,}-\d+\.jpg")
_OURS = 'name="generator" content="rilievo report '


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenGallery:
    """Result of ``write_gallery``; ``failed`` are images, ``faults`` predictions."""

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
    """Write a page of images, truth and predictions.

    Targets are evaluations, folders of predictions, or a dataset's name. An ``output`` that ends in
    .html contains all pictures; else it is a folder.
    """
    output = Path(output)
    alone = output.suffix.lower() in _SUFFIXES
    path = output if alone else output / INDEX
    _refuse_foreign_files(path, alone=alone)
    items = open_targets(targets, source or SourceOptions())
    if alone and len(items.ids) > MOST_IN_PAGE:
        raise OptionError(
            problem=Text(
                f"{len(items.ids)} images are too many for one file (at most "
                f"{MOST_IN_PAGE}): give a folder, ",
                OptionName("output", str(output.with_suffix(""))),
                ", or fewer with ",
                OptionName("limit"),
            )
        )
    beside = _clear_report_folder(path, alone=alone)
    failed: list[str] = [note_about(printable(id), why) for id, why in items.absent.items()]
    faults: list[str] = []
    written: list[str] = []
    with (
        Tally(output=path, total=len(items.ids), show=show) as tally,
        _replacing_page(path, alone=alone) as part,
        # File names may not be valid Unicode.
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        tally.part("images")
        cards = _read_cards(items, beside, tally, failed, faults, written)
        file.writelines(_page_pieces(items, cards, failed))
        items.check_shown(failed)
    if beside is not None:
        write_checksums(beside / CHECKSUMS, (path.name, *written))
    return WrittenGallery(
        page=path,
        images=len(items.ids) + len(items.absent) - len(failed),
        models=tuple(column.label for column in items.columns),
        failed=tuple(failed),
        faults=tuple(faults),
    )


def _clear_report_folder(path: Path, *, alone: bool) -> Path | None:
    """Make a report's folder without old parts and sums; None if the page stands alone."""
    make_folder(path.parent)
    sweep_parts(path.parent)
    if alone:
        return None
    remove(path.parent / CHECKSUMS)  # of pictures that are replaced one by one now
    return path.parent


@contextmanager
def _replacing_page(path: Path, *, alone: bool) -> Iterator[Path]:
    """Yield a part of the page; if it stands alone, its checksum is replaced with it."""
    if alone:
        with (
            replacing_with_checksums(checksum_of(path), (path.name,)) as parts,
            replacing(parts[path.name]) as part,
        ):
            yield part
    else:
        with replacing(path) as part:
            yield part


def _page_pieces(items: ViewItems, cards: Iterator[Card], failed: Sequence[str]) -> Iterator[str]:
    """Yield the page in pieces, while cards are built."""
    sort_keys = sort_quantities(items)
    models = ", ".join(column.label for column in items.columns)
    titles = [entry.label for entry in items.columns if entry.kind is not None or entry.pictures]
    normals = [f"{entry.label}, normals" for entry in items.columns if entry.normals]
    titles = ["Photograph", "True depth", *titles, *(["True normals"] if normals else []), *normals]
    return page_pieces(
        "gallery.html",
        scripts=tuple(map(asset, ("stage/slider.js", "pages.js", "gallery.js"))),
        beside=True,
        title=f"{models} on {items.name}" if models else items.name,
        images=len(items.ids),
        models=models_table(items),
        orders=list(_sort_choices(sort_keys)),
        filters=[("", "every image"), *((entry.key, entry.label) for entry in sort_keys)],
        titles=titles,
        choices=[(entry, entry) for entry in titles],
        known=sort_keys,
        split=items.images.split,
        words=wording,
        cards=cards,
        failed=failed,
    )


def _sort_choices(columns: Sequence[Sortable]) -> Iterator[tuple[str, str]]:
    yield "order:up", "as in the dataset"
    for sortable in columns:
        if sortable.column is None:
            yield f"{sortable.key}:down", "largest disagreement"
            continue
        worst, best = ("up", "down") if sortable.better is Better.HIGHER else ("down", "up")
        yield f"{sortable.key}:{worst}", f"worst {sortable.label}"
        yield f"{sortable.key}:{best}", f"best {sortable.label}"


def _read_cards(
    items: ViewItems,
    beside: Path | None,
    tally: Tally,
    failed: list[str],
    faults: list[str],
    written: list[str],
) -> Iterator[Card]:
    """Cards; appends to the three lists."""
    sort_keys = sort_quantities(items)
    for order, id in enumerate(items.ids):
        try:
            item = items.read(id)
        except RilievoError as error:
            failed.append(note_about(printable(id), error))
            tally.failed(failed[-1])
            continue
        faults += [
            note_about(f"{printable(id)}: {entry.column.label}", entry.fault)
            for entry in item.shown
            if entry.fault is not None and not entry.pictures
        ]
        card = make_card(items, sort_keys, item, order, beside)
        written += [entry.address for entry in card.figures if beside is not None]
        yield card
        tally.done()


def _refuse_foreign_files(path: Path, *, alone: bool) -> None:
    """Refuse to replace files of anything but our reports."""
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            if _OURS in file.read(4096):
                return
        raise OutputError(
            problem=Text("rilievo did not write this page; choose another ", OptionName("output")),
            path=path,
        )
    if not alone and path.parent.is_dir() and not all(map(_is_leftover, path.parent.iterdir())):
        raise OutputError(
            f"{path.parent}: holds files but no report of ours; choose another folder"
        )


def _is_leftover(path: Path) -> bool:
    """Whether a path is left by a killed report."""
    if path.name == PICTURES and path.is_dir():
        return all(
            _PICTURE.fullmatch(child.name) or is_part(child.name) for child in path.iterdir()
        )
    return is_part(path.name)
