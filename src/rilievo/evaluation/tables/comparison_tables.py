"""Tables of a comparison on one benchmark."""

from collections.abc import Iterator, Sequence

from rilievo.evaluation.tables.comparison import Cell, ColumnGroup
from rilievo.evaluation.tables.wording import alignment_text, bounds, column_head, number
from rilievo.pages.tables import NOTHING, Entry, Head, Table, make_heads


def alignment_texts(group: ColumnGroup) -> tuple[str, ...]:
    """Alignments of the runs' predictions, each once."""
    texts = [alignment_text(row.alignment) for row in group.runs]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def values_table(group: ColumnGroup, *, on_page: bool = False) -> Table:
    """A row a model; a page has ranks and alignments too."""
    ranked = on_page and len(group.runs) > 1
    rows = []
    for row in group.rows:
        cells = [row.cells.get(column.metric) for column in group.columns]
        source = group.sources[row.source] if row.source else None
        entries = [Entry(text=row.name, source=source)]
        entries += [cell_entry(cell, ranked=ranked) for cell in cells]
        entries += [Entry(text=alignment_text(row.alignment) or NOTHING)] if on_page else []
        rows.append(tuple(entries))
    columns = [Head(text=column_head(metric_column)) for metric_column in group.columns]
    method = [Head(text="aligned by", is_text=True)] if on_page else []
    images = f"{group.images:,} images"
    return Table(
        title=group.benchmark,
        lead=(
            *([f"{group.title}."] if group.title else []),
            f"{group.dataset}: {images}.",
        ),
        caption=f"{group.benchmark}, {group.dataset}: {images}",
        heads=(Head(text="model"), *columns, *method),
        rows=tuple(rows),
        parted=len(group.runs),
        notes=(
            *(() if on_page else _alignment_note(group)),
            *group.notes,
            *_interval_note(rows),
        ),
        sources=tuple(group.sources),
    )


def _alignment_note(group: ColumnGroup) -> Iterator[str]:
    texts = alignment_texts(group)
    if len(texts) == 1 and len({row.alignment for row in group.runs}) == 1:
        yield f"Predictions of every run: {texts[0]}."


def _interval_note(rows: Sequence[tuple[Entry, ...]]) -> Iterator[str]:
    if any(entry.interval for row in rows for entry in row):
        yield "The range beside or below a number is its 95 % interval."


def cell_entry(cell: Cell | None, *, ranked: bool = False) -> Entry:
    """Table entry; a dash for no cell."""
    if cell is None:
        return Entry(text=NOTHING)
    reach = "" if cell.low is None else bounds(cell.low, cell.high)
    return Entry(
        text=number(cell.value),
        interval=reach,
        minor=(f"rank {cell.rank}",) if ranked and cell.rank is not None else (),
        is_best=cell.is_best,
        is_marked=cell.is_marked,
    )


def differences_table(group: ColumnGroup) -> Table:
    """Every run against the reference of each metric."""
    return Table(
        heads=make_heads(
            "difference", "metric", "mean", "95 % interval", "p (Holm)", words=["metric"]
        ),
        rows=tuple(
            (
                f"{row.name} − {column.reference}",
                column_head(column),
                Entry(
                    text=f"{'+' if difference.mean > 0 else ''}{number(difference.mean)}",
                    is_marked=difference.is_significant,
                ),
                bounds(difference.low, difference.high),
                NOTHING
                if difference.low is None
                else "< 0.001"
                if difference.p < 1e-3
                else f"{difference.p:.3f}",
            )
            for row, column, difference in group.differences()
        ),
        is_sortable=True,
    )
