"""Effect of sharpening, against true depth: edges, errors near and away from them, walls, meshes.

Rows: ``off``, ``on``, and where the model tells of steps also ``on, steps unasked``. Invented is
the share of predicted steps of 10 % that have no true one within 3 pixels, of all frames of a set.

``RILIEVO_DATA=DATA python tools/evaluate_sharpness.py [--model NAME] [--rendered 50]`` prints a
table in Markdown for each set. Depth is scaled by medians. Edges
are where neighbours' true depths differ by more than 10 %; beside them is within 5 pixels.
``--oracle`` puts the true depth, at the network's size, in place of the answer: what is then wrong
is the size's and the sharpening's, and no network could mend it.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image
from real_frames import samples
from real_sets import REAL_SETS

from rilievo.errors import RilievoError
from rilievo.evaluation.metrics.boundary import boundary_counts, boundary_f1
from rilievo.evaluation.metrics.pairs import DepthPair
from rilievo.geometry.normals import normals_from_depth
from rilievo.geometry.surfaces.surface import mesh
from rilievo.io.photographs.exif import assumed_camera
from rilievo.models import DEFAULT_MODEL, load_model
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.processing.edge_snapping import window
from rilievo.models.processing.sharpening import Sharpened
from rilievo.prediction import Prediction
from rilievo.types import Photo, Sample
from scenes import Kind, make_textures, render, scikit_image_photographs

SETS = ("nyu", "replica-47", "replica-156", "motorcycle", "tartanair", "icl")
MOST_FRAMES = 32
FIRST_SEED = 900_000
BESIDE = 5
EDGE = 1.1
WALL = 5.0
"""Largest angle [degrees] between true normals within 4 pixels on a flat wall."""
OFF = 0.02
_LOCAL = 20
NEAR_STEP = 3
"""Pixels from a true step within which a predicted one is not invented."""
COLUMNS = (
    "steps a frame",
    "invented",
    "boundary F1",
    "AbsRel beside edges",
    "AbsRel elsewhere",
    "delta1 beside",
    "delta1 elsewhere",
    "roughness of walls [deg]",
    "mesh off by > 2 %",
)


class Unasked(WrappedModel):
    """Sharpening that does not hear what the network says of steps."""

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network."""
        return self.model.infer(photos)

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        """Finish an answer without its steps."""
        return self.model.finish(replace(inference, steps=None), photo)


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
    return window(edge, np.logical_or, reach)


def scores(
    predicted: Float32[np.ndarray, "h w"], sample: Sample, walls: Bool[np.ndarray, "h w"]
) -> list[float]:
    """Scores, one a column; NaN where the sample has nothing to score."""
    true, valid, camera = sample.depth, sample.depth_valid, sample.camera
    assert true is not None
    assert valid is not None
    true = np.where(valid, true, np.float32(1))
    fitted = predicted * np.float32(np.median(true[valid] / predicted[valid]))
    edges = beside_edges(true, valid)
    error, ratio = np.abs(fitted - true) / true, np.maximum(fitted / true, true / fitted)
    parts = [valid & edges, valid & ~edges]
    pair = DepthPair(predicted=fitted, true=true, valid=valid)
    K = (camera or assumed_camera(true.shape)).K
    return [
        boundary_f1(boundary_counts(pair), 1),
        *(_mean(error, part) for part in parts),
        *(_mean(ratio < 1.25, part) for part in parts),
        _roughness(fitted, K, walls),
        _area_off(fitted, true, valid, K),
    ]


def flat_walls(sample: Sample) -> Bool[np.ndarray, "h w"]:
    """Pixels whose true normals hardly turn within 4 pixels, away from edges."""
    depth, valid = sample.depth, sample.depth_valid
    assert depth is not None
    assert valid is not None
    K = (sample.camera or assumed_camera(depth.shape)).K
    normals, known = normals_from_depth(np.where(valid, depth, np.float32(1)), K, window=9)
    known &= valid & ~beside_edges(depth, valid)
    turn = np.zeros(depth.shape, np.float32)
    for component in normals:
        clean = np.where(known, component, np.float32(0))
        turn += (window(clean, np.maximum, 4) - window(clean, np.minimum, 4)) ** 2
    return known & (turn < np.radians(WALL) ** 2)


def _roughness(
    depth: Float32[np.ndarray, "h w"], K: np.ndarray, walls: Bool[np.ndarray, "h w"]
) -> float:
    """Median angle between the normals of neighbouring pixels on flat walls [degrees]."""
    normals, known = normals_from_depth(depth, K, window=3)
    cosine = np.clip((normals[:, :, 1:] * normals[:, :, :-1]).sum(axis=0), -1, 1)
    both = (known & walls)[:, 1:] & (known & walls)[:, :-1]
    return float(np.degrees(np.arccos(cosine[both])).mean()) if both.any() else np.nan


