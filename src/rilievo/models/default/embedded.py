"""The models that rilievo trained itself: their files, inside the package or apart."""

import os
from collections.abc import Iterator
from pathlib import Path

from rilievo.errors import ModelError
from rilievo.models.cache_folder import cache_directory
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel

FOLDER = "weights"
"""Folder in the repository, and below the cache folder."""

VARIABLE = "RILIEVO_WEIGHTS"


def load(card: ModelCard, options: LoadOptions) -> OnnxModel:
    """Load a network that ships inside the package (``ModelCard.loader``)."""
    return OnnxModel(embedded_file(card.name), options, card)


def load_separate(card: ModelCard, options: LoadOptions) -> OnnxModel:
    """Load a network from its own file (``ModelCard.loader``)."""
    if options.revision is not None:
        raise ModelError(f"model '{card.name}' is one file, so it has no '@{options.revision}'")
    path = file_of(card)
    model = OnnxModel(path, options, card)
    if model.facts.name != card.name:
        raise ModelError(
            f"{path}: should be '{card.name}', but its metadata name '{model.facts.name}'; take "
            f"{card.source} anew"
        )
    return model


def file_of(card: ModelCard) -> Path:
    """File of a network of rilievo's own, inside the package or apart."""
    if card.source is None:
        return embedded_file(card.name)
    path = find_file(card)
    if path is None:
        raise ModelError(
            f"model '{card.name}' is not inside the package: take {card.source}, put it into "
            f"{_own_folder()} ({VARIABLE} names another folder), or give its path as the model"
        )
    return path


def find_file(card: ModelCard) -> Path | None:
    """Find the file of a network in the first folder that has it; None if there is none."""
    file = f"{card.name.partition('/')[2]}.onnx"
    return next((folder / file for folder in _folders() if (folder / file).is_file()), None)


def _folders() -> Iterator[Path]:
    given = os.environ.get(VARIABLE)
    if given:
        yield Path(given)
    yield _own_folder()
    source = Path(__file__).parents[3]
    if source.name == "src":
        yield source.parent / FOLDER


def _own_folder() -> Path:
    return cache_directory() / FOLDER


def embedded_file(name: str) -> Path:
    """File of a network that ships inside the package, such as that of ``rilievo/small``."""
    return Path(__file__).parent / f"{name.partition('/')[2]}.onnx"
