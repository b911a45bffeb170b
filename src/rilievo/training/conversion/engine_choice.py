"""Choice of a model's engine: torch on a GPU, otherwise ONNX Runtime on a converted file."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.base import Model
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions, resolve_engine
from rilievo.models.onnx_files.conversion import (
    INT8,
    ConversionSource,
    Convert,
    NotConvertedError,
    open_converted,
    open_converted_or_original,
)
from rilievo.training.conversion.onnx_file import TracedModel, write_onnx

TORCH = "torch"
ENGINES = (TORCH, *ONNX_ENGINES)
PRECISIONS = {
    "torch": ("fp32", "bf16", "fp16"),
    "onnxruntime": ("fp32", INT8),
    "openvino": ("fp32", "bf16"),
}
"""Precisions of each engine for a model that rilievo converts."""

LoadInTorch = Callable[[LoadOptions], TracedModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Options with the chosen engine; ``is_default`` if the user did not ask for one."""

    options: LoadOptions
    is_default: bool


def choose_engine(options: LoadOptions, model_description: str) -> EngineChoice:
    """Replace the engine ``auto`` by one that suits the device and the precision.

    ``model_description`` is what messages call the model.
    """
    is_default = options.engine == AUTO
    if is_default:
        options = replace(options, engine=_default_engine(options))
    if options.engine == "openvino" and options.precision == INT8:
        raise OptionError(
            path=model_description,
            problem=Text(
                "int8 on openvino needs calibration photographs: run 'rilievo export MODEL "
                "--precision int8 --calibration FOLDER -o FILE.onnx', then use ",
                OptionName("model", "FILE.onnx"),
            ),
        )
    checked_options = resolve_engine(
        options, engines=ENGINES, what=model_description, precisions=PRECISIONS
    )
    return EngineChoice(options=checked_options, is_default=is_default)


def _default_engine(options: LoadOptions) -> str:
    uses_cuda = options.device.startswith("cuda") or (options.device == AUTO and may_have_cuda())
    if uses_cuda:
        return "torch"
    if options.precision == "bf16" and find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime" if options.precision in PRECISIONS["onnxruntime"] else "torch"


def may_have_cuda() -> bool:
    """Whether an NVIDIA driver is installed, which is found out without importing torch."""
    if sys.platform == "win32":
        return Path("C:/Windows/System32/nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()


def open_converted_or_in_torch(
    source: ConversionSource, choice: EngineChoice, load_in_torch: LoadInTorch
) -> Model:
    """Open the converted file of a model, or load the model in torch if it cannot be converted.

    Raises:
        ModelError: If the model cannot be converted and the user asked for ONNX.
    """
    options = choice.options
    if options.engine == TORCH:
        return load_in_torch(options)
    if choice.is_default:
        torch_options = replace(options, engine=TORCH)
        return open_converted_or_original(source, options, partial(load_in_torch, torch_options))
    try:
        return open_converted(source, options)
    except NotConvertedError as error:
        raise ModelError(
            problem=Text(error), hint=Text(OptionName("engine", "torch"), " can run it")
        ) from error


def load_converter(load_in_torch: LoadInTorch) -> Convert:
    """Load a model in torch on the CPU, and return the function that exports it to ONNX."""
    model = load_in_torch(LoadOptions(device="cpu", engine=TORCH))
    return lambda path, precision: write_onnx(model, path, precision=precision)
