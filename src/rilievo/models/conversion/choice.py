"""Which engine runs a model in torch, and in which precisions.

On two cores of an AMD EPYC, Depth Anything V2 small takes torch 590 ms a photograph and
ONNX Runtime 316 ms (OpenVINO 272 ms), and a whole process that loads torch and transformers for
one photograph takes six seconds instead of one. So on a CPU the usual engine is ONNX Runtime,
with a file that is converted at the first use; on a GPU it is torch, which drives it as it is.
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
    """What runs a model in torch.

    Attributes:
        options: With an engine that is not ``auto``.
        usual: Whether it was chosen here, so that another may take its place.
    """

    options: LoadOptions
    usual: bool


def chosen(options: LoadOptions, what: str) -> Choice:
    """The engine that runs a model in torch, which has the precision that was asked for.

    Args:
        options: As given.
        what: The model in messages.

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
    """Whether the system has the driver of an NVIDIA GPU; asked without loading torch."""
    if sys.platform == "win32":
        return Path("C:/Windows/System32/nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()
