"""A folder of photographs against the bare network, and against what the cores could do."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.depth_anything import save_as_onnx
from benchmarks.measure import Spread, in_turns, spread, this_machine
from benchmarks.photographs import SIDE, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import FAST, Settings
from benchmarks.stages import stage_costs
from benchmarks.throughput import network_rate, pipeline_rate

LEAST_SHARE = 0.9
PIPELINE, NETWORK = "predict_files", "bare network"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One network: rates in photographs a second, and CPU seconds of the stages."""

    name: str
    pipeline: Spread
    network: Spread
    stages: dict[str, float]
    cores: int

    @property
    def share(self) -> float:
        """Share of the bare network's speed."""
        return self.pipeline.median / self.network.median

    @property
    def ideal(self) -> float:
        """Photographs a second, if every core did nothing but the stages, all the time."""
        return self.cores / self.together

    @property
    def together(self) -> float:
        """CPU time of a photograph [s]."""
        return sum(self.stages.values())


def run(settings: Settings) -> Report:
    count = settings.count(500, quick=24)
    heavy_count = settings.count(16, quick=4)
    heavy = save_as_onnx(settings.work / "heavy.onnx")
    networks = (
        _measure("default network", settings.weights, count // 2, settings),
        _measure("embedded network for videos, --quality fast", FAST, count, settings),
        _measure("as heavy as Depth Anything V2 small", heavy, heavy_count, settings),
    )
    return Report(
        name="folder",
        about=(
            "When you process a whole folder, rilievo should be almost as fast as its network "
            f"alone. To check this, we run `predict_files` on JPEG photographs of {SIDE}x{SIDE}, "
            "and write depth images and JSON. The column *bare network* shows the speed of the "
            "network alone: we call it just as often with a photograph that is already prepared, "
            "and read or write nothing. The time to load the network does not count.\n\n"
            f"The folder contains {count} photographs. For the default network, we use "
            f"{count // 2} of them, and for the heavy one {heavy_count}.\n\n"
            "A small network runs faster than the computer can read and write photographs, so no "
            "program can reach the speed of the bare network. Therefore, the table also has the "
            "column *what the cores could do*. It shows how many photographs per second the "
            "computer could process if all of its cores were always busy.\n\n"
            "To compute what the cores could do, we measure how much CPU time one photograph "
            "takes in each stage, for example for decoding the JPEG file. The second table lists "
            "these stages, each measured alone on one thread. The best possible speed is the "
            "number of cores divided by the sum of all stages.\n\n"
            "The last row of the second table, *keep the answer*, is not part of the sum. It is "
            "the time to cache a result, which rilievo only does for up to 100 photographs."
        ),
        tables=(_rates(networks), _stage_table(networks)),
        bars=tuple(
            Bar(
                promise=f"{each.name}: at least {LEAST_SHARE:.0%} of the bare network's speed",
                measured=f"{each.share:.0%}, and {each.pipeline.median / each.ideal:.0%} of what "
                "the cores could do",
                kept=each.share >= LEAST_SHARE,
            )
            for each in networks
        ),
    )


def _measure(name: str, weights: Path, count: int, settings: Settings) -> _Found:
    folder = settings.work / f"photographs-{count}"
    photos = make_photographs(folder, count)
    output = settings.folder(f"output-{count}")
    rates = in_turns(
        {
            PIPELINE: pipeline_rate(weights, folder, output),
            NETWORK: network_rate(weights, photos[0], count),
        },
        rounds=settings.count(3, quick=2),
        warm_up=False,
    )
    alone = settings.folder(f"stages-{count}")
    stages = stage_costs(weights, photos[0], alone, settings.count(30, quick=5))
    shutil.rmtree(output)
    return _Found(
        name=name,
        pipeline=spread(rates[PIPELINE]),
        network=spread(rates[NETWORK]),
        stages=dict(stages),
        cores=this_machine().cores,
    )


def _rates(found: tuple[_Found, ...]) -> Table:
    return Table(
        columns=(
            "photographs a second",
            NETWORK,
            PIPELINE,
            "share of the bare network",
            "what the cores could do",
            "share of that",
        ),
        rows=[
            (
                each.name,
                str(each.network),
                str(each.pipeline),
                f"{each.share:.0%}",
                f"{each.ideal:.1f}",
                f"{each.pipeline.median / each.ideal:.0%}",
            )
            for each in found
        ],
    )


def _stage_table(networks: Sequence[_Found]) -> Table:
    costs = [{**network.stages, "together": network.together} for network in networks]
    rows = [(name, *(f"{1e3 * cost[name]:.1f}" for cost in costs)) for name in costs[0]]
    return Table(
        columns=("CPU ms a photograph", *(network.name for network in networks)), rows=rows
    )
