"""Edges of models' depth, as ``rilievo predict`` gives it, against true depth.

    RILIEVO_DATA=DATA python lab/studies/evaluate_sharpness.py [MODEL ...] [--shards FOLDER] \
        [--photographs LIST.txt]

Prints a table in Markdown. Depth is scaled by medians. Edges are where neighbours' true depths
differ by more than 10 %; beside them is within 5 pixels. Invented is the share of predicted steps
of 10 % that have no true one within 3 pixels, of all frames of a set. ``--shards`` adds rendered
frames, such as those of ``python -m lab.scenes --count 64 --seed 1099 --size 384 512 -o FOLDER``.
``--photographs`` adds a table without truth: spikes are the pixels outside the sky that a median
over 15x15 pixels moves by more than 0.08 in log depth; of a list of paths below the data, or of
``skimage/NAME``.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import Bool, Float32, UInt8
from PIL import Image
from real_frames import samples
from real_sets import REAL_SETS
from scipy.ndimage import maximum_filter, median_filter

import rilievo
from lab.making.distil.frames.shards import read_shard
from rilievo.errors import RilievoError
from rilievo.evaluation.metrics.boundary import boundary_counts, boundary_f1
from rilievo.evaluation.metrics.pairs import DepthPair
from rilievo.models import DEFAULT_MODEL
from rilievo.models.base import Model
from rilievo.prediction import Prediction
from rilievo.types import Camera, Sample

SETS = ("nyu", "replica-47", "replica-156", "motorcycle", "tartanair", "icl")
MOST_FRAMES = 32
LEAST_KNOWN = 0.2
"""Least share of a frame with true depth."""
BESIDE = 5
EDGE = 1.1
NEAR_STEP = 3
"""Pixels from a true step within which a predicted one is not invented."""
SPIKE, MEDIAN = 0.08, 15
LONGEST = 1024
"""Longer side to which photographs without truth are shrunk [px]."""
COLUMNS = (
    "boundary F1",
    "invented",
    "steps a frame",
    "AbsRel",
    "AbsRel beside edges",
    "AbsRel elsewhere",
    "CPU ms",
)


def invented(
    predicted: Float32[np.ndarray, "h w"],
    true: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
) -> tuple[int, int]:
    """Number of predicted steps, and of those without a true step beside them."""
    near, count, wrong = beside_edges(true, valid, NEAR_STEP), 0, 0
    for axis in (0, 1):
        z, seen, beside = (np.moveaxis(each, axis, 0) for each in (predicted, valid, near))
        low, high = np.minimum(z[1:], z[:-1]), np.maximum(z[1:], z[:-1])
        steps = (high > EDGE * low) & seen[1:] & seen[:-1]
        count += int(steps.sum())
        wrong += int((steps & ~(beside[1:] | beside[:-1])).sum())
    return count, wrong


def beside_edges(
    depth: Float32[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"], reach: int = BESIDE
) -> Bool[np.ndarray, "h w"]:
    """Pixels at most ``reach`` away from an edge of the true depth."""
    edge = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        z, seen, to = (np.moveaxis(each, axis, 0) for each in (depth, valid, edge))
        near, far = np.minimum(z[1:], z[:-1]), np.maximum(z[1:], z[:-1])
        torn = (far > EDGE * near) & seen[1:] & seen[:-1]
        to[1:] |= torn
        to[:-1] |= torn
    return maximum_filter(edge, 2 * reach + 1)


def row(model: Model, frames: Sequence[Sample]) -> list[float]:
    """Scores of a model on a set, one a column."""
    counts = None
    steps, errors, spent = np.zeros(2), [], 0.0
    for sample in frames:
        assert sample.depth is not None
        assert sample.depth_valid is not None
        started = time.process_time()
        photo = np.ascontiguousarray(sample.image)
        depth = rilievo.predict(photo, model=model, camera=sample.camera, trim=False).depth.values
        spent += time.process_time() - started
        valid = sample.depth_valid
        true = np.where(valid, sample.depth, np.float32(1))
        fitted = depth * np.float32(np.median(true[valid] / depth[valid]))
        steps += invented(fitted, true, valid)
        found = boundary_counts(DepthPair(predicted=fitted, true=true, valid=valid))
        counts = found if counts is None else counts + found
        error, edges = np.abs(fitted - true) / true, beside_edges(true, valid)
        parts = (valid, valid & edges, valid & ~edges)
        errors.append([error[part].mean() if part.any() else np.nan for part in parts])
    assert counts is not None
    return [
        boundary_f1(counts, 1),
        steps[1] / max(steps[0], 1),
        steps[0] / len(frames),
        *np.nanmean(np.array(errors), axis=0),
        1000 * spent / len(frames),
    ]


def spikes(prediction: Prediction) -> float:
    """Share of the pixels with depth that a median moves far, and that do not see the sky."""
    depth, sky = prediction.depth, prediction.sky
    logs = np.log(np.where(depth.valid, depth.values, depth.values[depth.valid].max()))
    moved = np.abs(logs - median_filter(logs, MEDIAN)) > SPIKE
    if sky is not None:
        moved &= ~sky
    return float(moved[depth.valid].mean())


def photographs(listed: Path, data: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the photographs of a list."""
    for line in listed.read_text(encoding="utf-8").split("\n"):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        place, _, ours = name.partition("/")
        if place == "skimage":
            image = Image.fromarray(np.asarray(getattr(skimage.data, ours)())[..., :3])
        else:
            image = Image.open(data / name).convert("RGB")
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        yield np.array(image)


def _sets(data: Path, shards: Path | None) -> Iterator[tuple[str, Sequence[Sample]]]:
    for name in SETS:
        try:
            frames = samples(REAL_SETS[name], data, MOST_FRAMES)
        except RilievoError as error:
            print(f"{name} is left out: {error}")
            continue
        yield name, [each for each in frames if _share_known(each) >= LEAST_KNOWN]
    if shards is not None:
        yield "rendered", list(_rendered(shards))


def _share_known(sample: Sample) -> float:
    return 0.0 if sample.depth_valid is None else float(sample.depth_valid.mean())


def _rendered(folder: Path) -> Iterator[Sample]:
    for path in sorted(folder.glob("*.npz")):
        shard = read_shard(path)
        for index in range(len(shard.image)):
            frame = shard.frame(index)
            fx, fy, cx, cy = frame.camera
            yield Sample(
                id=f"{path.stem}-{index}",
                image=frame.image,
                depth=np.exp(frame.log_depth),
                depth_valid=frame.valid,
                camera=Camera(K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])),
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[DEFAULT_MODEL])
    parser.add_argument("--shards", type=Path)
    parser.add_argument("--photographs", type=Path)
    arguments = parser.parse_args()
    data = Path(os.environ["RILIEVO_DATA"])
    models = {name: rilievo.load_model(name) for name in arguments.models}
    print("| set | model | " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---:|" * len(COLUMNS))
    for name, frames in _sets(data, arguments.shards):
        for of, model in models.items():
            cells = " | ".join(f"{value:.3f}" for value in row(model, frames))
            print(f"| {name} | {of} | {cells} |", flush=True)
    if arguments.photographs is not None:
        print("\n| model | spikes | photographs |\n|---|---:|---:|")
        shares = {of: [] for of in models}
        for photo in photographs(arguments.photographs, data):
            for of, model in models.items():
                shares[of].append(spikes(rilievo.predict(photo, model=model)))
        for of, each in shares.items():
            print(f"| {of} | {100 * np.mean(each):.3f} % | {len(each)} |")


if __name__ == "__main__":
    main()
