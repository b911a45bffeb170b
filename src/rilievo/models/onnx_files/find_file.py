"""Find an ONNX file that the user names, and open it by its metadata."""

import os
from pathlib import Path

from rilievo.models.base import Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.foreign_model import open_ultralytics
from rilievo.models.onnx_files.onnx_model import OnnxModel, SaysNothingError
from rilievo.models.onnx_files.polarity import warn_of_polarity_once
from rilievo.models.requests import FoundModel, ModelRequest


def find(request: ModelRequest) -> FoundModel | None:
    """Find a network by the path of its file."""
    return _model_in_file(Path(request.name)) if request.is_onnx_file else None


def find_in_folder(request: ModelRequest) -> FoundModel | None:
    """Find the only ONNX file of a folder."""
    # Unlike Path.is_dir, this takes names that the system refuses, such as long ones, as missing.
    if not os.path.isdir(request.name) or os.path.exists(Path(request.name) / "config.json"):
        return None
    files = tuple(Path(request.name).glob("*.onnx"))
    return _model_in_file(files[0]) if len(files) == 1 else None


def _model_in_file(path: Path) -> FoundModel:
    return FoundModel(card=None, load=lambda options: open_file(path, options))


def open_file(path: Path, options: LoadOptions) -> Model:
    """Open a file of rilievo, or a depth export of Ultralytics."""
    try:
        model = OnnxModel(path, options)
    except SaysNothingError as error:
        export = open_ultralytics(path, error.metadata, options)
        if export is None:
            raise
        return export
    if model.facts.adopted:
        warn_of_polarity_once(model)
    return model
