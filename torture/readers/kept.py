"""Results that a stranger may have made: kept answers, folders to verify."""

import tempfile
from functools import cache
from pathlib import Path

from rilievo.io.checks.checksums import write_checksums
from rilievo.io.checks.onnx_sum import append_sum
from rilievo.io.verification import verify
from rilievo.predicting.answers.inference_file import read_inference
from rilievo.predicting.inputs import LeftOut, find_jobs
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.remaking.again import predict_again
from rilievo.predicting.run import predict_files
from rilievo.prediction.saving import save
from torture.reader import Reader, write_text
from torture.readers.footage import write_kept_frames
from torture.readers.networks import write_onnx
from torture.readers.outputs import prediction, write_cache
from torture.readers.pictures import colours
from torture.readers.pictures import save as save_picture
from torture.readers.runs import write_features
from torture.readers.videos import write_video

_SAVED = ("npz", "png16")


@cache
def _result() -> dict[str, bytes]:
    """Files of a photograph and its result, which are made once."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save_picture(folder / "photo.png", colours(0, (64, 96)))
        options = PredictOptions(
            model="rilievo/small", save="colour,normals", output=folder / "out", keep_answers="on"
        )
        predict_files([folder / "photo.png"], options, show=False)
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _write_result(folder: Path) -> None:
    for name, content in _result().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _again(folder: Path) -> object:
    options = PredictOptions(save="npz,ply", output=folder / "again")
    summary = predict_again([folder / "out"], options, (), show=False)
    failures = () if summary is None else summary.failures
    # A run goes on after a defect and says so; the campaign must see it.
    defects = [each for each in failures if "a defect of rilievo" in each]
    assert not defects, defects[0]
    return summary


def _answer(folder: Path) -> object:
    [path] = folder.glob("*.answer")
    return read_inference(path.read_bytes(), path.name)


def _write_answer(folder: Path) -> None:
    [(name, content)] = ((n, c) for n, c in _result().items() if n.endswith(".answer"))
    (folder / Path(name).name).write_bytes(content)


def _write_whole(folder: Path) -> None:
    save(prediction(), folder / "results" / "x", _SAVED)
    write_text(folder / "run" / "config.json", "{}")
    write_text(folder / "run" / "log.csv", "step,loss\n1,0.5\n")
    write_checksums(folder / "run", ("config.json", "log.csv"))
    write_onnx(folder)
    append_sum(folder / "net.onnx")
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
    left_out = LeftOut()
    given = (folder / "in", folder / "clip")
    return list(find_jobs(given, folder / "new", sequence=False, left_out=left_out))


READERS = (
    Reader(
        name="inputs of a run",
        write=_write_inputs,
        victims={"in/out/*.json": "json", "clip": "lengths"},
        read=_find_inputs,
        share=0.4,
    ),
    Reader(
        name="kept answer",
        write=_write_answer,
        victims={"*.answer": "npz"},
        read=_answer,
        places=False,
    ),
    Reader(
        name="results made again",
        write=_write_result,
        victims={"out/*.json": "json", "out/*.answer": "npz", "photo.png": "png"},
        read=_again,
    ),
    Reader(
        name="folder to verify",
        write=_write_whole,
        victims={
            "results/x.json": "json",
            "results/x.npz": "npz",
            "run/checksums.json": "json",
            "net.onnx": "onnx",
            "cache/a/1.npz": "npz",
            "features/*.features": "lengths",
            "footage/kept/*.json": "json",
            "footage/kept/*.sums": "bytes",
            "footage/kept/*.frames": "bytes",
        },
        read=_verify,
        share=0.7,
    ),
)
