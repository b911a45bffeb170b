"""Score models on clips: a run of ``rilievo train video`` beside the model that it started from.

    RILIEVO_DATA=... python lab/studies/own_video.py rilievo/small RUN ... --sets kitti kitti-lidar
    RILIEVO_DATA=... python lab/studies/own_video.py rilievo/small RUN ... --sets kitchen
    python lab/studies/own_video.py rilievo/small RUN ... --sets rendered --rendered FOLDER

Depth of each frame is scaled by the median. The sets are:

- ``kitti``: frames 903 to 1011 of the clip of KITTI odometry 00, every third, on corners that are
  triangulated over nine frames with the true poses;
- ``kitti-lidar`` and ``kitti-annotated``: other roads, on scans and on annotated depth;
- ``kitchen``: frames 60 to 79 of 7-Scenes' kitchen;
- ``7scenes-own`` and ``7scenes-further``: every fifth frame of ``clip_7scenes``, and other walks
  through the same kitchen;
- ``rendered``: the last quarter of the frames of a rendered clip, on exact depth;
- ``rendered-own``: every eighth of the frames before it.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from panel import frames as panel_frames
from panel import valid_of
from PIL import Image

from rilievo.data.clips.known_poses import poses_in
from rilievo.data.clips.motion.pair_motion import TRACKING, depth_at
from rilievo.data.clips.motion.tracks import follow_corners, grey
from rilievo.geometry.transforms import invert
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.training.video.frames.depth_beside import depth_beside

_SPAN = 4
_LARGEST_ERROR = 0.6
"""Largest reprojection error of a triangulated corner [px]."""
_LEAST_ANGLE = 1.5
"""Smallest angle between the rays to a triangulated corner [degrees]."""
_FEWEST = 30
_NEAREST, _FARTHEST = 1e-3, 80.0
_GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
"""Rows and columns that are scored on KITTI, as shares (Garg et al., ECCV 2016)."""
_WALK = range(600, 900)
"""Numbers of the frames of 7-Scenes' kitchen that ``clip_7scenes`` is a part of."""
_SPARSE = 7
"""Pixels of the panel of which one is scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame with true depth at some places.

    Attributes:
        image: RGB pixels.
        places: Positions (x, y) [px].
        depth: True depth there [m].
    """

    image: UInt8[np.ndarray, "h w 3"]
    places: Float64[np.ndarray, "n 2"]
    depth: Float64[np.ndarray, "n"]


def triangulated(data: Path) -> Iterator[Frame]:
    """Frames of the KITTI clip that no run of its first 900 frames sees."""
    folder = data / "kitti_video_416x128"
    files = sorted((folder / "rgb").glob("*.jpg"))
    poses = poses_in(folder / "poses.txt", files)
    K = np.array([[240.969, 0, 203.205], [0, 244.717, 62.723], [0, 0, 1]])
    for index in range(903, 1012, 3):
        near = range(index - _SPAN, index + _SPAN + 1)
        images = {k: _pixels(files[k]) for k in near}
        motions = {k: invert(poses[k]) @ poses[index] for k in near}
        found = list(_corners({k: grey(each) for k, each in images.items()}, motions, index, K))
        if len(found) >= _FEWEST:
            places, depth = (np.array(each) for each in zip(*found, strict=True))
            yield Frame(image=images[index], places=places, depth=depth)


def _corners(
    greys: Mapping[int, np.ndarray],
    motions: Mapping[int, Float64[np.ndarray, "4 4"]],
    index: int,
    K: Float64[np.ndarray, "3 3"],
) -> Iterator[tuple[np.ndarray, float]]:
    """Corners of a frame with the depth that all their positions in its neighbours agree on."""
    sides = [
        follow_corners([greys[k] for k in range(index, index + step * (_SPAN + 1), step)], TRACKING)
        for step in (1, -1)
    ]
    start = sides[0][0]
    for corner in range(len(start)):
        seen = {
            index + step * k: side[k][corner]
            for step, side in zip((1, -1), sides, strict=True)
            for k in range(_SPAN + 1)
            if np.isfinite(side[k][corner]).all()
        }
        point = _point(seen, motions, K) if len(seen) > _SPAN else None
        if point is not None:
            yield start[corner], float(point[2])


def _point(
    seen: Mapping[int, np.ndarray],
    motions: Mapping[int, Float64[np.ndarray, "4 4"]],
    K: Float64[np.ndarray, "3 3"],
) -> Float64[np.ndarray, "3"] | None:
    """Point of the middle camera that projects to all positions; None where they disagree."""
    rows = []
    for k, (u, v) in seen.items():
        P = K @ motions[k][:3]
        rows += [u * P[2] - P[0], v * P[2] - P[1]]
    X = np.linalg.svd(np.array(rows))[2][-1]
    point = X[:3] / X[3] if abs(X[3]) > 1e-9 else np.full(3, -1.0)
    if not point[2] > 0:
        return None
    errors, rays = [], []
    for k, place in seen.items():
        x, y, z = K @ (motions[k][:3] @ np.append(point, 1))
        errors.append(np.hypot(x / z - place[0], y / z - place[1]))
        ray = point - invert(motions[k])[:3, 3]
        rays.append(ray / np.linalg.norm(ray))
    widest = np.degrees(np.arccos(np.clip(np.array(rays) @ np.array(rays).T, -1, 1).min()))
    return point if max(errors) < _LARGEST_ERROR and widest > _LEAST_ANGLE else None


def lidar(data: Path) -> Iterator[Frame]:
    """Frames of another road with their scans."""
    for file in sorted((data / "kitti_raw").glob("*/*/image_02/data/*.jpg")):
        depth = depth_beside(file)
        if depth is not None:
            yield _dense(_pixels(file), depth, garg=True)


