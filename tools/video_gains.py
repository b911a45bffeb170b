"""Compare the gain that a run on video prints with the true one, on the same held-out frames.

    RILIEVO_DATA=folder python tools/own_video_seeds.py OUTPUT --clips kitti 7scenes walks --seeds 0
    RILIEVO_DATA=folder python tools/video_gains.py OUTPUT

For each clip that was trained on: the stretches of its middle and its end, and weights on the line
from the start (0) through those of the run (1) and beyond, and those of the start with noise (a
share of the standard deviation of each tensor). The truth is depth, or corners that are
triangulated with true poses where there is none (KITTI).
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import own_video
import torch
from safetensors.torch import load_file

from rilievo.data.clips.known_poses import poses_in
from rilievo.data.clips.motion.tracks import depth_at, grey
from rilievo.geometry.transforms import invert
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from rilievo.training.video.frames.depth_beside import depth_beside
from rilievo.training.video.frames.target_frames import TargetFrames
from rilievo.training.video.frames.targets import Place
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.gain import Gain, gain_of
from rilievo.training.video.motion.held_out_corners import corner_errors, find_corners, judges
from rilievo.training.video.prior import network_depths
from rilievo.training.video.true_scores import Truth, depth_scores
from rilievo.training.video.video_records import video_folder
from rilievo.training.video.video_run import start_from_embedded

_SHARES = (-1.0, 0.5, 1.0, 2.0, 4.0)
_NOISES = (0.02, 0.1)
_MOST = 32
_SPAN = 4
_FEWEST = 30
_KITTI_K = np.array([[240.969, 0, 203.205], [0, 244.717, 62.723], [0, 0, 1]])

TrueError = Callable[[Place, np.ndarray], float]
"""Function from a frame and its depth to the AbsRel after scaling by the median."""


def dense(files: Sequence[Path]) -> TrueError:
    """Errors by the depth beside the frames."""

    def error(place: Place, depth: np.ndarray) -> float:
        truth = Truth(depth=depth_beside(files[place.frame]))
        return depth_scores(torch.from_numpy(depth), truth).abs_rel

    return error


def by_poses(files: Sequence[Path], poses: np.ndarray) -> TrueError:
    """Errors at corners that are triangulated over nine frames with true poses."""
    known: dict[int, np.ndarray] = {}

    def corners(index: int) -> np.ndarray:
        near = range(max(0, index - _SPAN), min(len(files), index + _SPAN + 1))
        greys = {k: grey(own_video._pixels(files[k])) for k in near}
        motions = {k: invert(poses[k]) @ poses[index] for k in near}
        found = list(own_video._corners(greys, motions, index, _KITTI_K))
        return np.array([[*place, depth] for place, depth in found]).reshape(-1, 3)

    def error(place: Place, depth: np.ndarray) -> float:
        if place.frame not in known:
            known[place.frame] = corners(place.frame)
        seen = known[place.frame]
        if len(seen) < _FEWEST:
            return float("nan")
        factor = np.divide(depth.shape[::-1], (416, 128))
        ratio = depth_at(depth, (seen[:, :2] + 0.5) * factor - 0.5) / seen[:, 2]
        return float(np.abs(ratio / np.median(ratio) - 1).mean())

    return error


def true_error(name: str, output: Path, data: Path) -> TrueError:
    """Error of the frames of a clip, by its name in the folder of the runs."""
    if name.startswith("kitti"):
        folder = data / "kitti_video_416x128"
        files = sorted((folder / "rgb").glob("*.jpg"))
        return by_poses(files, np.asarray(poses_in(folder / "poses.txt", files)))
    if name.startswith("7scenes"):
        return dense(sorted((data / "clip_7scenes").glob("*.color.jpg")))
    folder = output / "walks" / name / "clip-00000"
    return dense(own_video.rendered_files(folder, seen=True))


def weights(start: VideoNetworks, run: Path) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Yield weights by name, made of those of the start and of a run."""
    before = {name: each.clone() for name, each in start.state_dict().items()}
    learned = load_file(run / "weights.safetensors")
    for share in _SHARES:
        yield (
            f"{share:g} of the way to the run",
            {
                name: each + share * (learned[name] - each) if each.is_floating_point() else each
                for name, each in before.items()
            },
        )
    for noise in _NOISES:
        drawn = torch.Generator().manual_seed(0)
        yield (
            f"noise of {noise:g}",
            {
                name: each + noise * each.std() * torch.randn(each.shape, generator=drawn)
                if each.is_floating_point() and each.ndim > 1
                else each
                for name, each in before.items()
            },
        )


def compared(run: Path, output: Path, data: Path) -> Iterator[tuple[str, Gain, Gain]]:
    """Yield weights by name, with the gain that is printed and the true one."""
    config = video_folder(run).read_config()
    frames = open_frames(
        replace(config.data, held_out=0.1, held_out_stretches=2),
        size=config.blueprint.size,
        offsets=config.offsets,
        cache=run.parent / "frames",
    )
    networks = make_networks(config.blueprint, offsets=frames.offsets, seed=0, start=None)
    start_from_embedded(networks)

    def depths(part: TargetFrames) -> Iterator[np.ndarray]:
        return network_depths(networks.depth, part, config.blueprint, torch.device("cpu"))

    held_out = frames.held_out.some(_MOST)
    corners = find_corners(frames.whole, held_out, depths)
    judging, error = judges(held_out, corners), true_error(run.parent.name, output, data)
    places = [target.place for target in judging.targets]

    def scored() -> tuple[Sequence[float], Sequence[float]]:
        found = list(depths(judging))
        true = [error(place, depth) for place, depth in zip(places, found, strict=True)]
        return corner_errors(judging, found, corners), true

    before = scored()
    known = np.isfinite(before[1])
    absolute = f"{np.mean(before[0]):.3f}, truly {np.mean(np.array(before[1])[known]):.3f}"
    print(f"{run.parent.name}: {len(places)} frames, the start {absolute}", file=sys.stderr)
    for name, each in weights(networks, run):
        networks.load_state_dict(each)
        after = scored()
        yield name, gain_of(places, before[0], after[0]), gain_of(places, before[1], after[1])


def main() -> None:
    """Print a table: clips, weights, the printed gain, the true one, whether signs agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of own_video_seeds.py")
    parser.add_argument("--clips", nargs="+", default=[])
    asked = parser.parse_args()
    data = Path(os.environ.get("RILIEVO_DATA", "."))
    torch.set_num_threads(1)
    print("| clip | weights | printed | true | signs |\n|---|---|---|---|---|")
    for run in sorted(asked.output.glob("*/seed-0")):
        if asked.clips and run.parent.name not in asked.clips:
            continue
        for name, printed, true in compared(run, asked.output, data):
            agree = "agree" if printed.share * true.share > 0 else "differ"
            sure = printed.low is not None and printed.low * (printed.high or 0) > 0
            row = (run.parent.name, name, printed.words, f"{100 * true.share:+.1f} %")
            print(f"| {' | '.join(row)} | {agree}{'' if sure else ' (no difference)'} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
