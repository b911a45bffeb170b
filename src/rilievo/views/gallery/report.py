"""``report``: write a page about targets that opens from disk."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError, OutputError, RilievoError
from rilievo.io.atomic import is_part, make_folder, remove, replacing, sweep_parts
from rilievo.io.checksums import CHECKSUMS, beside, write_beside, write_checksums
from rilievo.io.limits import printable
from rilievo.io.markup import Markup
from rilievo.predicting.summary import Tally
from rilievo.views.gallery.cards import PICTURES, Beside, Cards, InPage, sortables
from rilievo.views.gallery.page import page
from rilievo.views.options import SourceOptions
from rilievo.views.targets import open_targets
from rilievo.views.view_items import ViewItems

MOST_IN_PAGE = 60
"""Most images of a single-file page: it has about 20 MB, which browsers handle well."""

INDEX = "index.html"
_SUFFIXES = (".html", ".htm")
_PICTURE = re.compile(r"\d{6,}-\d+\.jpg")
_OURS = 'name="generator" content="rilievo report '


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """Result of writing a report.

    Attributes:
        page: Path of the page.
        images: Number of images on it.
        models: Models on it.
        failed: Images that could not be shown or are absent, with the reason.
        faults: Predictions that could not be shown, with the reason.
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
) -> Reported:
    """Write a page of images, ground truth and predictions.

    Images are read one at a time, while the page is written.

    Args:
        targets: Folders of evaluations, folders of predictions, or a dataset's name.
        output: File that ends in .html, which then contains all pictures, or a folder.
        source: Place of photographs and ground truth, if the targets do not state it.
        show: Whether to show progress on standard error.

    Raises:
        OptionError: If options do not go together, or there are too many images for one file.
        InputError: If the targets cannot be read, or no image can be shown.
        OutputError: If something is in the way, or cannot be written.
    """
    output = Path(output)
    alone = output.suffix.lower() in _SUFFIXES
    path = output if alone else output / INDEX
    _check_ours(path, alone=alone)
    items = open_targets(targets, source or SourceOptions())
    if alone:
        _check_count(items, output)
    place = _place_of(path, alone=alone)
    cards = Cards(items=items, place=place, sortables=sortables(items))
    failed = [f"{printable(id)}: {why}" for id, why in items.absent.items()]
    faults: list[str] = []
    with (
        Tally(output=path, total=len(items.ids), show=show) as tally,
        replacing(path) as part,
        # File names may not be valid Unicode.
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        tally.part("images")
        drawn = _drawn(items, cards, tally, failed, faults)
        file.writelines(page(items, drawn, cards.sortables, failed))
        items.check_shown(failed)
    _write_sums(path, place)
    return Reported(
        page=path,
        images=len(items.ids) + len(items.absent) - len(failed),
        models=tuple(column.label for column in items.columns),
        failed=tuple(failed),
        faults=tuple(faults),
    )


def _place_of(path: Path, *, alone: bool) -> InPage | Beside:
    """Make the folder ready, and say where pictures go."""
    make_folder(path.parent)
    sweep_parts(path.parent)
    remove(beside(path) if alone else path.parent / CHECKSUMS)  # of what is replaced now
    return InPage() if alone else Beside(folder=path.parent)


def _write_sums(path: Path, place: InPage | Beside) -> None:
    if isinstance(place, Beside):
        write_checksums(path.parent, (path.name, *place.written))
    else:
        write_beside(path)


def _check_count(items: ViewItems, output: Path) -> None:
    if len(items.ids) > MOST_IN_PAGE:
        raise OptionError(
            f"{len(items.ids)} images are too many for one file (at most {MOST_IN_PAGE}): "
            f"give a folder, -o {printable(output.with_suffix(''))}, or fewer with --limit"
        )


def _drawn(
    items: ViewItems, cards: Cards, tally: Tally, failed: list[str], faults: list[str]
) -> Iterator[Markup]:
    for order, id in enumerate(items.ids):
        try:
            item = items.read(id)
        except RilievoError as error:
            failed.append(f"{printable(id)}: {error}")
            tally.failed(failed[-1])
            continue
        faults += [
            f"{printable(id)}: {each.column.label}: {each.fault}"
            for each in item.shown
            if each.fault is not None
        ]
        yield cards.card(item, order)
        tally.done()


def _check_ours(path: Path, *, alone: bool) -> None:
    """Refuse to replace files that are not of a report of ours.

    Raises:
        OutputError: If there is such a file or folder.
    """
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            if _OURS in file.read(4096):
                return
        raise OutputError(f"{printable(path)}: rilievo did not write this page; choose another -o")
    if not alone and path.parent.is_dir() and not all(map(_is_left, path.parent.iterdir())):
        raise OutputError(
            f"{printable(path.parent)}: holds files but no report of ours; choose another folder"
        )


def _is_left(path: Path) -> bool:
    """Whether this is what a report leaves that is killed before its page is whole."""
    if path.name == PICTURES and path.is_dir():
        return all(_PICTURE.fullmatch(each.name) or is_part(each.name) for each in path.iterdir())
    return is_part(path.name)
