"""A network without its recalibration: ``python -m lab.making.uncalibrated SOURCE OUTPUT``.

A file that has not been recalibrated is copied.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from lab.making.program import run_program
from rilievo.cli.parsing import parse
from rilievo.io.files.names import printable
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the program."""

    source: Annotated[Path, option(positional=True)]
    """Network, recalibrated or not."""
    output: Annotated[Path, option(positional=True)]
    """File to write."""


def main(arguments: Sequence[str]) -> None:
    """Write a network without its recalibration."""
    options = parse(
        Arguments,
        arguments,
        prog="python -m lab.making.uncalibrated",
        description="Write a network without its recalibration.",
    )
    from lab.making.recalibrate import without_recalibration

    without_recalibration(options.source, options.output)
    sys.stdout.write(f"{printable(options.output)}: the network before recalibration\n")


if __name__ == "__main__":
    run_program(main)
