"""Files of a comparison: Markdown, CSV, LaTeX and a page."""

from collections.abc import Mapping
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables.comparison import Comparison
from rilievo.evaluation.tables.comparison_tables import (
    differences_table,
    values_table,
    write_comparison_page,
)
from rilievo.evaluation.tables.long_table import long_table
from rilievo.evaluation.tables.standings_tables import (
    changes_table,
    pairs_table,
    wide_table,
    write_leaderboard,
)
from rilievo.io.checks import beside, write_checksum
from rilievo.io.files.atomic import remove
from rilievo.pages.document import write_text
from rilievo.pages.tables import Table, comma_separated, latex, markdown


def write_comparison(
    comparison: Comparison,
    path: Path,
    pictures: Mapping[str, ReportPictures] | None = None,
) -> None:
    """Write a ``.md``, ``.csv``, ``.tex`` or ``.html`` file, and its checksum beside it.

    LaTeX has the first table alone; pictures are for the page of one benchmark.
    """
    check_ending(path)
    remove(beside(path))  # of what is replaced now
    ending = path.suffix.lower()
    if ending == ".csv":
        write_text(path, comma_separated(long_table(comparison)))
    elif ending == ".md":
        write_text(path, markdown(*tables_of(comparison)))
    elif ending == ".tex":
        write_text(path, latex(tables_of(comparison)[0]))
    elif comparison.is_of_several:
        write_leaderboard(comparison, path)
    else:
        write_comparison_page(comparison, path, pictures)
    write_checksum(path)


def tables_of(comparison: Comparison) -> tuple[Table, ...]:
    """The tables to read, the first of all models."""
    if comparison.is_of_several:
        return wide_table(comparison), changes_table(comparison), pairs_table(comparison)
    [group] = comparison.groups
    return values_table(group), differences_table(group)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format."""
    endings = (".md", ".csv", ".tex", ".html")
    if path.suffix.lower() not in endings:
        raise OptionError(
            f"{path}: a comparison is written as {', '.join(endings)}, by the file's "
            f"ending, not as '{path.suffix}'"
        )
