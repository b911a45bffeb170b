"""Opening of models of the catalogue."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from rilievo.errors import ModelError, OptionError
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import check, fetch_files
from rilievo.models.catalogue.graphs.published_graph import open_graph
from rilievo.models.catalogue.table import CatalogueEntry, RemoteFile, find_entry
from rilievo.models.contracts import FoundModel, ModelRequest
from rilievo.models.conversion.agreement import check_limits, compare_answers, example_photo
from rilievo.models.conversion.converted_files import FP32, INT8, Origin, open_converted
from rilievo.models.conversion.quantisation import quantise
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions
from rilievo.models.network_files import combined, sha256

_ENGINE = ONNX_ENGINES[0]

_NEARLY = 0.5  # MB, for sizes that are not known exactly


def _quantise(
    name: str, files: Sequence[Path], open_model: Callable[[Path], Model], part: Path
) -> None:
    photo = example_photo()
    [reference] = open_model(files[0]).infer([photo])
    # The quantiser writes beside its source, which is no place of ours.
    with tempfile.TemporaryDirectory(dir=part.parent) as work:
        for path in files:
            shutil.copyfile(path, Path(work) / path.name)
        quantise(Path(work) / files[0].name, part)
    [answer] = open_model(part).infer([photo])
    try:
        check_limits(compare_answers(reference, answer), INT8)
    except ModelError as error:
        raise ModelError(f"model '{name}': {error}") from error


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a model from the cache, downloaded first where needed."""
    if options.revision is not None:
        raise ModelError(
            f"model '{card.name}' is pinned to one commit, so it takes no '@{options.revision}'"
        )
    entry = find_entry(card.name)
    files = fetch_files(entry)
    digests = [check(path, file, entry.name) for path, file in zip(files, entry.files, strict=True)]
    weights = combined(digests)

    def open_model(path: Path, chosen: LoadOptions) -> Model:
        return open_graph(path, chosen, card, weights_sha256=weights)

    if options.precision != INT8:
        return open_model(files[0], options)
    if options.engine not in (AUTO, _ENGINE):
        raise OptionError(
            f"model '{card.name}' is run in int8 by {_ENGINE}, not by {options.engine}; "
            "openvino has bf16"
        )
    options = replace(options, engine=_ENGINE)
    plain = partial(open_model, chosen=replace(options, precision=FP32))
    origin = Origin(
        card=card,
        files={file.path: digest for file, digest in zip(entry.files, digests, strict=True)},
        weights_sha256=weights,
        converter=lambda: lambda part, _: _quantise(card.name, files, plain, part),
        open=open_model,
    )
    return open_converted(origin, options)


def find(request: ModelRequest) -> FoundModel | None:
    """Find a published graph by its file, whatever its name."""
    path = Path(request.name)
    if not request.is_onnx_file or not os.path.isfile(path):  # also False for too long a name
        return None
    nearby = [entry for entry in table.ENTRIES.values() if _could_be(entry, path.stat().st_size)]
    if not nearby:
        return None
    digest = sha256(path)
    entry = next((row for row in nearby if row.files[0].is_same(digest)), None)
    if entry is None:
        return None
    return FoundModel(card=None, load=lambda options: _open(path, digest, entry, options))


def _open(path: Path, digest: str, entry: CatalogueEntry, options: LoadOptions) -> Model:
    digests = [digest, *(_beside(path, file) for file in entry.files[1:])]
    return open_graph(path, options, entry.card, weights_sha256=combined(digests))


def _beside(graph: Path, file: RemoteFile) -> str:
    path = graph.parent / PurePosixPath(file.path).name
    if not path.is_file():
        raise ModelError(f"{graph}: its weights are missing; put {path.name} beside it")
    digest = sha256(path)
    if not file.is_same(digest):
        raise ModelError(
            (
                f"not the weights of {graph.name}: sha256 {digest[:12]}..., "
                f"expected {(file.sha256 or '')[:12]}...; download it again"
            ),
            path=path,
        )
    return digest


def _could_be(entry: CatalogueEntry, size: int) -> bool:
    graph = entry.files[0]
    if graph.sha256 is None:
        return False
    if graph.size is not None:
        return graph.size == size
    return abs(size / 1e6 - (entry.megabytes or 0)) < _NEARLY
