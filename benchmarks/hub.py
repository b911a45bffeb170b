"""Depth Anything V2 small's shape by the catalogue, against the pipeline of transformers.

Usage: python -m benchmarks.hub theirs MODEL FOLDER OUTPUT
       python -m benchmarks.hub export MODEL FOLDER FILE
       python -m benchmarks.hub difference MODEL PHOTO ENGINE

Ours is ``PUBLISHED``, the catalogue's adapter on the file that ``$GRAPH`` names, or an int8 file.
``hub_bare`` compares the same graph, and a smaller one, with the engine alone.
"""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.depth_anything import SIDE, save_as_published, save_for_transformers
from benchmarks.hub_bare import GRAPHS, compare_bare
from benchmarks.measure import (
    ROOT,
    Cost,
    answer_of,
    cost_of,
    in_turns,
    peak_of,
    rilievo_command,
    spread,
)
from benchmarks.photographs import SIDE as PHOTO_SIDE
from benchmarks.photographs import make_photographs
from benchmarks.report import Bar, Report, Table, cost_table
from benchmarks.settings import Settings
from benchmarks.small_network import save_small_network
from benchmarks.throughput import pipeline_rate

KIND = "affine_inverse"
PUBLISHED = "benchmarks.hub_bare:depth_anything"
GRAPH, ZIP = GRAPHS["depth-anything-v2/small"], GRAPHS["zipdepth"]
THEIRS = "transformers pipeline"
EXACT, EXACT_FAST = "onnxruntime fp32 (the default)", "openvino fp32"
BF16, INT8 = "openvino bf16", "openvino int8"
LEAST_COLD_RATIO, MOST_MEMORY, MOST_DIFFERENCE = 5.0, 0.5, 1e-4


def run(settings: Settings) -> Report:
    os.environ["RILIEVO_CACHE"] = str(settings.folder("cache"))
    os.environ[GRAPH] = str(save_as_published(settings.work / "published.onnx"))
    os.environ[ZIP] = str(save_small_network(settings.work / "zip.onnx"))
    folder = settings.work / "photographs"
    photos = make_photographs(folder, settings.count(8, quick=4))
    model = save_for_transformers(settings.folder("transformers"))
    differences = {
        name: float(answer_of("hub", "difference", model, photos[0], engine))
        for name, engine in ((EXACT, "onnxruntime"), (EXACT_FAST, "openvino"))
    }
    int8 = settings.work / "int8.onnx"
    agreement = str(answer_of("hub", "export", model, folder, int8))
    most, median = re.findall(r"\d\.\d+e[+-]\d+", agreement)
    rates = in_turns(
        _rates(model, int8, folder, settings), rounds=settings.count(2, quick=1), warm_up=False
    )
    costs = in_turns(_processes(model, photos[0], settings), rounds=settings.count(3, quick=2))
    bare_table, bare_bars = compare_bare(settings, folder, photos)
    return Report(
        name="hub",
        about=(
            "With rilievo, you can run published models such as Depth Anything. Are they faster "
            "than in the transformers library? To find out, this benchmark runs the same network "
            "in both. Only the size of a network affects its speed, so we use one with random "
            "weights that is as large as Depth Anything V2 small. The network sees pictures of "
            f"{SIDE} pixels per side.\n\n"
            f"The first table shows how many photographs of {PHOTO_SIDE}x{PHOTO_SIDE} rilievo and "
            "transformers turn into depth images per second. The time to load the network does "
            "not count. The second table shows how long you wait for the result if you process "
            "only a single photograph. This time covers everything from the start of the program, "
            "except for the download of the model.\n\n"
            "Do rilievo and transformers predict the same depth? Yes, if both compute with 32-bit "
            f"floats (fp32): the depth differs by at most {max(differences.values()):.1e} of the "
            "range of depth in the image. If you choose 8-bit integers (int8) to save time, the "
            f"depth is less exact. It then differs from PyTorch's depth by {median} of the range "
            f"in the median, and by at most {most}.\n\n"
            "How much time does rilievo add to the engine that runs the network, such as ONNX "
            "Runtime or OpenVINO? The third table compares the CPU time of rilievo with that of "
            "the *bare engine*. This is a program that prepares a photograph and runs the same "
            "network, but writes nothing. rilievo also enlarges the depth, and writes an image "
            "and JSON.\n\n"
            "The rows *zipdepth* use a network with random weights that is about as large as the "
            "published model ZipDepth."
        ),
        tables=(_rate_table(rates), cost_table("one photograph, cold", costs), bare_table),
        bars=(*_bars(costs, differences), *bare_bars),
    )


