"""Depth exports of Ultralytics, described by their own metadata."""

import json
from collections.abc import Mapping
from pathlib import Path

from rilievo.errors import ModelError
from rilievo.models.load_options import LoadOptions, checked
from rilievo.models.onnx_files.foreign import ForeignModel, Statement
from rilievo.types import DepthKind


def ultralytics_statement(path: Path, metadata: Mapping[str, str]) -> Statement | None:
    """Facts from the metadata of a depth export of Ultralytics; None for other files.

    Its networks predict metres, from pixels of 0 to 1 resized to ``imgsz`` without keeping the
    aspect ratio.
    """
    if metadata.get("author") != "Ultralytics" or metadata.get("task") != "depth":
        return None
    try:
        height, width = json.loads(metadata["imgsz"])
        size = int(height), int(width)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: its metadata imgsz is not a size: {error}") from error
    return Statement(
        kind=DepthKind.METRIC,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        size=size,
        licence=metadata.get("license", "not stated"),
        name=path.stem,
    )


def open_ultralytics(
    path: Path, metadata: Mapping[str, str], options: LoadOptions
) -> ForeignModel | None:
    """Open a depth export of Ultralytics, unchanged; None for other files."""
    statement = ultralytics_statement(path, metadata)
    if statement is None:
        return None
    options = checked(options, engines=("onnxruntime",), what=f"{path}: a file of Ultralytics")
    return ForeignModel(path, statement, device=options.device, threads=options.threads)
