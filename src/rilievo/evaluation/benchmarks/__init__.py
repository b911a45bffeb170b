"""Benchmarks by name, from ``benchmarks.toml``, with published results from ``published.csv``."""

import csv
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rilievo.alignment.ground_truth import AlignMethod
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
from rilievo.evaluation.point_fit import PointFit
from rilievo.extensions.registry import Registry
from rilievo.extensions.trust import is_import_path
from rilievo.records.depth_map import DepthKind

_FOLDER = Path(__file__).parent
_SETTING_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "task": Task,
    "input_crop": InputCrop,
    "crop": Crop,
    "interpolation": Interpolation,
    "averaging": Averaging,
    "parts": tuple,
    "clip": tuple,
}
"""Settings that TOML holds as strings or lists, and the types that they are converted to."""


def _read_bundled_benchmarks() -> Iterator[Benchmark]:
    """Read the benchmarks that are part of rilievo."""
    tables = tomllib.loads((_FOLDER / "benchmarks.toml").read_text(encoding="utf-8"))
    shared = tables.pop("shared")
    published = _read_published_results()
    phrases: dict[str, str] = {}
    for name, phrase in shared["words"].items():
        phrases[name] = phrase.format_map(phrases)  # a phrase may contain earlier ones
    for name, table in tables.items():
        try:
            settings = _parse_settings(table, shared, phrases)
            benchmark = Benchmark(name=name, published=published[name], **settings)
        except (KeyError, TypeError, ValueError) as error:
            error.add_note(f"in the table [{name}] of benchmarks.toml")
            raise
        yield benchmark


def _parse_settings(
    table: Mapping[str, Any], shared: Mapping[str, Any], phrases: Mapping[str, str]
) -> dict[str, Any]:
    """Convert the TOML table of a benchmark to arguments of ``Benchmark``.

    Tables share phrases, which stand in braces, lists of metrics and alignments, which have names.
    """
    settings = dict(table)
    for name in ("reproduces", "hides"):
        settings[name] = table[name].format_map(phrases)
    for name, convert in _SETTING_TYPES.items():
        if name in table:
            settings[name] = convert(table[name])
    metrics: list[str] = []
    for name in table["metrics"]:
        metrics += shared["metrics"].get(name, [name])
    settings["metrics"] = tuple(metrics)

    alignment = table.get("alignment", {})
    if isinstance(alignment, str):
        alignment = shared["alignments"][alignment]
    settings["alignment"] = _alignment_by_kind(alignment)
    if table.get("min_inverse") == "truth":
        settings["min_inverse"] = None
    return settings


def _alignment_by_kind(table: Mapping[str, str]) -> Mapping[DepthKind, AlignMethod | PointFit]:
    """Convert names of kinds and alignments in the TOML file to their enums."""
    point_fits = list(PointFit)
    return {
        DepthKind(kind): PointFit(method) if method in point_fits else AlignMethod(method)
        for kind, method in table.items()
    }


def _read_published_results() -> Mapping[str, tuple[Published, ...]]:
    """Read the published results by benchmark; a benchmark without a row has an empty tuple."""
    published: defaultdict[str, tuple[Published, ...]] = defaultdict(tuple)
    with (_FOLDER / "published.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            benchmark = row.pop("benchmark")
            # The values stand as "abs_rel=0.1 rmse=2.3".
            assignments = (words.split("=") for words in row.pop("values").split())
            values = {metric: float(number) for metric, number in assignments}
            published[benchmark] += (Published(values=values, **row),)
    return published


def _as_benchmark(user_object: Any, name: str) -> Benchmark:
    """Return a user's benchmark under its registered name; OptionError if it is something else."""
    if not isinstance(user_object, Benchmark):
        raise OptionError(f"'{name}' is of type {type(user_object).__name__}, expected a Benchmark")
    return user_object if is_import_path(name) else replace(user_object, name=name)


BENCHMARKS: Registry[Benchmark] = Registry(
    {benchmark.name: benchmark for benchmark in _read_bundled_benchmarks()},
    "benchmark",
    _as_benchmark,
)
"""Benchmarks by name.

Examples:
    >>> rilievo.BENCHMARKS["nyuv2-eigen"].dataset
    'nyuv2'
"""


def find_benchmark(name: str) -> Benchmark:
    """Find a benchmark by its name in ``BENCHMARKS``, or the user's own by its import path.

    Raises:
        OptionError: If there is no such benchmark.
    """
    return BENCHMARKS.find(name)
