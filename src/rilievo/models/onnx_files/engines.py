"""Open ONNX files with ONNX Runtime or OpenVINO (extra ``fast``)."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import MissingExtraError, ModelError, OptionError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.models.load_options import ONNX_ENGINES, LoadOptions, resolve_engine
from rilievo.models.network_files import cache_directory
from rilievo.models.onnx_files.file_metadata import file_metadata
from rilievo.models.resampling.inference import Arrays
from rilievo.records.prediction_record import Setting
from rilievo.system.telemetry import import_onnxruntime, import_openvino

INPUT = "image"
"""Name of the picture among the inputs of the files that rilievo exports."""
_SURFACES = "surfaces"
"""Name of an optional input: whether normals and confidence are computed."""

_CPU = "CPUExecutionProvider"
_PROVIDERS = {
    "cpu": (_CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}
"""Provider of ONNX Runtime for each device, and the package that contains it.

Without such hardware, only cpu and the choice among the others are tested.
"""

_PRECISION, INT8_WEIGHTS = "rilievo.precision", "int8 weights"
"""Key and value in the metadata of files whose weights alone have 8 bits."""
_CONSTANT_SIZE_ENTRY = "optimization.constant_folding_max_output_size_in_bytes"
_MAX_CONSTANT_BYTES = 2**28
"""Size of the constants that are computed when a file is opened."""
_DEQUANTISE_ENTRY = "session.disable_quant_qdq"
"""Entry of a session that converts 8-bit weights to 32 bits once, when a file is opened."""
_releases_memory: ContextVar[bool] = ContextVar("releases_memory", default=False)
_keeps_order: ContextVar[bool] = ContextVar("keeps_order", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Network that an engine has opened.

    Attributes:
        feed: Function from inputs to outputs, both by name.
        input_names: Names of the inputs that it needs.
        optional_names: Names of the inputs that have a default.
        output_names: Names of the outputs.
        metadata: Metadata of the file.
        settings: Engine, precision and device.
        one_by_one: Whether its batches have exactly one element.
    """

    feed: Callable[[Arrays], Arrays]
    input_names: tuple[str, ...]
    optional_names: tuple[str, ...] = ()
    output_names: tuple[str, ...]
    metadata: Mapping[str, str]
    settings: Mapping[str, Setting]
    one_by_one: bool

    def run(self, batch: Shaped[np.ndarray, "b ..."], name: str = INPUT) -> Arrays:
        """Run the network on a batch, one after the other if its batches have one element."""
        if not self.one_by_one or len(batch) == 1:
            return self.feed({name: batch})
        results = [self.feed({name: part}) for part in np.split(batch, len(batch))]
        return {key: np.concatenate([outputs[key] for outputs in results]) for key in results[0]}

    def depth_alone(self) -> "Session":
        """Session without normals and confidence, if the network can leave them out."""
        if _SURFACES not in self.optional_names:
            return self

        def feed(inputs: Arrays) -> Arrays:
            outputs = self.feed({**inputs, _SURFACES: np.array(False)})
            return {name: output for name, output in outputs.items() if output.size}

        return replace(self, feed=feed, optional_names=())


def open_session(path: Path, options: LoadOptions, what: str = "") -> Session:
    """Open an ONNX file with the engine of the options.

    Args:
        path: ONNX file.
        options: Engine, precision, device and threads.
        what: The model, for messages; by default the file.

    Raises:
        ModelError: If the engine cannot run the file.
        OptionError: If engine, precision or device are not available.
        MissingExtraError: If the engine is not installed.
    """
    options = resolve_engine(options, engines=ONNX_ENGINES, what=what or f"{path}: an ONNX file")
    open_with_engine = _open_openvino
    if options.engine == "onnxruntime":
        open_with_engine = _open_onnxruntime
    try:
        return open_with_engine(path, options)
    except UnicodeDecodeError as error:
        raise ModelError("a name in the network is no text in UTF-8", path=path) from error


