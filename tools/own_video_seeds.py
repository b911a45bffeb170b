"""Train on clips with several seeds and print one table of scores, those of the start first.

    RILIEVO_DATA=folder python tools/own_video_seeds.py OUTPUT --clips kitti kitchen rooms

A run trains on the first 900 frames of KITTI odometry 00, the first 60 of 7-Scenes' kitchen, or
the first three quarters of a rendered clip. Frames are scored as ``tools/own_video.py`` says; none
of them is among those that a run sees. What is finished is not repeated, so that a command which
was stopped goes on.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import own_video

from rilievo.models import DEFAULT_MODEL, load_model

_KITTI_CAMERA, _KITCHEN_CAMERA = "240.969,244.717,203.205,62.723", "535,535,320,240"
_ROOMS = ("--clips", "2", "--frames", "60", "--kind", "rooms", "--step", "0.04", "--seed", "101")
_SEEN_ROOM = 45
"""Frames of a rendered clip that are trained on, of 60."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A clip to train on.

    Attributes:
        frames: Files of its frames.
        camera: fx, fy, cx, cy [px].
        options: Options of ``rilievo train video`` for it.
        sets: Frames to score a run on, by name.
    """

    frames: Sequence[Path]
    camera: str
    options: Sequence[str]
    sets: Mapping[str, Sequence[own_video.Frame]]


def street(data: Path) -> Clip:
    """The clip of KITTI odometry 00, scored on its end and on other roads."""
    return Clip(
        frames=sorted((data / "kitti_video_416x128" / "rgb").glob("*.jpg"))[:900],
        camera=_KITTI_CAMERA,
        options=("--steps", "400"),
        sets={
            "frames 903 to 1011": list(own_video.triangulated(data)),
            "other roads, annotated": list(own_video.annotated(data)),
            "other roads, scans": list(own_video.lidar(data)),
        },
    )


def kitchen(data: Path) -> Clip:
    """The clip of 7-Scenes' kitchen."""
    return Clip(
        frames=sorted((data / "7scenes_redkitchen").glob("*.color.jpg"))[:60],
        camera=_KITCHEN_CAMERA,
        options=("--steps", "90"),
        sets={"frames 60 to 79": list(own_video.kitchen(data))},
    )


def room(output: Path, number: int) -> Clip:
    """A walk through a rendered room."""
    folder = output / "rendered" / f"clip-{number:05d}"
    if not folder.exists():
        command = [sys.executable, "-m", "scenes", *_ROOMS, "-o", str(folder.parent)]
        subprocess.run(command, check=True)
    numbers = (folder / "intrinsics.txt").read_text().split()
    return Clip(
        frames=sorted((folder / "images").glob("*.png"))[:_SEEN_ROOM],
        camera=",".join(numbers[k] for k in (0, 4, 2, 5)),
        options=("--steps", "90"),
        sets={"frames 45 to 59": list(own_video.rendered(folder))},
    )


def trained(run: Path, clip: Clip, seed: int, more: Sequence[str]) -> float:
    """Train one run, unless it is there, and return its processor time [minutes]."""
    footage, spent = run.parent / "footage", run / "minutes.txt"
    if not footage.exists():
        footage.mkdir(parents=True)
        for file in clip.frames:
            shutil.copyfile(file, footage / file.name)
    if not spent.exists():
        command = [sys.executable, "-m", "rilievo", "train", "video", str(footage)]
        command += ["--camera", clip.camera, "--cache", str(run.parent / "frames")]
        command += ["--device", "cpu", *clip.options, *more, "--seed", str(seed)]
        before = _processor_seconds()
        # 1 says that the start was kept, which is a result too.
        resumed = ["--resume"] if run.exists() else []
        done = subprocess.run([*command, "-o", str(run), *resumed]).returncode
        if done not in (0, 1):
            raise SystemExit(f"{run}: training failed")
        spent.write_text(f"{(_processor_seconds() - before) / 60:.2f}")
    return float(spent.read_text())


def scored(model: Path | str, clip: Clip) -> dict[str, tuple[float, float, float]]:
    """Score a model on the sets of a clip; scores of a run are stored in its folder."""
    stored = Path(model) / "scores.json"
    if not stored.exists():
        found = {
            name: own_video.score(load_model(model, threads=1), frames)
            for name, frames in clip.sets.items()
        }
        if not isinstance(model, Path):
            return found
        stored.write_text(json.dumps(found))
    return {name: tuple(each) for name, each in json.loads(stored.read_text()).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of clips, sets and seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--clips", nargs="+", default=["kitti", "kitchen", "rooms"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--options", default="", help="more options of rilievo train video")
    asked = parser.parse_args(arguments)
    data, more = Path(os.environ.get("RILIEVO_DATA", ".")), asked.options.split()
    makers = {
        "kitti": lambda: [street(data)],
        "kitchen": lambda: [kitchen(data)],
        "rooms": lambda: [room(asked.output, number) for number in (0, 1)],
    }
    heads = ["clip", "scored on", "start", *(f"seed {seed}" for seed in asked.seeds)]
    print(f"| {' | '.join([*heads, 'a constant', 'minutes'])} |\n{'|---' * (len(heads) + 2)}|")
    for name in asked.clips:
        for number, clip in enumerate(makers[name]()):
            runs = [asked.output / f"{name}-{number}" / f"seed-{seed}" for seed in asked.seeds]
            spent = [
                trained(run, clip, seed, more) for run, seed in zip(runs, asked.seeds, strict=True)
            ]
            start, ends = scored(DEFAULT_MODEL, clip), [scored(run, clip) for run in runs]
            for label, (error, share, constant) in start.items():
                cells = [f"{each[label][0]:.3f}, δ1 {each[label][1]:.3f}" for each in ends]
                row = [f"{name} {number}", label, f"{error:.3f}, δ1 {share:.3f}", *cells]
                minutes = ", ".join(f"{each:.1f}" for each in spent)
                print(f"| {' | '.join([*row, f'{constant:.3f}', minutes])} |", flush=True)
    return 0


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
