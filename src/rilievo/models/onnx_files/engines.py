"""Open ONNX files with ONNX Runtime or OpenVINO (extra ``fast``)."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass, replace
from io import StringIO
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

_SURFACES_INPUT = "surfaces"
"""Name of an optional boolean input: whether normals and confidence are computed."""

_CPU = "CPUExecutionProvider"
_PROVIDERS = {
    "cpu": (_CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu[cuda,cudnn]"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}
"""Provider of ONNX Runtime for each device, and the package that contains it.

Without such hardware, only cpu and the choice among the others are tested.
"""
_CUDA_OPTIONS = {
    # cuDNN searches an algorithm for each convolution again at every new size of a photograph.
    # HEURISTIC is its quick search (mode A); the default, EXHAUSTIVE, is the slow one (mode B).
    "cudnn_conv_algo_search": "HEURISTIC",
    # By default, products of float32 have 10 bits of mantissa (TF32) on Ampere and newer. With such
    # products on the CPU, the depth of rilievo/base changed by up to 6% of its range.
    "use_tf32": "0",
}

_PRECISION_KEY, INT8_WEIGHTS = "rilievo.precision", "int8 weights"
"""Key and value in the metadata of files in which only the weights have 8 bits."""
_CONSTANT_SIZE_ENTRY = "optimization.constant_folding_max_output_size_in_bytes"
_MAX_CONSTANT_BYTES = 2**28
"""Largest constant that is computed when a file is opened."""
_DEQUANTISE_ENTRY = "session.disable_quant_qdq"
"""Entry of a session that converts 8-bit weights to 32 bits once, when a file is opened."""
_releases_memory: ContextVar[bool] = ContextVar("releases_memory", default=False)
_keeps_summation_order: ContextVar[bool] = ContextVar("keeps_summation_order", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Network that an engine has opened.

    Attributes:
        feed: Function from inputs to outputs, both by name.
        optional_names: Names of the inputs that have a default.
        one_by_one: Whether a batch must have exactly one element.
    """

    feed: Callable[[Arrays], Arrays]
    input_names: tuple[str, ...]
    optional_names: tuple[str, ...] = ()
    output_names: tuple[str, ...]
    metadata: Mapping[str, str]
    settings: Mapping[str, Setting]
    one_by_one: bool

    def run(self, batch: Shaped[np.ndarray, "b ..."], name: str) -> Arrays:
        """Run the network on a batch for the input ``name``.

        The elements are run one after the other if the network requires batches of one.
        """
        if not self.one_by_one or len(batch) == 1:
            return self.feed({name: batch})
        results = [self.feed({name: element}) for element in np.split(batch, len(batch))]
        return {
            output_name: np.concatenate([outputs[output_name] for outputs in results])
            for output_name in results[0]
        }

    def depth_alone(self) -> "Session":
        """Session without normals and confidence, if the network can leave them out."""
        if _SURFACES_INPUT not in self.optional_names:
            return self

        def feed_without_surfaces(inputs: Arrays) -> Arrays:
            outputs = self.feed({**inputs, _SURFACES_INPUT: np.array(False)})
            # Outputs that were left out are empty.
            return {name: output for name, output in outputs.items() if output.size}

        return replace(self, feed=feed_without_surfaces, optional_names=())