@contextmanager
def shrink_arena() -> Iterator[None]:
    """Release the memory of ONNX Runtime after each run in the block."""
    token = _releases_memory.set(True)
    try:
        yield
    finally:
        _releases_memory.reset(token)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Open files in the block so that ONNX Runtime adds numbers in the order of the file.

    Kernels for the layout of this processor add them in another order, which changes 1 pixel in
    10,000.
    """
    token = _keeps_order.set(True)
    try:
        yield
    finally:
        _keeps_order.reset(token)


def _open_onnxruntime(path: Path, options: LoadOptions) -> Session:
    """Open an ONNX file with ONNX Runtime."""
    session = inference_session(path, options.device, options.threads)
    input_nodes = session.get_inputs()
    output_names = tuple(node.name for node in session.get_outputs())
    float16_names = {node.name for node in input_nodes if node.type == "tensor(float16)"}
    releasing_memory = import_onnxruntime().RunOptions()
    releasing_memory.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def feed(inputs: Arrays) -> Arrays:
        arrays = {
            name: array.astype(np.float16) if name in float16_names else array
            for name, array in inputs.items()
        }
        run_options = releasing_memory if _releases_memory.get() else None
        try:
            outputs = session.run(output_names, arrays, run_options)
        except Exception as error:
            raise ModelError(f"the network failed: {first_line(error)}", path=path) from error
        return {
            name: np.asarray(output) for name, output in zip(output_names, outputs, strict=True)
        }

    return Session(
        feed=feed,
        input_names=tuple(node.name for node in input_nodes),
        optional_names=tuple(node.name for node in session.get_overridable_initializers()),
        output_names=output_names,
        metadata=session.get_modelmeta().custom_metadata_map,
        settings={
            "engine": options.engine,
            "precision": options.precision,
            "device": provider_device(session.get_providers()[0], options.device),
        },
        one_by_one=any(node.shape and node.shape[0] == 1 for node in input_nodes),
    )


def providers(device: str, available: list[str]) -> list[str | tuple[str, dict[str, str]]]:
    """Providers of ONNX Runtime for a device, the preferred one first.

    Raises:
        OptionError: If there is no such device, or this ONNX Runtime has no provider for it.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", *_PROVIDERS) or (index and not (kind == "cuda" and index.isdigit())):
        raise OptionError(f"no device '{device}'; known: auto, cpu, cuda, cuda:N, coreml, directml")
    if kind == "auto":
        kind = "cuda" if _PROVIDERS["cuda"][0] in available else "cpu"
    provider, package = _PROVIDERS[kind]
    if provider not in available:
        raise OptionError(
            f"device '{device}' is not available: this onnxruntime has no {provider}",
            hint=Text(f"install {package}, or use ", OptionName("device", "cpu")),
        )
    if kind == "cpu":
        return [_CPU]
    if kind == "cuda":
        # An algorithm is chosen for each convolution and every new size of a photograph. By default
        # (EXHAUSTIVE) cuDNN's slower heuristics choose it, mode B; HEURISTIC is the quicker mode A.
        return [
            (provider, {"device_id": index or "0", "cudnn_conv_algo_search": "HEURISTIC"}),
            _CPU,
        ]
    return [provider, _CPU]


def has_cuda() -> bool:
    """Whether ONNX Runtime can run on NVIDIA's GPUs."""
    onnxruntime = import_onnxruntime()

    return _PROVIDERS["cuda"][0] in onnxruntime.get_available_providers()


def provider_device(provider: str, device: str) -> str:
    """Name of the device on which a provider runs, for the record of a prediction.

    Raises:
        OptionError: If it is another device than the user chose.
    """
    kind, _, index = device.partition(":")
    if kind != "auto" and provider != _PROVIDERS[kind][0]:
        raise OptionError(
            f"device '{device}' is not available: ONNX Runtime could not load "
            f"{_PROVIDERS[kind][0]}",
            hint=Text("install the libraries it needs, or use ", OptionName("device", "cpu")),
        )
    names = {provider_name: name for name, (provider_name, _) in _PROVIDERS.items()}
    name = names.get(provider, "cpu")
    return f"cuda:{index or 0}" if name == "cuda" else name


