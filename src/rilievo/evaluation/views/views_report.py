"""``report``: write a page that opens from disk."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rilievo.errors import OptionError, OutputError, RilievoError
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.tables import wording
from rilievo.evaluation.views.report_cards import (
    PICTURES,
    Card,
    Sortable,
    card_of,
    models_table,
    sortables,
)
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_items import ViewItems
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.frozen import frozen
from rilievo.io.checks import CHECKSUMS, write_checksum, write_checksums
from rilievo.io.checks import beside as checksum_of
from rilievo.io.files.atomic import is_part, make_folder, remove, replacing, sweep_parts
from rilievo.io.files.limits import printable
from rilievo.messages import at
from rilievo.pages.document import asset, pieces
from rilievo.predicting.summary import Tally

MOST_IN_PAGE = 60  # some 20 MB, which browsers handle well

INDEX = "index.html"
_SUFFIXES = (".html", ".htm")
_PICTURE = re.compile(r"\d{6,}-\d+\.jpg")
_OURS = 'name="generator" content="rilievo report '


@frozen
class Reported:
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
) -> Reported:
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
            problem=(
                f"{len(items.ids)} images are too many for one file (at most "
                f"{MOST_IN_PAGE}): give a folder, {{output={output.with_suffix('')}}}, or "
                "fewer with {limit}"
            )
        )
    beside = _prepare_folder(path, alone=alone)
    failed: list[str] = [at(printable(id), why) for id, why in items.absent.items()]
    faults: list[str] = []
    written: list[str] = []
    with (
        Tally(output=path, total=len(items.ids), show=show) as tally,
        replacing(path) as part,
        # File names may not be valid Unicode.
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        tally.part("images")
        cards = _read_cards(items, beside, tally, failed, faults, written)
        file.writelines(_page_pieces(items, cards, failed))
        items.check_shown(failed)
    if beside is None:
        write_checksum(path)
    else:
        write_checksums(beside / CHECKSUMS, (path.name, *written))
    return Reported(
        page=path,
        images=len(items.ids) + len(items.absent) - len(failed),
        models=tuple(column.label for column in items.columns),
        failed=tuple(failed),
        faults=tuple(faults),
    )


def _prepare_folder(path: Path, *, alone: bool) -> Path | None:
    """Make the folder ready; return it if pictures go there."""
    make_folder(path.parent)
    sweep_parts(path.parent)
    remove(checksum_of(path) if alone else path.parent / CHECKSUMS)  # of what is replaced now
    return None if alone else path.parent


def _page_pieces(items: ViewItems, cards: Iterator[Card], failed: Sequence[str]) -> Iterator[str]:
    """Yield the page in pieces, while cards are built."""
    sort_keys = sortables(items)
    models = ", ".join(column.label for column in items.columns)
    titles = [entry.label for entry in items.columns if entry.kind is not None or entry.pictures]
    normals = [f"{entry.label}, normals" for entry in items.columns if entry.normals]
    titles = ["Photograph", "True depth", *titles, *(["True normals"] if normals else []), *normals]
    return pieces(
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
    sort_keys = sortables(items)
    for order, id in enumerate(items.ids):
        try:
            item = items.read(id)
        except RilievoError as error:
            failed.append(at(printable(id), error))
            tally.failed(failed[-1])
            continue
        faults += [
            at(f"{printable(id)}: {entry.column.label}", entry.fault)
            for entry in item.shown
            if entry.fault is not None and not entry.pictures
        ]
        card = card_of(items, sort_keys, item, order, beside)
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
            problem="rilievo did not write this page; choose another {output}", path=path
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
