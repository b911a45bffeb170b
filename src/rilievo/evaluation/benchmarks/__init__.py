"""Benchmarks by name, of ``benchmarks.toml``, with others' results of ``published.csv``."""

import csv
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rilievo.alignment import AlignMethod
from rilievo.alignment.point_fit import PointFit
from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks.benchmark import (
    Averaging,
    Benchmark,
    Crop,
    InputCrop,
    Interpolation,
    Published,
    Task,
)
from rilievo.extensions.registry import Registry
from rilievo.extensions.trust import is_import_path
from rilievo.records.depth_map import DepthKind

_HERE = Path(__file__).parent
_TYPES = {
    "task": Task,
    "input_crop": InputCrop,
    "crop": Crop,
    "interpolation": Interpolation,
    "averaging": Averaging,
    "parts": tuple,
    "clip": tuple,
}


def _bundled_benchmarks() -> Iterator[Benchmark]:
    tables = tomllib.loads((_HERE / "benchmarks.toml").read_text(encoding="utf-8"))
    shared, published = tables.pop("shared"), _published_by_benchmark()
    # Phrases are made of earlier ones.
    words: dict[str, str] = {}
    for key, phrase in shared["words"].items():
        words[key] = phrase.format_map(words)
    for name, table in tables.items():
        table |= {entry: table[entry].format_map(words) for entry in ("reproduces", "hides")}
        table |= {entry: _TYPES[entry](table[entry]) for entry in _TYPES.keys() & table.keys()}
        lists = [shared["metrics"].get(entry, [entry]) for entry in table["metrics"]]
        table["metrics"] = tuple(metric for entry in lists for metric in entry)
        fits = table.get("alignment", {})
        table["alignment"] = _alignment_by_kind(
            shared["alignments"][fits] if isinstance(fits, str) else fits
        )
        if table.get("min_inverse") == "truth":
            table["min_inverse"] = None
        yield Benchmark(name=name, published=published[name], **table)


def _alignment_by_kind(table: Mapping[str, str]) -> Mapping[DepthKind, AlignMethod | PointFit]:
    return {
        DepthKind(kind): PointFit(fit) if fit in list(PointFit) else AlignMethod(fit)
        for kind, fit in table.items()
    }


def _published_by_benchmark() -> Mapping[str, tuple[Published, ...]]:
    rows: defaultdict[str, tuple[Published, ...]] = defaultdict(tuple)
    with (_HERE / "published.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            benchmark, pairs = row.pop("benchmark"), row.pop("values").split()
            numbers = (pair.split("=") for pair in pairs)
            values = {metric: float(number) for metric, number in numbers}
            rows[benchmark] += (Published(values=values, **row),)
    return rows


def _require_benchmark(thing: Any, name: str) -> Benchmark:
    """Benchmark, renamed unless ``name`` is an import path."""
    if not isinstance(thing, Benchmark):
        raise OptionError(f"'{name}' is no benchmark, but a {type(thing).__name__}")
    return thing if is_import_path(name) else replace(thing, name=name)


BENCHMARKS: Registry[Benchmark] = Registry(
    {benchmark.name: benchmark for benchmark in _bundled_benchmarks()},
    "benchmark",
    _require_benchmark,
)
"""Benchmarks by name.

Examples:
    >>> rilievo.BENCHMARKS["nyuv2-eigen"].dataset
    'nyuv2'
"""


def find_benchmark(name: str) -> Benchmark:
    """A benchmark by its name in ``BENCHMARKS``, or ``package.module:NAME`` of one's own.

    Raises:
        OptionError: If there is none.
    """
    return BENCHMARKS.find(name)
