"""A published graph run by its engine alone: what a script of thirty lines does, without rilievo.

Usage: python -m benchmarks.bare_graph folder RECIPE GRAPH ENGINE PRECISION CACHE PHOTO...
       python -m benchmarks.bare_graph once RECIPE GRAPH ENGINE PRECISION CACHE PHOTO

It reads each JPEG with Pillow, resizes and normalises it as the authors say, and runs the graph.
It writes nothing and does not resize the answer. ``folder`` prints the costs of a photograph with
the network loaded, ``once`` those of loading, preparing and running it once.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Preparation of a photograph: shorter side, multiples, filter, mean and deviation."""

    side: int
    multiple: int
    filter: Image.Resampling
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def feed(self, path: str) -> np.ndarray:
        """Read a photograph as the graph's input."""
        with Image.open(path) as image:
            scale = self.side / min(image.size)
            width, height = (
                round(length * scale / self.multiple) * self.multiple for length in image.size
            )
            pixels = np.asarray(image.convert("RGB").resize((width, height), self.filter))
        values = (pixels.astype(np.float32) / 255 - np.array(self.mean, np.float32)) / np.array(
            self.std, np.float32
        )
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)


RECIPES: Mapping[str, Recipe] = {
    "depth-anything-v2/small": Recipe(
        side=518,
        multiple=14,
        filter=Image.Resampling.BICUBIC,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    "zipdepth": Recipe(
        side=384,
        multiple=32,
        filter=Image.Resampling.BILINEAR,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    ),
}


def opened(graph: str, engine: str, precision: str, cache: str) -> Callable[[np.ndarray], Any]:
    """Open a graph with the settings of an engine's own documentation."""
    if engine == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # As in rilievo: threads that spin would charge the bare engine twice the CPU time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(graph, options, providers=providers)
        name = session.get_inputs()[0].name
        return lambda picture: session.run(None, {name: picture})[0]
    import openvino

    hint = {"fp32": "f32", "bf16": "bf16"}[precision]
    # One folder a precision: a compiled network is found by its file alone.
    settings = {"INFERENCE_PRECISION_HINT": hint, "CACHE_DIR": f"{cache}/{precision}"}
    settings["PERFORMANCE_HINT"] = "LATENCY"
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    return lambda picture: compiled([picture])[0]


def _folder(recipe: Recipe, run: Callable[[np.ndarray], Any], photos: list[str]) -> list[float]:
    run(recipe.feed(photos[0]))
    wall, cpu = time.perf_counter(), time.process_time()
    for photo in photos:
        run(recipe.feed(photo))
    spent = (time.process_time() - cpu, time.perf_counter() - wall)
    return [each / len(photos) for each in spent]


def _main(what: str, name: str, graph: str, engine: str, *rest: str) -> list[float]:
    precision, cache, *photos = rest
    recipe = RECIPES[name]
    if what == "folder":
        return _folder(recipe, opened(graph, engine, precision, cache), photos)
    spent = [0.0, 0.0]
    for _ in range(2):  # The first time imports, too.
        wall, cpu = time.perf_counter(), time.process_time()
        opened(graph, engine, precision, cache)(recipe.feed(photos[0]))
        spent = [time.process_time() - cpu, time.perf_counter() - wall]
    return spent


if __name__ == "__main__":
    print(json.dumps(_main(*sys.argv[1:])))
