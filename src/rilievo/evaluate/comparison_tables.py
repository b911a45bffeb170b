"""A comparison as Markdown, CSV and LaTeX, and written by the ending of its file."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluate.comparison import Cell, Column, Comparison, Row
from rilievo.evaluate.comparison_page import write_comparison_page
from rilievo.evaluate.pictures import Pictures
from rilievo.evaluate.table import cell_text
from rilievo.evaluate.wording import NOTHING, bounds, column_head, count, number, p_value, signed
from rilievo.io.atomic import remove, replacing
from rilievo.io.checksums import beside, write_beside
from rilievo.io.limits import printable

_CSV_HEADER = (
    "model",
    "published",
    "alignment",
    "metric",
    "unit",
    "better",
    "value",
    "low",
    "high",
    "rank",
    "best",
    "reference",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "images",
    "source",
)

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "δ": r"$\delta$",
    "°": r"$^{\circ}$",
    "λ": r"$\lambda$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "²": r"$^{2}$",
    "³": r"$^{3}$",
    "–": "--",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
}


def write_comparison(
    comparison: Comparison, path: Path, pictures: Mapping[str, Pictures] | None = None
) -> None:
    """Write a comparison in the format that the file's ending names, and its checksum beside it.

    Args:
        comparison: Comparison to write.
        path: Ends in ``.md``, ``.csv``, ``.tex`` or ``.html``.
        pictures: Pictures of the runs for a page, by the names of their rows; None for none.

    Raises:
        OptionError: If it ends otherwise.
        MissingExtraError: If a page is asked for, and matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    check_ending(path)
    ending = path.suffix.lower()
    remove(beside(path))  # of what is replaced now
    if ending == ".html":
        write_comparison_page(comparison, path, pictures)
    else:
        with (
            replacing(path) as part,
            # Names of models may be files' names, which may be no Unicode.
            part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
        ):
            file.write(_TEXTS[ending](comparison))
    write_beside(path)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format.

    Raises:
        OptionError: If it does not.
    """
    known = (*_TEXTS, ".html")
    if path.suffix.lower() not in known:
        raise OptionError(
            f"{printable(path)}: a comparison is written as {', '.join(known)}, by the file's "
            f"ending, not as '{printable(path.suffix)}'"
        )


def markdown(comparison: Comparison) -> str:
    """Two tables, values and differences, and the notes."""
    lines = [f"# {md_text(comparison.benchmark)}", ""]
    if comparison.title:
        lines += [f"{md_text(comparison.title)}.", ""]
    lines += [f"{md_text(comparison.dataset)}: {count(comparison.images)} images.", ""]
    sources = comparison.sources
    header = [
        "model",
        *(
            md_text(column_head(column.label, column.unit, column.better))
            for column in comparison.columns
        ),
    ]
    lines += [md_row(header), md_row(["---", *("---:" for _ in comparison.columns)])]
    for row in comparison.rows:
        name = md_text(printable(row.name))
        if row.source:
            name += f" (published) [{sources[row.source]}]"
        cells = (md_cell(row.cells.get(column.metric)) for column in comparison.columns)
        lines.append(md_row([name, *cells]))
    lines += ["", *_md_differences(comparison)]
    lines += [f"- {md_text(note)}" for note in comparison.notes]
    lines += [f"- [{index}] {md_text(printable(source))}" for source, index in sources.items()]
    return "\n".join(lines).rstrip() + "\n"


def _md_differences(comparison: Comparison) -> Iterator[str]:
    """The second table: what separates each run from the reference."""
    rows = list(comparison.differences())
    if not rows:
        return
    yield md_row(["difference", "metric", "mean", "95 % interval", "p (Holm)"])
    yield md_row(["---", "---", "---:", "---:", "---:"])
    for row, column, each in rows:
        names = f"{md_text(printable(row.name))} − {md_text(printable(column.reference))}"
        label = md_text(column_head(column.label, column.unit, column.better))
        yield md_row(
            [names, label, signed(each.mean), bounds(each.low, each.high), p_value(each.p)]
        )
    yield ""


def md_row(cells: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def md_cell(cell: Cell | None) -> str:
    """A number with its interval; bold where it is best by more than chance."""
    if cell is None:
        return NOTHING
    text = number(cell.value) + (r"\*" if cell.is_marked else "")
    if cell.is_best:
        text = f"**{text}**"
    if cell.low is None or cell.high is None:
        return text
    return f"{text} ({number(cell.low)} to {number(cell.high)})"


def md_text(text: str) -> str:
    """Text that Markdown prints as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def comma_separated(comparison: Comparison) -> str:
    """One line a row and metric; no text in it is a formula."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_CSV_HEADER)
    for row in comparison.rows:
        for column in comparison.columns:
            cell = row.cells.get(column.metric)
            if cell is not None:
                table.writerow(_csv_row(row, column, cell))
    return file.getvalue()


def _csv_row(row: Row, column: Column, cell: Cell) -> tuple[object, ...]:
    each = cell.difference
    return (
        cell_text(row.name),
        row.is_published,
        row.alignment,
        cell_text(column.metric),
        column.unit,
        column.better,
        cell.value,
        cell.low,
        cell.high,
        cell.rank,
        cell.is_best,
        None if row.is_published else cell_text(column.reference),
        *((None,) * 4 if each is None else (each.mean, each.low, each.high, each.p)),
        None if row.is_published else len(column.ids),
        cell_text(row.source or ""),
    )


def latex(comparison: Comparison) -> str:
    """A table for ``booktabs``, with its notes under it."""
    sources = comparison.sources
    header = " & ".join(
        [
            "Model",
            *(
                tex_text(column_head(column.label, column.unit, column.better))
                for column in comparison.columns
            ),
        ]
    )
    lines = [
        "% Needs \\usepackage{booktabs}.",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{tex_text(f'{comparison.benchmark}: {count(comparison.images)} images')}}}",
        f"\\begin{{tabular}}{{l{'r' * len(comparison.columns)}}}",
        "\\toprule",
        f"{header} \\\\",
        "\\midrule",
        *(_tex_row(comparison, row, sources) for row in comparison.runs),
    ]
    published = [row for row in comparison.rows if row.is_published]
    if published:
        lines.append("\\midrule")
        lines += [_tex_row(comparison, row, sources) for row in published]
    lines += ["\\bottomrule", "\\end{tabular}", "", "\\smallskip", "\\footnotesize"]
    lines += [f"{tex_text(printable(note))}\\\\" for note in comparison.notes]
    lines += [
        f"$^{{{index}}}$ {tex_text(printable(source))}\\\\" for source, index in sources.items()
    ]
    return "\n".join([*lines, "\\end{table}", ""])


def _tex_row(comparison: Comparison, row: Row, sources: Mapping[str, int]) -> str:
    name = tex_text(printable(row.name))
    if row.source:
        name += f" (published)$^{{{sources[row.source]}}}$"
    cells = (_tex_cell(row.cells.get(column.metric)) for column in comparison.columns)
    return f"{' & '.join([name, *cells])} \\\\"


def _tex_cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    text = number(cell.value)
    if cell.is_best:
        text = f"\\textbf{{{text}}}"
    return text + ("$^{*}$" if cell.is_marked else "")


def tex_text(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(each, each) for each in text)


_TEXTS: Mapping[str, Callable[[Comparison], str]] = {
    ".md": markdown,
    ".csv": comma_separated,
    ".tex": latex,
}
