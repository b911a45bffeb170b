"""Train on clips with several seeds and print one table of scores, those of the start first.

    RILIEVO_DATA=folder python lab/studies/own_video_seeds.py OUTPUT --clips kitti kitchen rooms
    RILIEVO_DATA=folder python lab/studies/own_video_seeds.py OUTPUT --clips 7scenes walks --panel

A run trains on the first 900 frames of KITTI odometry 00, the first 60 of 7-Scenes' kitchen, 150
of another walk through it, or the first three quarters of a rendered clip. Frames are scored as
``lab/studies/own_video.py`` says; a run sees none of them but those of the sets "own frames". With
``--panel``, the four cameras of the panel that decide on networks are scored too, and the last row
of a clip says by how much they change, in the mean and where that is most. What is finished is not
repeated, so that a command which was stopped goes on.
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

import corner_weights
import numpy as np
import own_video
from panel import DECIDING

from rilievo.models import load_model
from rilievo.models.default.embedded_cards import SMALL

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
        command = [sys.executable, "-m", "lab.scenes", *_ROOMS, "-o", str(folder.parent)]
        subprocess.run(command, check=True)
    return Clip(
        frames=sorted((folder / "images").glob("*.png"))[:_SEEN_ROOM],
        camera=_camera_of(folder),
        options=("--steps", "90"),
        sets={"frames 45 to 59": list(own_video.rendered(folder))},
    )


def other_walk(data: Path) -> Clip:
    """A hand-held walk through 7-Scenes' kitchen."""
    return Clip(
        frames=sorted((data / "clip_7scenes").glob("*.color.jpg")),
        camera=_KITCHEN_CAMERA,
        options=("--steps", "400"),
        sets={
            "own frames": list(own_video.walk(data)),
            "other walks there": list(own_video.other_walks(data)),
        },
    )


def hand_held(output: Path, kind: str, seed: int) -> Clip:
    """A hand-held walk through a rendered scene."""
    folder = corner_weights.rendered(output / "walks", kind, seed)
    return Clip(
        frames=own_video.rendered_files(folder, seen=True),
        camera=_camera_of(folder),
        options=("--steps", "400"),
        sets={
            "own frames": list(own_video.rendered(folder, seen=True)),
            "last quarter": list(own_video.rendered(folder)),
        },
    )


def _camera_of(folder: Path) -> str:
    numbers = (folder / "intrinsics.txt").read_text().split()
    return ",".join(numbers[k] for k in (0, 4, 2, 5))


def trained(run: Path, clip: Clip, seed: int, more: Sequence[str]) -> float:
    """Train one run, unless it is there, and return its processor time [minutes]."""
    footage, spent = run.parent / "footage", run / "minutes.txt"
    if not footage.exists():
        footage.mkdir(parents=True)
        # Consecutive numbers: a walk of which every second frame was published has no gaps.
        for number, file in enumerate(clip.frames):
            shutil.copyfile(file, footage / f"{number:06d}{file.suffix}")
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


def scored(
    model: Path | str, sets: Mapping[str, Sequence[own_video.Frame]]
) -> dict[str, tuple[float, float, float]]:
    """Score a model on sets; scores of a run are stored in its folder."""
    stored = Path(model) / "scores.json"
    found = json.loads(stored.read_text()) if stored.exists() else {}
    missing = [name for name in sets if name not in found]
    if missing:
        loaded = load_model(model, threads=1)
        found |= {name: own_video.score(loaded, sets[name]) for name in missing}
        if isinstance(model, Path):
            stored.write_text(json.dumps(found))
    return {name: tuple(found[name]) for name in sets}


def changes(start: Mapping[str, float], ends: Sequence[Mapping[str, float]]) -> list[str]:
    """Change of the error of each run, in the mean over sets and where it is most."""
    ratios = [[each[name] / start[name] - 1 for name in start] for each in ends]
    return [f"{np.mean(each):+.1%}, at most {max(each):+.1%}" for each in ratios]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of clips, sets and seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--clips", nargs="+", default=["kitti", "kitchen", "rooms"])
    parser.add_argument("--walks", nargs="+", type=int, default=range(len(corner_weights.WALKS)),
                        help="numbers of the rendered walks, from 0")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--options", default="", help="more options of rilievo train video")
    parser.add_argument("--panel", action="store_true", help="score the panel too")
    asked = parser.parse_args(arguments)
    data, more = Path(os.environ.get("RILIEVO_DATA", ".")), asked.options.split()
    walks = [corner_weights.WALKS[number] for number in asked.walks]
    makers = {
        "kitti": lambda: [street(data)],
        "kitchen": lambda: [kitchen(data)],
        "rooms": lambda: [room(asked.output, number) for number in (0, 1)],
        "7scenes": lambda: [other_walk(data)],
        "walks": lambda: [hand_held(asked.output, kind, seed) for kind, seed in walks],
    }
    cameras = DECIDING if asked.panel else ()
    elsewhere = {f"panel, {name}": list(own_video.panel(name, data)) for name in cameras}
    start_elsewhere = scored(SMALL, elsewhere)
    heads = ["clip", "scored on", "start", *(f"seed {seed}" for seed in asked.seeds)]
    print(f"| {' | '.join([*heads, 'a constant', 'minutes'])} |\n{'|---' * (len(heads) + 2)}|")
    for name in asked.clips:
        for number, clip in enumerate(makers[name]()):
            title = " ".join(map(str, walks[number])) if name == "walks" else f"{name} {number}"
            runs = [asked.output / title.replace(" ", "-") / f"seed-{seed}" for seed in asked.seeds]
            spent = [
                trained(run, clip, seed, more) for run, seed in zip(runs, asked.seeds, strict=True)
            ]
            minutes = ", ".join(f"{each:.1f}" for each in spent)
            start = scored(SMALL, clip.sets) | start_elsewhere
            ends = [scored(run, {**clip.sets, **elsewhere}) for run in runs]
            for label, (error, share, constant) in start.items():
                cells = [f"{each[label][0]:.3f}, δ1 {each[label][1]:.3f}" for each in ends]
                row = [title, label, f"{error:.3f}, δ1 {share:.3f}", *cells]
                print(f"| {' | '.join([*row, f'{constant:.3f}', minutes])} |", flush=True)
            if elsewhere:
                errors = [{label: each[label][0] for label in elsewhere} for each in (start, *ends)]
                row = [title, "panel", "", *changes(errors[0], errors[1:]), "", minutes]
                print(f"| {' | '.join(row)} |", flush=True)
    return 0


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
