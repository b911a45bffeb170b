"""``rilievo benchmarks``."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, table
from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Published,
    benchmark_sha256,
    settings_of,
)
from rilievo.evaluation.benchmarks.suite import suites
from rilievo.evaluation.proofs.checkout import check_commit, open_checkout
from rilievo.evaluation.proofs.programs import program_of
from rilievo.evaluation.proofs.proving import AGREES, prove

WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, tyro.conf.Positional] = None
    """Benchmark whose card to show; without it, all benchmarks are listed."""
    prove: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Benchmark to compare with the released program that it reproduces, on maps made by seed."""
    checkout: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Clone of that program, whose functions are run because you name it here."""
    python: Annotated[Path | None, tyro.conf.arg(metavar="EXE")] = None
    """Python of the program's own environment."""
    any_commit: bool = False
    """Run another commit than the one that was read, or a clone with changed files."""


def main(arguments: Sequence[str]) -> int:
    """List the benchmarks, or show the card of one."""
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo benchmarks",
        description="Benchmarks to score by: dataset, crop, cap, alignment, averaging.",
        examples=(
            "rilievo benchmarks",
            "rilievo benchmarks kitti-eigen",
            "rilievo benchmarks --prove moge-affine --checkout MoGe/ --python moge-env/bin/python",
        ),
    )
    if given.prove is not None:
        return _prove(given)
    if given.checkout or given.python or given.any_commit:
        raise OptionError("--checkout, --python and --any-commit go with --prove NAME")
    text = _table() if given.name is None else _card(find_benchmark(given.name))
    with printing():
        print(text)
    return 0


def _prove(given: _Arguments) -> int:
    """Print the commits, then the differences; 1 if there are any."""
    assert given.prove is not None
    benchmark = find_benchmark(given.prove)
    program = program_of(benchmark.name)
    if given.name is not None or given.checkout is None or given.python is None:
        raise OptionError(
            f"--prove {benchmark.name} takes --checkout, a clone of {program.repository} at "
            f"{program.commit}, and --python, of an environment that runs it; nothing else"
        )
    checkout = open_checkout(given.checkout.expanduser())
    line = check_commit(checkout, program, any_commit=given.any_commit)
    with printing():
        print(line, flush=True)
    found = prove(benchmark, program, checkout, given.python.expanduser())
    rows = [
        (
            "mean" if each.share is None else f"{each.share:.0%}",
            each.metric,
            f"{each.ours:.9g}",
            f"{each.theirs:.9g}",
            f"{each.size:.1e}",
            "" if each.agrees else "DIFFERS",
        )
        for each in found
    ]
    other = sum(not each.agrees for each in found)
    with printing():
        print(table(["pixels", "metric", "rilievo", program.name, "difference", ""], rows))
        print(f"\n{len(found)} numbers compared, {other} differ by more than {AGREES:g}")
    return 1 if other else 0


def _table() -> str:
    widest = max(map(len, BENCHMARKS))
    lines = [f"{each.name.ljust(widest)}  {each.title}" for each in BENCHMARKS.values()]
    return "\n".join(
        [
            *lines,
            "",
            "suites of several, for 'rilievo evaluate --suite NAME':",
            *_suites(),
            "",
            "'rilievo benchmarks NAME' says what one computes, whose numbers it gives and what it",
            "hides; 'rilievo evaluate --model M --benchmark NAME --root FOLDER' runs it.",
        ]
    )


def _suites() -> list[str]:
    known = suites()
    widest = max(map(len, known))
    return [f"{name.ljust(widest)}  {each.title}" for name, each in known.items()]


def _card(benchmark: Benchmark) -> str:
    lines = [benchmark.name, "", benchmark.title, ""]
    for name, text in (("reproduces", benchmark.reproduces), ("hides", benchmark.hides)):
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=f"{name:<13}", subsequent_indent=" " * 13
        )
    lines.append("")
    for name, value in settings_of(benchmark).items():
        shown = "any" if value is None and name == "dataset" else value
        text = "none" if shown is None else str(shown)
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=f"{name:<15}", subsequent_indent=" " * 15
        )
    lines.append(f"{'sha256':<15}{benchmark_sha256(benchmark)[:16]}")
    if benchmark.published:
        lines += ["", "published by others:", *map(_published, benchmark.published)]
    return "\n".join(lines)


def _published(row: Published) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in row.values.items())
    model = f"{row.model} on {row.data}" if row.data else row.model
    words = f'\n    "{row.quote}"' if row.quote else ""
    return f"  {model}: {values} ({row.source}){words}"
