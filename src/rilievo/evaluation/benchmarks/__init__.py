"""Benchmarks by name, from ``benchmarks.toml``, with published results from ``published.csv``."""

import csv
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
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

_FOLDER = Path(__file__).parent
_TYPE_OF_SETTING: Mapping[str, Callable[[Any], Any]] = {
    "task": Task,
    "input_crop": InputCrop,
    "crop": Crop,
    "interpolation": Interpolation,
    "averaging": Averaging,
    "parts": tuple,
    "clip": tuple,
}
"""Settings that TOML holds as strings or lists, and the types that they are converted to."""


def _bundled_benchmarks() -> Iterator[Benchmark]:
    """Read the benchmarks that are part of rilievo."""
    tables = tomllib.loads((_FOLDER / "benchmarks.toml").read_text(encoding="utf-8"))
    shared = tables.pop("shared")
    published = _published_by_benchmark()
    phrases: dict[str, str] = {}
    for name, phrase in shared["words"].items():
        phrases[name] = phrase.format_map(phrases)  # a phrase may contain earlier ones
    for name, table in tables.items():
        settings = _convert_settings(table, shared, phrases)
        yield Benchmark(name=name, published=published[name], **settings)


def _convert_settings(
    table: Mapping[str, Any], shared: Mapping[str, Any], phrases: Mapping[str, str]
) -> dict[str, Any]:
    """Settings of a benchmark from its table.

    Words in braces, lists of metrics and alignments stand for those that the tables share.
    """
    settings = dict(table)
    for name in ("reproduces", "hides"):
        settings[name] = table[name].format_map(phrases)
    for name, convert in _TYPE_OF_SETTING.items():
        if name in table:
            settings[name] = convert(table[name])
    metrics: list[str] = []
    for entry in table["metrics"]:
        metrics += shared["metrics"].get(entry, [entry])
    settings["metrics"] = tuple(metrics)

    alignment = table.get("alignment", {})
    if isinstance(alignment, str):
        alignment = shared["alignments"][alignment]
    settings["alignment"] = _alignment_by_kind(alignment)
    if table.get("min_inverse") == "truth":
        settings["min_inverse"] = None
    return settings


def _alignment_by_kind(table: Mapping[str, str]) -> Mapping[DepthKind, AlignMethod | PointFit]:
    point_fits = list(PointFit)
    return {
        DepthKind(kind): PointFit(method) if method in point_fits else AlignMethod(method)
        for kind, method in table.items()
    }


def _published_by_benchmark() -> Mapping[str, tuple[Published, ...]]:
    """Read the published results of each benchmark; none of a benchmark without a row."""
    published: defaultdict[str, tuple[Published, ...]] = defaultdict(tuple)
    with (_FOLDER / "published.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            benchmark = row.pop("benchmark")
            pairs = (pair.split("=") for pair in row.pop("values").split())
            values = {metric: float(number) for metric, number in pairs}
            published[benchmark] += (Published(values=values, **row),)
    return published


def _require_benchmark(found: Any, name: str) -> Benchmark:
    """Check a user's object, and rename a benchmark that was registered under another name."""
    if not isinstance(found, Benchmark):
        raise OptionError(f"'{name}' is no benchmark, but a {type(found).__name__}")
    return found if is_import_path(name) else replace(found, name=name)


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
    """Find a benchmark by its name in ``BENCHMARKS``, or the user's own by its import path.

    Raises:
        OptionError: If there is none.
    """
    return BENCHMARKS.find(name)
