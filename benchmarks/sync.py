"""Cost of results that survive a power cut: ``predict`` with and without ``fsync``."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import answer_of
from benchmarks.photographs import make_photographs
from benchmarks.report import Report, Table
from benchmarks.settings import Settings

_WORK = (("folder", "colour"), ("folder", "colour,png16,npz"), ("video", "colour,png16"))


def run(settings: Settings) -> Report:
    photographs = settings.folder("photographs")
    make_photographs(photographs, settings.count(40, quick=4))
    work, rounds = settings.folder("results"), settings.count(5, quick=1)
    rows = answer_of("sync", settings.weights, photographs, work, str(rounds))
    return Report(
        name="sync",
        about=(
            "Predictions over one folder of photographs, as photographs and as the frames of a "
            "video, in turns within one process: once as shipped, once with `os.fsync` replaced "
            "by nothing. The fastest of each counts; the ratio is with syncs to without."
        ),
        tables=(
            Table(
                columns=("work", "outputs", "syncs", "with, s", "without, s", "ratio"),
                rows=[tuple(row) for row in rows],
            ),
        ),
    )


def _main(weights: Path, photographs: Path, work: Path, rounds: int) -> list[list[str]]:
    return [
        [what, outputs, *_compared(weights, photographs, work / "out", rounds, what, outputs)]
        for what, outputs in _WORK
    ]


def _compared(
    weights: Path, photographs: Path, output: Path, rounds: int, what: str, outputs: str
) -> list[str]:
    from rilievo.predicting.options import PredictOptions
    from rilievo.predicting.run import predict_files

    options = PredictOptions(
        model=str(weights), output=output, save=outputs, sequence=what == "video"
    )
    real, syncs = os.fsync, 0

    def counted(file: int) -> None:
        nonlocal syncs
        syncs += 1
        real(file)

    def once(fsync: object) -> float:
        shutil.rmtree(output, ignore_errors=True)
        with patch.object(os, "fsync", fsync):
            start = time.perf_counter()
            predict_files([photographs], options, show=False)
            return time.perf_counter() - start

    once(counted)  # what is loaded at the first use
    syncs = 0
    given = [(once(counted), once(lambda file: None)) for _ in range(rounds)]
    synced, unsynced = (min(each) for each in zip(*given, strict=True))
    count = str(syncs // rounds)
    return [count, f"{synced:.2f}", f"{unsynced:.2f}", f"{synced / unsynced:.2f}"]


if __name__ == "__main__":
    weights, photographs, work, rounds = sys.argv[1:]
    print(json.dumps(_main(Path(weights), Path(photographs), Path(work), int(rounds))))
