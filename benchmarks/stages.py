"""CPU time of each stage of a photograph's way, each alone; a process of its own.

Usage: python -m benchmarks.stages WEIGHTS PHOTO OUTPUT ROUNDS
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.measure import answer_of
from rilievo.io.colour_pictures import colour_range, colourise
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.photographs.photo import read_photo
from rilievo.io.png import write_png
from rilievo.models.base import Inference, Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import open_session
from rilievo.models.onnx_files.onnx_model import OnnxModel, read_facts
from rilievo.models.resampling.resizing import resize
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.types import Photo


def stage_costs(weights: Path, photo: Path, output: Path, rounds: int) -> Mapping[str, float]:
    """CPU time of every stage, in the order of a photograph's way [s]."""
    return answer_of("stages", weights, photo, output, str(rounds))


def _stages(weights: Path, path: Path, output: Path) -> Mapping[str, Callable[[], object]]:
    # One thread: with more, some of the time is spent waiting for one another.
    options = LoadOptions(threads=1)
    session = open_session(weights, options)
    preparation = read_facts(weights, session).preparation
    model = OnnxModel(weights, options)
    photo = read_photo(path)
    batch = np.stack([preparation.pixels(photo.pixels)])
    prediction = _depth_alone(model, photo)
    depth, answer = prediction.depth, model.infer([photo])[0].depth
    assert answer is not None, "the same"
    picture = colourise(depth)
    return {
        "decode JPEG": lambda: read_photo(path),
        "shrink for the network": lambda: preparation.pixels(photo.pixels),
        "network": lambda: session.run(batch),
        "resize depth": lambda: resize(answer, photo.shape),
        "range and colours": lambda: colourise(depth, limits=colour_range(depth)),
        "encode PNG": lambda: write_png(output / "alone.png", picture, {}),
        "_write": lambda: save(
            prediction, output / "photo", ("colour",), SaveOptions(overwrite=True)
        ),
    }


def _depth_alone(model: Model, photo: Photo) -> Prediction:
    [answer] = model.infer([photo])
    return model.finish(Inference(depth=answer.depth), photo)


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
    whole = costs.pop("_write")
    costs["JSON and files"] = max(0.0, whole - costs["range and colours"] - costs["encode PNG"])
    return costs


if __name__ == "__main__":
    first, second, third, times = sys.argv[1:]
    print(json.dumps(_main(Path(first), Path(second), Path(third), int(times))))
