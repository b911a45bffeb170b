"""Run benchmarks, print Markdown, write JSON: ``python -m benchmarks [NAME...]``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchmarks.apart import run_apart, to_markdown, write_outcome
from benchmarks.names import BENCHMARKS
from benchmarks.settings import SHIPPED
from rilievo.cli.parsing import parse
from rilievo.errors import OptionError
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Benchmarks to run, and options."""

    names: Annotated[tuple[str, ...], option(positional=True)] = ()
    """Benchmarks to run; all if none is named."""
    quick: bool = False
    """Small counts, to see that everything runs; the figures mean little."""
    output: Annotated[Path | None, option(aliases=("-o",), metavar="FOLDER")] = None
    """Folder for the figures as JSON, one file a benchmark; not written when not given."""
    weights: Annotated[Path, option(aliases=("-m",), metavar="FILE.onnx")] = SHIPPED
    """Network to measure; by default the one inside the package."""


def main() -> int:
    """Run the named benchmarks and return the exit code."""
    try:
        given = parse(
            Arguments,
            sys.argv[1:],
            prog="python -m benchmarks",
            description="Measure speed and size; figures are printed as Markdown.",
            examples=[f"python -m benchmarks {line}" for line in _lines()],
        )
    except OptionError as error:
        print(error, file=sys.stderr)
        return 2
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown or not given.weights.is_file():
        missing = f"no benchmark {unknown[0]!r}" if unknown else f"no file {given.weights}"
        print("\n".join([missing, *_lines()]), file=sys.stderr)
        return 2
    failed = False
    for name in given.names or BENCHMARKS:
        outcome = run_apart(name, weights=given.weights.resolve(), quick=given.quick)
        print(to_markdown(outcome), flush=True)
        failed |= outcome.status == "failed"
        if given.output is not None:
            write_outcome(outcome, given.output / f"{name}.json")
    return 1 if failed else 0


def _lines() -> list[str]:
    return [f"{name:<15}{about}" for name, about in BENCHMARKS.items()]


if __name__ == "__main__":
    sys.exit(main())
