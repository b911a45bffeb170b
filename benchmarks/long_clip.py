"""A long video through a network of affine depth, anchored: memory, order, a kill halfway.

Usage: python -m benchmarks.long_clip order CLIP RESULTS
       python -m benchmarks.long_clip stream CLIP
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.clips import make_clip
from benchmarks.hub_bare import GRAPHS, LOADERS
from benchmarks.measure import (
    ROOT,
    BenchmarkError,
    Cost,
    answer_of,
    cost_of,
    peak_of,
    rilievo_command,
)
from benchmarks.memory import SAME
from benchmarks.photographs import NAMES, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from benchmarks.small_network import save_small_network

MODEL = "zipdepth"
SAVED = "png16,normals"
"""The model's own answer, and normals of the anchored surface."""
_NEIGHBOURS = 3
"""Frames before and after with which a written frame is compared."""
_SAME = 1 - 1e-12
"""Correlation of the answers to two frames that show the same, where the camera turns back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Killed:
    """A run that was killed and run again.

    Attributes:
        left: Number of files of results right after the kill.
        same: Whether the files of the second run are those of a run that was not killed.
    """

    left: int
    same: bool


def run(settings: Settings) -> Report:
    os.environ["RILIEVO_CACHE"] = str(settings.folder("cache"))
    os.environ[GRAPHS[MODEL]] = str(save_small_network(settings.work / "zip.onnx"))
    # The depth of the network falls with the rows, and its surface needs a picture where it does.
    photo = make_photographs(settings.work / "photo", len(NAMES))[NAMES.index("motorcycle_left")]
    short, long = settings.count(60, quick=10), settings.count(600, quick=40)
    clips = [make_clip(photo, settings.work / f"{count}.mp4", count) for count in (short, long)]
    folders = [settings.work / f"results-{count}" for count in (short, long)]
    costs = [cost_of(_command(*each)) for each in zip(clips, folders, strict=True)]
    streams = [float(answer_of("long_clip", "stream", clip)) for clip in clips]
    found, wrong = answer_of("long_clip", "order", clips[1], folders[1])
    killed = _killed(clips[1], settings.work / "killed", costs[1].wall / 2, folders[1])
    return Report(
        name="long_clip",
        about=(
            f"Videos of {short} and {long} frames of 640x480 by a network of ZipDepth's size class "
            f"with random weights: `--save {SAVED}`, so each shot is anchored to the embedded "
            "model. The stream is `rilievo.stream` with the anchored depth of every frame. Every "
            f"written frame is compared with the network's answer to frames {_NEIGHBOURS} before "
            "to as many after. The process is killed halfway and the command given again with "
            "--resume; all results of a video appear together, so it begins anew."
        ),
        tables=(_table((short, long), costs, streams),),
        bars=(
            _flat("video", [peak_of(each) for each in costs]),
            _flat("stream", streams),
            Bar(
                promise=f"all {long} frames, in order",
                measured=f"{found} frames, {wrong} out of order",
                kept=(found, wrong) == (long, 0),
            ),
            Bar(
                promise="killed halfway: no result is left, and the next run has all of them",
                measured=f"{killed.left} files left, {'the same' if killed.same else 'other'} "
                "files after the next run",
                kept=killed.left == 0 and killed.same,
            ),
        ),
    )


def _command(clip: Path, output: Path) -> list[str | Path]:
    how = ("--model", LOADERS[MODEL], "--save", SAVED, "--output", output, "--resume")
    return rilievo_command("predict", clip, *how)


def _results(folder: Path) -> dict[str, bytes]:
    every = folder.rglob("*") if folder.is_dir() else ()
    shown = (each for each in every if each.is_file() and not each.name.startswith("."))
    return {each.name: each.read_bytes() for each in shown}


def _killed(clip: Path, output: Path, seconds: float, whole: Path) -> _Killed:
    with subprocess.Popen(
        [str(part) for part in _command(clip, output)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(seconds)
        if process.poll() is not None:
            raise BenchmarkError("the run to be killed had ended")
        process.send_signal(signal.SIGKILL)
    left = len(_results(output))
    cost_of(_command(clip, output))
    videos = [
        {name: each for name, each in _results(folder).items() if name.endswith((".mkv", ".mp4"))}
        for folder in (output, whole)
    ]
    return _Killed(left=left, same=bool(videos[0]) and videos[0] == videos[1])


def _table(counts: tuple[int, ...], costs: list[Cost], streams: list[float]) -> Table:
    return Table(
        columns=("frames", "peak of predict, MB", "CPU s a frame", "peak of the stream, MB"),
        rows=[
            (str(count), f"{peak_of(cost):.0f}", f"{cost.cpu / count:.3f}", f"{stream:.0f}")
            for count, cost, stream in zip(counts, costs, streams, strict=True)
        ],
    )


def _flat(what: str, peaks: list[float]) -> Bar:
    ratio = peaks[1] / peaks[0]
    return Bar(
        promise=f"{what}: at most {SAME} times the memory of the short one",
        measured=f"{ratio:.2f} times",
        kept=ratio <= SAME,
    )


def _order(clip: str, results: str) -> tuple[int, int]:
    """Number of written frames, and of those that look most like another frame's answer."""
    import av

    from rilievo.models import load_model

    model = load_model(LOADERS[MODEL])
    with av.open(clip) as container:
        answers = [
            _some(model.predict_raw([frame.to_ndarray(format="rgb24")])[0].depth.values)
            for frame in container.decode(video=0)
        ]
    [written] = Path(results).rglob("*.depth16.mkv")
    count = wrong = 0
    with av.open(str(written)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            stored, own = _some(frame.to_ndarray()), answers[index]
            near = answers[max(0, index - _NEIGHBOURS) : index + _NEIGHBOURS + 1]
            best = max(near, key=lambda each: _alike(stored, each))
            wrong += _alike(best, own) < _SAME
            count += 1
    return count, wrong


def _some(values: np.ndarray) -> np.ndarray:
    return values[::8, ::8].astype(np.float64).ravel()


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def _stream(clip: str) -> float:
    """Peak memory [MB] of a stream that asks for the anchored depth of every frame."""
    import rilievo

    for prediction in rilievo.stream(clip, model=LOADERS[MODEL]):
        assert prediction.anchored is not None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_PARTS = {"order": _order, "stream": _stream}

if __name__ == "__main__":
    print(json.dumps(_PARTS[sys.argv[1]](*sys.argv[2:])))
