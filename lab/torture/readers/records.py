"""Records and logs that runs leave and others read: speeds, teachers, labels, motions, scores."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab.torture.reader import row, sample, sample_file, write_text
from lab.torture.readers.pictures import colours, metres, save
from rilievo.data.fuse.frame_labels import read_label, read_labels_record
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.benchmarks.suite import find_suite
from rilievo.evaluation.predictions.foreign_predictions import open_stack
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.models.catalogue.download import hash_record_path, hub_token, read_hash_record
from rilievo.serving.server.server_options import ServeOptions

_LOG = "step,epoch,loss,seconds\n1,1,0.5,0.25\n2,1,0.25,0.5\n3,2,0.2,0.75\n"
_SCORES = "step,set,abs_rel,images\n1,held out,0.2,3\n3,held out,0.1,3\n"
_IDS = ("a/1", "a/2")


def _in_cache(write: Callable[[Path], object]) -> Callable[[Path], None]:
    def cached(folder: Path) -> None:
        os.environ["RILIEVO_CACHE"] = str(folder)
        write(folder)

    return cached


def _write_known(folder: Path) -> None:
    write_text(folder / "x.onnx", "network")
    entry = {"path": "x.onnx", "sha256": "ab" * 32, "stamp": [7, 12345]}
    write_text(hash_record_path(folder / "x.onnx"), json.dumps(entry))


def _read_token(folder: Path) -> object:
    os.environ["HF_TOKEN_PATH"] = str(folder / "token")
    return hub_token()


def _write_labels(folder: Path) -> None:
    record = {"format": "rilievo-labels/1", "clip": "clip", "unit": "metres", "size": [36, 48]}
    record |= {"camera": [40, 40, 23.5, 17.5], "names": ["0", "1"], "weight": 0.5, "digest": "ab"}
    write_text(folder / "labels.json", json.dumps(record))
    for name in ("0", "1"):
        weight = np.full((36, 48), 0.5, np.float32)
        np.savez(folder / f"{name}.npz", depth=metres(), weight=weight)


def _read_labels(folder: Path) -> object:
    record = read_labels_record(folder)
    return [read_label(folder, name, record) for name in record.names[:3]]


def _read_teacher(folder: Path) -> object:
    from lab.making.distil.teachers import described, read_teachers

    return described(read_teachers(folder))


def _write_motions(folder: Path) -> None:
    from rilievo.training.video.frames.targets import FramePlace
    from rilievo.training.video.pair_motions import MotionEstimate, write_estimate

    pair = (FramePlace(0, 1), FramePlace(0, 2))
    corners = {FramePlace(0, 1): np.array([[3.0, 4, 1.5], [9, 4, 2.5]])}
    write_estimate(folder / "x.npz", MotionEstimate(motions={pair: np.eye(4)}, corners=corners))


def _read_motions(folder: Path) -> object:
    from rilievo.training.video.pair_motions import read_estimate

    return read_estimate(folder / "x.npz")


def _write_cell(folder: Path) -> None:
    from rilievo.training.sweep.sweep_cell import SweepCell, write_cell

    cell = SweepCell(
        title="a", layers=(0, 1), probe="linear", task="depth", seed=0, run="a",
        backbone_parameters=5, probe_parameters=7, training_cpu_seconds=1.5,
        predicting_cpu_seconds=0.5, measured=(),
    )  # fmt: skip
    write_cell(cell, folder)


def _read_cell(folder: Path) -> object:
    from rilievo.training.sweep.sweep_cell import read_cell

    return read_cell(folder)


def _write_logs(folder: Path) -> None:
    write_text(folder / "log.csv", _LOG)
    write_text(folder / "validation.csv", _SCORES)
    write_text(folder / "config.json", json.dumps({"epochs": 2, "data": {"roots": ["a"]}}))
    write_text(folder / "record.json", json.dumps({"steps": 3, "differences": []}))
    for step in (1, 3):
        save(folder / "pictures" / f"step-{step}.png", colours(step, (180, 48)))


def _read_logs(folder: Path) -> object:
    from rilievo.training.engine.run_folder import read_log_rows
    from rilievo.training.engine.run_page import write_training_page

    found = [read_log_rows(folder, name) for name in ("log.csv", "validation.csv")]
    return found, write_training_page(folder, kind="video", verdict="It ended.", counts="3 steps")


def _read_stack(folder: Path) -> object:
    stored = ValueEncoding(number_kind=NumberKind.METRIC)
    stack = open_stack(folder / "x.npy", _IDS, value_encoding=stored, task=Task.DEPTH)
    return stack.number_warnings(), [stack.read(id) for id in _IDS]


READERS = (
    row(
        "record of a checked download",
        _in_cache(_write_known),
        "verified/*.json",
        lambda folder: read_hash_record(folder / "x.onnx"),
        0.4,
    ),
    sample("token of the hub", _read_token, 0.2),
    sample(
        "tokens of a server",
        lambda folder: ServeOptions(token_file=folder / "tokens.txt").tokens(),
        0.4,
    ),
    row("labels of frames", _write_labels, "labels.json 0.npz", _read_labels),
    sample("record of a teacher", _read_teacher, 0.4),
    row("motions of a run", _write_motions, "x.npz", _read_motions),
    row("cell of a sweep", _write_cell, "cell.json", _read_cell, 0.4),
    row(
        "logs and page of a run",
        _write_logs,
        "log.csv validation.csv config.json record.json pictures/step-1.png",
        _read_logs,
        0.3,
    ),
    row(
        "stack of predictions",
        lambda folder: np.save(folder / "x.npy", np.stack([metres(), metres()])),
        "x.npy",
        _read_stack,
        0.5,
    ),
    sample_file("suite of one's own", find_suite, 0.6),
)
