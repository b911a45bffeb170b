"""Run benchmarks, print Markdown, write JSON: ``python -m benchmarks [NAME...]``."""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.measure import BenchmarkError, this_machine
from benchmarks.report import to_markdown, write_json
from benchmarks.settings import SHIPPED, Settings
from rilievo.cli.parsing import parse
from rilievo.errors import OptionError

# A new benchmark is one file with ``run(settings) -> Report`` and one line here.
BENCHMARKS: Mapping[str, str] = {
    "cold_start": "one photograph, whole process, against the transformers pipeline",
    "folder": "a folder of photographs against the bare network",
    "memory": "peak memory: more photographs, a large one, a longer video",
    "startup": "help, tables and import, and that none of them loads torch",
    "hub": "Depth Anything V2 small's shape by the catalogue, against the transformers pipeline",
    "loop": "rilievo.predict in a loop over photographs of 12 megapixels",
    "install": "a fresh environment with the core alone: seconds and megabytes",
    "synthetic": "frames a second of the renderer, alone and in clips",
    "scoring": "654 predictions on disk, against the loop of FiftyOne's tutorial",
    "view": "samples into FiftyOne, in bulk and one by one",
    "app": "the page in a real Chromium: first paint, answers, memory of the server",
    "serve": "the HTTP interface under load, against a folder",
    "page": "the folder of rilievo page in a real Chromium: size, first answers, live depth",
    "feature_cache": "an epoch of the linear probe with a warm feature cache and without",
    "embedded": "the embedded networks side by side, alone and as whole predictions",
    "engines": "ONNX Runtime against OpenVINO on the embedded network",
    "probe": "a training step of probes, against the most direct form",
    "sync": "predictions with and without syncing them to the disk",
    "ray": "two processes against Ray with two actors; memory over 20,000 photographs",
    "video_step": "a training step on video, against the most direct form",
    "video_sample": "an augmented sample of three frames, against the plain way",
}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Benchmarks to run, and options."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Benchmarks to run; all if none is named."""
    quick: bool = False
    """Small counts, to see that everything runs; the figures mean little."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = None
    """Folder for the figures as JSON, one file a benchmark; not written when not given."""
    weights: Annotated[Path, tyro.conf.arg(aliases=("-m",), metavar="FILE.onnx")] = SHIPPED
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
        failed |= not _run(name, given)
    return 1 if failed else 0


def _run(name: str, given: Arguments) -> bool:
    """Run one benchmark in a folder of its own; returns whether it finished."""
    machine = this_machine()
    with tempfile.TemporaryDirectory(prefix="rilievo-benchmark-") as work:
        settings = Settings(quick=given.quick, work=Path(work), weights=given.weights.resolve())
        try:
            report = import_module(f"benchmarks.{name}").run(settings)
        except BenchmarkError as error:
            print(f"## {name}\n\nfailed: {error}\n", flush=True)
            return False
    print(to_markdown(report, machine, quick=given.quick), flush=True)
    if given.output is not None:
        given.output.mkdir(parents=True, exist_ok=True)
        write_json(report, machine, given.output / f"{name}.json", quick=given.quick)
    return True


def _lines() -> list[str]:
    return [f"{name:<15}{about}" for name, about in BENCHMARKS.items()]


if __name__ == "__main__":
    sys.exit(main())
