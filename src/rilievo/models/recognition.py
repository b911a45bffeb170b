"""Recognise ONNX files of others: published ones by hash, Ultralytics' by metadata."""

import json
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath

from rilievo.errors import ModelError
from rilievo.models.base import Model
from rilievo.models.catalogue import table
from rilievo.models.catalogue.entry import Entry, RemoteFile
from rilievo.models.catalogue.opening import combined
from rilievo.models.conversion.foreign import ForeignModel, Statement
from rilievo.models.engines import LoadOptions, checked
from rilievo.models.hub_lock import sha256
from rilievo.models.trial import open_faster
from rilievo.types import DepthKind

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
    weights = combined(digests)

    def open_model(chosen: LoadOptions) -> Model:
        return adapter.open_model(path, chosen, entry.card, weights_sha256=weights)

    return open_faster(open_model, path, options, weights)


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
    return abs(size / 1e6 - (entry.about_megabytes or 0)) < _NEARLY


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
