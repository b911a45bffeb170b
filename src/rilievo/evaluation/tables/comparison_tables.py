"""Tables of a comparison on one benchmark: values, and differences between runs."""

from rilievo.errors.messages import count_text
from rilievo.evaluation.tables.comparison import BenchmarkComparison, ComparedValue, Difference
from rilievo.evaluation.tables.wording import alignment_text, bounds, column_head, number
from rilievo.pages.tables import EMPTY_CELL, Entry, Heading, Table, make_headings


def alignment_texts(group: BenchmarkComparison) -> tuple[str, ...]:
    """Alignments of the runs' predictions, each once."""
    texts = [alignment_text(row.alignment) for row in group.runs]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def alignment_sentences(group: BenchmarkComparison) -> tuple[str, ...]:
    """Sentences that say how predictions are aligned, one for all runs if they are alike."""
    texts = alignment_texts(group)
    if len(texts) == 1 and len({row.alignment for row in group.runs}) == 1:
        return (f"All predictions are scored {texts[0]}.",)
    return tuple(
        f"{row.name} is scored {alignment_text(row.alignment)}."
        for row in group.runs
        if row.alignment is not None
    )


def values_table(group: BenchmarkComparison, *, on_page: bool = False) -> Table:
    """Table with a row for each model; on a page it has ranks and alignments too."""
    shows_ranks = on_page and len(group.runs) > 1
    rows = []
    for row in group.rows:
        source_number = group.sources[row.source] if row.source else None
        entries = [Entry(text=row.name, source=source_number)]
        for column in group.columns:
            entries.append(cell_entry(row.cells.get(column.metric), shows_rank=shows_ranks))
        if on_page:
            entries.append(Entry(text=alignment_text(row.alignment) or EMPTY_CELL))
        rows.append(tuple(entries))

    headings = [
        Heading(text="model"),
        *(Heading(text=column_head(column)) for column in group.columns),
    ]
    if on_page:
        headings.append(Heading(text="aligned by", is_text=True))
    data = f"{group.dataset}: {count_text(group.image_count, 'image')}"
    title = [f"{group.title}."] if group.title else []
    notes = list(group.notes)
    sentences = alignment_sentences(group)
    if not on_page and len(sentences) == 1:
        notes = [*sentences, *notes]
    if any(entry.interval for row in rows for entry in row):
        notes.append("The range beside or below a number is its 95% confidence interval.")
    return Table(
        title=group.benchmark,
        lead=(*title, f"{data}."),
        caption=f"{group.benchmark}, {data}",
        headings=tuple(headings),
        rows=tuple(rows),
        rows_above_rule=len(group.runs),
        notes=tuple(notes),
        sources=tuple(group.sources),
    )


def cell_entry(cell: ComparedValue | None, *, shows_rank: bool = False) -> Entry:
    """Table entry of a cell; a dash if there is no cell."""
    if cell is None:
        return Entry(text=EMPTY_CELL)
    rank = (f"rank {cell.rank}",) if shows_rank and cell.rank is not None else ()
    return Entry(
        text=number(cell.value),
        interval="" if cell.low is None else bounds(cell.low, cell.high),
        small_print=rank,
        is_best=cell.is_best,
        is_marked=cell.is_marked,
    )


def differences_table(group: BenchmarkComparison) -> Table:
    """Table of the differences of all runs from the reference of each metric."""
    rows = []
    for row, column, difference in group.differences():
        sign = "+" if difference.mean > 0 else ""
        mean = Entry(text=f"{sign}{number(difference.mean)}", is_marked=difference.is_significant)
        interval = bounds(difference.low, difference.high)
        subject = f"{row.name} − {column.reference}"
        rows.append((subject, column_head(column), mean, interval, _p_text(difference)))
    return Table(
        headings=make_headings(
            "difference", "metric", "mean", "95% interval", "p (Holm)", words=["metric"]
        ),
        rows=tuple(rows),
        is_sortable=True,
    )


def _p_text(difference: Difference) -> str:
    """P-value of a difference as text; a dash if no interval is claimed."""
    if difference.low is None:
        return EMPTY_CELL
    return "< 0.001" if difference.p < 1e-3 else f"{difference.p:.3f}"
