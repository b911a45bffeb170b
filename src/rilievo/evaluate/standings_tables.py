"""Standings as Markdown, CSV and LaTeX, and written by the ending of their file."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rilievo.evaluate.badness import badness
from rilievo.evaluate.comparison import Column
from rilievo.evaluate.comparison_tables import (
    check_ending,
    md_cell,
    md_row,
    md_text,
    tex_text,
)
from rilievo.evaluate.standings import Event, Standing, Standings
from rilievo.evaluate.standings_page import write_leaderboard
from rilievo.evaluate.table import cell_text
from rilievo.evaluate.wording import ARROWS, NOTHING, column_head, head, number
from rilievo.io.atomic import remove, replacing
from rilievo.io.checksums import beside, write_beside
from rilievo.io.limits import printable

_CSV_HEADER = (
    "model",
    "mean_rank",
    "mean_rank_low",
    "mean_rank_high",
    "benchmark",
    "rank",
    "in_mean_rank",
    "metric",
    "unit",
    "better",
    "value",
    "low",
    "high",
    "images",
)


def write_standings(standings: Standings, path: Path) -> None:
    """Write standings in the format that the file's ending names, and their checksum beside them.

    Args:
        standings: Standings to write.
        path: Ends in ``.md``, ``.csv``, ``.tex`` or ``.html``; the last is a leaderboard.

    Raises:
        OptionError: If it ends otherwise.
        MissingExtraError: If a page is asked for, and Jinja or matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    check_ending(path)
    ending = path.suffix.lower()
    remove(beside(path))  # of what is replaced now
    if ending == ".html":
        write_leaderboard(standings, path)
    else:
        with (
            replacing(path) as part,
            # Names of models may be files' names, which may be no Unicode.
            part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
        ):
            file.write(_TEXTS[ending](standings))
    write_beside(path)


def has_ranks(standings: Standings) -> bool:
    """Whether there is a mean rank to show: of several models, on benchmarks that all have."""
    return len(standings.models) > 1 and bool(standings.shared)


def columns_of(standings: Standings) -> Iterator[tuple[Event, Column]]:
    """The columns of one wide table: the metrics of the first benchmark, then the next."""
    for event in standings.events:
        for column in event.comparison.columns:
            yield event, column


def rank_text(model: Standing) -> str:
    """A mean rank with its interval."""
    if model.mean_rank is None:
        return NOTHING
    text = f"{model.mean_rank:.2f}"
    if model.low is None or model.high is None:
        return text
    return f"{text} ({model.low:.2f} to {model.high:.2f})"


def markdown(standings: Standings) -> str:
    """One wide table, and the notes."""
    columns = list(columns_of(standings))
    ranked = has_ranks(standings)
    header = ["model", *(["mean rank"] if ranked else [])]
    header += [
        md_text(f"{event.label}: {column_head(column.label, column.unit, column.better)}")
        for event, column in columns
    ]
    lines = [md_row(header), md_row(["---", *("---:" for _ in header[1:])])]
    for model in standings.models:
        cells = [md_text(printable(model.name)), *([rank_text(model)] if ranked else [])]
        cells += [md_cell(event.cell(model.name, column.metric)) for event, column in columns]
        lines.append(md_row(cells))
    lines += ["", *(f"- {md_text(note)}" for note in standings.notes)]
    return "\n".join(lines).rstrip() + "\n"


def comma_separated(standings: Standings) -> str:
    """One line a model, benchmark and metric; no text in it is a formula."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_CSV_HEADER)
    for model in standings.models:
        for event, column in columns_of(standings):
            cell = event.cell(model.name, column.metric)
            if cell is None:
                continue
            table.writerow(
                (
                    cell_text(model.name),
                    *(model.mean_rank, model.low, model.high),
                    *(cell_text(event.label), model.ranks[event.label]),
                    event.label in standings.shared,
                    *(cell_text(column.metric), column.unit, column.better),
                    *(cell.value, cell.low, cell.high, event.comparison.images),
                )
            )
    return file.getvalue()


def latex(standings: Standings) -> str:
    """A table for ``booktabs`` as papers print it: benchmarks side by side, best in bold."""
    columns = list(columns_of(standings))
    ranked = has_ranks(standings)
    groups, rules, at = [], [], 2
    for event in standings.events:
        width = len(event.comparison.columns)
        groups.append(f"\\multicolumn{{{width}}}{{c}}{{{tex_text(event.label)}}}")
        rules.append(f"\\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    heads = [
        tex_text(head(column.label, column.unit) + ARROWS[column.better]) for _, column in columns
    ]
    last = ["Rank$\\downarrow$"] if ranked else []
    lines = [
        "% Needs \\usepackage{booktabs}.",
        "\\begin{table}",
        "\\centering",
        "\\caption{Best in bold, second underlined, by the numbers alone"
        + ("; mean rank over " + str(len(standings.shared)) + " benchmarks.}" if ranked else ".}"),
        f"\\begin{{tabular}}{{l{'r' * (len(columns) + len(last))}}}",
        "\\toprule",
        " & ".join(["", *groups, *([""] if ranked else [])]) + " \\\\",
        " ".join(rules),
        " & ".join(["Model", *heads, *last]) + " \\\\",
        "\\midrule",
    ]
    marks = {(event.label, column.metric): _marks(event, column) for event, column in columns}
    for model in standings.models:
        cells = [tex_text(printable(model.name))]
        for event, column in columns:
            cell = event.cell(model.name, column.metric)
            mark = marks[event.label, column.metric].get(model.name, "{}")
            cells.append("--" if cell is None else mark.replace("{}", number(cell.value)))
        cells += ["--" if model.mean_rank is None else f"{model.mean_rank:.2f}"] if ranked else []
        lines.append(" & ".join(cells) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", "", "\\smallskip", "\\footnotesize"]
    lines += [f"{tex_text(printable(note))}\\\\" for note in standings.notes]
    return "\n".join([*lines, "\\end{table}", ""])


def _marks(event: Event, column: Column) -> Mapping[str, str]:
    """LaTeX marks of the best and the second number of a column; one alone is neither."""
    rows = event.comparison.runs
    values = {
        row.name: badness(row.cells[column.metric].value, column.better)
        for row in rows
        if column.metric in row.cells
    }
    if len(values) < 2:
        return {}
    first, *others = sorted(set(values.values()))
    marks = {name: "\\textbf{{}}" for name, value in values.items() if value == first}
    if others and len(marks) == 1:
        marks |= {name: "\\underline{{}}" for name, value in values.items() if value == others[0]}
    return marks


_TEXTS: Mapping[str, Callable[[Standings], str]] = {
    ".md": markdown,
    ".csv": comma_separated,
    ".tex": latex,
}
