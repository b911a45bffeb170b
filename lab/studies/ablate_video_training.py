"""Train on own video with each part left out, and tell what the part does to depth.

    RILIEVO_DATA=folder python lab/studies/ablate_video_training.py OUTPUT [--steps N]

Two clips, hand-held and with true depth: every second frame of 7-Scenes' kitchen, and every third
of a walk through a rendered room. Ways of training: preset ``clip``, whose motion comes from
geometry, and a pose network, with labels and without, which alone has a warm-up. Each is trained
whole, and once without each part; pairs have the same clip, frames and seed. Scores are AbsRel,
each frame scaled to the median of its truth: on the clip's frames, and on frames of other places.
A table has the mean paired difference, as a share of the whole run's error, with Student's
interval of 95% over pairs of clip and seed. Depth in the kitchen is not registered to colour.

A run that is scored is a line of ``OUTPUT/scores.jsonl``, and is not made again.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64
from PIL import Image
from scipy.stats import t as student

from rilievo import FuseOptions, fuse_clip, load_model, predict
from rilievo.models.base import Model
from rilievo.training.commands.train_video import parse_and_complete
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_run import train_video

SIZE = (96, 128)
ROOM = ("--clips", "1", "--frames", "150", "--hand-held", "--kind", "rooms", "--seed", "13")
PRIOR = "rilievo/base"
START = "rilievo/small"
SCORED, ELSEWHERE = 4, 2
"""Every so many frames of a clip, and of other places, are scored."""

Change = Callable[[VideoConfig], VideoConfig]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFrame:
    """Photograph with the file of its true depth, whose counts are ``unit`` metres."""

    photograph: Path
    truth: Path
    unit: float

    def depth(self) -> Float64[np.ndarray, "h w"]:
        """Read the true depth [m]; 0 where nothing was measured."""
        values = np.asarray(Image.open(self.truth)).astype(np.float64)
        return np.where(values == 65535, 0, values) * self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """Clip with true depth; ``camera`` is as the command line takes it."""

    folder: Path
    camera: str
    frames: Sequence[DepthFrame]

    @property
    def name(self) -> str:
        """Name of the clip."""
        return self.folder.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Way of training, with the parts that are left out of it one by one."""

    name: str
    arguments: Sequence[str]
    whole: Change
    parts: Mapping[str, Change]


def _without_labels(config: VideoConfig) -> VideoConfig:
    return replace(config, labels=None)


def _without_prior(config: VideoConfig) -> VideoConfig:
    return replace(config, prior=None)


def _without_warm_up(config: VideoConfig) -> VideoConfig:
    return replace(config, pose_warm_up=0)


def _learned(config: VideoConfig) -> VideoConfig:
    # The start in place of learned weights, and other places, would hide what a part does to these.
    losses = replace(config.losses, replay=0.0)
    return replace(config, losses=losses, keep_best=False, validations=1)


def _warmed_up(config: VideoConfig) -> VideoConfig:
    # As many steps as there are of training, where the preset's thousand are for long runs.
    assert config.steps is not None
    return replace(config, pose_warm_up=config.steps, learning_rate=5e-5, warm_up=20)


GEOMETRY = Way(
    name="geometry",
    arguments=("--preset", "clip"),
    whole=_learned,
    parts={
        "labels": _without_labels,
        "prior": _without_prior,
    },
)
NETWORK = Way(
    name="network",
    arguments=("--preset", "default", "--encoder", "small", "--start", START, "--pose", "cnn"),
    whole=_warmed_up,
    parts={"pose-warm-up": _without_warm_up},
)
UNLABELLED = replace(
    NETWORK,
    name="network-unlabelled",
    # Labels keep depth where it is while a pose network is still random.
    whole=lambda config: _warmed_up(_without_labels(config)),
)
START_ALONE = Way(
    name="start",
    arguments=("--preset", "clip"),
    # One step that moves nothing: the start as a run, at the size of the others.
    whole=lambda config: replace(
        config,
        steps=1,
        learning_rate=1e-12,
        losses=replace(config.losses, replay=0.0),
    ),
    parts={},
)
WAYS = (START_ALONE, GEOMETRY, UNLABELLED, NETWORK)


