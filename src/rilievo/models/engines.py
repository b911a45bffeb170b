"""Engines that run ONNX files: a batch of images in, named arrays out."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from rilievo.errors import MissingExtraError, ModelError, OptionError, suggest
from rilievo.models.providers import device_of, first_line, inference_session
from rilievo.types import Setting

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

INPUT = "image"

AUTO = "auto"
ONNX_ENGINES = ("onnxruntime", "openvino")
PRECISIONS = {
    "onnxruntime": ("fp32",),
    "openvino": ("fp32", "bf16"),
    "torch": ("fp32", "bf16", "fp16"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Options of running a model; those that change its output are recorded in every prediction.

    Attributes:
        device: Device to run on: auto, cpu, cuda, cuda:N, coreml or directml.
        engine: Engine: onnxruntime, openvino or torch; auto takes the first that fits.
        precision: Precision of the arithmetic: fp32; or bf16 (openvino, torch), fp16 (torch on
            cuda) and int8, which are faster and less exact.
        threads: Threads of one inference; None takes one per core.
        revision: Branch, tag or commit of the repository on the hub; None takes its main branch.
        settings: Settings of this model, by name (``rilievo.models.settings``).
    """

    device: str = "auto"
    engine: str = AUTO
    precision: str = "fp32"
    threads: int | None = None
    revision: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A network ready to run.

    Attributes:
        feed: Function that runs the network on inputs by name, and returns every output by name.
        metadata: Metadata of the file.
        device: Device that is used: cpu, cuda:N, coreml or directml.
        one_by_one: Whether it accepts only batches of one photograph.
    """

    feed: Callable[[Arrays], Arrays]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    metadata: Mapping[str, str]
    device: str
    one_by_one: bool

    def run(self, batch: Shaped[np.ndarray, "b ..."], name: str = INPUT) -> Arrays:
        """Run the network on one input; one photograph after the other where it takes no more."""
        if not self.one_by_one or len(batch) == 1:
            return self.feed({name: batch})
        each = [self.feed({name: part}) for part in np.split(batch, len(batch))]
        return {key: np.concatenate([answers[key] for answers in each]) for key in each[0]}


def open_session(path: Path, options: LoadOptions) -> Session:
    """Open one file with the engine that ``options`` name."""
    options = checked(options, engines=ONNX_ENGINES, what=f"{path}: an ONNX file")
    open_engine = _onnxruntime if options.engine == "onnxruntime" else _openvino
    try:
        return open_engine(path, options)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: a name in the network is no text in UTF-8") from error


def checked(
    options: LoadOptions,
    *,
    engines: tuple[str, ...],
    what: str,
    precisions: Mapping[str, tuple[str, ...]] = PRECISIONS,
) -> LoadOptions:
    """Check the options and replace the engine ``auto`` by the first that has the precision."""
    if options.engine not in (AUTO, *PRECISIONS):
        known = suggest(options.engine, [AUTO, *PRECISIONS])
        raise OptionError(f"no engine '{options.engine}'; {known}")
    engine = options.engine
    if engine == AUTO:
        able = (each for each in engines if options.precision in precisions[each])
        engine = next(able, engines[0])
    if engine not in engines:
        raise OptionError(f"{what} is run by {' or '.join(engines)}, not by {engine}")
    if options.precision not in precisions[engine]:
        raise OptionError(
            f"the engine {engine} has no precision '{options.precision}'; "
            f"it has {', '.join(precisions[engine])}"
        )
    if options.threads is not None and options.threads < 1:
        raise OptionError(f"threads are 1 or more, got {options.threads}")
    return replace(options, engine=engine)


def _onnxruntime(path: Path, options: LoadOptions) -> Session:
    session = inference_session(path, options.device, options.threads)
    metadata = session.get_modelmeta().custom_metadata_map
    inputs = tuple(each.name for each in session.get_inputs())
    outputs = tuple(each.name for each in session.get_outputs())
    halves = {each.name for each in session.get_inputs() if each.type == "tensor(float16)"}

    def feed(inputs: Arrays) -> Arrays:
        given = {
            name: array.astype(np.float16) if name in halves else array
            for name, array in inputs.items()
        }
        try:
            answers = session.run(outputs, given)
        except Exception as error:
            raise ModelError(f"{path}: the network failed: {first_line(error)}") from error
        return {name: np.asarray(each) for name, each in zip(outputs, answers, strict=True)}

    return Session(
        feed=feed,
        input_names=inputs,
        output_names=outputs,
        metadata=metadata,
        device=device_of(session.get_providers()[0], options.device),
        one_by_one=any(each.shape and each.shape[0] == 1 for each in session.get_inputs()),
    )


def _openvino(path: Path, options: LoadOptions) -> Session:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("the engine openvino", "fast") from error
    if options.device not in ("auto", "cpu"):
        raise OptionError(f"the engine openvino runs on cpu here, not on '{options.device}'")
    settings: dict[str, object] = {
        # OpenVINO takes bf16 by default where the processor has it, so fp32 is set explicitly.
        "INFERENCE_PRECISION_HINT": "f32" if options.precision == "fp32" else "bf16",
        "PERFORMANCE_HINT": "LATENCY",
    }
    cache = _writable_cache(f"{options.precision}-{options.threads or 'all'}")
    if cache is not None:
        settings["CACHE_DIR"] = str(cache)
    if options.threads:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    try:
        network = openvino.Core().read_model(str(path))
        compiled = openvino.Core().compile_model(network, "CPU", settings)
    except RuntimeError as error:
        raise ModelError(f"{path}: not a network OpenVINO can run: {first_line(error)}") from error
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
        input_names=tuple(each.get_any_name() for each in compiled.inputs),
        output_names=outputs,
        metadata=_openvino_metadata(network),
        device="cpu",
        one_by_one=any(len(shape) and shape[0] == 1 for shape in shapes),
    )


def _output_name(output: Any) -> str:
    """Name of an output in the file.

    OpenVINO also gives it names of tensors before it, in any order.
    """
    name = output.get_node().get_friendly_name().removesuffix("/sink_port_0")
    return name if name in output.get_names() else output.get_any_name()


def package_version(package: str) -> str | None:
    """Version of an installed package; None if it is not installed."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cache_directory() -> Path:
    """Folder of compiled networks: ``$RILIEVO_CACHE``, or else one in the user's cache."""
    given = os.environ.get("RILIEVO_CACHE")
    return Path(given) if given else user_cache("RILIEVO_CACHE") / "rilievo"


def user_cache(variable: str) -> Path:
    """Folder of the user's caches for all programs.

    Args:
        variable: Environment variable that sets another folder; named in the error.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base) if base else Path.home() / ".cache"
    except RuntimeError:
        text = f"this user has no home folder for networks: set a folder in {variable}"
        raise ModelError(text) from None


def _writable_cache(setting: str) -> Path | None:
    """OpenVINO's folder of compiled networks, created; None if it cannot be, and is not used.

    Each setting has a folder of its own. OpenVINO 2026.4.1 names a compiled network by its file
    alone, so it would run one of fp32 as bf16, which reads beyond its weights and crashes.
    """
    try:
        folder = cache_directory() / "openvino" / setting
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ModelError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def _openvino_metadata(network: Any) -> Mapping[str, str]:
    """ONNX metadata, which OpenVINO stores under ``framework`` in its run-time information."""
    if not network.has_rt_info(["framework"]):
        return {}
    keys = network.get_rt_info(["framework"]).value
    return {key: str(network.get_rt_info(["framework", key]).value) for key in keys}
