"""ONNX files run by OpenVINO (extra ``fast``)."""

import os
from pathlib import Path
from typing import Any

from rilievo.errors import MissingExtraError, ModelError, OptionError, first_line
from rilievo.models.cache_folder import cache_directory
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.file_metadata import file_metadata
from rilievo.models.onnx_files.session import Arrays, Session
from rilievo.telemetry import import_openvino


def open_openvino(path: Path, options: LoadOptions) -> Session:
    """Open one file with OpenVINO."""
    try:
        openvino = import_openvino()
    except ModuleNotFoundError as error:
        raise MissingExtraError("the engine openvino", "fast") from error
    if options.device not in ("auto", "cpu"):
        raise OptionError(f"the engine openvino runs on cpu here, not on '{options.device}'")
    settings: dict[str, object] = {
        # OpenVINO takes bf16 by default where the processor has it, so fp32 is set explicitly.
        "INFERENCE_PRECISION_HINT": "f32" if options.precision == "fp32" else "bf16",
        "PERFORMANCE_HINT": "LATENCY",
    }
    cache = _writable_cache(path, f"{options.precision}-{options.threads or 'all'}")
    if cache is not None:
        settings["CACHE_DIR"] = str(cache)
    if options.threads:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    try:
        # From a path, a network that is in the cache is not read again.
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        where, cure = "", ""
        if options.precision == "bf16":  # processors with little or no bf16 lack kernels
            where, cure = " in bf16 on this processor", "; take --precision fp32"
        raise ModelError(
            f"{path}: not a network OpenVINO can run{where}: {first_line(error)}{cure}"
        ) from error
    outputs = tuple(_output_name(output) for output in compiled.outputs)

    def feed(inputs: Arrays) -> Arrays:
        try:
            answer = compiled.infer_new_request(dict(inputs))
        except RuntimeError as error:
            raise ModelError(f"{path}: the network failed: {first_line(error)}") from error
        return {name: answer[index] for index, name in enumerate(outputs)}

    shapes = [each.partial_shape for each in compiled.inputs]
    return Session(
        feed=feed,
        input_names=tuple(_input_name(each) for each in compiled.inputs),
        output_names=outputs,
        metadata=file_metadata(path),
        device="cpu",
        one_by_one=any(len(shape) and shape[0] == 1 for shape in shapes),
    )


def _input_name(given: Any) -> str:
    """Name of an input in the file.

    OpenVINO also gives it names of tensors after it, such as that of its conversion to 16 bits.
    """
    name = given.get_node().get_friendly_name()
    return name if name in given.get_names() else given.get_any_name()


def _output_name(output: Any) -> str:
    """Name of an output in the file.

    OpenVINO also gives it names of tensors before it, in any order.
    """
    name = output.get_node().get_friendly_name().removesuffix("/sink_port_0")
    return name if name in output.get_names() else output.get_any_name()


def _writable_cache(path: Path, setting: str) -> Path | None:
    """OpenVINO's folder of compiled networks, created; None if it cannot be, and is not used.

    Each setting and each state of a file has a folder of its own. OpenVINO 2026.4.1 names a
    compiled network by its file's path alone: it would run one of fp32 as bf16, which reads beyond
    its weights and crashes, and another network of the same size, written within the same second.
    """
    try:
        folder = cache_directory() / "openvino" / setting / _state(path)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ModelError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def _state(path: Path) -> str:
    """Name for the state of a file, and of the weights beside it under the usual names."""
    weights = (path.with_name(path.name + each) for each in ("_data", ".data"))
    states = (each.stat() for each in (path, *weights) if each is path or each.exists())
    facts = ((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in states)
    return "-".join(".".join(f"{number:x}" for number in each) for each in facts)
