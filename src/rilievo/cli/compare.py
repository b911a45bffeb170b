"""``rilievo compare``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.cli.comparison import lines_of
from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing
from rilievo.evaluate.compare import compare, shared_metrics
from rilievo.evaluate.comparison_tables import check_ending, write_comparison
from rilievo.evaluate.shortlist import shortlist


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folders that 'rilievo evaluate' wrote, or their evaluation.json."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None
    """Write a .md, .csv, .tex or .html file; without it, tables are printed."""
    baseline: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Model that the others are compared with; by default the best in each metric."""
    metrics: Annotated[str | None, tyro.conf.arg(metavar="A,B")] = None
    """Metrics to show, in this order, or 'all'; by default the five most common, and all of them in
    a .csv.
    """
    common: bool = False
    """Compare only the images that all runs have, if the runs differ."""


def main(arguments: Sequence[str]) -> int:
    """Compare runs of one benchmark side by side."""
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo compare",
        description="Models side by side on one benchmark, with paired significance.",
        examples=(
            "rilievo compare small theirs",
            "rilievo compare small theirs -o comparison.html",
        ),
    )
    if given.output is not None:
        check_ending(given.output)
    compared = compare(
        given.runs, baseline=given.baseline, metrics=_metrics(given), common=given.common
    )
    if given.output is None:
        with printing():
            print("\n".join(lines_of(compared)))
    else:
        write_comparison(compared, given.output)
        complain(f"{len(compared.runs)} runs compared: {given.output}")
    return 0


def _metrics(given: _Arguments) -> Sequence[str] | None:
    """Metrics that were asked for; None for all."""
    if given.metrics and given.metrics != "all":
        return [name.strip() for name in given.metrics.split(",")]
    is_table = given.output is not None and given.output.suffix.lower() == ".csv"
    if given.metrics or is_table or not given.runs:
        return None
    return shortlist(shared_metrics(given.runs))
