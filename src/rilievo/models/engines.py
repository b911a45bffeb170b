"""What runs an ONNX file: one image batch in, named arrays out."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import MissingExtraError, ModelError, OptionError, suggest
from rilievo.models.base import LoadOptions

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]
Run = Callable[[Shaped[np.ndarray, "..."]], Arrays]
"""Feeds the only input and returns every output by name."""

PRECISIONS = {"onnxruntime": ("fp32",), "openvino": ("fp32", "bf16")}


def engine(path: Path, options: LoadOptions) -> Run:
    """Make the engine that ``options`` names.

    Raises:
        OptionError: If the engine, its precision or the device is not to be had.
        MissingExtraError: If its package is not installed.
        ModelError: If the file is no network that it can run.
    """
    if options.engine not in PRECISIONS:
        raise OptionError(f"no engine '{options.engine}'; {suggest(options.engine, PRECISIONS)}")
    if options.precision not in PRECISIONS[options.engine]:
        raise OptionError(
            f"the engine {options.engine} has no precision '{options.precision}'; "
            f"it has {', '.join(PRECISIONS[options.engine])}"
        )
    if options.threads is not None and options.threads < 1:
        raise OptionError(f"threads are 1 or more, got {options.threads}")
    return (_onnxruntime if options.engine == "onnxruntime" else _openvino)(path, options)


def providers(device: str, available: list[str]) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's providers for a device name, best first.

    Raises:
        OptionError: If the device is unknown or this installation cannot use it.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise OptionError(f"no device '{device}'; known: auto, cpu, cuda, cuda:N")
    has_cuda = "CUDAExecutionProvider" in available
    if kind == "cuda" and not has_cuda:
        raise OptionError(
            f"device '{device}' is not to be had: this onnxruntime has no CUDA "
            "(pip install onnxruntime-gpu in place of onnxruntime), or use --device cpu"
        )
    if kind == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": index or "0"}), "CPUExecutionProvider"]


def _onnxruntime(path: Path, options: LoadOptions) -> Run:
    import onnxruntime

    chosen = providers(options.device, onnxruntime.get_available_providers())
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = options.threads or 0
    session_options.log_severity_level = 4
    # Threads that spin between two small networks take the cores from decoding and encoding.
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, session_options, providers=chosen)
    # The runtime's own exceptions derive from Exception alone and are not exported.
    except Exception as error:
        raise ModelError(f"{path}: not a network ONNX Runtime can run: {_line(error)}") from error
    inputs, names = session.get_inputs(), [output.name for output in session.get_outputs()]

    def run(batch: Shaped[np.ndarray, "..."]) -> Arrays:
        return dict(zip(names, session.run(names, {inputs[0].name: batch}), strict=True))

    return run


def _openvino(path: Path, options: LoadOptions) -> Run:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("the engine openvino", "fast") from error
    if options.device not in ("auto", "cpu"):
        raise OptionError(f"the engine openvino runs on cpu here, not on '{options.device}'")
    settings: dict[str, object] = {
        # OpenVINO takes bf16 by itself where the processor has it; what is exact is said.
        "INFERENCE_PRECISION_HINT": "f32" if options.precision == "fp32" else "bf16",
        "PERFORMANCE_HINT": "LATENCY",
        "CACHE_DIR": str(cache_directory() / "openvino"),
    }
    if options.threads:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise ModelError(f"{path}: not a network OpenVINO can run: {_line(error)}") from error
    names = [output.get_any_name() for output in compiled.outputs]

    def run(batch: Shaped[np.ndarray, "..."]) -> Arrays:
        answer = compiled.infer_new_request({0: batch})
        return {name: answer[index] for index, name in enumerate(names)}

    return run


def cache_directory() -> Path:
    """Where compiled networks are kept: ``$RILIEVO_CACHE``, else the user's cache folder."""
    given = os.environ.get("RILIEVO_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rilievo"


def _line(error: Exception) -> str:
    """The first line of a library's message, short enough to read."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
