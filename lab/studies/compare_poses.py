"""Compare poses of clips by rilievo with those of COLMAP: frames, errors and processor time.

    pip install pycolmap
    RILIEVO_DATA=folder python lab/studies/compare_poses.py OUTPUT

All get the same frames and the same K, which stays fixed, and one thread. Ours is ``rilievo
trajectory``. COLMAP finds SIFT, matches neighbours and maps incrementally: as it comes, and
"light", with a fraction of the features and matches. Its largest model counts, and our largest part
between cuts: others have no scale in common with it. Clips are every second frame of the hand-held
kitchen of 7-Scenes, the start of KITTI odometry 00, and every third frame of rendered hand-held
walks. Poses are stored, so that a command which was stopped goes on.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import corner_weights
import cv2
import numpy as np
import pycolmap
from evaluate_fusion import COLOUR_BESIDE_DEPTH, KINECT_COLOUR
from jaxtyping import Float64

from rilievo.data.trajectories.motion_errors import path_length
from rilievo.data.trajectories.trajectory_errors import known_poses, position_rmse
from rilievo.data.trajectories.trajectory_records import TrajectoryOptions
from rilievo.data.trajectories.trajectory_run import estimate_trajectory
from rilievo.geometry.transforms import invert
from rilievo.models import FAST_MODEL

WALKS = (("rooms", 13), ("streets", 6), ("corridors", 12), ("open-ground", 16))
STREET_FRAMES = 100
LEAST_STEP = 0.02
"""Length of a true step from which its direction is judged [m]."""
_KITTI_CAMERA = np.array([[240.969, 0, 203.205], [0, 244.717, 62.723], [0, 0, 1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Frames with consecutive numbers in ``folder / "frames"``, K [px] and true poses [m]."""

    folder: Path
    K: Float64[np.ndarray, "3 3"]
    true: Float64[np.ndarray, "n 4 4"]

    @property
    def frames(self) -> Path:
        """Folder of the frames."""
        return self.folder / "frames"


Poses = tuple[Float64[np.ndarray, "n 4 4"], float]
"""``world_T_cam``, NaN for frames that are not registered, and minutes of processor time."""


def kitchen(data: Path, output: Path) -> Clip:
    """Every second frame of the hand-held kitchen."""
    files = sorted((data / "clip_7scenes").glob("*.color.jpg"))[::2]
    texts = [file.with_name(file.name.replace("color.jpg", "pose.txt")) for file in files]
    true = np.stack([np.loadtxt(text) for text in texts])
    # The files have poses of the depth camera.
    true[:, :3, 3] += COLOUR_BESIDE_DEPTH * true[:, :3, 0]
    return _copied(output / "kitchen", files, KINECT_COLOUR, true)


def street(data: Path, output: Path) -> Clip:
    """The start of KITTI odometry 00."""
    folder = data / "kitti_video_416x128"
    files = sorted((folder / "rgb").glob("*.jpg"))[:STREET_FRAMES]
    return _copied(output / "street", files, _KITTI_CAMERA, _poses_of(folder)[:STREET_FRAMES])


def walk(output: Path, kind: str, seed: int) -> Clip:
    """Every third frame of a rendered hand-held walk."""
    folder = corner_weights.rendered(output / "walks", kind, seed)
    files = sorted((folder / "images").glob("*.png"))[::3]
    K = np.loadtxt(folder / "intrinsics.txt")
    return _copied(output / f"{kind}-{seed}", files, K, _poses_of(folder)[::3])


def _poses_of(folder: Path) -> Float64[np.ndarray, "n 4 4"]:
    rows = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
    return np.concatenate([rows, np.tile([[[0, 0, 0, 1.0]]], (len(rows), 1, 1))], axis=1)


def _copied(
    folder: Path,
    files: Sequence[Path],
    K: Float64[np.ndarray, "3 3"],
    true: Float64[np.ndarray, "n 4 4"],
) -> Clip:
    clip = Clip(folder=folder, K=K, true=true)
    clip.frames.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        shutil.copyfile(file, clip.frames / f"{number:06d}{file.suffix}")
    return clip


