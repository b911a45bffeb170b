"""Load a model of the catalogue: find its files, then call the adapter of its family."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from rilievo.errors import ModelError, OptionError
from rilievo.io.atomic import make_folder, replacing
from rilievo.io.limits import printable
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.download import fetch_files
from rilievo.models.catalogue.table import RemoteFile, find_entry
from rilievo.models.conversion.agreement import check_limits, compare_answers, example_photo
from rilievo.models.conversion.store import FP32, INT8, folder
from rilievo.models.engines import AUTO, ONNX_ENGINES, LoadOptions
from rilievo.models.hashes import check, remember, sha256
from rilievo.version import VERSION

Open = Callable[[Path, LoadOptions], Model]
_ENGINE = ONNX_ENGINES[0]


def open_int8(
    name: str, files: Sequence[Path], options: LoadOptions, weights_sha256: str, open_model: Open
) -> Model:
    """Open a model of the catalogue in 8 bits, quantising it first where needed."""
    if options.engine not in (AUTO, _ENGINE):
        raise OptionError(
            f"model '{name}' is run in int8 by {_ENGINE}, not by {options.engine}; "
            "openvino has bf16"
        )
    options = replace(options, engine=_ENGINE, precision=FP32)
    path = folder() / f"{weights_sha256[:24]}-{INT8}-{VERSION}.onnx"
    if not _is_whole(path, name):
        _quantise(name, files, path, options, open_model)
    model = open_model(path, options)
    model.settings = {**model.settings, "precision": INT8}
    return model


def _is_whole(path: Path, name: str) -> bool:
    """Whether the file is there, with the hash that it was kept with."""
    if not path.is_file():
        return False
    try:
        check(path, RemoteFile(path=path.name), name)
    except ModelError:
        sys.stderr.write(f"rilievo: {printable(path)} is damaged; it is made again\n")
        return False
    return True


def _quantise(
    name: str, files: Sequence[Path], path: Path, options: LoadOptions, open_model: Open
) -> None:
    from rilievo.models.conversion.compression import quantise

    make_folder(path.parent)
    photo = example_photo()
    [reference] = open_model(files[0], options).infer([photo])
    sys.stderr.write(
        f"rilievo: converting {name} to {INT8}, once; kept in {printable(path.parent)}\n"
    )
    # The quantiser writes beside its source, which is no place of ours.
    with replacing(path) as part, tempfile.TemporaryDirectory(dir=path.parent) as work:
        for each in files:
            shutil.copyfile(each, Path(work) / each.name)
        quantise(Path(work) / files[0].name, part)
        [answer] = open_model(part, options).infer([photo])
        try:
            check_limits(compare_answers(reference, answer), INT8)
        except ModelError as error:
            raise ModelError(f"model '{name}': {error}") from error
    remember(path, sha256(path))


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a model from the cache, downloading it first where needed (``ModelCard.loader``)."""
    if options.revision is not None:
        raise ModelError(
            f"model '{card.name}' is pinned to one commit, so it takes no '@{options.revision}'"
        )
    entry = find_entry(card.name)
    files = fetch_files(entry)
    adapter = import_module(f"rilievo.models.catalogue.{entry.adapter}")
    digests = [check(each, file, entry.name) for each, file in zip(files, entry.files, strict=True)]
    weights = combined(digests)

    def open_model(path: Path, chosen: LoadOptions) -> Model:
        return adapter.open_model(path, chosen, card, weights_sha256=weights)

    if options.precision == INT8:
        return open_int8(card.name, files, options, weights, open_model)
    return open_model(files[0], options)


def combined(digests: Sequence[str]) -> str:
    """Hash of a model with several files: the hash of their hashes, in the order of its entry."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
