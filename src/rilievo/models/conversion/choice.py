"""Choice of engine and precision for models in torch.

On two cores of an AMD EPYC, Depth Anything V2 small takes 590 ms a photograph in torch and 316 ms
in ONNX Runtime (272 ms in OpenVINO), and a process that loads torch and transformers for a single
photograph takes six seconds, against one. So the default on a CPU is ONNX Runtime, with a file
converted at first use; on a GPU it is torch.
"""

import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.models.engines import AUTO, ONNX_ENGINES, LoadOptions, checked

INT8 = "int8"
ENGINES = ("torch", *ONNX_ENGINES)
PRECISIONS = {
    "torch": ("fp32", "bf16", "fp16"),
    "onnxruntime": ("fp32", INT8),
    "openvino": ("fp32", "bf16"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The engine chosen for a model in torch.

    Attributes:
        options: Options with an engine other than ``auto``.
        usual: Whether the engine is a default, which another one may replace.
    """

    options: LoadOptions
    usual: bool


def chosen(options: LoadOptions, what: str) -> Choice:
    """Choose the engine for a model in torch, among those with the requested precision.

    Args:
        options: Options as the user gave them.
        what: Name of the model in messages.

    Raises:
        OptionError: If the engine is unknown, or lacks the precision.
    """
    usual = options.engine == AUTO
    if usual:
        options = replace(options, engine=_usual(options))
    if options.engine == "openvino" and options.precision == INT8:
        raise OptionError(
            f"{what}: openvino's int8 needs photographs to calibrate on: rilievo export MODEL "
            "--precision int8 --calibration FOLDER -o FILE.onnx, then --model FILE.onnx"
        )
    checked_options = checked(options, engines=ENGINES, what=what, precisions=PRECISIONS)
    return Choice(options=checked_options, usual=usual)


def _usual(options: LoadOptions) -> str:
    if options.device.startswith("cuda") or (options.device == AUTO and may_have_cuda()):
        return "torch"
    if options.precision == "bf16" and find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime" if options.precision in PRECISIONS["onnxruntime"] else "torch"


def may_have_cuda() -> bool:
    """Whether the system has an NVIDIA driver; checked without loading torch."""
    if sys.platform == "win32":
        return Path("C:/Windows/System32/nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()
