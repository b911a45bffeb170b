"""Tables with a writer for each format."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from rilievo.io.files.names import printable
from rilievo.pages.document import latex_command, latex_text, markdown_text

NOTHING = "–"

Content: TypeAlias = "Entry | str | int | float | None"

# What a spreadsheet takes for the start of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Cell with marks.

    Attributes:
        interval: Interval behind or below the text.
        minor: Small print, on pages alone.
        link: Address of a page with more.
        source: Number of the source that published the row.
        is_marked: Whether an asterisk follows.
    """

    text: str
    interval: str = ""
    minor: tuple[str, ...] = ()
    link: str = ""
    source: int | None = None
    is_best: bool = False
    is_marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Heading of a column.

    Attributes:
        group: Heading of neighbouring columns.
        is_text: Whether the column has words.
    """

    text: str
    group: str = ""
    is_text: bool = False

    @property
    def full(self) -> str:
        """Heading that stands alone."""
        return f"{self.group}: {self.text}" if self.group else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells below headings.

    Attributes:
        title: Heading; on a page, for screen readers.
        lead: Paragraphs below the title.
        caption: Caption in LaTeX.
        parted: Number of rows above a rule.
        sources: Sources of published rows.
    """

    heads: tuple[Head, ...]
    rows: tuple[tuple[Content, ...], ...]
    title: str = ""
    lead: tuple[str, ...] = ()
    caption: str = ""
    parted: int | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    is_sortable: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.heads), (
                f"{len(self.heads)} headings, and a row of {len(row)}"
            )

    @property
    def entries(self) -> tuple[tuple[Entry, ...], ...]:
        """Rows, each cell an ``Entry``."""
        return tuple(tuple(map(_as_entry, row)) for row in self.rows)

    @property
    def plain_heads(self) -> list[str]:
        """Headings in a terminal."""
        return [printable(head.full) for head in self.heads]

    @property
    def plain_rows(self) -> list[list[str]]:
        """Rows in a terminal, with marks of the best."""
        return [[_terminal_text(entry) for entry in row] for row in self.entries]


def make_heads(*texts: str, words: Sequence[str] = ()) -> tuple[Head, ...]:
    """Headings of numbers, or of ``words``."""
    return tuple(Head(text=text, is_text=text in words) for text in texts)


def tables_as_markdown(table: Table, *below: Table) -> str:
    """Tables in Markdown, then notes and sources of the first."""
    blocks = [f"# {_escape_markdown(table.title)}"] if table.title else []
    blocks += map(_escape_markdown, table.lead)
    blocks += ["\n".join(_markdown_lines(item)) for item in (table, *below) if item.rows]
    notes = [f"- {_escape_markdown(note)}" for note in table.notes]
    notes += [
        f"- [{index}] {_escape_markdown(item)}" for index, item in enumerate(table.sources, start=1)
    ]
    return "\n\n".join([*blocks, *(["\n".join(notes)] if notes else [])]) + "\n"


def table_as_csv(table: Table) -> str:
    """Text of a table in CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([head.full for head in table.heads])
    writer.writerows([_csv_value(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def table_as_latex(table: Table) -> str:
    """LaTeX of a table, for ``booktabs``."""
    columns = "".join(
        "l" if _is_left_aligned(table, place) else "r" for place in range(len(table.heads))
    )
    lines = [r"% Needs \usepackage{booktabs}.", r"\begin{table}", r"\centering"]
    lines += [latex_command(_escape_latex(table.caption), "caption")] if table.caption else []
    lines += [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", *_latex_group_heads(table)]
    lines += [_latex_line([_escape_latex(head.text) for head in table.heads]), r"\midrule"]
    for place, row in enumerate(table.entries):
        lines += [r"\midrule"] if place and place == table.parted else []
        lines.append(_latex_line(map(_latex_cell, row)))
        if any(entry.interval for entry in row):
            lines.append(_latex_line(map(_latex_interval, row)))
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [_escape_latex(note) for note in table.notes]
    notes += [
        f"$^{{{index}}}$ {_escape_latex(source)}"
        for index, source in enumerate(table.sources, start=1)
    ]
    if notes:
        lines += ["", r"\smallskip", r"\footnotesize", *(f"{note}\\\\" for note in notes)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _escape_formula(text: str) -> str:
    line = printable(text) if text else ""
    return f"'{line}" if text.startswith(_FORMULA) else line


def _as_entry(content: Content) -> Entry:
    if isinstance(content, Entry):
        return content
    return Entry(text=NOTHING if content is None or content == "" else str(content))


def _csv_value(content: Content) -> object:
    content = content.text if isinstance(content, Entry) else content
    return _escape_formula(content) if isinstance(content, str) else content


def _terminal_text(entry: Entry) -> str:
    source = "" if entry.source is None else f" [{entry.source}]"
    marks = ("*" if entry.is_marked else "") + ("!" if entry.is_best else "")
    return f"{printable(entry.text)}{marks}{source}"


def _markdown_lines(table: Table) -> Iterator[str]:
    rules = [
        "---" if _is_left_aligned(table, place) else "---:" for place in range(len(table.heads))
    ]
    rows = [[_escape_markdown(head.full) for head in table.heads], rules]
    rows += [list(map(_markdown_cell, row)) for row in table.entries]
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _markdown_cell(entry: Entry) -> str:
    text = _escape_markdown(entry.text) + (r"\*" if entry.is_marked else "")
    text = f"**{text}**" if entry.is_best else text
    source = "" if entry.source is None else f" (published) [{entry.source}]"
    return text + source + (f" ({entry.interval})" if entry.interval else "")


def _latex_group_heads(table: Table) -> list[str]:
    if not any(head.group for head in table.heads):
        return []
    cells, rules, place = [], [], 1
    for group, members in groupby(table.heads, key=lambda head: head.group):
        width = len(list(members))
        if group:
            cells.append(f"\\multicolumn{{{width}}}{{c}}{{{_escape_latex(group)}}}")
            rules.append(f"\\cmidrule(lr){{{place}-{place + width - 1}}}")
        else:
            cells += [""] * width
        place += width
    return [_latex_line(cells), " ".join(rules)]


def _latex_line(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex_cell(entry: Entry) -> str:
    text = _escape_latex(entry.text)
    text = latex_command(text, "textbf") if entry.is_best else text
    source = "" if entry.source is None else f" (published)$^{{{entry.source}}}$"
    return text + ("$^{*}$" if entry.is_marked else "") + source


def _latex_interval(entry: Entry) -> str:
    return f"{{\\scriptsize {_escape_latex(entry.interval)}}}" if entry.interval else ""


def _is_left_aligned(table: Table, place: int) -> bool:
    return place == 0 or table.heads[place].is_text


def _escape_markdown(text: str) -> str:
    return markdown_text(printable(text))


def _escape_latex(text: str) -> str:
    return latex_text(printable(text))
