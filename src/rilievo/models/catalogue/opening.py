"""Load a model of the catalogue: find its files, then call the adapter of its family."""

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from rilievo.errors import ModelError
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.download import fetch_files
from rilievo.models.catalogue.eight_bits import open_int8
from rilievo.models.catalogue.entry import Entry
from rilievo.models.catalogue.table import find_entry
from rilievo.models.catalogue.verified import check
from rilievo.models.conversion.store import INT8
from rilievo.models.engines import LoadOptions
from rilievo.models.trial import open_faster


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a model from the cache, downloading it first where needed (``ModelCard.loader``)."""
    if options.revision is not None:
        raise ModelError(
            f"model '{card.name}' is pinned to one commit, so it takes no '@{options.revision}'"
        )
    entry = find_entry(card.name)
    files = fetch_files(entry)
    adapter = import_module(f"rilievo.models.catalogue.{entry.adapter}")
    weights = _digest(entry, files)

    def open_model(path: Path, chosen: LoadOptions) -> Model:
        return adapter.open_model(path, chosen, card, weights_sha256=weights)

    if options.precision == INT8:
        return open_int8(card.name, files, options, weights, open_model)
    return open_faster(lambda chosen: open_model(files[0], chosen), files[0], options, weights)


def _digest(entry: Entry, paths: list[Path]) -> str:
    return combined(
        [check(path, file, entry.name) for path, file in zip(paths, entry.files, strict=True)]
    )


def combined(digests: Sequence[str]) -> str:
    """Hash of a model with several files: the hash of their hashes, in the order of its entry."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
