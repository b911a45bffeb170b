"""Photographs a second, of a whole folder run or of the network alone; a process of its own.

Usage: python -m benchmarks.throughput pipeline WEIGHTS FOLDER OUTPUT [ENGINE PRECISION]
       python -m benchmarks.throughput network WEIGHTS PHOTO COUNT
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import answer_of
from rilievo.io.photographs.photo import read_photo
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.onnx_model import INPUT, read_description
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files


def pipeline_rate(
    weights: Path | str, folder: Path, output: Path, *engine: str
) -> Callable[[], float]:
    """Measures ``predict_files`` over a folder, the loading of the network left out."""
    return lambda: answer_of("throughput", "pipeline", weights, folder, output, *engine)


def network_rate(weights: Path, photo: Path, count: int) -> Callable[[], float]:
    """Measures the network alone, called ``count`` times with one prepared photograph."""
    return lambda: answer_of("throughput", "network", weights, photo, str(count))


def _pipeline(
    weights: str, folder: str, output: str, engine: str = "auto", precision: str = "fp32"
) -> float:
    options = PredictOptions(
        output=Path(output), model=weights, engine=engine, precision=precision, overwrite=True
    )
    summary = predict_files([folder], options, show=False)
    assert not summary.failed, summary
    return summary.done / summary.seconds


def _network(path: str, photo: str, times: str) -> float:
    weights, count = Path(path), int(times)
    session = open_session(weights, LoadOptions())
    preparation = read_description(weights, session).preparation
    batch = np.stack([preparation.pixels(read_photo(Path(photo)).pixels)])
    start = time.perf_counter()
    for _ in range(count):
        session.run(batch, INPUT)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    measure = {"pipeline": _pipeline, "network": _network}[sys.argv[1]]
    print(json.dumps(measure(*sys.argv[2:])))
