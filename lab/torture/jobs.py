"""Long work to be killed: commands of the product, and the files they must leave."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lab.torture.reader import write_text
from lab.torture.readers.pictures import colours, save
from lab.torture.readers.videos import write_video

RILIEVO = (sys.executable, "-m", "rilievo")
_SIZE = (120, 160)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command that writes into one folder and can be resumed.

    Attributes:
        name: Name in tables and on the command line.
        prepare: Function that writes its input into a folder.
        command: Function from input and output folder to the command that is run first, and after a
            kill.
        volatile: Names of files in any folder and, after "#" of a pattern of paths, of entries in
            JSON that differ between any two runs, such as durations.
        checkpoints: Patterns of paths of files that go when their run is finished, that is, when
            the checksums of its results are beside them.
        replaced: Patterns of paths of files that grow or are written anew on the way, so that only
            the last of each is that of an undisturbed run.
        alone: Whether a second run in the same folder is refused while the first one works.
        share: Share of the kills.
    """

    name: str
    prepare: Callable[[Path], None]
    command: Callable[[Path, Path], Sequence[str]]
    volatile: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    alone: bool = False
    share: float = 1.0


def _photos(folder: Path) -> None:
    for seed in range(6):
        save(folder / f"part{seed % 2}" / f"{seed}.jpg", colours(seed, _SIZE), quality=90)


