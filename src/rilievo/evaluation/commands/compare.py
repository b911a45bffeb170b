"""Command ``rilievo compare``, which puts evaluations side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import format_table, print_to_stderr, printing, say
from rilievo.errors import OptionError, RilievoError
from rilievo.errors.messages import count_text, for_terminal
from rilievo.evaluation.evaluation_folder import metric_names
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables.comparing import compare, runs_by_name, shared_metrics
from rilievo.evaluation.tables.comparison import BenchmarkComparison, Comparison
from rilievo.evaluation.tables.comparison_report import check_file_ending, write_comparison
from rilievo.evaluation.tables.comparison_tables import (
    alignment_sentences,
    differences_table,
    values_table,
)
from rilievo.evaluation.tables.leaderboard import (
    model_pairs_table,
    ranks_by_benchmark_table,
    ranks_table,
    set_means_table,
)
from rilievo.evaluation.tables.runs import Run, find_runs, is_across_benchmarks
from rilievo.evaluation.tables.standings import leading_two, standings
from rilievo.evaluation.tables.wording import shortlist
from rilievo.extensions.trust import trust
from rilievo.io.files.names import printable
from rilievo.options.run_options import TrustOptions
from rilievo.pages.tables import Table
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments(TrustOptions):
    runs: Annotated[tuple[Path, ...], option(positional=True, metavar="RUN")]
    """Folders that 'rilievo evaluate' wrote, or their evaluation.json files; for a folder that
    contains several runs, such as that of a suite, all of them are compared.
    """
    output: Annotated[Path | None, option(aliases=("-o",), metavar="FILE")] = None
    """Write a .md, .csv, .tex or .html file instead of printing tables. For several benchmarks, the
    .html page is a leaderboard.
    """
    baseline: Annotated[str | None, option(metavar="NAME")] = None
    """Model to compare the others with, by its name in the table; by default the best one in each
    metric."""
    metrics: Annotated[str | None, option(comma_separated=True, metavar="A,B")] = None
    """Metrics to show, in this order, or 'all'; by default the five most common, all metrics in
    a .csv file, or two per benchmark in a file for several benchmarks.
    """
    root: Annotated[Path | None, option(metavar="FOLDER")] = None
    """Current folder of the dataset for the pictures in an .html page, if you moved it."""
    common: bool = False
    """Compare only the images that all runs have."""


def main(arguments: Sequence[str]) -> int:
    """Compare runs of one benchmark side by side, or those of several in one table."""
    options = parse(
        _Arguments,
        arguments,
        prog="rilievo compare",
        description="Compare models on one or several benchmarks, with paired significance tests.",
        examples=(
            "rilievo compare small theirs",
            "rilievo compare small theirs -o comparison.html",
            "rilievo compare runs/ -o leaderboard.html",
        ),
    )
    if options.output is not None:
        check_file_ending(options.output)
    trust(options.trust_code)
    runs = find_runs(options.runs)
    folders = [run.folder for run in runs]  # folders tell runs of one model apart
    if is_across_benchmarks(runs):
        comparison = _compare_across_benchmarks(options, runs)
        benchmarks = count_text(len(comparison.groups), "benchmark")
        summary = f"{count_text(len(comparison.standings), 'model')} on {benchmarks}"
    else:
        comparison = compare(
            folders,
            baseline=options.baseline,
            metrics=_metrics_to_show(options, runs),
            common=options.common,
        )
        summary = f"{count_text(len(comparison.groups[0].runs), 'run')} compared"
    if options.output is None:
        with printing():
            say("\n".join(_comparison_lines(comparison)))
    else:
        is_page = options.output.suffix.lower() == ".html"
        wants_pictures = is_page and not comparison.has_several_benchmarks
        pictures = _pictures_by_run(folders, options.root) if wants_pictures else None
        write_comparison(comparison, options.output, pictures)
        print_to_stderr(f"{summary}: {options.output}")  # prints to stderr, as for all progress
    return 0


def _compare_across_benchmarks(options: _Arguments, runs: Sequence[Run]) -> Comparison:
    """Compare runs of several benchmarks, by all or some metrics, as the options say."""
    if options.baseline is not None:
        raise OptionError(
            option="baseline",
            problem="only applies to runs of one benchmark, but these runs have several",
            hint="leave it out, or give runs of one benchmark",
        )
    metrics = _parse_metrics_option(options)
    if options.metrics == "all":
        all_names = [name for run in runs for name in metric_names(run.evaluation)]
        metrics = list(dict.fromkeys(all_names))
    # A terminal shows a table for each benchmark; a file has one, which is wide enough already.
    choose = shortlist if options.output is None else leading_two
    return standings(runs, metrics=metrics, choose=choose, common=options.common)


def _pictures_by_run(folders: Sequence[Path], root: Path | None) -> Mapping[str, ReportPictures]:
    """Open the pictures of each run, by its name.

    If one run cannot be opened, print a note and return no pictures. ``root`` is where the dataset
    lies now, if it was moved.
    """
    from rilievo.evaluation.views.evaluated_run import open_run

    try:
        runs = [open_run(folder, root) for folder in folders]
    except RilievoError as error:
        print_to_stderr(
            f"note: the page has no pictures, because a run cannot be opened: {for_terminal(error)}"
        )
        return {}
    return {name: run.pictures for name, run in zip(runs_by_name(folders), runs, strict=True)}


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield a comparison as text for the terminal."""
    for group in comparison.groups:
        yield f"{group.label}: {group.title}".removesuffix(": ")
        yield f"{group.dataset}: {count_text(group.image_count, 'image')}"
        if not comparison.has_several_benchmarks:
            yield ""
        yield from _table_lines(values_table(group))
    if comparison.has_several_benchmarks:
        yield from _ranking_lines(comparison)
    else:
        [group] = comparison.groups
        yield from _difference_lines(group)


def _ranking_lines(comparison: Comparison) -> Iterator[str]:
    yield from _table_lines(ranks_table(comparison))
    yield from _table_lines(ranks_by_benchmark_table(comparison))
    yield from _table_lines(model_pairs_table(comparison))
    if comparison.means:
        yield from _table_lines(set_means_table(comparison))
    yield from map(printable, comparison.notes)


def _difference_lines(group: BenchmarkComparison) -> Iterator[str]:
    """Yield the differences between runs on one benchmark, with alignments, notes and sources."""
    yield from _table_lines(differences_table(group))
    yield from map(printable, alignment_sentences(group))
    for note in group.notes:
        # A terminal has no bold.
        yield printable(note.replace("Bold marks", "! marks"))
    for source, number in group.sources.items():
        yield f"[{number}] {printable(source)}"


def _table_lines(content: Table) -> Iterator[str]:
    """Yield a table and an empty line, or nothing if the table has no rows."""
    if content.rows:
        yield format_table(content.terminal_headings, content.terminal_rows)
        yield ""


def _parse_metrics_option(options: _Arguments) -> list[str] | None:
    """Names in ``--metrics``; None if the option is not given, or is 'all'."""
    if not options.metrics or options.metrics == "all":
        return None
    return [name.strip() for name in options.metrics.split(",")]


def _metrics_to_show(options: _Arguments, runs: Sequence[Run]) -> Sequence[str] | None:
    """Metrics of a comparison on one benchmark; None for all that the runs share."""
    writes_csv = options.output is not None and options.output.suffix.lower() == ".csv"
    if options.metrics or writes_csv or not runs:
        return _parse_metrics_option(options)
    return shortlist(shared_metrics(run.evaluation for run in runs))
