"""``rilievo compare``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.cli.streams import complain, printing
from rilievo.evaluate.compare import compare
from rilievo.evaluate.comparison_tables import check_ending, markdown, write_comparison


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folders that 'rilievo evaluate' wrote, or their evaluation.json."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None
    """Write a .md, .csv, .tex or .html file; without it, Markdown is printed."""
    baseline: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The model that the others are compared with; by default the best in each metric."""
    metrics: Annotated[str | None, tyro.conf.arg(metavar="A,B")] = None
    """Which metrics, in this order; by default all."""
    common: bool = False
    """Compare only the images that all runs have, where the runs do not have the same."""


def main(arguments: Sequence[str]) -> int:
    """Put runs of one benchmark side by side."""
    with printing():
        given = tyro.cli(
            _Arguments,
            args=list(arguments),
            prog="rilievo compare",
            description="Models side by side on one benchmark, with paired significance.",
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    if given.output is not None:
        check_ending(given.output)
    metrics = given.metrics and [name.strip() for name in given.metrics.split(",")]
    compared = compare(
        given.runs, baseline=given.baseline, metrics=metrics or None, common=given.common
    )
    if given.output is None:
        with printing():
            print(markdown(compared), end="")
    else:
        write_comparison(compared, given.output)
        complain(f"{len(compared.runs)} runs compared: {given.output}")
    return 0
