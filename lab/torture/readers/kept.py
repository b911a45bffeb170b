"""Results that a stranger may have made: among inputs, in folders to verify."""

import tempfile
from functools import cache
from pathlib import Path

from lab.torture.reader import row, write_text
from lab.torture.readers.footage import write_kept_frames
from lab.torture.readers.networks import write_onnx
from lab.torture.readers.outputs import prediction, write_cache
from lab.torture.readers.pictures import colours
from lab.torture.readers.pictures import save as save_picture
from lab.torture.readers.runs import write_features
from lab.torture.readers.videos import write_video
from rilievo.io.checksums import CHECKSUMS, write_checksums
from rilievo.io.training_files import append_onnx_checksum
from rilievo.io.verification import verify
from rilievo.predicting.inputs import SkippedInputs, find_jobs
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.prediction.saving import save

_SAVED = ("npz", "png16")


@cache
def _result() -> dict[str, bytes]:
    """Files of a photograph and its result, which are made once."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save_picture(folder / "photo.png", colours(0, (64, 96)))
        options = PredictOptions(
            model="rilievo/small", save="colour,normals", output=folder / "out"
        )
        predict_files([folder / "photo.png"], options, show=False)
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _write_result(folder: Path) -> None:
    for name, content in _result().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _write_whole(folder: Path) -> None:
    save(prediction(), folder / "results" / "x", _SAVED)
    write_text(folder / "run" / "config.json", "{}")
    write_text(folder / "run" / "log.csv", "step,loss\n1,0.5\n")
    write_checksums(folder / "run" / CHECKSUMS, ("config.json", "log.csv"))
    write_onnx(folder)
    append_onnx_checksum(folder / "net.onnx")
    write_cache(folder)
    write_features(folder)
    write_kept_frames(folder / "footage")


def _verify(folder: Path) -> object:
    return verify(folder).faults


def _write_inputs(folder: Path) -> None:
    """Photographs, a video without a suffix, and a result, which are told apart."""
    _write_result(folder / "in")
    write_video(folder / "clip.mp4", "mpeg4")
    (folder / "clip.mp4").rename(folder / "clip")


def _find_inputs(folder: Path) -> object:
    skipped = SkippedInputs()
    given = (folder / "in", folder / "clip")
    return list(find_jobs(given, folder / "new", sequence=False, skipped=skipped))


READERS = (
    row("inputs of a run", _write_inputs, "in/out/*.json clip:lengths", _find_inputs, 0.4),
    row(
        "folder to verify",
        _write_whole,
        "results/x.json results/x.npz run/checksums.json net.onnx cache/a/1.npz *.features:lengths "
        "footage/kept/*.json footage/kept/*.sums footage/kept/*.frames",
        _verify,
        0.7,
    ),
)
