"""Outlines of things in pictures of depth: their width and roughness, and splinters.

Width: at ridges of the gradient of inverse depth, the step across 4% of the diagonal to both sides
over the steepest slope on the way, in % of the diagonal; only steps of at least a quarter of the
photograph's range count. A halo is a photograph whose outlines have a median width of ``HALO`` or
more. Roughness: the length of outlines over their length after smoothing by 4 px. It is 1 for
smooth curves, and a body has one smooth outline. Splinters: share [%] of pixels, sky left out, that
a median of 15x15 px moves by more than 0.08 in log depth.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64
from judge_rows import Rows
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates, median_filter
from skimage.measure import find_contours

import rilievo
from rilievo.models.base import Model

HALO = 2.0
"""Width [% of the diagonal] from which outlines are a halo."""
_SIDE, _BLUR, _STEEP, _POINTS = 480, 0.7, 90, 6000
_REACH, _STEP, _FEWEST = 0.04, 0.25, 30
_WINDOW, _MOVED, _SKY = 15, 0.08, 0.3
_LEVELS = np.arange(0.15, 0.95, 0.1)
"""Levels of inverse depth, as shares of the photograph's range, whose contours are outlines."""
_SMOOTHING, _ACROSS, _SHORTEST = 4.0, 6.0, 12
"""Deviation of the smoothing, distance to both sides over which an outline is a step, and length of
the shortest outline that counts [px]."""
CHOSEN = {"photos_cameras": ("*.jpg", 5), "photos_kodak24": ("*.png", 4)}
"""Folders of photographs, and the step between those of the first group."""


def photographs(data: Path) -> dict[str, list[Path]]:
    """Photographs of the group by which outlines are developed, and all others."""
    chosen: list[Path] = []
    others: list[Path] = []
    for folder, (pattern, step) in CHOSEN.items():
        for place, path in enumerate(sorted((data / folder).glob(pattern))):
            (others if place % step else chosen).append(path)
    return {"chosen": chosen, "others": others}


def outline_rows(model: Model, paths: Sequence[Path], group: str) -> Rows:
    """Score outlines of photographs."""
    rows = Rows()
    for path in paths:
        prediction = rilievo.predict(path, model=model)
        depth = np.asarray(prediction.depth.values, np.float64)
        sky = prediction.sky
        land = np.ones(depth.shape, bool) if sky is None else np.asarray(sky) <= _SKY
        width = outline_width(depth)
        rows.add("outline", group, width)
        rows.add("halo", group, width if np.isnan(width) else float(width >= HALO))
        rows.add("splinters", group, splinters(depth, land))
        rows.add("roughness", group, outline_roughness(depth))
    return rows


def outline_width(depth: Float64[np.ndarray, "h w"]) -> float:
    """Median width of outlines [% of the diagonal]; NaN where there are few."""
    widths = _widths(_inverse_depth(depth))
    return float(np.median(widths)) if len(widths) >= _FEWEST else float("nan")


def _inverse_depth(depth: Float64[np.ndarray, "h w"]) -> Float32[np.ndarray, "a b"]:
    """Inverse depth from 0 (farthest) to 1, at most ``_SIDE`` px wide and high."""
    valid = np.isfinite(depth) & (depth > 0)
    inverse = 1 / np.where(valid, depth, np.nan)
    low, high = np.nanpercentile(inverse, [1, 99])
    share = np.nan_to_num(np.clip((inverse - low) / (high - low), 0, 1)).astype(np.float32)
    scale = _SIDE / max(depth.shape)
    size = round(depth.shape[1] * scale), round(depth.shape[0] * scale)
    return np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BOX))


def _widths(inverse: Float32[np.ndarray, "a b"]) -> Float64[np.ndarray, "_"]:
    picture = gaussian_filter(inverse, _BLUR)
    down, across = np.gradient(picture)
    slope = np.hypot(across, down)
    diagonal = np.hypot(*picture.shape)
    reach = int(_REACH * diagonal)
    rows, columns = np.where(slope > np.percentile(slope, _STEEP))
    drawn = np.random.default_rng(0).permutation(len(rows))[:_POINTS]
    rows, columns = rows[drawn, None], columns[drawn, None]
    way = np.arange(-reach, reach + 1) / slope[rows, columns]
    places = [rows + down[rows, columns] * way, columns + across[rows, columns] * way]
    profile = map_coordinates(picture, places, order=1, mode="nearest")
    rise = np.diff(profile, axis=1)
    step = np.ptp(profile, axis=1)
    ridge = (np.abs(rise.argmax(axis=1) - reach + 0.5) <= 1) & (step > _STEP)
    return (step / rise.max(axis=1))[ridge] / diagonal * 100


def splinters(depth: Float64[np.ndarray, "h w"], land: Bool[np.ndarray, "h w"]) -> float:
    """Share [%] of the land that a median moves."""
    valid = np.isfinite(depth) & (depth > 0)
    logs = np.log(np.where(valid, depth, 1))
    moved = np.abs(logs - median_filter(logs, _WINDOW)) > _MOVED
    counted = valid & land
    return 100 * float(moved[counted].mean()) if counted.any() else 0.0


def outline_roughness(depth: Float64[np.ndarray, "h w"]) -> float:
    """Length of outlines over their length after smoothing; NaN if there are none."""
    inverse = _inverse_depth(depth)
    contours = [line for level in _LEVELS for line in find_contours(inverse, level)]
    lengths = np.array([_lengths_at_steps(line, inverse) for line in contours]).reshape(-1, 2)
    length, smoothed = lengths.sum(axis=0)
    return float(length / smoothed) if smoothed > 0 else float("nan")


def _lengths_at_steps(
    contour: Float64[np.ndarray, "n 2"], inverse: Float32[np.ndarray, "a b"]
) -> tuple[float, float]:
    """Length [px] of a contour where it lies at a step, and the same after smoothing."""
    travelled = np.append(0, np.cumsum(np.hypot(*np.diff(contour, axis=0).T)))
    if travelled[-1] < _SHORTEST:
        return 0.0, 0.0
    at = np.arange(0, travelled[-1])
    line = np.stack([np.interp(at, travelled, each) for each in contour.T], axis=1)
    is_closed = np.hypot(*(contour[0] - contour[-1])) < 2
    smoothed = gaussian_filter1d(line, _SMOOTHING, axis=0, mode="wrap" if is_closed else "nearest")
    counted = _is_at_step(line, inverse)
    counted = counted[1:] & counted[:-1]
    if np.count_nonzero(counted) < _SHORTEST:
        return 0.0, 0.0
    length, smooth_length = (
        float(np.hypot(*np.diff(each, axis=0).T)[counted].sum()) for each in (line, smoothed)
    )
    return length, smooth_length


def _is_at_step(
    line: Float64[np.ndarray, "n 2"], inverse: Float32[np.ndarray, "a b"]
) -> Bool[np.ndarray, "n"]:
    """Whether inverse depth rises by ``_STEP`` across each point of a line."""
    slope = np.stack([map_coordinates(each, line.T, order=1) for each in np.gradient(inverse)])
    across = _ACROSS * slope / np.maximum(np.hypot(*slope), 1e-6)
    above, below = (
        map_coordinates(inverse, line.T + way, order=1, mode="nearest") for way in (across, -across)
    )
    return above - below > _STEP