def _area_off(
    depth: Float32[np.ndarray, "h w"],
    true: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    K: np.ndarray,
) -> float:
    """Share of the mesh's area that is farther than 2 % from the true surface.

    The distance is along the ray, to the nearest true depth within 3 pixels, so that a surface
    slightly off an edge counts as right and one between two surfaces does not. Depth is first
    multiplied by the mean true ratio within 20 pixels, because edges are tested here, not rooms.
    """
    shown = valid.astype(np.float32)
    local = window(shown * np.log(true / depth), np.add, _LOCAL)
    surface = mesh(depth * np.exp(local / np.maximum(window(shown, np.add, _LOCAL), 1)), K, valid)
    if not len(surface.triangles):
        return np.nan
    corners = surface.points[surface.triangles]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    u, v = np.rint(surface.pixels[surface.triangles].mean(axis=1)).astype(int).T
    z = corners[:, :, 2].mean(axis=1)
    off = np.full(z.shape, np.inf)
    for dv in (-3, 0, 3):
        for du in (-3, 0, 3):
            row = np.clip(v + dv, 0, true.shape[0] - 1)
            column = np.clip(u + du, 0, true.shape[1] - 1)
            apart = np.abs(z / true[row, column] - 1)
            off = np.minimum(off, np.where(valid[row, column], apart, np.inf))
    return float(area[off > OFF].sum() / area.sum())


def shrunk(sample: Sample, answer: Inference) -> Float32[np.ndarray, "a b"]:
    """Mean of the logarithms of true depth at an answer's size; holes have the median."""
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert answer.depth is not None
    median = np.median(sample.depth[sample.depth_valid])
    whole = np.log(np.where(sample.depth_valid, sample.depth, median).astype(np.float32))
    size = answer.depth.shape[::-1]
    return np.exp(np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BOX)))


def _mean(values: np.ndarray, where: Bool[np.ndarray, "h w"]) -> float:
    return float(values[where].mean()) if where.any() else np.nan


def _sets(data: Path, rendered: int) -> Iterator[tuple[str, Sequence[Sample]]]:
    for name in SETS:
        try:
            yield name, samples(REAL_SETS[name], data, MOST_FRAMES)
        except RilievoError as error:
            print(f"{name} is left out: {error}")
    if rendered:
        bank = make_textures(scikit_image_photographs())
        seeds = range(FIRST_SEED, FIRST_SEED + rendered)
        for name, kind in (("rendered", Kind.ALL), ("false-edges", Kind.FALSE_EDGES)):
            yield name, [render(seed, size=(480, 640), textures=bank, kind=kind) for seed in seeds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rendered", type=int, default=50)
    parser.add_argument("--oracle", action="store_true")
    arguments = parser.parse_args()
    plain = load_model(arguments.model)
    models: dict[str, Model] = {"off": plain, "on": Sharpened(plain)}
    if plain.card.steps:
        models["on, steps unasked"] = Unasked(Sharpened(plain))
    spent = dict.fromkeys(models, 0.0)
    print("| set | sharp | " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---:|" * len(COLUMNS))
    count = 0
    for name, frames in _sets(Path(os.environ["RILIEVO_DATA"]), arguments.rendered):
        rows: dict[str, list[list[float]]] = {key: [] for key in models}
        for sample in frames:
            if (
                sample.depth is None
                or sample.depth_valid is None
                or sample.depth_valid.mean() < 0.2
            ):
                continue
            count += 1
            photo = Photo(pixels=sample.image, camera=sample.camera)
            [answer] = plain.infer([photo])
            if arguments.oracle:
                answer = Inference(depth=shrunk(sample, answer))
            walls = flat_walls(sample)
            for key, model in models.items():
                started = time.process_time()
                depth = model.finish(answer, photo).depth
                spent[key] += time.process_time() - started
                true = np.where(sample.depth_valid, sample.depth, np.float32(1))
                found = invented(depth.values, true, sample.depth_valid)
                rows[key].append([*found, *scores(depth.values, sample, walls)])
        for key, each in rows.items():
            means = np.nanmean(np.array(each), axis=0)
            means[1] /= max(means[0], 1)
            print(f"| {name} | {key} | " + " | ".join(f"{value:.4f}" for value in means) + " |")
    added = (spent["on"] - spent["off"]) / max(count, 1)
    print(f"\nadded: {1000 * added:.0f} CPU-ms a frame, {count} frames")


if __name__ == "__main__":
    main()
