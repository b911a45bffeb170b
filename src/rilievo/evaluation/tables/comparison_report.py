"""Write a comparison as Markdown, CSV, LaTeX or a page."""

from collections.abc import Mapping
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.errors.messages import join_alternatives
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables.comparison import Comparison
from rilievo.evaluation.tables.comparison_page import write_comparison_page
from rilievo.evaluation.tables.comparison_tables import differences_table, values_table
from rilievo.evaluation.tables.leaderboard import (
    model_pairs_table,
    ranks_by_benchmark_table,
    wide_table,
    write_leaderboard,
)
from rilievo.evaluation.tables.long_table import long_table
from rilievo.io.checksums import checksum_path, replacing_with_checksums
from rilievo.pages.document import write_report_text
from rilievo.pages.tables import Table, table_as_csv, table_as_latex, tables_as_markdown


def write_comparison(
    comparison: Comparison,
    path: Path,
    pictures: Mapping[str, ReportPictures] | None = None,
) -> None:
    """Write a ``.md``, ``.csv``, ``.tex`` or ``.html`` file, and its checksum beside it.

    LaTeX has the first table alone. ``pictures`` are those of the runs, by name, for the page of
    one benchmark.

    Raises:
        OptionError: If the ending names no format.
    """
    check_file_ending(path)
    with replacing_with_checksums(checksum_path(path), (path.name,)) as parts:
        _write_format(comparison, parts[path.name], path.suffix.lower(), pictures)


def _write_format(
    comparison: Comparison,
    path: Path,
    ending: str,
    pictures: Mapping[str, ReportPictures] | None,
) -> None:
    """Write a comparison in the format that an ending of a file name stands for."""
    if ending == ".csv":
        write_report_text(path, table_as_csv(long_table(comparison)))
    elif ending == ".md":
        write_report_text(path, tables_as_markdown(*comparison_tables(comparison)))
    elif ending == ".tex":
        write_report_text(path, table_as_latex(comparison_tables(comparison)[0]))
    elif comparison.has_several_benchmarks:
        write_leaderboard(comparison, path)
    else:
        write_comparison_page(comparison, path, pictures)


def comparison_tables(comparison: Comparison) -> tuple[Table, ...]:
    """Tables of a comparison; the first one has the values of all models."""
    if comparison.has_several_benchmarks:
        return (
            wide_table(comparison),
            ranks_by_benchmark_table(comparison),
            model_pairs_table(comparison),
        )
    [group] = comparison.groups
    return values_table(group), differences_table(group)


def check_file_ending(path: Path) -> None:
    """Check that the ending of a file names a format that a comparison is written in."""
    endings = (".md", ".csv", ".tex", ".html")
    if path.suffix.lower() not in endings:
        raise OptionError(
            f"{path}: the file name of a comparison must end in {join_alternatives(endings)}"
        )