def kitchen(output: Path) -> Footage:
    """Copy every second frame of the hand-held kitchen."""
    data = Path(os.environ["RILIEVO_DATA"]) / "clip_7scenes"
    files = sorted(data.glob("*.color.jpg"))[::2]
    truth = [file.with_name(file.name.replace("color.jpg", "depth.png")) for file in files]
    return _footage(output / "kitchen", "535,535,320,240", files, truth, 0.001)


def room(output: Path) -> Footage:
    """Render a walk through a room."""
    walk = output / "walk" / "clip-00000"
    if not walk.exists():
        command = [sys.executable, "-m", "lab.scenes", *ROOM, "-o", str(walk.parent)]
        subprocess.run(command, check=True)
    K = np.loadtxt(walk / "intrinsics.txt")
    camera = ",".join(str(value) for value in K[[0, 1, 0, 1], [0, 1, 2, 2]])
    files = sorted((walk / "images").glob("*.png"))[::3]
    return _footage(
        output / "room", camera, files, sorted((walk / "depth").glob("*.png"))[::3], 1e-4
    )


def _footage(
    folder: Path, camera: str, files: Sequence[Path], truth: Sequence[Path], unit: float
) -> Footage:
    copies = folder / "frames"
    copies.mkdir(parents=True, exist_ok=True)
    frames = []
    for number, (file, depth) in enumerate(zip(files, truth, strict=True)):
        copy = copies / f"{number:06d}{file.suffix}"
        shutil.copyfile(file, copy)
        frames.append(DepthFrame(photograph=copy, truth=depth, unit=unit))
    return Footage(folder=folder, camera=camera, frames=frames)


def other_places() -> Sequence[DepthFrame]:
    """Frames of a desk (TUM) and of floors and boxes (RealSense)."""
    data = Path(os.environ["RILIEVO_DATA"])
    desk, boxes = data / "tum_fr1_desk_9", data / "realsense_10"
    # Colour and depth of the desk are a hundredth of a second apart, in the same order.
    pairs = zip(sorted((desk / "rgb").iterdir()), sorted((desk / "depth").iterdir()), strict=True)
    frames = [DepthFrame(photograph=colour, truth=depth, unit=1 / 5000) for colour, depth in pairs]
    frames += [
        DepthFrame(photograph=file, truth=boxes / "depth" / file.name, unit=0.001)
        for file in sorted((boxes / "color").iterdir())
    ]
    return frames[::ELSEWHERE]


def labels(footage: Footage) -> Path:
    """Fuse the clip with estimated poses, and label its frames by the surface."""
    folder = footage.folder / "labels"
    if not folder.exists():
        fx, fy, cx, cy = (float(value) for value in footage.camera.split(","))
        options = FuseOptions(camera=(fx, fy, cx, cy), teach=folder, side=160, overwrite=True)
        fuse_clip(footage.folder / "frames", footage.folder / "surface.ply", options)
    return folder


def configuration(way: Way, footage: Footage, *, seed: int, steps: int) -> VideoConfig:
    """Configuration with every part that the way has."""
    arguments = (
        *(str(footage.folder / "frames"), "--camera", footage.camera, *way.arguments),
        *("--prior", PRIOR, "--labels", str(labels(footage))),
        *("--steps", str(steps), "--seed", str(seed), "--batch-size", "4"),
        *("--size", ",".join(map(str, SIZE)), "-o", "run"),
    )
    _, config = parse_and_complete(arguments)
    return way.whole(config)


def abs_rel(
    depth: Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"],
    true: Float64[np.ndarray, "h w"],
) -> float:
    """AbsRel after scaling to the median of the truth, over pixels that have one."""
    valid = (true > 0) & np.isfinite(true) & np.isfinite(depth)
    predicted, measured = depth[valid], true[valid]
    predicted = predicted * np.median(measured) / np.median(predicted)
    return float(np.mean(np.abs(predicted - measured) / measured))


def score(network: Model, frames: Sequence[DepthFrame]) -> float:
    """Mean AbsRel of frames."""
    return statistics.fmean(
        abs_rel(predict(frame.photograph, model=network).depth.values, frame.depth())
        for frame in frames
    )


def scored(model: str, footage: Footage) -> dict[str, float]:
    """Scores of a model on the clip and elsewhere."""
    network = load_model(model, device="cpu", engine="torch")
    return {
        "clip": score(network, footage.frames[::SCORED]),
        "elsewhere": score(network, other_places()),
    }


