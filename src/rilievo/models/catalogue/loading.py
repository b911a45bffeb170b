"""Loading of catalogue models by name, and recognition of their files at any path."""

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
from rilievo.models.catalogue.download import check_sha256, fetch_files
from rilievo.models.catalogue.published_graph import open_graph
from rilievo.models.catalogue.table import CatalogueEntry, RemoteFile, find_entry
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions
from rilievo.models.network_files import combined_sha256, sha256
from rilievo.models.onnx_files.agreement import check_limits, compare_answers, example_photo
from rilievo.models.onnx_files.conversion import FP32, INT8, ConversionSource, open_converted
from rilievo.models.onnx_files.quantisation import quantise
from rilievo.models.requests import FoundModel, ModelRequest

_INT8_ENGINE = ONNX_ENGINES[0]
_MAX_SIZE_ERROR = 0.5  # [MB], where the card states a rounded size only


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a model of the catalogue, and download its files first if the cache lacks them.

    Raises:
        ModelError: If a download fails or a file is damaged.
        OptionError: If the engine cannot run the precision.
    """
    if options.revision is not None:
        raise ModelError(
            f"model '{card.name}' is pinned to one commit, so it takes no '@{options.revision}'"
        )
    entry = find_entry(card.name)
    paths = fetch_files(entry)
    digests = [
        check_sha256(path, file, entry.name) for path, file in zip(paths, entry.files, strict=True)
    ]
    weights_sha256 = combined_sha256(digests)
    open_file = partial(open_graph, card=card, weights_sha256=weights_sha256)
    if options.precision != INT8:
        return open_file(paths[0], options)

    if options.engine not in (AUTO, _INT8_ENGINE):
        raise OptionError(
            f"model '{card.name}' is run in int8 by {_INT8_ENGINE}, not by {options.engine}; "
            "openvino has bf16"
        )
    options = replace(options, engine=_INT8_ENGINE)
    open_fp32 = partial(open_file, options=replace(options, precision=FP32))

    def convert(target: Path, precision: str) -> None:
        _quantise_and_compare(card.name, paths, open_fp32, target)

    source = ConversionSource(
        card=card,
        files={file.path: digest for file, digest in zip(entry.files, digests, strict=True)},
        weights_sha256=weights_sha256,
        converter=lambda: convert,
        open=open_file,
    )
    return open_converted(source, options)


def _quantise_and_compare(
    name: str, paths: Sequence[Path], open_model: Callable[[Path], Model], target: Path
) -> None:
    """Write a network in 8 bits, and check that it answers nearly as the original.

    Args:
        name: Name of the model.
        paths: Its ONNX file first, then its weights.
        open_model: Function that opens an ONNX file.
        target: File to write.

    Raises:
        ModelError: If the answers differ too much.
    """
    photo = example_photo()
    [reference] = open_model(paths[0]).infer([photo])
    # The quantiser writes beside its source, which may be in the cache of another program.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for path in paths:
            shutil.copyfile(path, Path(folder) / path.name)
        quantise(Path(folder) / paths[0].name, target)
    [answer] = open_model(target).infer([photo])
    try:
        check_limits(compare_answers(reference, answer), INT8)
    except ModelError as error:
        raise ModelError(f"model '{name}': {error}") from error


def find(request: ModelRequest) -> FoundModel | None:
    """Recognise a published file by its size and hash, whatever it is called."""
    path = Path(request.name)
    if not request.is_onnx_file or not os.path.isfile(path):  # also False for too long a name
        return None
    size = path.stat().st_size
    candidates = [entry for entry in table.ENTRIES.values() if _may_have_size(entry, size)]
    if not candidates:
        return None

    digest = sha256(path)
    for entry in candidates:
        if entry.files[0].has_hash(digest):
            return FoundModel(card=None, load=partial(_open_entry, path, digest, entry))
    return None


def _may_have_size(entry: CatalogueEntry, size: int) -> bool:
    """Whether the ONNX file of an entry, if its hash is known, can have this size [bytes]."""
    file = entry.files[0]
    if file.sha256 is None:
        return False
    if file.size is not None:
        return file.size == size
    return abs(size / 1e6 - (entry.megabytes or 0)) < _MAX_SIZE_ERROR


def _open_entry(path: Path, digest: str, entry: CatalogueEntry, options: LoadOptions) -> Model:
    digests = [digest]
    digests += [_check_weights_file(path, file) for file in entry.files[1:]]
    return open_graph(path, options, entry.card, weights_sha256=combined_sha256(digests))


def _check_weights_file(graph: Path, file: RemoteFile) -> str:
    """Hash of the file with weights that has to lie beside an ONNX file."""
    path = graph.parent / PurePosixPath(file.path).name
    if not path.is_file():
        raise ModelError(f"{graph}: its weights are missing; put {path.name} beside it")
    digest = sha256(path)
    if not file.has_hash(digest):
        raise ModelError(
            f"not the weights of {graph.name}: sha256 {digest[:12]}..., "
            f"expected {(file.sha256 or '')[:12]}...; download it again",
            path=path,
        )
    return digest
