"""Scores of every benchmark at every size of predictions, read from files as users have them.

``RILIEVO_DATA=... PYTHONPATH=tests python -m support.scores_on_file`` compares all with
``scores_on_file.json``, to the bit; with ``--write`` it stores them. Depth of a made
room, a made street and, with the recorded frames, of one real room and one real street lies in
folders as 16-bit PNG, and predictions as npy, npz and 16-bit PNG files.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from math import gcd
from os import environ
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, RilievoError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.benchmarks.metric_choice import needs_confidence
from rilievo.evaluation.foreign_confidence import ForeignConfidence, Meaning
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.records import Unscored
from rilievo.evaluation.scoring.regions import model_window, truth_in_view, truth_size
from rilievo.evaluation.scoring.score_job import make_score_job, needs_scenes
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding

BOOK = Path(__file__).with_suffix(".json")
REAL = {
    "real room": ("nyu_metric3d/depth/sync_depth_00000.png", 0.001, 518.8579),
    "real street": ("kitti_depth_metric3d/depth/0000000050.png", 1 / 256, 721.5377),
}
OUTPUT_FOLDER = {
    "room": ((480, 640), 0.001, 8.0, 518.8579),
    "street": ((375, 1242), 1 / 256, 70.0, 721.5377),
}
KINDS = ("metric", "affine_inverse", "disparity", "counts")


Scores = dict[str, str]


def sizes_of(shape: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Sizes (height, width) of predictions for a picture, by their names."""
    height, width = shape
    part = (round(height * 0.61), round(width * 0.61))
    sizes = {"same": shape, "half": (height // 2, width // 2), "0.61": part}
    if width > 2 * height:
        sizes |= {f"{h}x{w}": (h, w) for h, w in ((192, 640), (320, 1024), (378, 1246))}
    return sizes


def write_frames(folder: Path, frame: str) -> None:
    """Depth files of two frames of a scene, with the layout that says what they are."""
    for part in ("images", "depth", "normals"):
        (folder / part / "s").mkdir(parents=True, exist_ok=True)
    if frame in REAL:
        place, scale, focal = REAL[frame]
        with Image.open(Path(environ["RILIEVO_DATA"]) / place) as image:
            counts = np.array(image).astype(np.uint16)
        frames = [counts, np.roll(counts, 3, axis=1)]
    else:
        shape, scale, far, focal = OUTPUT_FOLDER[frame]
        frames = [np.rint(_made(shape, far, seed) / scale).astype(np.uint16) for seed in (0, 1)]
    for name, counts in zip("ab", frames, strict=True):
        Image.fromarray(counts).save(folder / f"depth/s/{name}.png")
        Image.fromarray(np.zeros((*counts.shape, 3), np.uint8)).save(
            folder / f"images/s/{name}.png"
        )
        depth = np.where(counts, counts, 1) * np.float32(scale)
        np.save(folder / f"normals/s/{name}.npy", np.moveaxis(_tilted(depth), 0, 2))
    height, width = frames[0].shape
    (folder / "rilievo.yaml").write_text(
        f"depth: {{file: 'depth/{{id}}.png', scale: {scale}}}\n"
        "normals: {file: 'normals/{id}.npy'}\nscene: 1\n"
        f"camera: {{fx: {focal}, cx: {width / 2}, cy: {height / 2}}}\n"
    )


def _made(shape: tuple[int, int], far: float, seed: int) -> np.ndarray:
    """Depth [m] with steps, slopes and holes."""
    chance = np.random.default_rng(seed)
    v, u = np.mgrid[: shape[0], : shape[1]]
    share = 0.5 + 0.25 * np.sin((u + 3 * seed) / 40) + 0.25 * np.cos(v / 60)
    depth = 0.6 + (far - 0.6) * share
    depth = np.where((u // 90 + v // 70) % 3 == 0, depth * 0.6, depth)
    return np.where(chance.random(shape) > 0.9, depth, 0)


def _tilted(depth: np.ndarray) -> np.ndarray:
    """Unit normals that differ from pixel to pixel."""
    across, down = np.sin(depth * 2), np.cos(depth * 3)
    vectors = np.stack([across, down, -1.5 * np.ones_like(depth)])
    return (vectors / np.linalg.norm(vectors, axis=0)).astype(np.float32)


def _of_size(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest pixels of a map at another size."""
    rows = ((np.arange(size[0]) + 0.5) * values.shape[-2] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * values.shape[-1] / size[1]).astype(int)
    return values[..., rows[:, None], columns]


def write_predictions(
    folder: Path, data: Dataset, size: tuple[int, int], kind: str, what: str
) -> None:
    """Files of one kind for every frame: depth, depth with confidence, normals or points."""
    (folder / "s").mkdir(parents=True, exist_ok=True)
    for place, id in enumerate(data.ids):
        truth = data.truth(id)
        assert truth.depth is not None
        chance = np.random.default_rng(7 + place)
        smooth = np.where(truth.depth > 0, truth.depth, np.float32(3))
        depth = _of_size(smooth.astype(np.float64), size)
        depth = depth * 1.2 * np.exp(chance.normal(0, 0.12, size))
        values = {
            "metric": depth,
            "counts": np.rint(depth * 500),
            "affine_inverse": 30 / depth + 4,
            "disparity": 30 / depth,
        }[kind].astype(np.uint16 if kind == "counts" else np.float32)
        path = folder / f"{id}.npy"
        if what == "normals":
            np.save(path, _tilted(depth))
        elif what == "points":
            v, u = np.mgrid[: size[0], : size[1]].astype(np.float32)
            rays = np.stack([u / size[1] - 0.5, v / size[0] - 0.5, np.ones(size)], axis=2)
            np.save(path, (rays * values[..., None]).astype(np.float32))
        elif what == "confidence":
            sure = np.exp(-np.abs(np.log(depth / np.roll(depth, 1, axis=0)))).astype(np.float32)
            np.savez(path.with_suffix(".npz"), depth=values, confidence=sure)
        elif kind == "counts":
            Image.fromarray(values).save(path.with_suffix(".png"))
        else:
            np.save(path, values)


def scores_of(frame: str, names: Sequence[str] | None = None) -> Iterator[tuple[str, Scores]]:
    """Scores of both frames by each benchmark, kind and size."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "data")
        write_frames(root, frame)
        data = open_dataset("folder", root)
        depth = data.truth(data.ids[0]).depth
        assert depth is not None
        for name in BENCHMARKS.own if names is None else names:
            benchmark = find(name)
            try:
                shown = model_window(benchmark.input_crop, (depth.shape[0], depth.shape[1])).shape
            except InputError:
                continue
            for label, size in sizes_of(shown).items():
                for kind in KINDS:
                    found = _scores(benchmark, data, Path(scratch), size, kind)
                    if found:
                        yield f"{frame}, {label}, {name}, {kind}", found


def find(name: str) -> Benchmark:
    """A benchmark, of any dataset."""
    return replace(BENCHMARKS[name], dataset="folder", split="all", variant="default")


def _scores(
    benchmark: Benchmark, data: Dataset, scratch: Path, size: tuple[int, int], kind: str
) -> Scores:
    """Scores by frame and metric, or the reason of a refusal; none where nothing fits."""
    task = benchmark.task
    if task in (Task.CAMERA, Task.ORDER) or (task is Task.NORMALS and kind != "metric"):
        return {}
    what = {Task.NORMALS: "normals", Task.POINTS: "points"}.get(task, "depth")
    sure = None
    if needs_confidence(benchmark):
        if what == "normals":
            return {}
        what, sure = "confidence", ForeignConfidence(meaning=Meaning.PROBABILITY)
    if (what == "points" and kind in ("disparity", "counts")) or (sure and kind == "counts"):
        return {}
    folder = scratch / f"{kind}-{what}-{size[0]}x{size[1]}"
    if not folder.exists():
        write_predictions(folder, data, size, kind, what)
    stated = "metric" if kind == "counts" else kind
    stored = ValueEncoding(
        number_kind=None if what == "normals" else NumberKind(stated),
        scale=0.002 if kind == "counts" else None,
    )
    crop = "resized" if _is_resized(benchmark, data, size) else None
    files = open_predictions(
        folder, data.ids, value_encoding=stored, task=task, confidence_source=sure, crop=crop
    )
    # One frame is enough where frames do not depend on each other.
    ids = [*data.ids] if needs_scenes(benchmark) else [*data.ids[:1]]
    try:
        job, ids = make_score_job(benchmark, data, files, ids)
        answers = [job.score(id) for id in ids]
    except RilievoError:
        return {"refused": "all"}
    found: Scores = {}
    for answer in answers:
        if isinstance(answer, Unscored):
            found[answer.id] = "refused"
            continue
        score = answer.score
        numbers = {**score.values, "pixels": score.pixels, "scale": score.scale or 0.0}
        found |= {f"{score.id} {key}": float(value).hex() for key, value in numbers.items()}
    # A kind that a benchmark refuses is no row.
    return (
        {}
        if all(value == "refused" for value in found.values())
        and _is_refused(benchmark, stored.kind)
        else found
    )


def _is_resized(benchmark: Benchmark, data: Dataset, size: tuple[int, int]) -> bool:
    """Whether a network may round the sides of what the benchmark shows to this size."""
    shown = truth_size(truth_in_view(benchmark, data.truth(data.ids[0])))
    if size == shown:
        return False
    step = min(gcd(*size), 64)
    least = max((side - step) / whole for side, whole in zip(size, shown, strict=True))
    most = min((side + step) / whole for side, whole in zip(size, shown, strict=True))
    ratio = (size[1] / size[0]) / (shown[1] / shown[0])
    return abs(ratio - 1) <= 0.04 and least < most


def _is_refused(benchmark: Benchmark, kind: object) -> bool:
    return benchmark.task in (Task.DEPTH, Task.POINTS, Task.STABILITY) and (
        kind not in benchmark.alignment
    )


def frames() -> list[str]:
    """All frames, the real ones where the recorded ones are."""
    return [*OUTPUT_FOLDER, *(REAL if "RILIEVO_DATA" in environ else {})]


def row_of(found: Scores) -> str:
    """A row of the book: a digest of all its scores to the bit, and the first of them."""
    digest = sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]
    first = next(iter(found.values()))
    return f"{digest} {first if first.isalpha() else float.fromhex(first)!r}"


def differences(frame: str, names: Sequence[str] | None, *, within: float = 0.0) -> list[str]:
    """Rows that differ from the stored ones: in any bit, or the first score by ``within``."""
    book = json.loads(BOOK.read_text(encoding="utf-8"))
    return [
        row
        for row, found in scores_of(frame, names)
        if not _same(row_of(found), book.get(row, ""), within)
    ]


def _same(one: str, other: str, within: float) -> bool:
    if one == other or not within:
        return one == other
    first, second = (text.partition(" ")[2] for text in (one, other))
    if not second or first.isalpha() or second.isalpha():
        return first == second
    return abs(float(first) - float(second)) <= within * abs(float(second))


def main(arguments: Sequence[str]) -> int:
    """Compare or store, and say how many rows there are."""
    if "--write" in arguments:
        rows = {row: row_of(found) for frame in frames() for row, found in scores_of(frame)}
        BOOK.write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")
        sys.stdout.write(f"{len(rows)} rows stored\n")
        return 0
    count = 0
    for frame in frames():
        different = differences(frame, None)
        count += len(different)
        sys.stdout.write("\n  ".join([f"{frame}: {len(different)} rows differ", *different[:20]]))
        sys.stdout.write("\n")
        sys.stdout.flush()
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