def our_poses(clip: Clip, seed: int) -> Poses:
    """Estimate poses as ``rilievo trajectory`` does."""
    cv2.setRNGSeed(seed)
    K, start = clip.K, time.process_time()
    options = TrajectoryOptions(camera=(K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
    path = estimate_trajectory(FAST_MODEL, clip.frames, options)
    parts = np.zeros(len(path.poses), np.int64) if path.parts is None else path.parts
    registered = path.estimated & (parts == np.bincount(parts[path.estimated]).argmax())
    return np.where(registered[:, None, None], path.poses, np.nan), _minutes_since(start)


def colmap_poses(clip: Clip, seed: int, *, light: bool = False) -> Poses:
    """Estimate poses by COLMAP's incremental mapping; all seeds share the features."""
    pycolmap.logging.minloglevel = 2
    name = "light" if light else "full"
    features, matches = clip.folder / f"{name}.db", clip.folder / f"{name}-{seed}.db"
    before = _once(features, 0, lambda part: _extract(clip, part, light))
    before = _once(matches, before, lambda part: _match(features, part, seed, light))
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=1,
        random_seed=seed,
        extract_colors=False,
        ba_refine_focal_length=False,
        ba_refine_extra_params=False,
    )
    options.mapper.abs_pose_refine_focal_length = False
    options.mapper.abs_pose_refine_extra_params = False
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        models = pycolmap.incremental_mapping(matches, clip.frames, folder, options)
    minutes = before + _minutes_since(start)
    poses = np.full((len(clip.true), 4, 4), np.nan)
    registered = [
        [image for image in model.images.values() if image.has_pose] for model in models.values()
    ]
    for image in max(registered, key=len, default=[]):
        cam_T_world = np.eye(4)
        cam_T_world[:3] = image.cam_from_world().matrix()
        poses[int(Path(image.name).stem)] = invert(cam_T_world)
    return poses, minutes


def _extract(clip: Clip, database: Path, light: bool) -> None:
    K, options = clip.K, pycolmap.FeatureExtractionOptions(num_threads=1)
    if light:
        options.sift.first_octave = 0
        options.sift.max_num_features = 2048
    # The origin of COLMAP is the corner of the first pixel.
    camera = f"{K[0, 0]},{K[1, 1]},{K[0, 2] + 0.5},{K[1, 2] + 0.5}"
    pycolmap.extract_features(
        database,
        clip.frames,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=pycolmap.ImageReaderOptions(camera_model="PINHOLE", camera_params=camera),
        extraction_options=options,
        device=pycolmap.Device.cpu,
    )


def _match(features: Path, database: Path, seed: int, light: bool) -> None:
    shutil.copyfile(features, database)
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    pairing = pycolmap.SequentialPairingOptions(num_threads=1)
    if light:
        pairing.overlap, pairing.quadratic_overlap = 5, False
    pycolmap.match_sequential(
        database,
        matching_options=pycolmap.FeatureMatchingOptions(num_threads=1),
        pairing_options=pairing,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def _once(database: Path, before: float, write: Callable[[Path], None]) -> float:
    """Write a database unless it is there; return its minutes together with those before."""
    minutes = database.with_suffix(".txt")
    if not database.exists():
        part = database.with_name(f"part-{database.name}")
        part.unlink(missing_ok=True)
        start = time.process_time()
        write(part)
        minutes.write_text(f"{before + _minutes_since(start)}")
        part.rename(database)
    return float(minutes.read_text())


def _minutes_since(start: float) -> float:
    return (time.process_time() - start) / 60


METHODS: Mapping[str, Callable[[Clip, int], Poses]] = {
    "ours": our_poses,
    "COLMAP": colmap_poses,
    "COLMAP-light": partial(colmap_poses, light=True),
}


def stored_poses(method: str, clip: Clip, seed: int) -> Poses:
    """Read poses of a method, which are estimated once."""
    path = clip.folder / f"{method.lower()}-{seed}.npz"
    if not path.exists():
        poses, minutes = METHODS[method](clip, seed)
        np.savez(path, world_T_cam=poses, minutes=minutes)
    with np.load(path) as stored:
        return stored["world_T_cam"], float(stored["minutes"])


def scores(
    poses: Float64[np.ndarray, "n 4 4"], true: Float64[np.ndarray, "n 4 4"]
) -> Float64[np.ndarray, "3"]:
    """Score the frames that are registered.

    Returns:
        Their number, the median error of the direction of true steps between neighbours of
        ``LEAST_STEP`` and more [degrees], and the RMSE of positions after a similarity [% of the
        true path].
    """
    known, angles = known_poses(poses), []
    if known.sum() < 3:
        return np.array([0, np.nan, np.nan])
    for k in np.flatnonzero(known[:-1] & known[1:]):
        step, true_step = ((invert(path[k]) @ path[k + 1])[:3, 3] for path in (poses, true))
        length, true_length = np.linalg.norm(step), np.linalg.norm(true_step)
        if true_length >= LEAST_STEP and length > 0:
            angles.append(np.arccos(np.clip(step @ true_step / (length * true_length), -1, 1)))
    error = position_rmse(poses[known], true[known]) / path_length(true[known])
    direction = np.degrees(np.median(angles)) if angles else np.nan
    return np.array([known.sum(), direction, 100 * error])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of clips and methods, each score by seed, and the medians over clips."""
    data = Path(os.environ.get("RILIEVO_DATA", "."))
    makers: dict[str, Callable[[Path], Clip]] = {
        "kitchen": partial(kitchen, data),
        "street": partial(street, data),
        **{f"{kind}-{seed}": partial(walk, kind=kind, seed=seed) for kind, seed in WALKS},
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--clips", nargs="+", default=[*makers], choices=[*makers])
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=[*METHODS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    medians: dict[str, list[np.ndarray]] = {method: [] for method in options.methods}
    print("| clip | poses | frames | direction [°] | path [%] | CPU minutes |")
    print("|---|---|---|---|---|---|")
    for name in options.clips:
        clip = makers[name](options.output)
        for method in options.methods:
            runs = []
            for seed in options.seeds:
                poses, minutes = stored_poses(method, clip, seed)
                runs.append([*scores(poses, clip.true), minutes])
            cells = [
                ", ".join(f"{run[k]:.{digits}f}" for run in runs)
                for k, digits in enumerate((0, 1, 2, 2))
            ]
            cells[0] += f" of {len(clip.true)}"
            print(f"| {name} | {method} | {' | '.join(cells)} |", flush=True)
            medians[method] += [np.divide(run, (len(clip.true) / 100, 1, 1, 1)) for run in runs]
    for method, runs in medians.items():
        share, direction, path, minutes = np.nanmedian(runs, axis=0)
        cells = f"{share:.0f} % | {direction:.2f} | {path:.2f} | {minutes:.3f}"
        print(f"| median of clips and seeds | {method} | {cells} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
