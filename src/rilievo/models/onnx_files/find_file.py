"""Find and open ONNX files that the user names."""

import os
from functools import partial
from pathlib import Path

from rilievo.models.base import Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.foreign_model import open_ultralytics
from rilievo.models.onnx_files.onnx_model import NoMetadataError, OnnxModel
from rilievo.models.onnx_files.polarity import warn_if_near_and_far_swapped
from rilievo.models.requests import FoundModel, ModelRequest


def find_file(request: ModelRequest) -> FoundModel | None:
    """Find a network by the path of its ONNX file."""
    if not request.is_onnx_file:
        return None
    return FoundModel(card=None, load=partial(open_onnx, Path(request.name)))


def find_in_folder(request: ModelRequest) -> FoundModel | None:
    """Find the network in a folder with a single ONNX file.

    A folder that transformers saved, with a ``config.json``, is left to other finders.
    """
    # os.path.isdir is also False for a name that is too long for the system.
    if not os.path.isdir(request.name) or os.path.exists(Path(request.name) / "config.json"):
        return None
    files = list(Path(request.name).glob("*.onnx"))
    if len(files) != 1:
        return None
    return FoundModel(card=None, load=partial(open_onnx, files[0]))


def open_onnx(path: Path, options: LoadOptions) -> Model:
    """Open an ONNX file that rilievo exported, or a depth model that Ultralytics exported."""
    try:
        model = OnnxModel(path, options)
    except NoMetadataError as error:
        ultralytics_model = open_ultralytics(path, error.metadata, options)
        if ultralytics_model is None:
            raise
        return ultralytics_model
    if model.description.is_third_party:
        # Its kind is what a user stated, so near and far may be swapped.
        warn_if_near_and_far_swapped(model)
    return model
