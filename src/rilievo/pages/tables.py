"""Tables, and writers for Markdown, CSV, LaTeX and the terminal."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from rilievo.io.files.names import printable
from rilievo.pages.document import latex_command, latex_text, markdown_text

EMPTY_CELL = "–"
"""Text of an empty cell."""

Content: TypeAlias = "Entry | str | int | float | None"

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Characters with which a text begins that spreadsheets take for a formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Cell of a table.

    Attributes:
        interval: Confidence interval, which follows the text.
        small_print: Lines of small print, which only HTML pages show.
        link: Address of a page with details.
        source: Number, from 1, of the source that published the row.
        is_best: Whether it is the best value of its column.
        is_marked: Whether an asterisk follows.
    """

    text: str
    interval: str = ""
    small_print: tuple[str, ...] = ()
    link: str = ""
    source: int | None = None
    is_best: bool = False
    is_marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Heading of a column.

    Attributes:
        text: The heading itself.
        group: Heading above this one, which it shares with neighbouring columns.
        is_text: Whether the column holds words rather than numbers.
    """

    text: str
    group: str = ""
    is_text: bool = False

    @property
    def full_text(self) -> str:
        """Heading that includes the group, for tables with a single header row."""
        return f"{self.group}: {self.text}" if self.group else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells below headings.

    Attributes:
        title: Heading above the table; HTML pages have it for screen readers only.
        lead: Paragraphs between the title and the table.
        caption: Caption in LaTeX.
        rows_above_rule: Number of rows above a horizontal rule; None for no rule.
        sources: Sources of published rows, in the order of ``Entry.source``.
        is_sortable: Whether readers of an HTML page can sort it.
    """

    headings: tuple[Heading, ...]
    rows: tuple[tuple[Content, ...], ...]
    title: str = ""
    lead: tuple[str, ...] = ()
    caption: str = ""
    rows_above_rule: int | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    is_sortable: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.headings), (
                f"{len(self.headings)} headings, but a row of {len(row)} cells"
            )

    @property
    def entries(self) -> tuple[tuple[Entry, ...], ...]:
        """Rows with every cell as an ``Entry``."""
        return tuple(tuple(map(_as_entry, row)) for row in self.rows)

    @property
    def terminal_headings(self) -> list[str]:
        """Headings for a terminal."""
        return [printable(head.full_text) for head in self.headings]

    @property
    def terminal_rows(self) -> list[list[str]]:
        """Rows for a terminal, with an exclamation mark at the best values."""
        return [[_terminal_text(entry) for entry in row] for row in self.entries]


def make_headings(*texts: str, words: Sequence[str] = ()) -> tuple[Heading, ...]:
    """Make headings of columns with numbers, except that those in ``words`` hold text."""
    return tuple(Heading(text=text, is_text=text in words) for text in texts)


def tables_as_markdown(table: Table, *more_tables: Table) -> str:
    """Format tables in Markdown, followed by the notes and sources of the first one."""
    blocks = []
    if table.title:
        blocks.append(f"# {_escape_markdown(table.title)}")
    blocks += map(_escape_markdown, table.lead)
    for filled in (table, *more_tables):
        if filled.rows:
            blocks.append("\n".join(_markdown_lines(filled)))
    notes = [f"- {_escape_markdown(note)}" for note in table.notes]
    notes += [
        f"- [{number}] {_escape_markdown(source)}"
        for number, source in enumerate(table.sources, start=1)
    ]
    if notes:
        blocks.append("\n".join(notes))
    return "\n\n".join(blocks) + "\n"


