"""Judge depth of rendered wide pictures: ``python lab/studies/evaluate_panoramas.py [COUNT]``.

Panoramas of random scenes have exact distance all round. Printed as Markdown, for the default model
or the one named by ``--model``: AbsRel after one factor of the panorama, of the same views merged
with their true factors, of views pasted by their medians, and of views with a factor each; steps
across the borders of views, the seam and the poles where the truth has none; a fisheye of 180
degrees against a perspective frame from the same place; time and memory of a panorama of 4096x2048.
"""

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Bool, Float32, Float64
from PIL import Image

import rilievo
from lab.scenes.wide import render_wide
from rilievo.alignment.fit import least_absolute_line
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.geometry.cameras.fisheye import equidistant_fisheye
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models import DEFAULT_MODEL, load_model
from rilievo.models.base import Inference, Model
from rilievo.models.wide_photographs.sphere_scales import Layers, merge_layers, row_latitudes
from rilievo.models.wide_photographs.sphere_views import (
    SpherePicture,
    SphereView,
    icosahedron_views,
)
from rilievo.models.wide_photographs.wide_views import align_views, draw_layers, smooth_view_map
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo, Sample

SIZE = (512, 1024)
ROWS = 256
FARTHEST = 80.0
FLAT = 0.01
"""Largest relative step of the truth that counts as none."""
FIRST_SEED = 1000
PICTURED = 1004
AFFINE = ("as it is", "each view as inverse depth with its own scale and shift")
MAPS = ("panorama", "true factors", "medians", "a factor each")


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Value at which half of the weight is reached."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def abs_rel(logs: np.ndarray, true: np.ndarray, valid: np.ndarray, area: np.ndarray) -> float:
    """AbsRel after one factor, the median; every solid angle counts alike."""
    error, weight = (logs - true)[valid], area[valid]
    ratio = np.exp(error - weighted_median(error, weight))
    return float((weight * np.abs(ratio - 1)).sum() / weight.sum())


