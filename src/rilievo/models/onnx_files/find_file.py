"""Find and open ONNX files that the user names."""

import os
from functools import partial
from pathlib import Path

from rilievo.models.base import Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.foreign_model import open_ultralytics
from rilievo.models.onnx_files.onnx_model import NoMetadataError, OnnxModel
from rilievo.models.onnx_files.polarity import warn_of_polarity_once
from rilievo.models.requests import FoundModel, ModelRequest


def find(request: ModelRequest) -> FoundModel | None:
    """Find a network by the path of its ONNX file."""
    if not request.is_onnx_file:
        return None
    return FoundModel(card=None, load=partial(open_file, Path(request.name)))


def find_in_folder(request: ModelRequest) -> FoundModel | None:
    """Find the network in a folder with a single ONNX file, which transformers did not save."""
    # Unlike Path.is_dir, this takes names that the system refuses, such as long ones, as missing.
    if not os.path.isdir(request.name) or os.path.exists(Path(request.name) / "config.json"):
        return None
    files = list(Path(request.name).glob("*.onnx"))
    if len(files) != 1:
        return None
    return FoundModel(card=None, load=partial(open_file, files[0]))


def open_file(path: Path, options: LoadOptions) -> Model:
    """Open an ONNX file that rilievo exported, or a depth export of Ultralytics.

    Raises:
        ModelError: If it is another file.
    """
    try:
        model = OnnxModel(path, options)
    except NoMetadataError as error:
        ultralytics_model = open_ultralytics(path, error.metadata, options)
        if ultralytics_model is None:
            raise
        return ultralytics_model
    if model.facts.adopted:
        warn_of_polarity_once(model)
    return model
