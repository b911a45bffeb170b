"""ONNX files of others: published ones by hash, Ultralytics' by metadata, doubtful ones tested."""

import json
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path, PurePosixPath

import numpy as np

from rilievo.errors import ModelError, OutputError, RilievoError
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.atomic import make_folder
from rilievo.io.photo import read_photo
from rilievo.models.base import Model
from rilievo.models.catalogue import table
from rilievo.models.catalogue.opening import combined
from rilievo.models.catalogue.table import Entry, RemoteFile
from rilievo.models.conversion.adoption import ForeignModel, Statement
from rilievo.models.engines import LoadOptions, cache_directory, checked, sha256
from rilievo.types import Camera, CameraSource, DepthKind, DepthMap

_FOLDER = Path(__file__).parent / "near_and_far"
_FOV = 55.0  # degrees; only used by networks that need a focal length


_Region = tuple[float, float, float, float]
"""Top, bottom, left and right edge of a rectangle, as shares of height and width."""
SCENES: Mapping[str, tuple[_Region, _Region]] = {
    "street.jpg": ((0.8, 1.0, 0.3, 0.9), (0.1, 0.28, 0.58, 0.72)),
    "rock.jpg": ((0.55, 0.9, 0.6, 0.9), (0.12, 0.32, 0.44, 0.54)),
    "room.jpg": ((0.85, 1.0, 0.55, 0.95), (0.03, 0.25, 0.12, 0.34)),
}
"""Pictures with a near and a far region."""


def turned_round(model: Model) -> list[str]:
    """Names of the pictures in which a model confuses near and far."""
    return [file for file in SCENES if _is_turned(model, file)]


def _is_turned(model: Model, file: str) -> bool:
    photo = read_photo(_FOLDER / file, own_depth=False)
    camera = Camera(K=K_from_fov(_FOV, photo.shape), source=CameraSource.ASSUMED)
    [prediction] = model.predict_raw([replace(photo, camera=camera)])
    depth = prediction.depth
    near, far = (_median(depth, region) for region in SCENES[file])
    if math.isnan(near) or math.isnan(far):  # as for sky, which is far
        return False
    return near < far if depth.kind is DepthKind.AFFINE_INVERSE else near > far


def _median(depth: DepthMap, region: _Region) -> float:
    """Median of the valid values in a region; NaN if there are none."""
    (top, bottom, left, right), (height, width) = region, depth.shape
    part = np.s_[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    inside = depth.values[part][depth.valid[part] & np.isfinite(depth.values[part])]
    return float(np.median(inside)) if inside.size else math.nan


def doubt(model: Model) -> str | None:
    """Describe in one line what looks wrong about a model's kind of depth; None if nothing does."""
    kind = model.card.kind
    if kind is None:
        return None
    try:
        wrong = turned_round(model)
    except RilievoError:
        return None  # failures are reported when the model is used
    if 2 * len(wrong) < len(SCENES):
        return None
    inverse = DepthKind.AFFINE_INVERSE
    other = "depth (metric, up_to_scale or affine)" if kind is inverse else f"{inverse}"
    return (
        f"model '{model.card.name}': near and far are swapped on {len(wrong)} of "
        f"{len(SCENES)} test pictures: its kind is stated as {kind} and looks like {other}; if so, "
        "export it again with that --kind"
    )


def doubt_once(model: Model) -> None:
    """Print the doubt to standard error, at the first use of a file on this machine."""
    place = None
    with suppress(ModelError):
        place = cache_directory() / "polarity" / model.weights_sha256
    if place is not None and place.exists():
        return
    said = doubt(model)
    if said is not None:
        sys.stderr.write(f"rilievo: warning: {said}\n")
    if place is not None:
        with suppress(OSError, OutputError):
            make_folder(place.parent)
            place.touch()


_NEARLY = 0.5  # MB, for sizes that are not known exactly


def open_published(path: Path, options: LoadOptions) -> Model | None:
    """Open a graph of the catalogue, in any folder, recognised by its hash; None for other files.

    Weights that the graph names have to be beside it.
    """
    if not os.path.isfile(path):  # also False for a name that is too long
        return None
    nearby = [entry for entry in table.ENTRIES.values() if _could_be(entry, path.stat().st_size)]
    if not nearby:
        return None
    digest = sha256(path)
    entry = next((each for each in nearby if each.files[0].is_same(digest)), None)
    if entry is None:
        return None
    adapter = import_module(f"rilievo.models.catalogue.{entry.adapter}")
    digests = [digest, *(_beside(path, file) for file in entry.files[1:])]
    return adapter.open_model(path, options, entry.card, weights_sha256=combined(digests))


def _beside(graph: Path, file: RemoteFile) -> str:
    """Check a file of weights beside its graph, and return its hash."""
    path = graph.parent / PurePosixPath(file.path).name
    if not path.is_file():
        raise ModelError(f"{graph}: its weights are missing; put {path.name} beside it")
    digest = sha256(path)
    if not file.is_same(digest):
        raise ModelError(
            f"{path}: not the weights of {graph.name}: sha256 {digest[:12]}..., expected "
            f"{(file.sha256 or '')[:12]}...; download it again"
        )
    return digest


def _could_be(entry: Entry, size: int) -> bool:
    graph = entry.files[0]
    if graph.sha256 is None:
        return False
    if graph.size is not None:
        return graph.size == size
    return abs(size / 1e6 - (entry.megabytes or 0)) < _NEARLY


def ultralytics_statement(path: Path, metadata: Mapping[str, str]) -> Statement | None:
    """Facts from the metadata of a depth export of Ultralytics; None for other files.

    Its networks predict metres, from pixels of 0 to 1 resized to ``imgsz`` without keeping the
    aspect ratio.
    """
    if metadata.get("author") != "Ultralytics" or metadata.get("task") != "depth":
        return None
    try:
        height, width = json.loads(metadata["imgsz"])
        size = int(height), int(width)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: its metadata imgsz is not a size: {error}") from error
    return Statement(
        kind=DepthKind.METRIC,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        size=size,
        licence=metadata.get("license", "not stated"),
        name=path.stem,
    )


def open_ultralytics(
    path: Path, metadata: Mapping[str, str], options: LoadOptions
) -> ForeignModel | None:
    """Open a depth export of Ultralytics, unchanged; None for other files."""
    statement = ultralytics_statement(path, metadata)
    if statement is None:
        return None
    options = checked(options, engines=("onnxruntime",), what=f"{path}: a file of Ultralytics")
    return ForeignModel(path, statement, device=options.device, threads=options.threads)