def open_session(path: Path, options: LoadOptions, what: str = "") -> Session:
    """Open an ONNX file with the engine of the options.

    Messages name the model ``what``, or by default the file.

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
        raise ModelError("a name in the network is not valid UTF-8", path=path) from error


@contextmanager
def shrink_arena() -> Iterator[None]:
    """Release the memory of ONNX Runtime after each run in the block."""
    token = _releases_memory.set(True)
    try:
        yield
    finally:
        _releases_memory.reset(token)


@contextmanager
def original_summation_order() -> Iterator[None]:
    """Open files in the block so that ONNX Runtime adds numbers in the order of the file.

    Otherwise its kernels for this processor add them in another order, which changes 1 pixel in
    10,000.
    """
    token = _keeps_summation_order.set(True)
    try:
        yield
    finally:
        _keeps_summation_order.reset(token)


def _open_onnxruntime(path: Path, options: LoadOptions) -> Session:
    """Open an ONNX file with ONNX Runtime; ``feed`` also converts inputs to float16 as needed."""
    session = inference_session(path, options.device, options.threads)
    input_nodes = session.get_inputs()
    output_names = tuple(node.name for node in session.get_outputs())
    float16_names = {node.name for node in input_nodes if node.type == "tensor(float16)"}
    shrinking_run_options = import_onnxruntime().RunOptions()
    shrinking_run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def feed(inputs: Arrays) -> Arrays:
        arrays = {
            name: array.astype(np.float16) if name in float16_names else array
            for name, array in inputs.items()
        }
        run_options = shrinking_run_options if _releases_memory.get() else None
        try:
            outputs = session.run(output_names, arrays, run_options)
        except Exception as error:
            raise ModelError(
                f"ONNX Runtime failed to run the network: {first_line(error)}", path=path
            ) from error
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
    """Providers of ONNX Runtime for a device, the preferred one first."""
    device_type, _, index = device.partition(":")
    has_valid_index = not index or (device_type == "cuda" and index.isdigit())
    if device_type not in ("auto", *_PROVIDERS) or not has_valid_index:
        raise OptionError(
            f"no device '{device}'; expected auto, cpu, cuda, cuda:N, coreml or directml"
        )
    if device_type == "auto":
        device_type = "cuda" if _PROVIDERS["cuda"][0] in available else "cpu"
    provider, package = _PROVIDERS[device_type]
    if provider not in available:
        raise OptionError(
            f"device '{device}' is not available: the installed onnxruntime has no {provider}",
            hint=Text(f"install {package}, or use ", OptionName("device", "cpu")),
        )
    if device_type == "cpu":
        return [_CPU]
    if device_type == "cuda":
        return [(provider, {"device_id": index or "0", **_CUDA_OPTIONS}), _CPU]
    return [provider, _CPU]


def has_cuda() -> bool:
    """Whether ONNX Runtime can run on NVIDIA's GPUs."""
    return _PROVIDERS["cuda"][0] in import_onnxruntime().get_available_providers()


def provider_device(provider: str, device: str) -> str:
    """Name of the device on which a provider runs, for the record of a prediction."""
    device_type, _, index = device.partition(":")
    if device_type != "auto" and provider != _PROVIDERS[device_type][0]:
        raise OptionError(
            f"device '{device}' is not available: ONNX Runtime could not load "
            f"{_PROVIDERS[device_type][0]}",
            hint=Text("install the libraries that it needs, or use ", OptionName("device", "cpu")),
        )
    device_type_by_provider = {name: key for key, (name, _) in _PROVIDERS.items()}
    actual_device_type = device_type_by_provider.get(provider, "cpu")
    return f"cuda:{index or 0}" if actual_device_type == "cuda" else actual_device_type


def inference_session(path: Path, device: str, threads: int | None) -> Any:
    """Open a file with ONNX Runtime; the device "auto" falls back to the CPU.

    With ``threads`` None, a run takes one thread per core.
    """
    onnxruntime = import_onnxruntime()
    device_providers = providers(device, onnxruntime.get_available_providers())
    is_cpu_only = device_providers == [_CPU]
    if not is_cpu_only:
        _load_cuda_libraries(onnxruntime)
    session_options = _session_options(onnxruntime, path, threads)
    # The runtime's exceptions derive directly from Exception and are not exported.
    try:
        session = onnxruntime.InferenceSession(
            path, session_options, providers=device_providers, enable_fallback=0
        )
        _check_metadata_is_utf8(session)
    except Exception as error:
        if is_cpu_only:
            raise ModelError(
                f"is not a network that ONNX Runtime can run: {first_line(error)}", path=path
            ) from error
        # Either the device or the file is at fault. If it is the file, opening it on the CPU raises
        # the error above.
        cpu_session = inference_session(path, "cpu", threads)
        if device == "auto":
            return cpu_session
        raise _failed_device_error(device) from error
    return session


def _failed_device_error(device: str) -> OptionError:
    # ONNX Runtime itself prints the cause, behind places in its source.
    return OptionError(
        f"device '{device}' is not available: ONNX Runtime could not start it",
        hint=Text(
            "check the driver, which nvidia-smi shows for GPUs from NVIDIA, or use ",
            OptionName("device", "cpu"),
        ),
    )


