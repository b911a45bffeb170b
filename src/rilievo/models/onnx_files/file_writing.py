"""Write ONNX files in rilievo's format: their metadata, precision and size, and how they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError, suggest
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import PreparedModel
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.agreement import Agreement, check_agreement
from rilievo.models.onnx_files.conversion import FP32 as FP32
from rilievo.models.onnx_files.conversion import INT8 as INT8
from rilievo.models.onnx_files.file_changes import write_fp16_weights
from rilievo.models.onnx_files.onnx_model import OnnxDescription, OnnxModel
from rilievo.models.onnx_files.quantisation import quantise
from rilievo.models.resampling.preparation import Preparation, Rule, Sizing

FP16 = "fp16"
FILE_PRECISIONS = (FP32, FP16, INT8)
"""Precisions of the weights in an ONNX file."""
_MAX_COMPARED_PHOTOS = 8
"""Most photographs on which a file is compared with its model."""


def check_file_precision(precision: str) -> None:
    """Raise ``OptionError`` for a precision that an ONNX file cannot have."""
    if precision not in FILE_PRECISIONS:
        suggestion = suggest(precision, FILE_PRECISIONS)
        raise OptionError(f"an ONNX file cannot have precision '{precision}'; {suggestion}")


def with_fixed_size(preparation: Preparation, size: Size) -> Preparation:
    """Replace the rule for the size of the input by one size (height, width) [px]."""
    height, width = size
    multiple = preparation.sizing.multiple
    if min(size) < 1 or height % multiple or width % multiple:
        raise OptionError(
            option="size",
            problem=f"must be HEIGHT,WIDTH in multiples of {multiple}, got {height},{width}",
        )
    sizing = Sizing(rule=Rule.FIXED, height=height, width=width, multiple=multiple)
    return replace(preparation, sizing=sizing)


def append_model_metadata(target: Path, model: PreparedModel, description: OnnxDescription) -> None:
    """Append the metadata of a model to a file, with the hash of its weights."""
    append_metadata(target, _file_metadata(model, description))


def append_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Append metadata to a file without reading it, since protocol buffers can be concatenated."""
    import onnx

    entries = onnx.ModelProto()
    for key, value in metadata.items():
        entries.metadata_props.add(key=key, value=value)
    with path.open("ab") as file:
        file.write(entries.SerializeToString())


def _file_metadata(model: PreparedModel, description: OnnxDescription) -> Mapping[str, str]:
    return {**description.metadata(), "rilievo.weights_sha256": model.weights_sha256}


def convert_precision(
    source: Path,
    target: Path,
    precision: str,
    preparation: Preparation,
    photos: Sequence[Path],
) -> None:
    """Convert an fp32 file to fp16, or to int8, which ``photos`` calibrate."""
    if precision == FP16:
        write_fp16_weights(source, target)
    else:  # INT8
        quantise(source, target, preparation, photos)


def measure_agreement(
    model: PreparedModel,
    path: Path,
    precision: str,
    photos: Sequence[Path] = (),
    threads: int | None = None,
) -> Agreement:
    """Measure how far the predictions of a file and of its model differ."""
    try:
        load_options = LoadOptions(device="cpu", engine="onnxruntime", threads=threads)
        converted = OnnxModel(path, load_options)
        compared = [read_photo(photo, own_depth=False) for photo in photos[:_MAX_COMPARED_PHOTOS]]
        return check_agreement(model, converted, precision, [photo.pixels for photo in compared])
    except ModelError as error:
        # The name of the temporary file would mean nothing to users.
        problem = error.text(path="" if str(error.path) == str(path) else None)
        beginning = f"model '{model.card.name}' cannot be exported:"
        raise ModelError(beginning, problem=problem) from error
