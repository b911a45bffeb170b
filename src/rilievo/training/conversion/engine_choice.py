"""Choice of the engine: torch on a GPU, else ONNX Runtime with a file that is converted once."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text, for_terminal
from rilievo.io.files.atomic import replacing
from rilievo.models.base import Model
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions, resolve_engine
from rilievo.models.onnx_files.conversion import (
    INT8,
    ConversionSource,
    Convert,
    NotConvertedError,
    failure_record_path,
    open_converted,
)
from rilievo.system.terminal import wrap_for_terminal
from rilievo.training.conversion.onnx_file import TracedModel, write_onnx

TORCH = "torch"
MADE_BY = ("torch", "transformers")

InTorch = Callable[[LoadOptions], TracedModel]

ENGINES = (TORCH, *ONNX_ENGINES)
PRECISIONS = {
    "torch": ("fp32", "bf16", "fp16"),
    "onnxruntime": ("fp32", INT8),
    "openvino": ("fp32", "bf16"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Engine that was chosen for a model."""

    options: LoadOptions
    usual: bool


def choose_engine(options: LoadOptions, what: str) -> EngineChoice:
    """Replace ``auto`` by an engine; refuse precisions that it lacks."""
    usual = options.engine == AUTO
    if usual:
        options = replace(options, engine=_default_engine(options))
    if options.engine == "openvino" and options.precision == INT8:
        raise OptionError(
            path=what,
            problem=Text(
                "openvino's int8 needs photographs to calibrate on: rilievo "
                "export MODEL --precision int8 --calibration FOLDER -o "
                "FILE.onnx, then ",
                OptionName("model", "FILE.onnx"),
            ),
        )
    checked_options = resolve_engine(options, engines=ENGINES, what=what, precisions=PRECISIONS)
    return EngineChoice(options=checked_options, usual=usual)


def _default_engine(options: LoadOptions) -> str:
    if options.device.startswith("cuda") or (options.device == AUTO and may_have_cuda()):
        return "torch"
    if options.precision == "bf16" and find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime" if options.precision in PRECISIONS["onnxruntime"] else "torch"


def may_have_cuda() -> bool:
    """Whether there is an NVIDIA driver, without torch."""
    if sys.platform == "win32":
        return Path("C:/Windows/System32/nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()


def open_converted_or_in_torch(
    origin: ConversionSource, choice: EngineChoice, in_torch: InTorch
) -> Model:
    """Open a converted file; where a model refuses conversion, torch."""
    options = choice.options
    if options.engine == TORCH:
        return in_torch(options)
    if choice.usual and failure_record_path(origin, options).is_file():
        return in_torch(replace(options, engine=TORCH))
    try:
        return open_converted(origin, options)
    except NotConvertedError as error:
        if not choice.usual:
            raise ModelError(
                problem=Text(error), hint=Text(OptionName("engine", "torch"), " runs it")
            ) from error
        with replacing(failure_record_path(origin, options)) as note:
            note.write_text(f"{error}\n", encoding="utf-8")
        line = f"rilievo: {for_terminal(Text(error, ': torch runs it'))}"
        sys.stderr.write(wrap_for_terminal(line, sys.stderr) + "\n")
        return in_torch(replace(options, engine=TORCH))


def load_converter(in_torch: InTorch) -> Convert:
    """Load a model; return the function that exports it."""
    model = in_torch(LoadOptions(device="cpu", engine=TORCH))
    return lambda part, precision: write_onnx(model, part, precision=precision)
