"""Write ONNX files in rilievo's format: their metadata, precision and size, and how they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rilievo.arrays.shapes import Size
from rilievo.errors import ModelError, OptionError, suggest
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import random_part_path
from rilievo.io.training_files import ONNX_KEY
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import PreparedModel
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.agreement import Agreement, check_agreement
from rilievo.models.onnx_files.conversion import FP32 as FP32
from rilievo.models.onnx_files.conversion import INT8 as INT8
from rilievo.models.onnx_files.engines import INT8_WEIGHTS, original_summation_order
from rilievo.models.onnx_files.file_changes import (
    fix_size_in_file,
    may_have_8bit_weights,
    set_metadata,
    write_fp16_weights,
    write_without_dequantize,
)
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


def write_converted_copy(
    model: OnnxModel,
    target: Path,
    *,
    precision: str = FP32,
    photos: Sequence[Path] = (),
    size: Size | None = None,
) -> Agreement:
    """Write a copy of a model's ONNX file with another precision, a fixed size, or both.

    Args:
        model: Model, in fp32 if the copy shall have another precision.
        target: File to write.
        precision: Precision of the copy; with fp32, the weights stay as they are.
        photos: Photographs that calibrate int8, and on which the two are compared.
        size: Fixed height and width of the input [px]; None keeps the rule of the model.

    Returns:
        How far the predictions of the model and of its copy differ.

    Raises:
        ModelError: If the network cannot be converted, or predictions differ too much.
        OptionError: If the model has another precision already, or the size does not suit it.
    """
    preparation = model.preparation if size is None else with_fixed_size(model.preparation, size)
    if precision != FP32 and model.description.precision != FP32:
        raise OptionError(
            f"its weights are already {model.description.precision}",
            path=model.card.name,
            hint=Text(
                "leave out ",
                OptionName("precision"),
                f" to keep these weights, or export the original model in {precision}",
            ),
        )
    if precision == FP32 and size is None:
        _copy_without_dequantize(model, target)
        return measure_agreement(model, target, precision, photos)

    description = replace(model.description, preparation=preparation)
    if precision == FP32:
        _copy_with_size(model, target, size)
    else:
        description = replace(description, precision=precision)
        sized_path = random_part_path(target)
        try:
            _copy_with_size(model, sized_path, size)
            convert_precision(sized_path, target, precision, preparation, photos)
        finally:
            sized_path.unlink(missing_ok=True)
    metadata = {name: value for name, value in model.metadata.items() if name != ONNX_KEY}
    metadata |= description.metadata()
    metadata["rilievo.weights_sha256"] = model.weights_sha256
    set_metadata(target, metadata)
    if precision != FP32:
        return measure_agreement(model, target, precision, photos)
    # One thread: several threads sum in an order that depends on the load of the machine, and where
    # the network rounds and then picks a place, it could pick another one.
    load_options = LoadOptions(device="cpu", engine="onnxruntime", threads=1)
    with original_summation_order():
        source_model = OnnxModel(model.path, load_options)
        return measure_agreement(source_model, target, precision, photos, threads=1)


def _copy_with_size(model: OnnxModel, path: Path, size: Size | None) -> None:
    """Copy the file of a model, with a fixed size unless that is None."""
    if size is None:
        path.write_bytes(model.path.read_bytes())
        return
    _copy_without_dequantize(model, path)
    fix_size_in_file(path, size, model.path.name)


def _copy_without_dequantize(model: OnnxModel, target: Path) -> None:
    """Copy the file of a model, without the operator that converts 8-bit weights."""
    if model.description.precision == INT8_WEIGHTS and may_have_8bit_weights(model.path):
        write_without_dequantize(model.path, target)
    else:
        target.write_bytes(model.path.read_bytes())
