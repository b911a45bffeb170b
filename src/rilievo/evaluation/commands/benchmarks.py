"""Command ``rilievo benchmarks``, which lists benchmarks or shows one."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Published,
    benchmark_settings,
    benchmark_sha256,
)
from rilievo.evaluation.benchmarks.suite import Suite, bundled_suites
from rilievo.schema.fields import option
from rilievo.system.terminal import terminal_columns, wrap_line

_MAX_COLUMNS = 100
"""Most columns of a line, because longer ones are hard to read."""


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, option(positional=True)] = None
    """Benchmark whose card to show; without it, all benchmarks are listed."""


def main(arguments: Sequence[str]) -> int:
    """List the benchmarks, or show the card of one."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo benchmarks",
        description="Benchmarks to score by: dataset, crop, cap, alignment, averaging.",
        examples=(
            "rilievo benchmarks",
            "rilievo benchmarks kitti-eigen",
        ),
    )
    if request.name is None:
        text = _benchmark_list_text()
    else:
        text = _card_text(find_benchmark(request.name))
    with printing():
        say(text)
    return 0


def _benchmark_list_text() -> str:
    return "\n".join(
        [
            *_title_lines(BENCHMARKS),
            "",
            "suites of several, for 'rilievo evaluate --suite NAME':",
            *_title_lines(bundled_suites()),
            "",
            "'rilievo benchmarks NAME' says what one computes, whose numbers it gives and what it",
            "hides; 'rilievo evaluate --model M --benchmark NAME --root FOLDER' runs it.",
        ]
    )


def _title_lines(table: Mapping[str, Benchmark | Suite]) -> list[str]:
    """Names and titles in two columns."""
    name_columns = max(map(len, table))
    return [f"{name.ljust(name_columns)}  {entry.title}" for name, entry in table.items()]


def _card_text(benchmark: Benchmark) -> str:
    """Title, settings and published results of a benchmark."""
    columns = min(_MAX_COLUMNS, terminal_columns(sys.stdout) or _MAX_COLUMNS)
    lines = [benchmark.name, "", benchmark.title, ""]
    for name, text in (("reproduces", benchmark.reproduces), ("hides", benchmark.hides)):
        lines.append(wrap_line(f"{name:<13}{text}", columns, 13))
    lines.append("")
    for name, value in benchmark_settings(benchmark).items():
        text = "none" if value is None else str(value)
        if value is None and name == "dataset":
            text = "any"
        lines.append(wrap_line(f"{name:<15}{text}", columns, 15))
    lines.append(f"{'sha256':<15}{benchmark_sha256(benchmark)[:16]}")
    if benchmark.published:
        lines += ["", "published by others:", *map(_published_line, benchmark.published)]
    return "\n".join(lines)


def _published_line(row: Published) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in row.values.items())
    model = f"{row.model} on {row.data}" if row.data else row.model
    quote = f'\n    "{row.quote}"' if row.quote else ""
    return f"  {model}: {values} ({row.source}){quote}"
