"""Flicker of a network's answers to the frames of a clip, each seen alone.

TAE of Video Depth Anything and OPW of NVDS, as ``rilievo evaluate`` has them; depth has one scale a
clip. Every second pixel counts.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from judge_rows import Rows
from panel import registered

import rilievo
from rilievo.data.datasets.loaders import read_grey_integers
from rilievo.evaluation.metrics.stability import StabilityPair, temporal_error, warping_error
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Model

CLIPS: Mapping[str, tuple[str, int, int]] = {
    "a walk": ("clip_7scenes", 0, 41),
    "a view": ("7scenes_redkitchen", 0, 41),
}
"""Folder of each clip, its first frame, and how many follow one another."""
_STEP = 2


def flicker_rows(model: Model, data: Path) -> Rows:
    """Score neighbouring frames of every clip."""
    rows = Rows()
    for name, (folder, first, count) in CLIPS.items():
        paths = sorted((data / folder).glob("*.color.jpg"))[first : first + count]
        stems = [path.with_name(path.name.removesuffix(".color.jpg")) for path in paths]
        true = [
            registered(read_grey_integers(stem.with_name(f"{stem.name}.depth.png")))[
                ::_STEP, ::_STEP
            ]
            for stem in stems
        ]
        poses = [np.loadtxt(stem.with_name(f"{stem.name}.pose.txt")) for stem in stems]
        depths = [_depth(model, path) for path in paths]
        known = [each > 0 for each in true]
        scale = np.median(np.concatenate([t[k] for t, k in zip(true, known, strict=True)]))
        scale /= np.median(np.concatenate([d[k] for d, k in zip(depths, known, strict=True)]))
        K = pinhole_K(525.0 / _STEP, 525.0 / _STEP, 320.0 / _STEP, 240.0 / _STEP)
        for place in range(len(paths) - 1):
            both = slice(place, place + 2)
            pair = StabilityPair(
                first_depth=scale * depths[place],
                second_depth=scale * depths[place + 1],
                first_valid=known[place],
                second_valid=known[place + 1],
                first_true=true[place].astype(np.float64),
                second_true=true[place + 1].astype(np.float64),
                K=np.asarray(K, np.float64),
                second_T_first=_motion(*poses[both]),
            )
            rows.add("tae", name, float(temporal_error(pair)[0]))
            rows.add("opw", name, float(warping_error(pair)[0]))
    return rows


def _motion(
    world_T_first: Float64[np.ndarray, "4 4"], world_T_second: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "4 4"]:
    return np.linalg.inv(world_T_second) @ world_T_first


def _depth(model: Model, path: Path) -> Float64[np.ndarray, "h w"]:
    values = rilievo.predict(read_photo(path).pixels, model=model).depth.values
    return values[::_STEP, ::_STEP].astype(np.float64)
