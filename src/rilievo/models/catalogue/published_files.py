"""Published files of the catalogue that lie in any folder, recognised by their hash."""

import os
from pathlib import Path, PurePosixPath

from rilievo.errors import ModelError
from rilievo.models.base import Model
from rilievo.models.catalogue import table
from rilievo.models.catalogue.graphs.published_graph import open_graph
from rilievo.models.catalogue.table import Entry, RemoteFile
from rilievo.models.contracts import FoundModel, ModelRequest
from rilievo.models.load_options import LoadOptions
from rilievo.models.weights_hash import combined, sha256

_NEARLY = 0.5  # MB, for sizes that are not known exactly


def find(request: ModelRequest) -> FoundModel | None:
    """Find a published graph by the path of its file, whatever that is called."""
    path = Path(request.name)
    if not request.is_onnx_file or not os.path.isfile(path):  # also False for too long a name
        return None
    nearby = [entry for entry in table.ENTRIES.values() if _could_be(entry, path.stat().st_size)]
    if not nearby:
        return None
    digest = sha256(path)
    entry = next((each for each in nearby if each.files[0].is_same(digest)), None)
    if entry is None:
        return None
    return FoundModel(card=None, load=lambda options: _open(path, digest, entry, options))


def _open(path: Path, digest: str, entry: Entry, options: LoadOptions) -> Model:
    """Open a published graph, whose weights have to be beside it."""
    digests = [digest, *(_beside(path, file) for file in entry.files[1:])]
    return open_graph(path, options, entry.card, weights_sha256=combined(digests))


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
