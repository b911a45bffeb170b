"""Load models of the catalogue by name, and recognise their files at any path."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import fetch_files, verified_sha256
from rilievo.models.catalogue.published_graph import open_graph
from rilievo.models.catalogue.table import CatalogueEntry, RemoteFile, find_entry
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions
from rilievo.models.network_files import combined_sha256, sha256
from rilievo.models.onnx_files.agreement import (
    check_agreement_limits,
    compare_inferences,
    example_photo,
)
from rilievo.models.onnx_files.conversion import FP32, INT8, ConversionSource, open_converted
from rilievo.models.onnx_files.quantisation import quantise
from rilievo.models.requests import FoundModel, ModelRequest

_INT8_ENGINE = ONNX_ENGINES[0]
_MAX_SIZE_ERROR = 0.5  # [MB], because a card may state a rounded size


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a model of the catalogue, and download its files first if the cache lacks them."""
    if options.revision is not None:
        raise ModelError(
            f"model '{card.name}' is pinned to one commit, so you cannot choose "
            f"'@{options.revision}'"
        )
    entry = find_entry(card.name)
    paths = fetch_files(entry)
    digests = [
        verified_sha256(path, file, entry.name)
        for path, file in zip(paths, entry.files, strict=True)
    ]
    if options.precision == INT8:
        return _load_in_8_bits(card, options, entry, paths, digests)
    return open_graph(paths[0], options, card, weights_sha256=combined_sha256(digests))


def _load_in_8_bits(
    card: ModelCard,
    options: LoadOptions,
    entry: CatalogueEntry,
    paths: Sequence[Path],
    digests: Sequence[str],
) -> Model:
    """Open the quantised copy of a model, which is made and kept if there is none.

    ``paths`` are the model's downloaded files, the ONNX file first, and ``digests`` their hashes.
    """
    if options.engine not in (AUTO, _INT8_ENGINE):
        raise OptionError(
            f"model '{card.name}' runs in int8 only with {_INT8_ENGINE}, not with {options.engine}",
            hint=Text("leave out ", OptionName("engine")),
        )
    int8_options = replace(options, engine=_INT8_ENGINE)
    weights_sha256 = combined_sha256(digests)
    open_file = partial(open_graph, card=card, weights_sha256=weights_sha256)
    open_fp32 = partial(open_file, options=replace(int8_options, precision=FP32))

    def convert(target: Path, precision: str) -> None:
        """Write the quantised copy; the only precision that is converted is int8."""
        _quantise_and_compare(card.name, paths, open_fp32, target)

    source = ConversionSource(
        card=card,
        files={file.path: digest for file, digest in zip(entry.files, digests, strict=True)},
        weights_sha256=weights_sha256,
        load_converter=lambda: convert,
        open_file=open_file,
    )
    return open_converted(source, int8_options)


def _quantise_and_compare(
    name: str, paths: Sequence[Path], open_model: Callable[[Path], Model], target: Path
) -> None:
    """Quantise a network to 8 bits, and check that it predicts nearly as the original does.

    ``paths`` are its ONNX file first and then its weights.
    """
    photo = example_photo()
    [reference] = open_model(paths[0]).infer([photo])
    # The quantiser writes beside its source, which may be in the cache of another program.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for path in paths:
            shutil.copyfile(path, Path(folder) / path.name)
        quantise(Path(folder) / paths[0].name, target)
    [quantised] = open_model(target).infer([photo])
    try:
        check_agreement_limits(compare_inferences(reference, quantised), INT8)
    except ModelError as error:
        raise ModelError(f"model '{name}': {error}") from error


def find_published_file(request: ModelRequest) -> FoundModel | None:
    """Recognise a published file by its size and hash, whatever it is called."""
    path = Path(request.name)
    # os.path.isfile is also False for a name that is too long for the system.
    if not request.is_onnx_file or not os.path.isfile(path):
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
    """Whether an entry's ONNX file may have this size [bytes]; False if its hash is unknown."""
    file = entry.files[0]
    if file.sha256 is None:
        return False
    if file.size is not None:
        return file.size == size
    return abs(size / 1e6 - (entry.megabytes or 0)) < _MAX_SIZE_ERROR


def _open_entry(path: Path, digest: str, entry: CatalogueEntry, options: LoadOptions) -> Model:
    """Open a model of the catalogue from an ONNX file with this hash, at any path."""
    digests = [digest]
    digests += [_check_weights_file(path, file) for file in entry.files[1:]]
    return open_graph(path, options, entry.card, weights_sha256=combined_sha256(digests))


def _check_weights_file(graph: Path, file: RemoteFile) -> str:
    """Check the file with weights that has to lie beside an ONNX file; return its hash."""
    path = graph.parent / PurePosixPath(file.path).name
    if not path.is_file():
        raise ModelError(
            f"{graph}: the file with its weights is missing; put {path.name} next to it"
        )
    digest = sha256(path)
    if not file.has_hash(digest):
        raise ModelError(
            f"is not the weights file of {graph.name}: it has sha256 {digest[:12]}..., "
            f"expected {(file.sha256 or '')[:12]}...; download it again",
            path=path,
        )
    return digest