def table_as_csv(table: Table) -> str:
    """Format a table as CSV. Texts that spreadsheets take for formulas get an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([head.full_text for head in table.headings])
    writer.writerows([_csv_value(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def table_as_latex(table: Table) -> str:
    """Format a table in LaTeX, with the package booktabs."""
    alignments = [
        "l" if _is_left_aligned(table, column) else "r" for column in range(len(table.headings))
    ]
    lines = [r"% Needs \usepackage{booktabs}.", r"\begin{table}", r"\centering"]
    if table.caption:
        lines.append(latex_command(_escape_latex(table.caption), "caption"))
    lines += [
        f"\\begin{{tabular}}{{{''.join(alignments)}}}",
        r"\toprule",
        *_latex_group_headings(table),
        _latex_line([_escape_latex(heading.text) for heading in table.headings]),
        r"\midrule",
        *_latex_rows(table),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    notes = _latex_notes(table)
    if notes:
        lines += ["", r"\smallskip", r"\footnotesize", *(f"{note}\\\\" for note in notes)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _latex_rows(table: Table) -> Iterator[str]:
    """Yield the lines of all rows: the values, and below them their intervals in small print."""
    for index, row in enumerate(table.entries):
        if index > 0 and index == table.rows_above_rule:
            yield r"\midrule"
        yield _latex_line(map(_latex_cell, row))
        if any(entry.interval for entry in row):
            yield _latex_line(map(_latex_interval, row))


def _latex_notes(table: Table) -> list[str]:
    """Format the notes of a table, and then its numbered sources."""
    notes = [_escape_latex(note) for note in table.notes]
    sources = [
        f"$^{{{number}}}$ {_escape_latex(source)}"
        for number, source in enumerate(table.sources, start=1)
    ]
    return notes + sources


def _escape_formula(text: str) -> str:
    safe_text = printable(text) if text else ""
    return f"'{safe_text}" if text.startswith(_FORMULA_STARTS) else safe_text


def _as_entry(content: Content) -> Entry:
    if isinstance(content, Entry):
        return content
    is_empty = content is None or content == ""
    return Entry(text=EMPTY_CELL if is_empty else str(content))


def _csv_value(content: Content) -> object:
    content = content.text if isinstance(content, Entry) else content
    return _escape_formula(content) if isinstance(content, str) else content


def _terminal_text(entry: Entry) -> str:
    source = "" if entry.source is None else f" [{entry.source}]"
    marks = ("*" if entry.is_marked else "") + ("!" if entry.is_best else "")
    text = printable(entry.text) if entry.text else ""
    return f"{text}{marks}{source}"


def _markdown_lines(table: Table) -> Iterator[str]:
    rules = [
        "---" if _is_left_aligned(table, column) else "---:"
        for column in range(len(table.headings))
    ]
    rows = [[_escape_markdown(head.full_text) for head in table.headings], rules]
    rows += [list(map(_markdown_cell, row)) for row in table.entries]
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _markdown_cell(entry: Entry) -> str:
    text = _escape_markdown(entry.text)
    if entry.is_marked:
        text += r"\*"
    if entry.is_best:
        text = f"**{text}**"
    if entry.source is not None:
        text += f" (published) [{entry.source}]"
    if entry.interval:
        text += f" ({entry.interval})"
    return text


def _latex_group_headings(table: Table) -> list[str]:
    """Format the line of group headings and the rules below it; [] if there are no groups."""
    if not any(head.group for head in table.headings):
        return []
    cells: list[str] = []
    rules: list[str] = []
    first_column = 1
    for group, members in groupby(table.headings, key=lambda head: head.group):
        num_columns = len(list(members))
        if group:
            last_column = first_column + num_columns - 1
            cells.append(f"\\multicolumn{{{num_columns}}}{{c}}{{{_escape_latex(group)}}}")
            rules.append(f"\\cmidrule(lr){{{first_column}-{last_column}}}")
        else:
            cells += [""] * num_columns
        first_column += num_columns
    return [_latex_line(cells), " ".join(rules)]


def _latex_line(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex_cell(entry: Entry) -> str:
    text = _escape_latex(entry.text)
    if entry.is_best:
        text = latex_command(text, "textbf")
    if entry.is_marked:
        text += "$^{*}$"
    if entry.source is not None:
        text += f" (published)$^{{{entry.source}}}$"
    return text


def _latex_interval(entry: Entry) -> str:
    return f"{{\\scriptsize {_escape_latex(entry.interval)}}}" if entry.interval else ""


def _is_left_aligned(table: Table, column: int) -> bool:
    return column == 0 or table.headings[column].is_text


def _escape_markdown(text: str) -> str:
    return markdown_text(printable(text)) if text else ""


def _escape_latex(text: str) -> str:
    return latex_text(printable(text)) if text else ""