def _video(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_video(folder / "clip.mp4", "libx264", frames=20, size=(96, 128))


def _scenes(folder: Path) -> None:
    """Slopes that a photograph tells apart from a constant: what is far is bright."""
    (folder / "depth").mkdir(parents=True)
    for seed in range(10):
        rows, columns = np.indices((96, 128))
        slope = rows if seed % 2 else columns
        noise = np.random.default_rng(seed).integers(0, 40, (96, 128, 3))
        save(folder / "images" / f"{seed}.png", (slope[..., None] + noise).astype(np.uint8))
        np.save(folder / "depth" / f"{seed}.npy", (1 + slope / 16).astype(np.float32))
    write_text(
        folder / "rilievo.yaml",
        "image: images/{id}.png\ndepth:\n  file: depth/{id}.npy\n",
    )


def _predict(*save: str) -> Callable[[Path, Path], Sequence[str]]:
    def command(input: Path, output: Path) -> Sequence[str]:
        chosen = ("-m", "rilievo/small", "--save", ",".join(save), "--threads", "1", "--resume")
        return (*RILIEVO, "predict", str(input), "-o", str(output), *chosen)

    return command


def _evaluate(input: Path, output: Path) -> Sequence[str]:
    chosen = ("-b", "depth", "--dataset", "folder")
    return (*RILIEVO, "evaluate", *chosen, "--root", str(input), "-o", str(output))


def _train_video(input: Path, output: Path) -> Sequence[str]:
    chosen = ("--encoder", "timm/test_resnet", "--start", "scratch", "--pose", "cnn")
    chosen += ("--size", "64,96", "--stride", "1", "--held-out", "0.2", "--device", "cpu")
    chosen += ("--epochs", "2", "--batch-size", "2", "--workers", "0", "--resume")
    return (*RILIEVO, "train", "video", str(input), "-o", str(output), *chosen)


def _export(input: Path, output: Path) -> Sequence[str]:
    output.mkdir(parents=True, exist_ok=True)
    chosen = ("-o", str(output / "small.onnx"), "--overwrite")
    return (*RILIEVO, "export", "rilievo/small", *chosen)


def _nothing(folder: Path) -> None:
    folder.mkdir(parents=True)


def _walls(folder: Path) -> None:
    """Frames of a camera that slides past a wall: its near half moves twice as fast."""
    texture = np.asarray(Image.fromarray(colours(0, (16, 40))).resize((160, 64)))
    for k in range(8):
        halves = texture[:32, 2 * k : 2 * k + 96], texture[32:, 4 * k : 4 * k + 96]
        save(folder / "images" / f"{k:06d}.png", np.concatenate(halves))
    write_text(folder / "intrinsics.txt", "80 0 47.5\n0 80 31.5\n0 0 1\n")
    write_text(folder / "rilievo.yaml", "image: images/{id}.png\n")


def _train_probe(input: Path, output: Path) -> Sequence[str]:
    chosen = ("--backbone", "timm/test_vit", "--weights", "random", "--probe", "linear")
    chosen += ("--size", "64,64", "--held-out", "1", "--largest", "20", "--epochs", "30")
    chosen += ("--batch-size", "2", "--device", "cpu", "--resume")
    return (*RILIEVO, "train", "probe", "--root", str(input), "-o", str(output), *chosen)


def _sweep(folder: Path) -> None:
    _scenes(folder / "scenes")
    write_text(folder / "sweep.toml", _SWEEP)


_SWEEP = """\
tasks = ["depth"]
seeds = 2
probes = ["linear"]
size = [64, 64]
depth = { bins = 16, largest = 20 }

[data]
dataset = "folder"
root = "scenes"

[training]
epochs = 2
losses.depth = "l1"

[[backbones]]
name = "timm/test_vit"
weights = "random"
"""


def _probe(input: Path, output: Path) -> Sequence[str]:
    return (*RILIEVO, "probe", str(input / "sweep.toml"), "-o", str(output), "--device", "cpu")


def _depth(folder: Path) -> None:
    save(folder / "photo.jpg", colours(0, _SIZE), quality=90)
    rows, _ = np.indices(_SIZE)
    np.save(folder / "depth.npy", (1 + rows / 60).astype(np.float32))


def _surface(input: Path, output: Path) -> Sequence[str]:
    chosen = ("--depth", str(input / "depth.npy"), "--fov", "60", "--save", "glb,ply,npz,html")
    return (*RILIEVO, "surface", str(input / "photo.jpg"), *chosen, "-o", str(output))


def _assistant(input: Path, output: Path) -> Sequence[str]:
    output.mkdir(parents=True, exist_ok=True)
    return (sys.executable, "-m", "lab.torture.assistant", str(input), str(output))


# A new kind of long work is one line here.
JOBS: tuple[Job, ...] = (
    Job(name="predict a folder", prepare=_photos, command=_predict("npz", "png16"), share=5),
    Job(name="predict a video", prepare=_video, command=_predict("colour", "png16"), share=2),
    Job(
        name="evaluate",
        prepare=_scenes,
        command=_evaluate,
        volatile=(
            "report.html",
            "evaluation.json#seconds",
            "evaluation.json#command",
            "evaluation.json#asked",  # it has the path of the output
            # Damaged predictions in the cache, which are made again, cause a warning.
            "evaluation.json#warnings",
            "checksums.json",
        ),
        share=2,
    ),
    Job(
        name="train probe",
        prepare=_scenes,
        command=_train_probe,
        volatile=(
            "log.csv",
            "record.json#cpu_seconds",
            "page.html",  # it says the seconds
            "checkpoint.pt",
            "checksums.json",
        ),
        checkpoints=("*checkpoint.pt",),
        replaced=("weights.safetensors", "validation.csv"),
        alone=True,
        share=1,
    ),
    Job(
        name="train video",
        prepare=_walls,
        command=_train_video,
        volatile=(
            "log.csv",
            "record.json#seconds",
            "record.json#loss",  # mean over a row of the log, which after a kill has fewer steps
            "record.json#notes",  # they name the run's folder
            "page.html",  # it has the notes and the seconds
            "checkpoint.pt",
            "checksums.json",
        ),
        checkpoints=("*checkpoint.pt",),
        replaced=("*weights.safetensors", "validation.csv", "frames/*"),
        alone=True,
        share=1,
    ),
    Job(
        name="probe sweep",
        prepare=_sweep,
        command=_probe,
        volatile=(
            "*cell.json#training_cpu_seconds",
            "*cell.json#predicting_cpu_seconds",
            "*record.json#cpu_seconds",
            "log.csv",
            # They say CPU seconds.
            "page.html",
            "table.csv",
            "table.md",
            "table.tex",
            "checkpoint.pt",
            "checksums.json",
            *(
                f"{name}.checksums.json"
                for name in ("page.html", "table.csv", "table.md", "table.tex")
            ),
        ),
        checkpoints=("*checkpoint.pt",),
        replaced=("*weights.safetensors",),
        share=1,
    ),
    Job(name="surface", prepare=_depth, command=_surface, share=1),
    Job(
        name="mcp",
        prepare=_photos,
        command=_assistant,
        replaced=("*.json",),  # the second file of a photograph is added to the record of the first
        share=1,
    ),
    Job(name="export", prepare=_nothing, command=_export, share=0.5),
)