def truth_of(
    sample: Sample, rows: int
) -> tuple[Float64[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Logarithm of true distance on a grid, and where it is known, at the nearest pixels."""
    assert sample.depth is not None
    assert sample.depth_valid is not None
    step = sample.depth.shape[0] // rows
    there = (slice(step // 2, None, step), slice(step // 2, None, step))
    depth = sample.depth[there]
    valid = sample.depth_valid[there] & (depth < FARTHEST)
    return np.log(np.where(valid, depth, 1.0)), valid


def pasted(layers: Layers, factors: Sequence[float]) -> Float32[np.ndarray, "h w"]:
    """Views times factors, each place from the view that has it nearest to its middle."""
    nearest = layers.weights.argmax(axis=0)[None]
    shifted = layers.values + np.array(factors, np.float32)[:, None, None]
    return np.take_along_axis(shifted, nearest, 0)[0]


def scores(model: Model, sample: Sample) -> tuple[list[float], float]:
    """AbsRel of each of ``MAPS``, and the 95th percentile of false steps between views."""
    views, kind = icosahedron_views(upright=True), model.kind or DepthKind.UP_TO_SCALE
    answers = answers_to(model, sample, views)
    raw = draw_layers([smooth_view_map(each, kind) for each in answers], views, ROWS)
    solved = draw_layers(align_views(answers, views, kind), views, ROWS)
    true, valid = truth_of(sample, ROWS)
    area = np.cos(row_latitudes(ROWS))[:, None] * np.ones((1, 2 * ROWS))
    factors = []
    for values, weights in zip(raw.values, raw.weights, strict=True):
        seen = (weights > 0) & valid
        known = weighted_median((true - values)[seen], (area * weights)[seen]) if seen.any() else 0
        factors.append(known)
    medians = [-float(np.median(v[w > 0])) for v, w in zip(raw.values, raw.weights, strict=True)]
    right = replace(raw, values=raw.values + np.array(factors, np.float32)[:, None, None])
    whole = merge_layers(solved)
    maps = (whole, merge_layers(right), pasted(raw, medians), pasted(raw, factors))
    return [abs_rel(each, true, valid, area) for each in maps], false_steps(
        whole, true, valid, solved
    )


def affine_scores(model: Model, sample: Sample, seed: int) -> list[float]:
    """AbsRel of inverse distance after one scale and shift of the panorama.

    First of the network's depth as it is, then of its inverse with a random scale and shift a view.
    """
    views, draw = icosahedron_views(upright=True), np.random.default_rng(seed)
    answers = answers_to(model, sample, views)
    affine = []
    for answer in answers:
        assert answer.depth is not None
        values = draw.uniform(0.5, 2) / answer.depth
        values += draw.uniform(-1, 1) * float(np.diff(np.percentile(values, (2, 98)))[0])
        affine.append(replace(answer, depth=values.astype(np.float32)))
    true, valid = truth_of(sample, ROWS)
    area = (np.cos(row_latitudes(ROWS))[:, None] * np.ones((1, 2 * ROWS)))[valid]
    inverse, errors = np.exp(-true[valid]), []
    for layers, kind in ((answers, DepthKind.UP_TO_SCALE), (affine, DepthKind.AFFINE_INVERSE)):
        whole = np.exp(
            -merge_layers(draw_layers(align_views(layers, views, kind), views, ROWS))[valid]
        )
        scale, shift = least_absolute_line(whole.astype(np.float64), inverse, area / inverse)
        errors.append(float((area * np.abs(scale * whole + shift - inverse) / inverse).sum()))
    return [error / float(area.sum()) for error in errors]


def answers_to(model: Model, sample: Sample, views: Sequence[SphereView]) -> list[Inference]:
    """Answers of the network to views of a panorama."""
    lens = panorama(SIZE)
    side = int(2 * lens.focal)
    picture = SpherePicture(sample.image, lens, pixels_a_radian=side / 2)
    return model.infer(
        [
            Photo(pixels=picture.render_view(view, side), camera=Camera(K=view.K(side)))
            for view in views
        ]
    )


def false_steps(whole: np.ndarray, true: np.ndarray, valid: np.ndarray, layers: Layers) -> float:
    """95th percentile of relative steps between views, at the seam and at the poles."""
    nearest = layers.weights.argmax(axis=0)
    found = []
    across = (np.roll(nearest, -1, 1) != nearest) & valid & np.roll(valid, -1, 1)
    across[:, -1] = valid[:, -1] & valid[:, 0]
    flat = np.abs(np.roll(true, -1, 1) - true) < FLAT
    found.append((np.roll(whole, -1, 1) - whole)[across & flat])
    down = (nearest[1:] != nearest[:-1]) & valid[1:] & valid[:-1]
    flat = np.abs(np.diff(true, axis=0)) < FLAT
    found.append(np.diff(whole, axis=0)[down & flat])
    for row in (0, -1):
        over = np.roll(whole[row], whole.shape[1] // 2) - whole[row]
        there = np.roll(true[row], true.shape[1] // 2) - true[row]
        found.append(over[(np.abs(there) < FLAT) & valid[row]])
    return float(np.quantile(np.expm1(np.abs(np.concatenate(found))), 0.95))


def fisheye_and_frame(model: Model, seed: int) -> tuple[float, float]:
    """AbsRel after one factor of a fisheye of 180 degrees in the field of a frame, and of that."""
    shape = (240, 320)
    frame_lens = Pinhole(K_from_fov(70.0, shape))
    frame = render_wide(seed, frame_lens, shape)
    lens = equidistant_fisheye((512, 512), 180)
    wide = render_wide(seed, lens, (512, 512))
    errors = []
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    rays = frame_lens.rays(np.stack([u, v]))
    there = np.rint(lens.project(rays)).astype(int)
    for sample, own, at in ((wide, lens, (there[1], there[0])), (frame, frame_lens, ...)):
        found = model.predict_raw([Photo(pixels=sample.image, camera=Camera(lens=own))])[0].depth
        assert sample.depth is not None
        assert sample.depth_valid is not None
        valid = (sample.depth_valid & found.valid & (sample.depth < FARTHEST))[at]
        true, logs = (np.log(np.maximum(each, 1e-6))[at] for each in (sample.depth, found.values))
        errors.append(abs_rel(logs, true, valid, np.ones(valid.shape)))
    return errors[0], errors[1]


def cost(model: Model, sample: Sample) -> tuple[float, float, float]:
    """CPU seconds of a panorama and of a photograph, and the process's largest memory [MB]."""
    image = Image.fromarray(sample.image)
    large = np.asarray(image.resize((4096, 2048), Image.Resampling.BICUBIC))
    small = np.ascontiguousarray(np.asarray(image.resize((1280, 640)))[80:560, 320:960])
    times: dict[str, list[float]] = {"equirect": [], "pinhole": []}
    for _ in range(5):
        for name, pixels in (("equirect", large), ("pinhole", small)):
            started = time.process_time()
            rilievo.predict(pixels, model=model, projection=name)
            times[name].append(time.process_time() - started)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        float(np.median(times["equirect"][1:])),
        float(np.median(times["pinhole"][1:])),
        memory,
    )


def write_picture(model: Model, seed: int, path: Path) -> None:
    """Write a panorama above its depth."""
    sample = render_wide(seed, panorama(SIZE), SIZE)
    found = rilievo.predict(sample.image, model=model, projection="equirect")
    with TemporaryDirectory() as folder:
        found.save(Path(folder) / "room", ["colour"])
        drawn = np.asarray(Image.open(Path(folder) / "room.depth.png").convert("RGB"))
    both = Image.fromarray(np.concatenate([sample.image, drawn]))
    both.resize((800, 800), Image.Resampling.LANCZOS).save(path, quality=80)


def print_affine(model: Model, seeds: range) -> None:
    """Print what a scale and a shift a view cost."""
    samples = ((seed, render_wide(seed, panorama(SIZE), SIZE)) for seed in seeds)
    means = np.mean([affine_scores(model, sample, seed) for seed, sample in samples], axis=0)
    print(f"Rendered panoramas of seeds {seeds[0]} to {seeds[-1]}, model {model.name}; AbsRel of")
    print("inverse distance after a scale and a shift of the panorama\n")
    print("| depth | AbsRel |\n|---|---|")
    for name, mean in zip(AFFINE, means, strict=True):
        print(f"| {name} | {mean:.3f} |")


def main() -> None:
    """Render, predict and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=20, help="panoramas (20)")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first (1000)")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model to judge")
    parser.add_argument("--affine", action="store_true", help="judge affine values alone")
    parser.add_argument("--picture", type=Path, help="picture of one panorama to write instead")
    given = parser.parse_args()
    model = load_model(given.model)
    if given.picture is not None:
        return write_picture(model, PICTURED, given.picture)
    model.infer([Photo(pixels=np.zeros((64, 64, 3), np.uint8))])
    if given.affine:
        return print_affine(model, range(given.first, given.first + given.count))
    first = render_wide(given.first, panorama(SIZE), SIZE)
    last = given.first + given.count - 1
    print(f"Rendered panoramas of seeds {given.first} to {last}, model {model.name}\n", flush=True)
    large, small, memory = cost(model, first)
    print(
        f"4096x2048: {large:.2f} s of CPU, {large / small:.0f} times a 640x480 photograph "
        f"({small:.3f} s); {memory:.0f} MB\n",
        flush=True,
    )
    rows, steps, pairs = [], [], []
    for seed in range(given.first, last + 1):
        sample = first if seed == given.first else render_wide(seed, panorama(SIZE), SIZE)
        found, step = scores(model, sample)
        rows.append(found)
        steps.append(step)
        pairs.append(fisheye_and_frame(model, seed))
    means = np.mean(rows, axis=0)
    print("| | AbsRel | panorama's, relative |\n|---|---|---|")
    for name, mean in zip(MAPS, means, strict=True):
        print(f"| {name} | {mean:.3f} | {means[0] / mean:.2f} |")
    wide, frame = np.mean(pairs, axis=0)
    print(f"\nFalse steps between views, 95th percentile: {100 * np.mean(steps):.1f}%")
    print(f"Fisheye {wide:.3f}, perspective frame {frame:.3f}: {wide / frame:.2f}")


if __name__ == "__main__":
    main()