def _rates(
    model: Path, int8: Path, folder: Path, settings: Settings
) -> Mapping[str, Callable[[], float]]:
    """Photographs a second, of each side."""

    def theirs() -> float:
        return answer_of("hub", "theirs", model, folder, settings.work / "theirs")

    def ours(weights: Path | str, engine: str, precision: str) -> Callable[[], float]:
        output = settings.work / f"ours-{engine}-{precision}-{weights == PUBLISHED}"
        return pipeline_rate(weights, folder, output, engine, precision)

    return {
        THEIRS: theirs,
        EXACT: ours(PUBLISHED, "onnxruntime", "fp32"),
        EXACT_FAST: ours(PUBLISHED, "openvino", "fp32"),
        BF16: ours(PUBLISHED, "openvino", "bf16"),
        INT8: ours(int8, "openvino", "bf16"),
    }


def _processes(model: Path, photo: Path, settings: Settings) -> Mapping[str, Callable[[], Cost]]:
    """Costs of whole processes."""
    script = ROOT / "benchmarks" / "transformers_depth.py"
    output = settings.work / "cold"

    def ours(engine: str, precision: str) -> Callable[[], Cost]:
        how = ("--engine", engine, "--precision", precision, "--output", output)
        command = rilievo_command("predict", photo, "--model", PUBLISHED, *how)

        def measure() -> Cost:
            shutil.rmtree(output, ignore_errors=True)
            return cost_of(command)

        return measure

    return {
        THEIRS: lambda: cost_of([sys.executable, script, model, photo, settings.work / "d.png"]),
        EXACT: ours("onnxruntime", "fp32"),
        EXACT_FAST: ours("openvino", "fp32"),
        BF16: ours("openvino", "bf16"),
    }


def _rate_table(rates: Mapping[str, list[float]]) -> Table:
    theirs = spread(rates[THEIRS]).median
    return Table(
        columns=("photographs a second", "rate", "times theirs"),
        rows=[
            (name, str(spread(each)), f"{spread(each).median / theirs:.2f}")
            for name, each in rates.items()
        ],
    )


def _bars(costs: Mapping[str, list[Cost]], differences: Mapping[str, float]) -> tuple[Bar, ...]:
    walls = {name: spread([cost.wall for cost in each]).median for name, each in costs.items()}
    peaks = {name: max(peak_of(cost) for cost in each) for name, each in costs.items()}
    cold, memory = walls[THEIRS] / walls[EXACT], peaks[EXACT] / peaks[THEIRS]
    apart = max(differences.values())
    return (
        Bar(
            promise=f"fp32 agrees with theirs to {MOST_DIFFERENCE:.0e} of the range",
            measured=f"{apart:.1e}",
            kept=apart <= MOST_DIFFERENCE,
        ),
        Bar(
            promise=f"a cold start at least {LEAST_COLD_RATIO:.0f} times faster",
            measured=f"{cold:.1f} times",
            kept=cold >= LEAST_COLD_RATIO,
        ),
        Bar(
            promise="at most half of the memory",
            measured=f"{memory:.0%}",
            kept=memory <= MOST_MEMORY,
        ),
    )


def _theirs(model: str, folder: str, output: str) -> float:
    from transformers import pipeline

    estimate = pipeline("depth-estimation", model=model)
    photos = sorted(Path(folder).iterdir())
    Path(output).mkdir(exist_ok=True)
    estimate(str(photos[0]))
    start = time.perf_counter()
    for photo in photos:
        estimate(str(photo))["depth"].save(Path(output) / f"{photo.stem}.png")
    return len(photos) / (time.perf_counter() - start)


def _export(model: str, folder: str, file: str) -> str:
    from rilievo.training.conversion.onnx_export import ExportOptions, export_model

    options = ExportOptions(kind=KIND, precision="int8", calibration=Path(folder))
    return str(export_model(model, file, options).agreement)


def _difference(model: str, path: str, engine: str) -> float:
    """Largest difference of depth at the network's size, as a share of the range."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    from rilievo.io.photographs.photo import read_photo
    from rilievo.models import load_model

    photo = read_photo(Path(path))
    # Their other processor rounds a few pixels of a bicubic resize the other way.
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    network = AutoModelForDepthEstimation.from_pretrained(model)
    with torch.inference_mode():
        said = network(**processor(images=photo.pixels, return_tensors="pt"))
    theirs = said.predicted_depth[0].numpy()
    [ours] = load_model(PUBLISHED, engine=engine).infer([photo])
    assert ours.depth is not None, "a depth model"
    return float(np.abs(ours.depth - theirs).max() / np.ptp(theirs))


_PARTS = {"theirs": _theirs, "export": _export, "difference": _difference}

if __name__ == "__main__":
    print(json.dumps(_PARTS[sys.argv[1]](*sys.argv[2:])))
