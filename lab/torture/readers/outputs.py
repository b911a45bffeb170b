"""Our own files read back: results of photographs and videos, caches, evaluations."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lab.torture.reader import row, sample
from lab.torture.readers.pictures import HEIGHT, WIDTH, colours, metres
from rilievo.data.fuse.frame_labels import LabelsRecord
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.prediction_cache import (
    Fingerprint,
    PredictionCache,
    open_cache,
    read_cache,
)
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.evaluation.tables.comparing import compare
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.checksums import compute_file_sum
from rilievo.io.json_record import to_json
from rilievo.io.outputs.overwrite_policy import check_claim
from rilievo.io.outputs.sidecar import read_sidecar, write_sidecar
from rilievo.prediction import Prediction
from rilievo.prediction.readback import existing_pictures, read_prediction
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from rilievo.records.sample import Photo

_MADE_BY = MadeBy(
    model="test/model",
    weights_sha256="ab" * 32,
    licence="Apache-2.0",
    settings={"flip": True, "tile": None, "share": 0.5},
    version="1.2.3",
)
_SAVED = ("npz", "png16", "npy", "tiff", "exr", "ply", "glb")
_SUFFIXES = {
    "npz": ("x.npz", "npz"),
    "png16": ("x.depth16.png", "png"),
    "npy": ("x.depth.npy", "npy"),
    "tiff": ("x.depth.tiff", "tiff"),
    "exr": ("x.depth.exr", "exr"),
}
_FLOAT_MAPS = {
    "pfm": "x.depth.pfm",
    "dpt": "x.dpt",
    "colmap": "x.depth.bin",
    "colmap-normals": "x.normals.bin",
}

_PICTURES = {
    "normals": "x.normals.png",
    "confidence": "x.confidence.png",
    "sky": "x.sky.png",
}


def prediction() -> Prediction:
    """Depth in metres, with normals and confidence."""
    normals = np.zeros((3, HEIGHT, WIDTH), np.float32)
    normals[2] = -1
    K = np.array([[40.0, 0, 23.5], [0, 40, 17.5], [0, 0, 1]])
    return Prediction(
        depth_or_none=DepthMap(values=metres(), kind=DepthKind.METRIC),
        normals=normals,
        confidence=np.full((HEIGHT, WIDTH), 0.5, np.float32),
        sky=np.arange(WIDTH)[None].repeat(HEIGHT, 0) > WIDTH - 4,
        camera=Camera(K=K),
        photo=Photo(pixels=colours(), name="x.jpg"),
        made_by=_MADE_BY,
    )


def _save(folder: Path) -> None:
    save(prediction(), folder / "x", _SAVED)


def _save_alone(folder: Path, name: str) -> None:
    """A file that holds its JSON itself."""
    save(prediction(), folder / "x", [name])
    (folder / "x.json").unlink()


def _read_as_depth_maps(folder: Path) -> object:
    photo = Photo(pixels=colours(), name="x.jpg")
    return [Prediction.from_depth(photo, folder / file) for file, _ in _SUFFIXES.values()]


_DISTANT_RECORDS = {
    "x.json": "renamed.npy",
    "clip.json": "clip.frames/1.depth.npy",
    "cache/fingerprint.json": "cache/a/1.npz",
    "labels/labels.json": "labels/1.npz",
}
"""Records by path, each with a depth file that has another name."""


def _write_clip(folder: Path) -> None:
    """A frame of a clip, whose record stands beside the folder of its frames."""
    frames = folder / "clip.frames"
    save(prediction(), folder / "clip", ["npy"])
    frames.mkdir()
    (folder / "clip.depth.npy").rename(frames / "1.depth.npy")
    about = read_sidecar(folder / "clip.json")
    [facts] = about.files
    sums = {"1.depth.npy": compute_file_sum(frames / "1.depth.npy")}
    facts = replace(facts, file=frames.name, bytes=None, sha256=None, frames=sums)
    write_sidecar(folder / "clip.json", replace(about, files=(facts,)))


def _write_distant_records(folder: Path) -> None:
    save(prediction(), folder / "x", ["npy"])
    (folder / "x.depth.npy").rename(folder / "renamed.npy")
    _write_clip(folder)
    write_cache(folder)
    labels = LabelsRecord(
        clip="clip",
        unit="metre",
        size=(HEIGHT, WIDTH),
        camera=(40.0, 40.0, 23.5, 17.5),
        names=("1",),
        weight=0.5,
        digest="",
    )
    (folder / "labels").mkdir()
    (folder / "labels" / "labels.json").write_text(to_json(labels), encoding="utf-8")
    np.savez(folder / "labels" / "1.npz", depth=metres(), weight=metres())


def _read_by_distant_records(folder: Path) -> object:
    photo = Photo(pixels=colours(), name="x.jpg")
    return [Prediction.from_depth(photo, folder / file) for file in _DISTANT_RECORDS.values()]


def _claim(folder: Path) -> object:
    return check_claim(folder / "x", ["x.npz", "x.depth16.png"], overwrite=True)


def write_cache(folder: Path) -> None:
    mark = Fingerprint(
        model="m",
        weights_sha256="ab" * 32,
        licence="MIT",
        settings={"flip": False},
        kind=DepthKind.METRIC,
        normals=True,
        dataset="nyuv2",
        split="test",
        variant="labelled",
        input_crop="none",
        version="1",
    )
    cache = open_cache(folder / "cache", mark, ["a/1", "a/2"])
    for id in ("a/1", "a/2"):
        cache.write(id, prediction(), colours())


def _read_cache(folder: Path) -> object:
    cache: PredictionCache = read_cache(folder / "cache")
    found = cache.made_by, cache.missing(["a/1", "a/2"])
    open_cache(folder / "cache", cache.fingerprint, ["a/1"])
    return found, cache.read("a/1"), cache.matches_photo("a/1", colours())


def _write_foreign(folder: Path) -> None:
    (folder / "theirs").mkdir()
    np.save(folder / "theirs" / "a_1.npy", metres())
    np.savez(folder / "theirs" / "a_2.npz", depth=metres())


def _read_foreign(folder: Path) -> object:
    found = open_predictions(
        folder / "theirs",
        ["a/1", "a/2"],
        value_encoding=ValueEncoding(number_kind=NumberKind.METRIC),
        task=Task.DEPTH,
    )
    return found.read("a/1"), found.read("a/2")


READERS = (
    *(
        row(
            f"our {name}, read alone",
            lambda folder, name=name: save(prediction(), folder / "x", [name]),
            {file: form},
            lambda folder, file=file: read_prediction(folder / file),
            0.7,
        )
        for name, (file, form) in _SUFFIXES.items()
    ),
    *(
        row(
            f"our {name}, without a JSON",
            lambda folder, name=name: _save_alone(folder, name),
            {file: form},
            lambda folder, file=file: read_prediction(folder / file),
            0.4,
        )
        for name, (file, form) in _SUFFIXES.items()
        if name != "npy"
    ),
    *(
        row(
            f"our {name}",
            lambda folder, name=name: save(prediction(), folder / "x", [name]),
            {file: "bytes", "x.json": "json"},
            lambda folder, file=file: read_prediction(folder / file),
            0.4,
        )
        for name, file in _FLOAT_MAPS.items()
    ),
    row(
        "our pictures beside depth",
        lambda folder: save(prediction(), folder / "x", ("png16", *_PICTURES)),
        {file: "png" for file in _PICTURES.values()} | {"x.json": "json"},
        lambda folder: (read_prediction(folder / "x"), existing_pictures(folder / "x")),
    ),
    row(
        "our normals as npy",
        lambda folder: save(prediction(), folder / "x", ("png16", "normals-npy")),
        "x.normals.npy",
        lambda folder: read_prediction(folder / "x"),
        0.4,
    ),
    row(
        "our files as a depth map",
        _save,
        {file: form for file, form in _SUFFIXES.values()} | {"x.json": "json"},
        _read_as_depth_maps,
        0.4,
    ),
    row(
        "records away from a depth map",
        _write_distant_records,
        dict.fromkeys(_DISTANT_RECORDS, "json"),
        _read_by_distant_records,
        0.4,
    ),
    row(
        "our JSON beside results",
        _save,
        "x.json",
        lambda folder: (read_prediction(folder / "x"), _claim(folder)),
        2.0,
    ),
    row(
        "our set of files",
        _save,
        {file: form for file, form in _SUFFIXES.values()} | {"x.json": "json"},
        lambda folder: read_prediction(folder / "x"),
    ),
    row(
        "our cache of predictions",
        write_cache,
        "cache/a/1.npz cache/fingerprint.json",
        _read_cache,
        1.5,
    ),
    row(
        "predictions of other programs",
        _write_foreign,
        "theirs/a_1.npy theirs/a_2.npz",
        _read_foreign,
        0.7,
    ),
    sample(
        "our evaluation.json",
        lambda folder: compare([folder / "one", folder / "two"]),
        1.5,
        victims="one/evaluation.json",
    ),
)
