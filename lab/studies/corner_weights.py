"""Compare the depth of corners that a run on video learns from with the truth.

    RILIEVO_DATA=folder python lab/studies/corner_weights.py OUTPUT

For the hand-held kitchen of 7-Scenes (with ``RILIEVO_DATA``) and six rendered hand-held walks:
the weight of corners, their true error, that of the start at the same places, and the error of
camera directions, by pairs of frames alone and over windows. Clips are rendered into OUTPUT once.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.data.clips.motion.tracks import depth_at
from rilievo.models import FAST_MODEL
from rilievo.training.commands.train_video import read
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.motion.pair_motions import Judged, find_over_windows, judge
from rilievo.training.video.prior import model_depths

WALKS = (
    ("rooms", 13),
    ("rooms", 14),
    ("corridors", 12),
    ("streets", 6),
    ("open-ground", 16),
    ("low-views", 6),
)
"""Kinds and seeds of the rendered walks; chosen by their first frames, which are not bare."""


def rendered(output: Path, kind: str, seed: int) -> Path:
    """Render a hand-held walk, unless it is there."""
    folder = output / f"{kind}-{seed}"
    if not folder.exists():
        options = ("--clips", "1", "--frames", "150", "--hand-held", "--kind", kind)
        command = [sys.executable, "-m", "lab.scenes", *options, "--seed", str(seed)]
        subprocess.run([*command, "-o", str(folder)], check=True)
    return folder / "clip-00000"


def kitchen(data: Path, output: Path) -> Path:
    """Copy the kitchen's frames with consecutive numbers; every second one was published."""
    folder = output / "clip_7scenes"
    if not folder.exists():
        folder.mkdir(parents=True)
        for file in sorted((data / "clip_7scenes").glob("frame-*")):
            name, rest = file.name.split(".", 1)
            shutil.copyfile(file, folder / f"frame-{int(name[6:]) // 2:06d}.{rest}")
    return folder


def scored(frames: VideoTargetFrames, judged: Judged, depths: Sequence[np.ndarray]) -> list[str]:
    """Cells of a row: weight, corners a frame, their error, the start's, directions."""
    corners, start, directions = [], [], []
    for index, target in enumerate(frames.targets):
        seen = judged.corners.get(target.place)
        if seen is None:
            continue
        truth = frames.truth_of(index)
        for source, true in zip(target.sources, truth.source_T_target, strict=True):
            if true is not None:
                directions.append(_angle(judged.motions[target.place, source], true))
        if truth.depth is None:
            continue
        size = frames.frame_of(target.place).shape[:2]
        there = (seen[:, :2] + 0.5) * np.divide(truth.depth.shape[::-1], size[::-1]) - 0.5
        true_depth = depth_at(truth.depth, there)
        corners.append(_error(seen[:, 2] / true_depth))
        start.append(_error(depth_at(depths[index], seen[:, :2]) / true_depth))
    count = np.mean([len(each) for each in judged.corners.values()])
    return [
        f"{judged.trust:.2f}",
        f"{len(judged.corners)} of {len(frames)}",
        f"{count:.0f}",
        f"{np.nanmean(corners):.3f}",
        f"{np.nanmean(start):.3f}",
        f"{np.median(directions):.1f}°",
    ]


def _error(ratio: Float64[np.ndarray, "n"]) -> float:
    """Mean relative error up to a factor, each at most 1; NaN for few."""
    known = ratio[np.isfinite(ratio)]
    if len(known) < 10:
        return float("nan")
    return float(np.minimum(np.abs(known / np.median(known) - 1), 1).mean())


def _angle(one: Float64[np.ndarray, "4 4"], other: Float64[np.ndarray, "4 4"]) -> float:
    a, b = (each[:3, 3] / max(float(np.linalg.norm(each[:3, 3])), 1e-12) for each in (one, other))
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def main() -> None:
    """Print two rows a clip."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default=FAST_MODEL, help="start, whose depth corners improve")
    asked = parser.parse_args()
    output = asked.output
    clips: list[tuple[str, Path, tuple[str, ...]]] = [
        (f"rendered {kind} {seed}", rendered(output, kind, seed), ()) for kind, seed in WALKS
    ]
    if "RILIEVO_DATA" in os.environ:
        data = Path(os.environ["RILIEVO_DATA"])
        clips.insert(0, ("7-Scenes", kitchen(data, output), ("--camera", "535,535,320,240")))
    print("| clip | | weight | targets | corners | their error | the start's | directions |")
    print("|---|---|---|---|---|---|---|---|")
    for name, folder, camera in clips:
        _, config = read([str(folder), *camera, "--poses", "auto", "-o", str(output / "run")])
        frames = open_frames(
            config.data,
            size=config.blueprint.size,
            offsets=config.offsets,
            cache=output / "frames" / folder.parent.name / folder.name,
        ).training
        depths = list(model_depths(asked.model, frames))
        found = find_over_windows(frames, depths)
        for kind, windows in (("pairs", None), ("windows", found.windows)):
            judged = judge(frames.targets, found.pairs, windows)
            print(f"| {name} | {kind} |", *(f"{cell} |" for cell in scored(frames, judged, depths)))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