def inference_session(path: Path, device: str, threads: int | None) -> Any:
    """Open a file with ONNX Runtime; "auto" takes the CPU if the GPU cannot run it.

    Args:
        path: ONNX file.
        device: Device, such as "auto" or "cuda:1".
        threads: Threads of one run; None takes one per core.

    Raises:
        ModelError: If ONNX Runtime cannot run the file.
        OptionError: If the device is not available.
    """
    onnxruntime = import_onnxruntime()
    device_providers = providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    if _keeps_order.get():
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    # Threads that spin between two small networks take cores from decoding and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A small file may hold the recipe of a constant of any size.
    options.add_session_config_entry(_CONSTANT_SIZE_ENTRY, str(_MAX_CONSTANT_BYTES))
    if _metadata_precision(path) == INT8_WEIGHTS:
        options.add_session_config_entry(_DEQUANTISE_ENTRY, "1")
    # The runtime's exceptions derive directly from Exception and are not exported.
    try:
        session = onnxruntime.InferenceSession(
            path, options, providers=device_providers, enable_fallback=0
        )
        _ = session.get_modelmeta().custom_metadata_map  # fails if not UTF-8
    except Exception as error:
        if device == "auto" and device_providers != [_CPU]:
            return inference_session(path, "cpu", threads)
        raise ModelError(
            f"not a network ONNX Runtime can run: {first_line(error)}", path=path
        ) from error
    return session


def _metadata_precision(path: Path) -> str | None:
    try:
        return file_metadata(path).get(_PRECISION)
    except (ModelError, UnicodeDecodeError):
        return None


def _open_openvino(path: Path, options: LoadOptions) -> Session:
    """Open an ONNX file with OpenVINO, which runs it on the CPU."""
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
        circumstances, hint = "", ""
        if options.precision == "bf16":  # processors with little or no bf16 lack kernels
            circumstances = " in bf16 on this processor"
            hint = Text("take ", OptionName("precision", "fp32"))
        raise ModelError(
            f"not a network OpenVINO can run{circumstances}: {first_line(error)}",
            path=path,
            hint=hint,
        ) from error
    output_names = tuple(_name_in_file(port, "/sink_port_0") for port in compiled.outputs)

    def feed(inputs: Arrays) -> Arrays:
        try:
            outputs = compiled.infer_new_request(dict(inputs))
        except RuntimeError as error:
            raise ModelError(f"the network failed: {first_line(error)}", path=path) from error
        return {name: outputs[index] for index, name in enumerate(output_names)}

    shapes = [port.partial_shape for port in compiled.inputs]
    return Session(
        feed=feed,
        input_names=tuple(map(_name_in_file, compiled.inputs)),
        output_names=output_names,
        metadata=file_metadata(path),
        settings={"engine": options.engine, "precision": options.precision, "device": "cpu"},
        one_by_one=any(len(shape) and shape[0] == 1 for shape in shapes),
    )


def _name_in_file(port: Any, suffix: str = "") -> str:
    """Name of an input or output in the file; OpenVINO gives a port several names."""
    name = port.get_node().get_friendly_name().removesuffix(suffix)
    return name if name in port.get_names() else port.get_any_name()


def _writable_cache(path: Path, setting: str) -> Path | None:
    """Folder where OpenVINO keeps a compiled network; None if it cannot be written to."""
    # OpenVINO 2026.4.1 names networks by their paths alone, so there is a folder for each setting
    # and state of the file.
    try:
        folder = cache_directory() / "openvino" / setting / _file_state(path)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ModelError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def _file_state(path: Path) -> str:
    """Inode, size and times of a network's file, and of the file with its weights if any."""
    weights = [path.with_name(path.name + suffix) for suffix in ("_data", ".data")]
    states = []
    for file in (path, *(file for file in weights if file.exists())):
        status = file.stat()
        numbers = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        states.append(".".join(f"{number:x}" for number in numbers))
    return "-".join(states)