def run(
    way: Way, footage: Footage, part: str, *, seed: int, steps: int
) -> dict[str, str | int | float]:
    """Train without a part ("" for the whole), and score."""
    began, config = time.process_time(), configuration(way, footage, seed=seed, steps=steps)
    if part:
        config = way.parts[part](config)
    folder = footage.folder / f"{way.name}-{part or 'whole'}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    # Motions of the start follow from the prior, whatever the seed.
    before = footage.folder / f"motions-{way.name}-{config.prior is not None}"
    if before.exists():
        shutil.copytree(before, folder / "motions")
    options = VideoRunOptions(device="cpu", workers=0, cache=str(footage.folder / "cache"))
    record = train_video(config, folder, options)
    assert record is not None, "nothing stops it before its end"
    if (folder / "motions").exists() and not before.exists():
        shutil.copytree(folder / "motions", before)
    trained = time.process_time() - began
    return {
        **{"clip_name": footage.name, "way": way.name, "part": part, "seed": seed, "steps": steps},
        **scored(str(folder), footage),
        "cpu_seconds": round(trained, 1),
        "kept_start": int(bool(record.kept_start)),
    }


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Mean of paired differences and half of Student's interval of 95%."""
    count = len(differences)
    if count < 2:
        return statistics.fmean(differences), float("nan")
    half = student.ppf(0.975, count - 1) * statistics.stdev(differences) / count**0.5
    return statistics.fmean(differences), float(half)


def table(rows: Sequence[Mapping[str, str | int | float]]) -> str:
    """Write Markdown: what leaving a part out changes, in percent of the whole run's error."""
    lines = [
        "| without | pairs | clip | elsewhere | CPU |",
        "|---|---:|---:|---:|---:|",
    ]
    wholes = {_pair(row): row for row in rows if not row["part"]}
    totals = [
        "| whole | clip | AbsRel, seed by seed | elsewhere |",
        "|---|---|---:|---:|",
    ]
    for way in WAYS:
        for name in sorted({str(row["clip_name"]) for row in rows}):
            own = [
                row for row in wholes.values() if (row["way"], row["clip_name"]) == (way.name, name)
            ]
            cells = (
                ", ".join(f"{float(row[key]):.3f}" for row in own) for key in ("clip", "elsewhere")
            )
            totals.append(f"| {way.name} | {name} | {' | '.join(cells)} |")
    for way in WAYS:
        for part in way.parts:
            pairs = [
                (wholes[_pair(row)], row)
                for row in rows
                if row["part"] == part and row["way"] == way.name and _pair(row) in wholes
            ]
            if not pairs:
                continue
            cells = []
            for name in ("clip", "elsewhere", "cpu_seconds"):
                shares = [100 * (float(cut[name]) / float(full[name]) - 1) for full, cut in pairs]
                mean, half = interval(shares)
                cells.append(f"{mean:+.1f}% [{mean - half:+.1f}, {mean + half:+.1f}]")
            lines.append(f"| {part} ({way.name}) | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join((*totals, "", *lines))


def _pair(row: Mapping[str, str | int | float]) -> tuple[str | int | float, ...]:
    return row["way"], row["clip_name"], row["seed"], row["steps"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=30)
    every = [way.name for way in WAYS]
    parser.add_argument("--ways", nargs="+", choices=every, default=every)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    file = options.output / "scores.jsonl"
    clips = (kitchen(options.output), room(options.output))
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    names = ("way", "clip_name", "part", "seed", "steps")
    ways = [(way, part) for way in WAYS if way.name in options.ways for part in ("", *way.parts)]
    for seed in options.seeds:
        for footage in clips:
            for way, part in ways:
                key = (way.name, footage.name, part, seed, options.steps)
                # The start has no seed.
                is_repeated = way is START_ALONE and seed != options.seeds[0]
                if is_repeated or any(tuple(row[name] for name in names) == key for row in rows):
                    continue
                row = run(way, footage, part, seed=seed, steps=options.steps)
                rows.append(row)
                with file.open("a", encoding="utf-8") as lines_file:
                    lines_file.write(json.dumps(row) + "\n")
                print(row, flush=True)
    print(table([row for row in rows if row["steps"] == options.steps]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
