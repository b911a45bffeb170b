"""Compare depth trained on poses of ``rilievo trajectory`` with depth trained on COLMAP's.

    pip install pycolmap
    RILIEVO_DATA=folder python lab/studies/train_on_poses.py OUTPUT [--seeds 0 1 2] [--steps N]

Both trainings have the same frames, K, steps and start (``rilievo/small``); nothing but the file
of ``--poses`` differs, and COLMAP's path is scaled to the length of ours, in whose metres the
start answers. The clips, hand-held and with true depth, are every second frame of 7-Scenes'
kitchen and every third of a walk through a rendered room. The score is the mean AbsRel over the
clip's frames, each scaled to the median of its truth, as Monodepth2 does. Depth in the kitchen is
not registered to colour.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Float32, Float64
from PIL import Image

from rilievo import load_model, predict

KINECT = np.array([[535.0, 0, 320], [0, 535, 240], [0, 0, 1]])
ROOM = ("--clips", "1", "--frames", "150", "--hand-held", "--kind", "rooms", "--seed", "13")
TRAINING = (
    *("--preset", "default", "--encoder", "small", "--start", "rilievo/small", "--pose", "none"),
    *("--size", "192,256", "--batch-size", "4", "--learning-rate", "5e-5", "--workers", "0"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """Frames with consecutive numbers, K [px] and a file of true depth [m] for each frame."""

    folder: Path
    K: Float64[np.ndarray, "3 3"]
    truth: Sequence[Path]
    unit: float

    @property
    def frames(self) -> Path:
        """Folder of the frames."""
        return self.folder / "frames"

    @property
    def camera(self) -> str:
        """Camera as the command line takes it."""
        return ",".join(str(value) for value in self.K[[0, 1, 0, 1], [0, 1, 2, 2]])

    def depth(self, index: int) -> Float64[np.ndarray, "h w"]:
        """Read the true depth of a frame [m]; 0 where nothing was measured."""
        values = np.asarray(Image.open(self.truth[index])).astype(np.float64)
        return np.where(values == 65535, 0, values) * self.unit


def kitchen(output: Path) -> Footage:
    """Copy every second frame of the hand-held kitchen."""
    files = sorted((Path(os.environ["RILIEVO_DATA"]) / "clip_7scenes").glob("*.color.jpg"))[::2]
    truth = [file.with_name(file.name.replace("color.jpg", "depth.png")) for file in files]
    footage = Footage(folder=output / "kitchen", K=KINECT, truth=truth, unit=0.001)
    _copy(files, footage.frames)
    return footage


def room(output: Path) -> Footage:
    """Render a walk through a room."""
    walk = output / "walk" / "clip-00000"
    if not walk.exists():
        command = [sys.executable, "-m", "lab.scenes", *ROOM, "-o", str(walk.parent)]
        subprocess.run(command, check=True)
    K = np.loadtxt(walk / "intrinsics.txt")
    truth = sorted((walk / "depth").glob("*.png"))[::3]
    footage = Footage(folder=output / "room", K=K, truth=truth, unit=0.0001)
    _copy(sorted((walk / "images").glob("*.png"))[::3], footage.frames)
    return footage


def _copy(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        shutil.copyfile(file, folder / f"{number:06d}{file.suffix}")


def our_poses(footage: Footage) -> Path:
    """Estimate poses as ``rilievo trajectory`` does."""
    folder = footage.folder / "ours"
    if not (folder / "poses.txt").exists():
        camera = ("--camera", footage.camera)
        _rilievo("trajectory", str(footage.frames), *camera, "-o", str(folder))
    return folder / "poses.txt"


def colmap_poses(footage: Footage) -> Path:
    """Estimate poses by COLMAP's incremental mapping, scaled to the length of our path.

    Raises:
        SystemExit: If COLMAP does not register all frames, so trainings would differ in frames.
    """
    path = footage.folder / "colmap.txt"
    if path.exists():
        return path
    pycolmap.logging.minloglevel = 2
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=1,
        random_seed=0,
        extract_colors=False,
        ba_refine_focal_length=False,
        ba_refine_extra_params=False,
    )
    K = footage.K
    # The origin of COLMAP is the corner of the first pixel.
    camera = f"{K[0, 0]},{K[1, 1]},{K[0, 2] + 0.5},{K[1, 2] + 0.5}"
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "features.db"
        pycolmap.extract_features(
            database,
            footage.frames,
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=pycolmap.ImageReaderOptions(
                camera_model="PINHOLE", camera_params=camera
            ),
            extraction_options=pycolmap.FeatureExtractionOptions(num_threads=1),
            device=pycolmap.Device.cpu,
        )
        pycolmap.match_sequential(
            database,
            matching_options=pycolmap.FeatureMatchingOptions(num_threads=1),
            pairing_options=pycolmap.SequentialPairingOptions(num_threads=1),
            device=pycolmap.Device.cpu,
        )
        models = pycolmap.incremental_mapping(database, footage.frames, folder, options)
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    poses = np.full((len(footage.truth), 4, 4), np.nan)
    for image in largest.images.values():
        if image.has_pose:
            cam_T_world = np.eye(4)
            cam_T_world[:3] = image.cam_from_world().matrix()
            poses[int(Path(image.name).stem)] = np.linalg.inv(cam_T_world)
    if np.isnan(poses).any():
        sys.exit(f"COLMAP registered {largest.num_reg_images()} of {len(poses)} frames")
    ours = np.loadtxt(our_poses(footage)).reshape(-1, 3, 4)
    poses[:, :3, 3] *= _length(ours) / _length(poses)
    np.savetxt(path, poses[:, :3].reshape(len(poses), 12))
    return path


def _length(poses: Float64[np.ndarray, "n r 4"]) -> float:
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


def train(footage: Footage, poses: Path, seed: int, steps: int) -> Path:
    """Train on poses, unless the run is there."""
    run = footage.folder / f"{poses.parent.name}-{poses.stem}-{seed}"
    if not (run / "model.safetensors").exists() and not list(run.glob("*.json")):
        camera = ("--camera", footage.camera, "--poses", str(poses))
        length = ("--steps", str(steps), "--seed", str(seed))
        _rilievo("train", "video", str(footage.frames), *camera, *TRAINING, *length, "-o", str(run))
    return run


def _rilievo(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "rilievo", *arguments], check=True)


def score(model: str, footage: Footage) -> float:
    """Score a model's depth: mean AbsRel of frames, each scaled to its median."""
    network = load_model(model)
    errors = []
    for index, file in enumerate(sorted(footage.frames.iterdir())):
        answer = predict(file, model=network).depth.values
        errors.append(abs_rel(answer, footage.depth(index)))
    return float(np.mean(errors))


def abs_rel(
    depth: Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"],
    true: Float64[np.ndarray, "h w"],
) -> float:
    """AbsRel after scaling to the median of the truth, over pixels that have one."""
    valid = (true > 0) & np.isfinite(true) & np.isfinite(depth)
    predicted, measured = depth[valid], true[valid]
    predicted = predicted * np.median(measured) / np.median(predicted)
    return float(np.mean(np.abs(predicted - measured) / measured))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row a clip and poses: the start's score and that of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args(arguments)
    for footage in (kitchen(options.output), room(options.output)):
        start = score("rilievo/small", footage)
        print(f"{footage.folder.name}: rilievo/small {start:.4f}", flush=True)
        for poses in (our_poses(footage), colmap_poses(footage)):
            runs = [train(footage, poses, seed, options.steps) for seed in options.seeds]
            rows = [f"{score(str(run), footage):.4f}" for run in runs]
            print(f"{footage.folder.name}: {poses.stem} {' '.join(rows)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
