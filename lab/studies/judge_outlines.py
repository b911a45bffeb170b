"""Outlines of things in pictures of depth: their width, and splinters.

Width: at ridges of the gradient of inverse depth, the step across 4% of the diagonal to both sides
over the steepest slope on the way, in % of the diagonal; only steps of at least a quarter of the
photograph's range count. Splinters: share [%] of pixels, sky left out, that a median of 15x15 px
moves by more than 0.08 in log depth. A halo is a photograph whose outlines have a median width of
``HALO`` or more.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64
from judge_rows import Rows
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates, median_filter

import rilievo
from rilievo.models.base import Model

HALO = 2.0
"""Width [% of the diagonal] from which outlines are a halo."""
_SIDE, _BLUR, _STEEP, _POINTS = 480, 0.7, 90, 6000
_REACH, _STEP, _FEWEST = 0.04, 0.25, 30
_WINDOW, _MOVED, _SKY = 15, 0.08, 0.3
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
    return rows


def outline_width(depth: Float64[np.ndarray, "h w"]) -> float:
    """Median width of outlines [% of the diagonal]; NaN where there are few."""
    valid = np.isfinite(depth) & (depth > 0)
    inverse = 1 / np.where(valid, depth, np.nan)
    low, high = np.nanpercentile(inverse, [1, 99])
    share = np.nan_to_num(np.clip((inverse - low) / (high - low), 0, 1))
    widths = _widths(share.astype(np.float32))
    return float(np.median(widths)) if len(widths) >= _FEWEST else float("nan")


def _widths(inverse: Float32[np.ndarray, "h w"]) -> Float64[np.ndarray, "_"]:
    scale = _SIDE / max(inverse.shape)
    size = round(inverse.shape[1] * scale), round(inverse.shape[0] * scale)
    small = np.asarray(Image.fromarray(inverse).resize(size, Image.Resampling.BOX))
    picture = gaussian_filter(small, _BLUR)
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
