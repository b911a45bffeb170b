"""Published graphs by rilievo against the bare engine on the same file, in one run.

Usage: python -m benchmarks.hub_bare folder MODEL ENGINE PRECISION OUTPUT FOLDER
       python -m benchmarks.hub_bare once MODEL ENGINE PRECISION PHOTO

``$RILIEVO_BENCHMARK_GRAPH`` and ``$RILIEVO_BENCHMARK_ZIP`` name the files.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import answer_of, cost_of, in_turns, rilievo_command, spread
from benchmarks.report import Bar, Table
from benchmarks.settings import Settings
from rilievo.models.finding import MODELS
from rilievo.models.load_options import LoadOptions
from rilievo.models.outside import outside_model

if TYPE_CHECKING:
    from rilievo.models.base import Model

LEAST_SHARE, MOST_ONCE, MOST_COLD = 0.9, 1.15, 0.4
GRAPHS: Mapping[str, str] = {
    "depth-anything-v2/small": "RILIEVO_BENCHMARK_GRAPH",
    "zipdepth": "RILIEVO_BENCHMARK_ZIP",
}
"""Variable that names the file, by the model in whose place it is run."""
LOADERS: Mapping[str, str] = {
    "depth-anything-v2/small": "benchmarks.hub_bare:depth_anything",
    "zipdepth": "benchmarks.hub_bare:zip_depth",
}
ENGINES = (("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))
BARE, OURS = "bare", "rilievo"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One graph on one engine."""

    model: str
    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.model}, {self.engine} {self.precision}"

    @property
    def graph(self) -> str:
        """File of the graph."""
        return os.environ[GRAPHS[self.model]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """CPU and wall time [s] of bare engine and rilievo, by what was measured."""

    case: _Case
    folder: Mapping[str, Sequence[Sequence[float]]]
    once: Mapping[str, Sequence[Sequence[float]]]
    cold: Mapping[str, Sequence[float]]

    def median(self, times: Mapping[str, Sequence[Sequence[float]]], side: str, at: int) -> float:
        """Median of CPU (0) or wall (1) time."""
        return spread([each[at] for each in times[side]]).median

    @property
    def share(self) -> float:
        """Photographs that rilievo makes of a CPU second, as a share of the bare engine's."""
        return self.median(self.folder, BARE, 0) / self.median(self.folder, OURS, 0)

    @property
    def wall_share(self) -> float:
        """Photographs a second on the clock, as a share of the bare engine's."""
        return self.median(self.folder, BARE, 1) / self.median(self.folder, OURS, 1)

    @property
    def once_ratio(self) -> float:
        """CPU time of load and one answer, in multiples of the bare engine's."""
        return self.median(self.once, OURS, 0) / self.median(self.once, BARE, 0)

    @property
    def extra(self) -> float:
        """CPU time of the whole command above the bare process [s]."""
        return spread(self.cold[OURS]).median - spread(self.cold[BARE]).median


def compare_bare(
    settings: Settings, folder: Path, photos: Sequence[Path]
) -> tuple[Table, tuple[Bar, ...]]:
    """Measure every graph on every engine, in turns."""
    cases = [
        _Case(model=model, engine=engine, precision=precision)
        for model in GRAPHS
        for engine, precision in ENGINES
    ]
    found = [_measure(case, settings, folder, photos) for case in cases]
    return _table(found), tuple(bar for each in found for bar in _bars(each))


def _measure(case: _Case, settings: Settings, folder: Path, photos: Sequence[Path]) -> _Found:
    cache = str(settings.work / "bare-openvino")
    how = (case.engine, case.precision)
    bare = (case.model, case.graph, *how, cache)
    loader, first = LOADERS[case.model], str(photos[0])
    place = "-".join(how)
    output = settings.work / f"bare-{case.model.partition('/')[0]}-{place}"
    rounds = settings.count(5, quick=2)

    def cold(command: Sequence[str | Path]) -> Callable[[], float]:
        def measure() -> float:
            shutil.rmtree(output, ignore_errors=True)
            return cost_of(command).cpu

        return measure

    ours = ("predict", first, "--model", loader, "--output", output)
    return _Found(
        case=case,
        folder=in_turns(
            {
                BARE: lambda: answer_of("bare_graph", "folder", *bare, *map(str, photos)),
                OURS: lambda: answer_of("hub_bare", "folder", loader, *how, output, folder),
            },
            rounds=rounds,
            warm_up=False,
        ),
        once=in_turns(
            {
                BARE: lambda: answer_of("bare_graph", "once", *bare, first),
                OURS: lambda: answer_of("hub_bare", "once", loader, *how, first),
            },
            rounds=rounds,
            warm_up=False,
        ),
        cold=in_turns(
            {
                BARE: cold([sys.executable, "-m", "benchmarks.bare_cold", *bare, first]),
                OURS: cold(rilievo_command(*ours, "--engine", how[0], "--precision", how[1])),
            },
            rounds=rounds,
        ),
    )


def _table(found: Sequence[_Found]) -> Table:
    return Table(
        columns=(
            "against the bare engine",
            "folder: CPU s a photograph, bare",
            "rilievo",
            "share of its photographs, by CPU time",
            "by the clock",
            "load and one answer, CPU s, bare",
            "rilievo",
            "cold process, CPU s above bare",
        ),
        rows=[
            (
                str(each.case),
                *(f"{each.median(each.folder, side, 0):.3f}" for side in (BARE, OURS)),
                f"{each.share:.0%}",
                f"{each.wall_share:.0%}",
                *(f"{each.median(each.once, side, 0):.3f}" for side in (BARE, OURS)),
                f"{each.extra:+.2f}",
            )
            for each in found
        ],
    )


def _bars(found: _Found) -> tuple[Bar, ...]:
    case = str(found.case)
    return (
        Bar(
            promise=f"{case}: a folder at {LEAST_SHARE:.0%} of the bare engine's speed",
            measured=f"{found.share:.0%}",
            kept=found.share >= LEAST_SHARE,
        ),
        Bar(
            promise=f"{case}: load and one answer in {MOST_ONCE} times",
            measured=f"{found.once_ratio:.2f}",
            kept=found.once_ratio <= MOST_ONCE,
        ),
        Bar(
            promise=f"{case}: cold, at most {MOST_COLD:+} CPU-s",
            measured=f"{found.extra:+.2f} s",
            kept=found.extra <= MOST_COLD,
        ),
    )


def _folder(model: str, engine: str, precision: str, output: str, folder: str) -> list[float]:
    from rilievo.predicting.options import PredictOptions
    from rilievo.predicting.run import predict_files

    photos = sorted(Path(folder).iterdir())

    def run(inputs: Sequence[Path]) -> list[float]:
        options = PredictOptions(
            output=Path(output),
            model=model,
            engine=engine,
            precision=precision,
            overwrite=True,
        )
        wall, cpu = time.perf_counter(), time.process_time()
        summary = predict_files(inputs, options, show=False)
        assert not summary.failed, summary
        return [time.process_time() - cpu, time.perf_counter() - wall]

    # Each run loads the network, so the difference is that of the other photographs.
    run(photos[:1])
    one, all_of_them = run(photos[:1]), run(photos)
    return [(b - a) / (len(photos) - 1) for a, b in zip(one, all_of_them, strict=True)]


def _once(model: str, engine: str, precision: str, photo: str) -> list[float]:
    import rilievo

    spent = [0.0, 0.0]
    for _ in range(2):  # The first time imports, too.
        wall, cpu = time.perf_counter(), time.process_time()
        loaded = rilievo.load_model(model, engine=engine, precision=precision)
        assert rilievo.predict(photo, model=loaded).depth.values.size
        spent = [time.process_time() - cpu, time.perf_counter() - wall]
    return spent


def _load(name: str, options: LoadOptions) -> "Model":
    from rilievo.models.catalogue.published_graph import open_graph

    path = Path(os.environ[GRAPHS[name]])
    return open_graph(path, options, MODELS[name], weights_sha256="0")


@outside_model(MODELS["depth-anything-v2/small"])
def depth_anything(options: LoadOptions) -> "Model":
    """Open the file as the catalogue does."""
    return _load("depth-anything-v2/small", options)


@outside_model(MODELS["zipdepth"])
def zip_depth(options: LoadOptions) -> "Model":
    """Open the file as the catalogue does."""
    return _load("zipdepth", options)


_PARTS = {"folder": _folder, "once": _once}

if __name__ == "__main__":
    print(json.dumps(_PARTS[sys.argv[1]](*sys.argv[2:])))
