"""Command ``rilievo compare``, which puts evaluations side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import amount, complain, printing, say, table
from rilievo.errors import OptionError, RilievoError
from rilievo.errors.messages import for_terminal
from rilievo.evaluation.evaluation_folder import metric_names
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables.comparing import compare, runs_by_name, shared_metrics
from rilievo.evaluation.tables.comparison import ColumnGroup, Comparison
from rilievo.evaluation.tables.comparison_report import require_known_ending, write_comparison
from rilievo.evaluation.tables.comparison_tables import differences_table, values_table
from rilievo.evaluation.tables.leaderboard import (
    model_pairs_table,
    ranks_by_benchmark_table,
    ranks_table,
    set_means_table,
)
from rilievo.evaluation.tables.runs import Run, find_runs, is_across_benchmarks
from rilievo.evaluation.tables.standings import leading_two, standings
from rilievo.evaluation.tables.wording import alignment_text, shortlist
from rilievo.extensions.trust import trust
from rilievo.io.files.names import printable
from rilievo.models.load_options import TrustOptions
from rilievo.pages.tables import Table
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments(TrustOptions):
    runs: Annotated[tuple[Path, ...], option(positional=True, metavar="RUN")]
    """Folders that 'rilievo evaluate' wrote, or their evaluation.json; a folder of several, such as
    a suite's, stands for all below it.
    """
    output: Annotated[Path | None, option(aliases=("-o",), metavar="FILE")] = None
    """Write a .md, .csv, .tex or .html file instead of printing tables. Of several benchmarks,
    .html is a leaderboard.
    """
    baseline: Annotated[str | None, option(metavar="NAME")] = None
    """Model that the others are compared with; by default the best in each metric."""
    metrics: Annotated[str | None, option(comma_separated=True, metavar="A,B")] = None
    """Metrics to show, in this order, or 'all'; by default the five most common, in a .csv all, in
    a file of several benchmarks two of each.
    """
    root: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Present folder of the dataset, if it was moved, for the pictures of an .html page."""
    common: bool = False
    """Compare only the images that all runs have."""


def main(arguments: Sequence[str]) -> int:
    """Compare runs of one benchmark side by side, or those of several in one table."""
    options = parse(
        _Arguments,
        arguments,
        prog="rilievo compare",
        description="Models side by side on one benchmark or several, with paired significance.",
        examples=(
            "rilievo compare small theirs",
            "rilievo compare small theirs -o comparison.html",
            "rilievo compare runs/ -o leaderboard.html",
        ),
    )
    if options.output is not None:
        require_known_ending(options.output)
    trust(options.trust_code)
    runs = find_runs(options.runs)
    paths = [run.folder for run in runs]  # folders tell runs of one model apart
    if is_across_benchmarks(runs):
        compared = _compare_across_benchmarks(options, runs)
        benchmarks = amount(len(compared.groups), "benchmark")
        contents = f"{amount(len(compared.models), 'model')} on {benchmarks}"
    else:
        compared = compare(
            paths,
            baseline=options.baseline,
            metrics=_metrics_to_show(options, runs),
            common=options.common,
        )
        contents = f"{amount(len(compared.groups[0].runs), 'run')} compared"
    if options.output is None:
        with printing():
            say("\n".join(_comparison_lines(compared)))
    else:
        has_pictures = options.output.suffix.lower() == ".html" and not compared.is_of_several
        pictures = _pictures_by_run(paths, options.root) if has_pictures else None
        write_comparison(compared, options.output, pictures)
        complain(f"{contents}: {options.output}")
    return 0


def _compare_across_benchmarks(options: _Arguments, runs: Sequence[Run]) -> Comparison:
    """Compare runs of several benchmarks."""
    if options.baseline is not None:
        raise OptionError(
            option="baseline", problem="is for runs of one benchmark", hint="these are of several"
        )
    metrics = _metrics_of_option(options)
    if options.metrics == "all":
        metrics = list(dict.fromkeys(name for run in runs for name in metric_names(run.evaluation)))
    # A terminal shows a table for each benchmark; a file has one, which is wide enough already.
    choose = shortlist if options.output is None else leading_two
    return standings(runs, metrics=metrics, choose=choose, common=options.common)


def _pictures_by_run(paths: Sequence[Path], root: Path | None) -> Mapping[str, ReportPictures]:
    """Pictures of each run, by its name; if one run cannot be opened, there are none, and a note.

    ``root`` is where the dataset lies now, if it was moved.
    """
    from rilievo.evaluation.views.evaluated_run import open_run

    try:
        runs = [open_run(path, root) for path in paths]
    except RilievoError as error:
        complain(f"note: no pictures on the page: {for_terminal(error)}")
        return {}
    return {name: run.pictures for name, run in zip(runs_by_name(paths), runs, strict=True)}


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield a comparison as text for the terminal."""
    for group in comparison.groups:
        yield f"{group.label}: {group.title}".removesuffix(": ")
        yield f"{group.dataset}: {group.images:,} images"
        if not comparison.is_of_several:
            yield ""
        yield from _table_lines(values_table(group))
    if comparison.is_of_several:
        yield from _ranking_lines(comparison)
    else:
        [group] = comparison.groups
        yield from _difference_lines(group)


def _ranking_lines(comparison: Comparison) -> Iterator[str]:
    """Yield how the models rank over several benchmarks."""
    yield from _table_lines(ranks_table(comparison))
    yield from _table_lines(ranks_by_benchmark_table(comparison))
    yield from _table_lines(model_pairs_table(comparison))
    if comparison.means:
        yield from _table_lines(set_means_table(comparison))
    yield from map(printable, comparison.notes)


def _difference_lines(group: ColumnGroup) -> Iterator[str]:
    """Yield the differences between runs on one benchmark, with alignments, notes and sources."""
    yield from _table_lines(differences_table(group))
    for row in group.runs:
        alignment = alignment_text(row.alignment)
        if alignment is not None:
            yield f"{printable(row.name)}: {alignment}"
    for note in group.notes:
        # A terminal has no bold.
        yield printable(note.replace("; bold marks", "; ! marks"))
    for source, number in group.sources.items():
        yield f"[{number}] {printable(source)}"


def _table_lines(made: Table) -> Iterator[str]:
    """Yield a table and an empty line; nothing for a table without rows."""
    if made.rows:
        yield table(made.plain_heads, made.plain_rows)
        yield ""


def _metrics_of_option(options: _Arguments) -> list[str] | None:
    """Names in ``--metrics``; None without the option, and for 'all'."""
    if not options.metrics or options.metrics == "all":
        return None
    return [name.strip() for name in options.metrics.split(",")]


def _metrics_to_show(options: _Arguments, runs: Sequence[Run]) -> Sequence[str] | None:
    """Metrics of a comparison on one benchmark; None for all that the runs share."""
    writes_csv = options.output is not None and options.output.suffix.lower() == ".csv"
    if options.metrics or writes_csv or not runs:
        return _metrics_of_option(options)
    return shortlist(shared_metrics(run.evaluation for run in runs))
