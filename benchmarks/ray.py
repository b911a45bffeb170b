"""Two processes of this machine against Ray with two actors, and memory over many photographs.

Usage: python -m benchmarks.ray MODE WEIGHTS FOLDER OUTPUT, MODE one of workers and ray
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import (
    NotHereError,
    answer_of,
    command_of,
    in_turns,
    processes_below,
    spread,
)
from benchmarks.photographs import SIDE, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from rilievo.cluster.remote_jobs import list_jobs
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.predict_across import PredictWork
from rilievo.predicting.work_processes import distribute_work

LEAST_SHARE = 0.85
MOST_GROWTH = 1.1
WORKERS = 2
MODES = ("workers", "ray")
_FACTS = {
    "format": "1",
    "name": "benchmark/means",
    "kind": "up_to_scale",
    "licence": "Apache-2.0",
    "area": "3072",
    "multiple": "16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """One run.

    Attributes:
        rate: Photographs a second, from the end of the first task to the end of the last.
        start: Time until the end of the first task [s]: processes, cluster and model.
        memory: Resident [MB] of this process and of the largest worker, at each tenth of the run.
    """

    rate: float
    start: float
    memory: list[tuple[int, float, float]]


def run(settings: Settings) -> Report:
    if find_spec("ray") is None:
        raise NotHereError("Ray is not installed: pip install 'rilievo[cluster]'")
    count, many = settings.count(150, quick=40), settings.count(5000, quick=400)
    folder = settings.work / "photographs"
    make_photographs(folder, count)
    output = settings.folder("output")
    sides: dict[str, Callable[[], _Course]] = {
        mode: lambda mode=mode: _course(mode, settings.weights, folder, output) for mode in MODES
    }
    courses = in_turns(sides, rounds=settings.count(3, quick=1), warm_up=False)
    rates = {mode: spread([each.rate for each in courses[mode]]) for mode in MODES}
    starts = {mode: spread([each.start for each in courses[mode]]) for mode in MODES}
    share = rates["ray"].median / rates["workers"].median
    long = {mode: _long(mode, many, settings) for mode in MODES}
    growth = max(_growth(each) for each in long.values())
    return Report(
        name="ray",
        about=(
            "To process photographs on several machines, you can let the library [Ray](../ray.md) "
            "start rilievo's worker processes. Is rilievo slower then? To find out, we process "
            f"{count} JPEG photographs ({SIDE}x{SIDE}) on one machine. The first table compares "
            f"two workers that Ray starts (`--ray local --workers {WORKERS}`) with two that "
            f"rilievo starts itself (`--workers {WORKERS}`).\n\n"
            "The rate is measured from the end of the first task to the end of the last one. The "
            "time before that is shown as *start*.\n\n"
            "A run over many photographs should not need more and more memory. To check this, we "
            f"process {many:,} photographs of 64x48, with a tiny network that only computes "
            "means. The other tables show how much memory the main process (*driver*) and the "
            "largest worker use after each part of the run."
        ),
        tables=(
            Table(
                columns=("by", "photographs a second", "start [s]"),
                rows=[(mode, str(rates[mode]), str(starts[mode])) for mode in MODES],
            ),
            *(_memory_table(mode, course) for mode, course in long.items()),
        ),
        bars=(
            Bar(
                promise=f"Ray keeps {LEAST_SHARE:.0%} of the speed of as many processes",
                measured=f"{share:.0%}",
                kept=share >= LEAST_SHARE,
            ),
            Bar(
                promise=f"memory at the end is at most {MOST_GROWTH:g} times that at a tenth",
                measured=f"{growth:.2f} times",
                kept=growth <= MOST_GROWTH,
            ),
        ),
    )


def _course(mode: str, weights: Path, folder: Path, output: Path) -> _Course:
    return _Course(**answer_of("ray", mode, weights, folder, output))


def _long(mode: str, count: int, settings: Settings) -> _Course:
    folder = settings.work / "small"
    if not folder.exists():
        _make_small(folder, count)
    return _course(
        mode, _save_means(settings.work / "means.onnx"), folder, settings.folder(f"small-{mode}")
    )


def _make_small(folder: Path, count: int) -> None:
    """One picture under many names, a thousand in a folder."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    first = folder / "picture.png"
    Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(first)
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        path.parent.mkdir(exist_ok=True)
        os.link(first, path)
    first.unlink()


def _save_means(path: Path) -> Path:
    """A network that does no work: its depth is the mean of the colours, plus 1."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[3], keepdims=0),
        helper.make_node("Add", ["mean", "one"], ["depth"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", "h", "w", 3])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["b", "h", "w"])
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    graph = helper.make_graph(nodes, "means", [image], [depth], [one])
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in _FACTS.items():
        network.metadata_props.add(key=f"rilievo.{key}", value=value)
    onnx.save(network, path)
    return path


def _growth(course: _Course) -> float:
    """Growth of this process and the largest worker together, after a tenth of the run."""
    totals = [ours + theirs for _, ours, theirs in course.memory]
    return totals[-1] / totals[0]


def _memory_table(mode: str, course: _Course) -> Table:
    return Table(
        columns=(f"{mode}: photographs done", "driver [MB]", "largest worker [MB]"),
        rows=[(f"{done:,}", f"{a:.0f}", f"{b:.0f}") for done, a, b in course.memory],
    )


def _measure(mode: str, weights: Path, folder: Path, output: Path) -> _Course:
    options = PredictOptions(
        output=output, model=str(weights), overwrite=True, threads=1, save="colour"
    )
    jobs = list(list_jobs([folder], output, sequence=False))
    batch = BatchOptions(workers=WORKERS, ray="local" if mode == "ray" else None)
    work = PredictWork(options=options)
    start = first = last = time.perf_counter()
    done = done_first = 0
    memory: list[tuple[int, float, float]] = []
    for report in distribute_work(work, jobs, count=len(jobs), batch=batch, threads=1):
        assert not report.failures, report.failures[0]
        done += report.done
        last = time.perf_counter()
        if not done_first:
            first, done_first = last, done
        if 10 * done >= (len(memory) + 1) * len(jobs):
            memory.append((done, _resident(os.getpid()), max(map(_resident, _workers()))))
    assert done == len(jobs), "every photograph is done"
    rate = (done - done_first) / (last - first)
    return _Course(rate=rate, start=first - start, memory=memory)


def _workers() -> list[int]:
    """Processes below this one that have loaded a model."""
    marks = (b"MapWorker", b"spawn_main")
    below = [*processes_below(os.getpid())]
    return [pid for pid in below if any(mark in command_of(pid) for mark in marks)]


def _resident(pid: int) -> float:
    """Memory of a process [MB]; 0 where it is no more."""
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6
    return 0.0


if __name__ == "__main__":
    chosen, weights, folder, output = sys.argv[1:]
    print(json.dumps(asdict(_measure(chosen, Path(weights), Path(folder), Path(output)))))
