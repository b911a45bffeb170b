"""Tables of a comparison on one benchmark: values, and differences between runs."""

from collections.abc import Iterator, Sequence

from rilievo.evaluation.tables.comparison import Cell, ColumnGroup, Difference
from rilievo.evaluation.tables.wording import alignment_text, bounds, column_head, number
from rilievo.pages.tables import NOTHING, Entry, Head, Table, make_heads


def alignment_texts(group: ColumnGroup) -> tuple[str, ...]:
    """Alignments of the runs' predictions, each once."""
    texts = [alignment_text(row.alignment) for row in group.runs]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def values_table(group: ColumnGroup, *, on_page: bool = False) -> Table:
    """Table with a row for each model; on a page it has ranks and alignments too."""
    shows_ranks = on_page and len(group.runs) > 1
    rows = []
    for row in group.rows:
        source = group.sources[row.source] if row.source else None
        entries = [Entry(text=row.name, source=source)]
        for column in group.columns:
            entries.append(cell_entry(row.cells.get(column.metric), shows_rank=shows_ranks))
        if on_page:
            entries.append(Entry(text=alignment_text(row.alignment) or NOTHING))
        rows.append(tuple(entries))

    heads = [Head(text="model"), *(Head(text=column_head(column)) for column in group.columns)]
    if on_page:
        heads.append(Head(text="aligned by", is_text=True))
    images = f"{group.images:,} images"
    title = [f"{group.title}."] if group.title else []
    alignment_note = () if on_page else _alignment_note(group)
    return Table(
        title=group.benchmark,
        lead=(*title, f"{group.dataset}: {images}."),
        caption=f"{group.benchmark}, {group.dataset}: {images}",
        heads=tuple(heads),
        rows=tuple(rows),
        parted=len(group.runs),
        notes=(*alignment_note, *group.notes, *_interval_note(rows)),
        sources=tuple(group.sources),
    )


def _alignment_note(group: ColumnGroup) -> Iterator[str]:
    """Yield a note if all predictions are aligned in the same way."""
    texts = alignment_texts(group)
    if len(texts) == 1 and len({row.alignment for row in group.runs}) == 1:
        yield f"Predictions of every run: {texts[0]}."


def _interval_note(rows: Sequence[tuple[Entry, ...]]) -> Iterator[str]:
    """Yield a note if a table has intervals."""
    if any(entry.interval for row in rows for entry in row):
        yield "The range beside or below a number is its 95 % interval."


def cell_entry(cell: Cell | None, *, shows_rank: bool = False) -> Entry:
    """Table entry of a cell; a dash without a cell."""
    if cell is None:
        return Entry(text=NOTHING)
    rank = (f"rank {cell.rank}",) if shows_rank and cell.rank is not None else ()
    return Entry(
        text=number(cell.value),
        interval="" if cell.low is None else bounds(cell.low, cell.high),
        minor=rank,
        is_best=cell.is_best,
        is_marked=cell.is_marked,
    )


def differences_table(group: ColumnGroup) -> Table:
    """Table of the differences of all runs from the reference of each metric."""
    rows = []
    for row, column, difference in group.differences():
        sign = "+" if difference.mean > 0 else ""
        mean = Entry(text=f"{sign}{number(difference.mean)}", is_marked=difference.is_significant)
        interval = bounds(difference.low, difference.high)
        subject = f"{row.name} − {column.reference}"
        rows.append((subject, column_head(column), mean, interval, _p_text(difference)))
    return Table(
        heads=make_heads(
            "difference", "metric", "mean", "95 % interval", "p (Holm)", words=["metric"]
        ),
        rows=tuple(rows),
        is_sortable=True,
    )


def _p_text(difference: Difference) -> str:
    """P-value of a difference; a dash where no interval is claimed."""
    if difference.low is None:
        return NOTHING
    return "< 0.001" if difference.p < 1e-3 else f"{difference.p:.3f}"
