"""Sessions of ONNX files by ONNX Runtime or OpenVINO (extra ``fast``)."""

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
_CPU = "CPUExecutionProvider"

# The provider of each device, and the package that contains it. Without such hardware, only cpu and
# the choice among the others are tested.
_PROVIDERS = {
    "cpu": (_CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
}

# Optional input: whether normals and confidence are answered.
_SURFACES = "surfaces"
_FOLDING = "optimization.constant_folding_max_output_size_in_bytes"

# Of a constant computed at opening.
_MOST_CONSTANT_BYTES = 2**28
_PRECISION, INT8_WEIGHTS = "rilievo.precision", "int8 weights"

# Entry that multiplies 8-bit weights out once.
_DEQUANTISED = "session.disable_quant_qdq"
_shrinking: ContextVar[bool] = ContextVar("shrinking", default=False)
_plain: ContextVar[bool] = ContextVar("plain", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Network ready to run.

    Attributes:
        feed: Function from inputs to outputs by name.
        settings: Engine, precision and device.
        one_by_one: Whether batches hold one photograph.
    """

    feed: Callable[[Arrays], Arrays]
    input_names: tuple[str, ...]
    optional_names: tuple[str, ...] = ()
    output_names: tuple[str, ...]
    metadata: Mapping[str, str]
    settings: Mapping[str, Setting]
    one_by_one: bool

    def run(self, batch: Shaped[np.ndarray, "b ..."], name: str = INPUT) -> Arrays:
        """Run one input, batched where possible."""
        if not self.one_by_one or len(batch) == 1:
            return self.feed({name: batch})
        results = [self.feed({name: part}) for part in np.split(batch, len(batch))]
        return {key: np.concatenate([answers[key] for answers in results]) for key in results[0]}

    def depth_alone(self) -> "Session":
        """Session without normals and confidence."""
        if _SURFACES not in self.optional_names:
            return self

        def feed(inputs: Arrays) -> Arrays:
            answers = self.feed({**inputs, _SURFACES: np.array(False)})
            return {name: answer for name, answer in answers.items() if answer.size}

        return replace(self, feed=feed, optional_names=())


def open_session(path: Path, options: LoadOptions, what: str = "") -> Session:
    """Open a file with an engine."""
    options = resolve_engine(options, engines=ONNX_ENGINES, what=what or f"{path}: an ONNX file")
    try:
        return (_open_onnxruntime if options.engine == "onnxruntime" else _open_openvino)(
            path, options
        )
    except UnicodeDecodeError as error:
        raise ModelError("a name in the network is no text in UTF-8", path=path) from error


@contextmanager
def shrink_arena() -> Iterator[None]:
    """Release memory after runs in the block."""
    token = _shrinking.set(True)
    try:
        yield
    finally:
        _shrinking.reset(token)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Let sessions opened in the block add in the graph's order."""
    # Other orders change 1 pixel in 10,000.
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def _open_onnxruntime(path: Path, options: LoadOptions) -> Session:
    session = inference_session(path, options.device, options.threads)
    inputs, outputs = session.get_inputs(), tuple(node.name for node in session.get_outputs())
    halves = {node.name for node in inputs if node.type == "tensor(float16)"}
    less = import_onnxruntime().RunOptions()
    less.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def feed(inputs: Arrays) -> Arrays:
        arrays = {
            name: array.astype(np.float16) if name in halves else array
            for name, array in inputs.items()
        }
        try:
            answers = session.run(outputs, arrays, less if _shrinking.get() else None)
        except Exception as error:
            raise ModelError(f"the network failed: {first_line(error)}", path=path) from error
        return {name: np.asarray(answer) for name, answer in zip(outputs, answers, strict=True)}

    return Session(
        feed=feed,
        input_names=tuple(node.name for node in inputs),
        optional_names=tuple(node.name for node in session.get_overridable_initializers()),
        output_names=outputs,
        metadata=session.get_modelmeta().custom_metadata_map,
        settings={
            "engine": options.engine,
            "precision": options.precision,
            "device": provider_device(session.get_providers()[0], options.device),
        },
        one_by_one=any(node.shape and node.shape[0] == 1 for node in inputs),
    )


def providers(device: str, available: list[str]) -> list[str | tuple[str, dict[str, str]]]:
    """Providers of ONNX Runtime for a device, best first."""
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
    """Device of a provider; refuse another than was chosen."""
    kind, _, index = device.partition(":")
    if kind != "auto" and provider != _PROVIDERS[kind][0]:
        raise OptionError(
            (
                f"device '{device}' is not available: ONNX Runtime could not "
                f"load {_PROVIDERS[kind][0]}"
            ),
            hint=Text("install the libraries it needs, or use ", OptionName("device", "cpu")),
        )
    [kind] = [kind for kind, (name, _) in _PROVIDERS.items() if name == provider] or ["cpu"]
    return f"cuda:{index or 0}" if kind == "cuda" else kind


def inference_session(path: Path, device: str, threads: int | None) -> Any:
    """Open a file with ONNX Runtime."""
    onnxruntime = import_onnxruntime()

    chosen = providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    if _plain.get():
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    # Threads that spin between two small networks take cores from decoding and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A small file may hold the recipe of a constant of any size.
    options.add_session_config_entry(_FOLDING, str(_MOST_CONSTANT_BYTES))
    if _metadata_precision(path) == INT8_WEIGHTS:
        options.add_session_config_entry(_DEQUANTISED, "1")
    # The runtime's exceptions derive directly from Exception and are not exported.
    try:
        session = onnxruntime.InferenceSession(path, options, providers=chosen, enable_fallback=0)
        _ = session.get_modelmeta().custom_metadata_map  # fails if not UTF-8
    except Exception as error:
        if device == "auto" and chosen != [_CPU]:
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
            where, cure = (
                " in bf16 on this processor",
                Text("take ", OptionName("precision", "fp32")),
            )
        raise ModelError(
            f"not a network OpenVINO can run{where}: {first_line(error)}", path=path, hint=cure
        ) from error
    outputs = tuple(_name_in_file(port, "/sink_port_0") for port in compiled.outputs)

    def feed(inputs: Arrays) -> Arrays:
        try:
            answer = compiled.infer_new_request(dict(inputs))
        except RuntimeError as error:
            raise ModelError(f"the network failed: {first_line(error)}", path=path) from error
        return {name: answer[index] for index, name in enumerate(outputs)}

    shapes = [port.partial_shape for port in compiled.inputs]
    return Session(
        feed=feed,
        input_names=tuple(map(_name_in_file, compiled.inputs)),
        output_names=outputs,
        metadata=file_metadata(path),
        settings={"engine": options.engine, "precision": options.precision, "device": "cpu"},
        one_by_one=any(len(shape) and shape[0] == 1 for shape in shapes),
    )


def _name_in_file(port: Any, suffix: str = "") -> str:
    """Port's name in the file, of those that OpenVINO gives."""
    name = port.get_node().get_friendly_name().removesuffix(suffix)
    return name if name in port.get_names() else port.get_any_name()


def _writable_cache(path: Path, setting: str) -> Path | None:
    """Folder of compiled networks; None if unwritable."""
    # By setting and state of the file, as OpenVINO 2026.4.1 names networks by path alone.
    try:
        folder = cache_directory() / "openvino" / setting / _inode_size_and_times(path)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ModelError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def _inode_size_and_times(path: Path) -> str:
    weights = (path.with_name(path.name + suffix) for suffix in ("_data", ".data"))
    states = (file.stat() for file in (path, *weights) if file is path or file.exists())
    facts = ((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in states)
    return "-".join(".".join(f"{number:x}" for number in fact) for fact in facts)
