"""ONNX files of others that need nothing said: published ones by hash, Ultralytics' by metadata."""

import json
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath

from rilievo.errors import ModelError
from rilievo.io.limits import printable
from rilievo.models.base import Model
from rilievo.models.catalogue import table
from rilievo.models.catalogue.entry import Entry, RemoteFile
from rilievo.models.catalogue.opening import combined
from rilievo.models.conversion.foreign import ForeignModel, Statement
from rilievo.models.engines import LoadOptions, checked
from rilievo.models.hub_lock import sha256
from rilievo.types import DepthKind

_NEARLY = 0.5  # MB, of sizes that are not known to the byte


def open_published(path: Path, options: LoadOptions) -> Model | None:
    """A graph of the catalogue that lies anywhere, recognised by its hash; None for another file.

    Weights that a graph names lie beside it.

    Raises:
        ModelError: If it cannot be opened.
    """
    if not os.path.isfile(path):  # which a name that is too long is not, either
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
    """Hash of a file of weights that lies beside its graph.

    Raises:
        ModelError: If it is missing, or another file than the published one.
    """
    path = graph.parent / PurePosixPath(file.path).name
    if not path.is_file():
        raise ModelError(f"{printable(graph)}: its weights are missing; put {path.name} beside it")
    digest = sha256(path)
    if not file.is_same(digest):
        raise ModelError(
            f"{printable(path)}: not the weights of {printable(graph.name)}: sha256 "
            f"{digest[:12]}..., expected {(file.sha256 or '')[:12]}...; download it again"
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
    """What an export of Ultralytics for depth says of itself; None for another file.

    Its networks answer in metres, and get pixels of 0 to 1 squeezed to ``imgsz``.

    Raises:
        ModelError: If its size makes no sense.
    """
    if metadata.get("author") != "Ultralytics" or metadata.get("task") != "depth":
        return None
    try:
        height, width = json.loads(metadata["imgsz"])
        size = int(height), int(width)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: its metadata imgsz is no size: {error}") from error
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
    """An export of Ultralytics for depth, run as it is; None for another file.

    Raises:
        ModelError: If it cannot be opened.
        OptionError: If another engine or precision is asked for.
    """
    statement = ultralytics_statement(path, metadata)
    if statement is None:
        return None
    options = checked(options, engines=("onnxruntime",), what=f"{path}: a file of Ultralytics")
    return ForeignModel(path, statement, device=options.device, threads=options.threads)
