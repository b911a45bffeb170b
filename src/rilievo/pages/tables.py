"""The record of a table with one writer for each format: Markdown, CSV, LaTeX, terminals.

``templates/table.html`` writes the same record on pages.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

from rilievo.frozen import frozen
from rilievo.io.files.limits import printable
from rilievo.pages.document import latex_command, latex_text, markdown_text

NOTHING = "–"
"""Text in the cell of a missing number."""

Content: TypeAlias = "Entry | str | int | float | None"
"""Content of a cell; bare numbers are for CSV, which has them in full."""

# What a spreadsheet takes for the start of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@frozen
class Entry:
    """A cell: its text, with marks.

    Attributes:
        interval: Interval behind the text in Markdown, and below it in LaTeX and on a page.
        minor: More lines in small print, on pages alone.
        link: Address of a page on which there is more, on pages alone.
        source: Number of the source that published the row.
        is_best: Whether it is printed in bold.
        is_marked: Whether an asterisk follows.
    """

    text: str
    interval: str = ""
    minor: tuple[str, ...] = ()
    link: str = ""
    source: int | None = None
    is_best: bool = False
    is_marked: bool = False


@frozen
class Head:
    """The heading of a column.

    Attributes:
        group: Heading of this and the neighbouring columns of the same group.
        is_text: Whether the column has words, which stand at the left.
    """

    text: str
    group: str = ""
    is_text: bool = False

    @property
    def full(self) -> str:
        """Heading that stands alone."""
        return f"{self.group}: {self.text}" if self.group else self.text


@frozen
class Table:
    """Rows of cells below headings.

    Attributes:
        title: Heading above it; on a page, its name for screen readers.
        lead: Paragraphs below the title.
        caption: Caption in LaTeX.
        rows: The first cell of each is its name.
        parted: Number of rows above a rule; None for no rule.
        sources: Sources of published rows, numbered from 1.
        is_sortable: Whether a page's reader may sort it.
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
        """The rows, whose cells all have a text."""
        return tuple(tuple(map(_entry, row)) for row in self.rows)

    @property
    def plain_heads(self) -> list[str]:
        """Headings in a terminal."""
        return [printable(head.full) for head in self.heads]

    @property
    def plain_rows(self) -> list[list[str]]:
        """Rows in a terminal, where the best number has an exclamation mark."""
        return [[_plain(entry) for entry in row] for row in self.entries]


def heads(*texts: str, words: Sequence[str] = ()) -> tuple[Head, ...]:
    """Headings of columns of numbers, but for those in ``words``."""
    return tuple(Head(text=text, is_text=text in words) for text in texts)


def markdown(table: Table, *below: Table) -> str:
    """Tables one below the other, then the notes and sources of the first."""
    blocks = [f"# {_md(table.title)}"] if table.title else []
    blocks += map(_md, table.lead)
    blocks += ["\n".join(_markdown_lines(item)) for item in (table, *below) if item.rows]
    notes = [f"- {_md(note)}" for note in table.notes]
    notes += [f"- [{index}] {_md(item)}" for index, item in enumerate(table.sources, start=1)]
    return "\n\n".join([*blocks, *(["\n".join(notes)] if notes else [])]) + "\n"


def comma_separated(table: Table) -> str:
    """Lines of CSV; no text in them is a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([head.full for head in table.heads])
    writer.writerows([_bare(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def latex(table: Table) -> str:
    """A table for ``booktabs``, with its notes below it."""
    columns = "".join("l" if _is_left(table, place) else "r" for place in range(len(table.heads)))
    lines = [r"% Needs \usepackage{booktabs}.", r"\begin{table}", r"\centering"]
    lines += [latex_command(_tex(table.caption), "caption")] if table.caption else []
    lines += [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", *_grouped_heads(table)]
    lines += [_latex_line([_tex(head.text) for head in table.heads]), r"\midrule"]
    for place, row in enumerate(table.entries):
        lines += [r"\midrule"] if place and place == table.parted else []
        lines.append(_latex_line(map(_latex_cell, row)))
        if any(entry.interval for entry in row):
            lines.append(_latex_line(map(_latex_interval, row)))
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [_tex(note) for note in table.notes]
    notes += [
        f"$^{{{index}}}$ {_tex(source)}" for index, source in enumerate(table.sources, start=1)
    ]
    if notes:
        lines += ["", r"\smallskip", r"\footnotesize", *(f"{note}\\\\" for note in notes)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _cell_text(text: str) -> str:
    """The text on one line, as a spreadsheet may have it: never a formula."""
    line = printable(text) if text else ""
    return f"'{line}" if text.startswith(_FORMULA) else line


def _entry(content: Content) -> Entry:
    if isinstance(content, Entry):
        return content
    return Entry(text=NOTHING if content is None or content == "" else str(content))


def _bare(content: Content) -> object:
    content = content.text if isinstance(content, Entry) else content
    return _cell_text(content) if isinstance(content, str) else content


def _plain(entry: Entry) -> str:
    source = "" if entry.source is None else f" [{entry.source}]"
    marks = ("*" if entry.is_marked else "") + ("!" if entry.is_best else "")
    return f"{printable(entry.text)}{marks}{source}"


def _markdown_lines(table: Table) -> Iterator[str]:
    rules = ["---" if _is_left(table, place) else "---:" for place in range(len(table.heads))]
    rows = [[_md(head.full) for head in table.heads], rules]
    rows += [list(map(_markdown_cell, row)) for row in table.entries]
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _markdown_cell(entry: Entry) -> str:
    text = _md(entry.text) + (r"\*" if entry.is_marked else "")
    text = f"**{text}**" if entry.is_best else text
    source = "" if entry.source is None else f" (published) [{entry.source}]"
    return text + source + (f" ({entry.interval})" if entry.interval else "")


def _grouped_heads(table: Table) -> list[str]:
    """A line of headings of several columns each, with rules below them."""
    if not any(head.group for head in table.heads):
        return []
    cells, rules, place = [], [], 1
    for group, members in groupby(table.heads, key=lambda head: head.group):
        width = len(list(members))
        if group:
            cells.append(f"\\multicolumn{{{width}}}{{c}}{{{_tex(group)}}}")
            rules.append(f"\\cmidrule(lr){{{place}-{place + width - 1}}}")
        else:
            cells += [""] * width
        place += width
    return [_latex_line(cells), " ".join(rules)]


def _latex_line(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex_cell(entry: Entry) -> str:
    text = _tex(entry.text)
    text = latex_command(text, "textbf") if entry.is_best else text
    source = "" if entry.source is None else f" (published)$^{{{entry.source}}}$"
    return text + ("$^{*}$" if entry.is_marked else "") + source


def _latex_interval(entry: Entry) -> str:
    return f"{{\\scriptsize {_tex(entry.interval)}}}" if entry.interval else ""


def _is_left(table: Table, place: int) -> bool:
    return place == 0 or table.heads[place].is_text


def _md(text: str) -> str:
    return markdown_text(printable(text))


def _tex(text: str) -> str:
    return latex_text(printable(text))
