"""Engines for the embedded network: ONNX Runtime against OpenVINO."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from benchmarks.measure import answer_of, in_turns, spread
from benchmarks.photographs import make_photographs
from benchmarks.report import Report, Table
from benchmarks.settings import Settings

ENGINES = (("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))


def run(settings: Settings) -> Report:
    [photo] = make_photographs(settings.folder("photo"), 1)
    rounds = settings.count(200, quick=10)
    rows = answer_of("engines", settings.weights, photo, str(rounds))
    return Report(
        name="engines",
        about=(
            "One photograph, already decoded, through the embedded network: shrinking to its size "
            "and the network itself, in turns within one process. The difference is the largest "
            "to ONNX Runtime in fp32: of depth relative to it, of normals as an angle."
        ),
        tables=(
            Table(
                columns=("engine", "ms", "loading s", "depth differs by", "normals by, degrees"),
                rows=[tuple(row) for row in rows],
            ),
        ),
    )


def _main(weights: Path, path: Path, rounds: int) -> list[list[str]]:
    from rilievo.io.photographs.photo import read_photo
    from rilievo.models import load_model
    from rilievo.models.base import Inference, Model

    photo = read_photo(path)
    models: dict[str, Model] = {}
    loading: dict[str, float] = {}
    for engine, precision in ENGINES:
        start = time.perf_counter()
        name = f"{engine} {precision}"
        models[name] = load_model(weights, engine=engine, precision=precision)
        loading[name] = time.perf_counter() - start
    answers: dict[str, Inference] = {
        name: model.infer([photo])[0] for name, model in models.items()
    }

    def latency(model: Model) -> Callable[[], float]:
        def measure() -> float:
            start = time.perf_counter()
            model.infer([photo])
            return time.perf_counter() - start

        return measure

    sides = {name: latency(model) for name, model in models.items()}
    seconds = in_turns(sides, rounds=rounds)
    first, *_ = answers.values()
    return [
        [
            name,
            str(spread([1e3 * each for each in seconds[name]])),
            f"{loading[name]:.2f}",
            _depth_difference(first.depth, answers[name].depth),
            _normals_difference(first.normals, answers[name].normals),
        ]
        for name in models
    ]


def _depth_difference(
    reference: Float32[np.ndarray, "h w"] | None, depth: Float32[np.ndarray, "h w"] | None
) -> str:
    assert reference is not None, "the embedded network gives depth"
    assert depth is not None, "in every engine"
    return f"{np.max(np.abs(depth - reference) / reference):.1e}"


def _normals_difference(
    reference: Float32[np.ndarray, "3 h w"] | None, normals: Float32[np.ndarray, "3 h w"] | None
) -> str:
    if reference is None or normals is None:
        return "none"
    one, other = (
        each.astype(np.float64) / np.linalg.norm(each, axis=0) for each in (reference, normals)
    )
    # By the chord, because the cosine of a small angle is not accurate.
    chord = np.linalg.norm(one - other, axis=0)
    return f"{np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1))).max():.1e}"


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
