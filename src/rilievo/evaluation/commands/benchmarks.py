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
_TEXT_INDENT, _SETTING_INDENT = 13, 15
"""Columns at which descriptions and values of settings begin."""


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, option(positional=True)] = None
    """Benchmark to describe; by default all benchmarks are listed."""


def main(arguments: Sequence[str]) -> int:
    """List the benchmarks, or show the card of one."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo benchmarks",
        description=(
            "List the benchmarks, or show the dataset, crop, depth cap, alignment and averaging "
            "of one."
        ),
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
    """Names and titles of all benchmarks and suites, as text for the terminal."""
    return "\n".join(
        [
            *_title_lines(BENCHMARKS),
            "",
            "suites of several benchmarks, for 'rilievo evaluate --suite NAME':",
            *_title_lines(bundled_suites()),
            "",
            "'rilievo benchmarks NAME' says what a benchmark computes, what it reproduces and what "
            "it hides.",
            "'rilievo evaluate --model M --benchmark NAME --root FOLDER' runs it.",
        ]
    )


def _title_lines(table: Mapping[str, Benchmark | Suite]) -> list[str]:
    """Lines of names and titles, in two columns."""
    name_columns = max(map(len, table))
    return [f"{name.ljust(name_columns)}  {entry.title}" for name, entry in table.items()]


def _card_text(benchmark: Benchmark) -> str:
    """Title, settings and published results of a benchmark, as text for the terminal."""
    columns = min(_MAX_COLUMNS, terminal_columns(sys.stdout) or _MAX_COLUMNS)
    lines = [benchmark.name, "", benchmark.title, ""]
    for name, text in (("reproduces", benchmark.reproduces), ("hides", benchmark.hides)):
        lines.append(wrap_line(name.ljust(_TEXT_INDENT) + text, columns, _TEXT_INDENT))
    lines.append("")
    for name, value in benchmark_settings(benchmark).items():
        text = "none" if value is None else str(value)
        if value is None and name == "dataset":
            text = "any"
        lines.append(wrap_line(name.ljust(_SETTING_INDENT) + text, columns, _SETTING_INDENT))
    short_hash = benchmark_sha256(benchmark)[:16]
    lines.append("sha256".ljust(_SETTING_INDENT) + short_hash)
    if benchmark.published:
        lines += ["", "published by others:", *map(_published_line, benchmark.published)]
    return "\n".join(lines)


def _published_line(row: Published) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in row.values.items())
    model = f"{row.model} on {row.data}" if row.data else row.model
    quote = f'\n    "{row.quote}"' if row.quote else ""
    return f"  {model}: {values} ({row.source}){quote}"
