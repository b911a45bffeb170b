"""Photographs a second, of a whole folder run or of the network alone; a process of its own.

Usage: python -m benchmarks.throughput pipeline WEIGHTS FOLDER OUTPUT
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
from rilievo.models.onnx_files.onnx_model import read_facts
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files


def pipeline_rate(weights: Path, folder: Path, output: Path) -> Callable[[], float]:
    """Measures ``predict_files`` over a folder, the loading of the network left out."""
    return lambda: answer_of("throughput", "pipeline", weights, folder, output)


def network_rate(weights: Path, photo: Path, count: int) -> Callable[[], float]:
    """Measures the network alone, called ``count`` times with one prepared photograph."""
    return lambda: answer_of("throughput", "network", weights, photo, str(count))


def _pipeline(weights: Path, folder: Path, output: Path) -> float:
    options = PredictOptions(output=output, model=str(weights), overwrite=True)
    summary = predict_files([folder], options, show=False)
    assert not summary.failed, summary
    return summary.done / summary.seconds


def _network(weights: Path, photo: Path, count: int) -> float:
    session = open_session(weights, LoadOptions())
    preparation = read_facts(weights, session).preparation
    batch = np.stack([preparation.pixels(read_photo(photo).pixels)])
    start = time.perf_counter()
    for _ in range(count):
        session.run(batch)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    what, first, second, third = sys.argv[1:]
    if what == "pipeline":
        rate = _pipeline(Path(first), Path(second), Path(third))
    else:
        rate = _network(Path(first), Path(second), int(third))
    print(json.dumps(rate))
