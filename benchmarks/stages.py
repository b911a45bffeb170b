"""CPU time of each stage of a photograph's way, each alone; a process of its own.

Usage: python -m benchmarks.stages WEIGHTS PHOTO OUTPUT ROUNDS
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import answer_of
from rilievo.io.map_pictures import colour_range, colourise
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.photographs.photo import read_photo
from rilievo.io.png import write_png
from rilievo.models.base import Inference, Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.onnx_model import INPUT, OnnxModel, read_description
from rilievo.models.refinement.refine import refined
from rilievo.options.photo_options import Refine
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.records.sample import Photo

DECODE, TRIM, SHRINK = "decode JPEG", "find borders to trim", "shrink for the network"
NETWORK, FINISH = "network", "enlarge depth"
COLOURS, ENCODE, FILES = "range and colours", "encode PNG", "JSON and files"
_ANSWER, _WRITE = "answer", "write"


def stage_costs(weights: Path, photo: Path, output: Path, rounds: int) -> Mapping[str, float]:
    """CPU time of every stage, in the order of a photograph's way [s]."""
    return answer_of("stages", weights, photo, output, str(rounds))


def _stages(weights: Path, path: Path, output: Path) -> Mapping[str, Callable[[], object]]:
    # One thread: with more, some of the time is spent waiting for one another.
    options = LoadOptions(threads=1)
    session = open_session(weights, options)
    preparation = read_description(weights, session).preparation
    model = refined(OnnxModel(weights, options), Refine())  # as a folder is predicted by default
    photo = read_photo(path)
    batch = np.stack([preparation.pixels(photo.pixels)])
    [answer] = model.infer([photo])
    prediction = _depth_alone(model, answer, photo)
    depth = prediction.depth
    picture = colourise(depth)
    return {
        DECODE: lambda: read_photo(path),
        SHRINK: lambda: preparation.pixels(photo.pixels),
        NETWORK: lambda: session.run(batch, INPUT),
        # A photograph read anew: margins that were found are remembered for its pixels.
        _ANSWER: lambda: model.infer([replace(photo, pixels=photo.pixels.copy())]),
        FINISH: lambda: _depth_alone(model, answer, photo),
        COLOURS: lambda: colourise(depth, limits=colour_range(depth)),
        ENCODE: lambda: write_png(output / "alone.png", picture, {}),
        _WRITE: lambda: save(
            prediction, output / "photo", ("colour",), SaveOptions(overwrite=True)
        ),
    }


def _depth_alone(model: Model, answer: Inference, photo: Photo) -> Prediction:
    """Depth at the photograph's size; parts that no picture of depth needs are not made."""
    prediction = model.finish(answer, photo)
    _ = prediction.depth
    return prediction.but(normals=None, confidence=None, sky=None)


def _cpu(work: Callable[[], object], rounds: int) -> float:
    """The least CPU time of one call, over all threads [s]: noise only ever adds."""
    costs = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        costs.append(time.process_time() - start)
    return min(costs)


def _main(weights: Path, photo: Path, output: Path, rounds: int) -> dict[str, float]:
    costs = {name: _cpu(work, rounds) for name, work in _stages(weights, photo, output).items()}
    answer, written = (costs.pop(name) for name in (_ANSWER, _WRITE))
    trim = max(0.0, answer - costs[SHRINK] - costs[NETWORK])
    files = max(0.0, written - costs[COLOURS] - costs[ENCODE])
    return {DECODE: costs.pop(DECODE), TRIM: trim, **costs, FILES: files}


if __name__ == "__main__":
    first, second, third, times = sys.argv[1:]
    print(json.dumps(_main(Path(first), Path(second), Path(third), int(times))))