def annotated(data: Path) -> Iterator[Frame]:
    """Frames of another road with annotated depth."""
    for file in sorted((data / "kitti_depth_metric3d" / "rgb").glob("*.png")):
        stored = np.asarray(Image.open(data / "kitti_depth_metric3d" / "depth" / file.name))
        yield _dense(_pixels(file), stored.astype(np.float64) / 256, garg=True)


def kitchen(data: Path) -> Iterator[Frame]:
    """The last frames of 7-Scenes' kitchen."""
    return _measured(sorted((data / "7scenes_redkitchen").glob("*.color.jpg"))[60:])


def walk(data: Path) -> Iterator[Frame]:
    """Every fifth frame of ``clip_7scenes``."""
    return _measured(sorted((data / "clip_7scenes").glob("*.color.jpg"))[::5])


def other_walks(data: Path) -> Iterator[Frame]:
    """Frames of the same kitchen that are not of the walk of ``clip_7scenes``."""
    files = sorted((data / "panel_7scenes").glob("*.color.jpg"))
    return _measured([file for file in files if int(file.name[6:12]) not in _WALK])


def _measured(
    files: Sequence[Path], nearest: float = 0.3, farthest: float = 6.0
) -> Iterator[Frame]:
    for file in files:
        depth = depth_beside(file)
        assert depth is not None, "depth lies beside the frames"
        yield _dense(_pixels(file), depth, nearest=nearest, farthest=farthest)


def rendered(folder: Path, *, seen: bool = False) -> Iterator[Frame]:
    """The last quarter of a clip of ``lab.scenes --clips``; every eighth frame before it."""
    files = rendered_files(folder, seen=seen)
    return _measured(files[::8] if seen else files, _NEAREST, _FARTHEST)


def rendered_files(folder: Path, *, seen: bool) -> Sequence[Path]:
    """Frames of a rendered clip: the first three quarters, or the last one."""
    files = sorted((folder / "images").glob("*.png"))
    middle = 3 * len(files) // 4
    return files[:middle] if seen else files[middle:]


def panel(camera: str, data: Path) -> Iterator[Frame]:
    """Frames of a camera of the panel, one of seven pixels."""
    for sample in panel_frames(camera, data):
        assert sample.depth is not None, "the panel has depth"
        v, u = (each[::_SPARSE] for each in np.nonzero(valid_of(camera, sample)))
        yield Frame(
            image=np.ascontiguousarray(sample.image),
            places=np.stack([u, v], axis=1).astype(np.float64),
            depth=sample.depth[v, u].astype(np.float64),
        )


def score(model: Model, frames: Sequence[Frame]) -> tuple[float, float, float]:
    """Mean over frames: AbsRel, δ1, and AbsRel of the best constant."""
    rows = []
    for frame in frames:
        [answer] = model.predict_raw([frame.image])
        found = depth_at(answer.depth.values, frame.places)
        known = np.isfinite(found)
        found, true = found[known], frame.depth[known]
        found = np.clip(found * np.median(true) / np.median(found), _NEAREST, _FARTHEST)
        within = np.maximum(found / true, true / found) < 1.25
        rows.append((_abs_rel(found, true), within.mean(), _constant(true)))
    error, share, constant = np.mean(rows, axis=0)
    return float(error), float(share), float(constant)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of models and sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--sets", nargs="+", default=["kitti", "kitti-lidar", "kitti-annotated"])
    parser.add_argument("--rendered", type=Path)
    asked = parser.parse_args(arguments)
    data = Path(os.environ.get("RILIEVO_DATA", "."))
    sets = {
        "kitti": triangulated(data),
        "kitti-lidar": lidar(data),
        "kitti-annotated": annotated(data),
        "kitchen": kitchen(data),
        "7scenes-own": walk(data),
        "7scenes-further": other_walks(data),
    }
    if asked.rendered:
        sets["rendered"] = rendered(asked.rendered)
        sets["rendered-own"] = rendered(asked.rendered, seen=True)
    models = {name: load_model(name, threads=1) for name in asked.models}
    print("| set | frames | model | AbsRel | δ1 | a constant |\n|---|---|---|---|---|---|")
    for name in asked.sets:
        frames = list(sets[name])
        for label, model in models.items():
            error, share, constant = score(model, frames)
            row = (
                f"| {name} | {len(frames)} | {label} | {error:.3f} | {share:.3f} | {constant:.3f} |"
            )
            print(row, flush=True)
    return 0


def _dense(
    image: UInt8[np.ndarray, "h w 3"],
    depth: np.ndarray,
    *,
    nearest: float = _NEAREST,
    farthest: float = _FARTHEST,
    garg: bool = False,
) -> Frame:
    valid = (depth > nearest) & (depth < farthest)
    if garg:
        height, width = depth.shape
        top, bottom, left, right = _GARG
        valid[: int(top * height)] = valid[int(bottom * height) :] = False
        valid[:, : int(left * width)] = valid[:, int(right * width) :] = False
    v, u = np.nonzero(valid)
    places = np.stack([u, v], axis=1).astype(np.float64)
    return Frame(image=image, places=places, depth=depth[valid].astype(np.float64))


def _abs_rel(found: np.ndarray, true: np.ndarray) -> float:
    return float((np.abs(found - true) / true).mean())


def _constant(true: Float64[np.ndarray, "n"]) -> float:
    """AbsRel of the constant that has the least."""
    return min(_abs_rel(np.full_like(true, each), true) for each in np.quantile(true, _QUANTILES))


_QUANTILES = np.linspace(0.05, 0.6, 56)


def _pixels(file: Path) -> UInt8[np.ndarray, "h w 3"]:
    return np.asarray(Image.open(file).convert("RGB"))


if __name__ == "__main__":
    sys.exit(main())