def _load_cuda_libraries(onnxruntime: Any) -> None:
    """Load NVIDIA's libraries that pip installed, which ONNX Runtime does not find by itself.

    It prints which libraries it did not find. This is not shown, because they may be elsewhere.
    Without a GPU's ONNX Runtime there is nothing to load, and standard output stays as it is:
    models are also opened in threads, while another one prints.
    """
    preload = getattr(onnxruntime, "preload_dlls", None)  # since ONNX Runtime 1.21
    if preload is not None and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        with redirect_stdout(StringIO()):
            preload()


def _session_options(onnxruntime: Any, path: Path, threads: int | None) -> Any:
    """Options of a session for a file, with threads as in ``inference_session``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4  # fatal errors only; others are raised
    if _keeps_summation_order.get():
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    # Threads that spin while they wait would take cores from decoding and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A small file may describe how to compute a constant of any size. Versions of ONNX Runtime
    # before 1.27 ignore this entry.
    options.add_session_config_entry(_CONSTANT_SIZE_ENTRY, str(_MAX_CONSTANT_BYTES))
    if _metadata_precision(path) == INT8_WEIGHTS:
        options.add_session_config_entry(_DEQUANTISE_ENTRY, "1")
    return options


def _check_metadata_is_utf8(session: Any) -> None:
    # Reading the metadata raises an error if it is not text in UTF-8.
    dict(session.get_modelmeta().custom_metadata_map)


def _metadata_precision(path: Path) -> str | None:
    """Precision of the weights by the file's metadata; None if it is not stated or unreadable."""
    try:
        return file_metadata(path).get(_PRECISION_KEY)
    except (ModelError, UnicodeDecodeError):
        return None


def _open_openvino(path: Path, options: LoadOptions) -> Session:
    """Open an ONNX file with OpenVINO, which runs it on the CPU."""
    try:
        openvino = import_openvino()
    except ModuleNotFoundError as error:
        raise MissingExtraError("the engine openvino", "fast") from error
    if options.device not in ("auto", "cpu"):
        raise OptionError(
            f"the engine openvino only runs on the CPU in rilievo, not on '{options.device}'",
            hint=Text("use ", OptionName("device", "cpu"), " or another ", OptionName("engine")),
        )
    try:
        # Given a path, OpenVINO does not read a network again that is in its cache.
        compiled = openvino.Core().compile_model(
            str(path), "CPU", _openvino_settings(path, options)
        )
    except RuntimeError as error:
        raise _openvino_error(path, options.precision, error) from error
    output_names = tuple(_name_in_file(port, "/sink_port_0") for port in compiled.outputs)

    def feed(inputs: Arrays) -> Arrays:
        try:
            outputs = compiled.infer_new_request(dict(inputs))
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO failed to run the network: {first_line(error)}", path=path
            ) from error
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


def _openvino_error(path: Path, precision: str, error: RuntimeError) -> ModelError:
    """Error for a network that OpenVINO could not open."""
    if precision == "bf16":
        # Some processors lack kernels for bf16.
        return ModelError(
            "is not a network that OpenVINO can run in bf16 on this processor: "
            f"{first_line(error)}",
            path=path,
            hint=Text("use ", OptionName("precision", "fp32")),
        )
    return ModelError(f"is not a network that OpenVINO can run: {first_line(error)}", path=path)


def _openvino_settings(path: Path, options: LoadOptions) -> dict[str, object]:
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
    return settings


def _name_in_file(port: Any, suffix: str = "") -> str:
    """Name of an input or output in the file; OpenVINO has several names for each.

    ``suffix`` is what OpenVINO appends to the name.
    """
    name = port.get_node().get_friendly_name().removesuffix(suffix)
    return name if name in port.get_names() else port.get_any_name()


def _writable_cache(path: Path, settings_name: str) -> Path | None:
    """Folder where OpenVINO keeps a compiled network; None if it cannot be written to."""
    # OpenVINO 2026.4.1 tells cached networks apart by their paths alone. A folder for each settings
    # and each state of the file keeps it from taking an outdated one.
    try:
        folder = cache_directory() / "openvino" / settings_name / _file_state(path)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ModelError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def _file_state(path: Path) -> str:
    """Inode, size and times of a network's file, and of a separate file with its weights."""
    weights_files = [path.with_name(path.name + suffix) for suffix in ("_data", ".data")]
    files = [path, *(file for file in weights_files if file.exists())]
    states = []
    for file in files:
        status = file.stat()
        numbers = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        states.append(".".join(f"{number:x}" for number in numbers))
    return "-".join(states)
