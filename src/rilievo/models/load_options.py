"""Options of running a model: device, engine, precision, threads."""

from collections.abc import Mapping
from dataclasses import field, replace

from rilievo.errors import OptionError, suggest
from rilievo.frozen import frozen
from rilievo.types import Setting

AUTO = "auto"

ONNX_ENGINES = ("onnxruntime", "openvino")

PRECISIONS = {
    "onnxruntime": ("fp32",),
    "openvino": ("fp32", "bf16"),
    "torch": ("fp32", "bf16", "fp16"),
}


@frozen
class LoadOptions:
    """Options of running a model; those that change its output are recorded in every prediction.

    Attributes:
        device: Device to run on: auto, cpu, cuda, cuda:N, coreml or directml.
        engine: Engine: onnxruntime, openvino or torch; auto takes the first that fits.
        precision: Precision of the arithmetic: fp32; or bf16 (openvino, torch), fp16 (torch on
            cuda) and int8, which are faster and less exact.
        threads: Threads of one inference; None takes one per core.
        revision: Branch, tag or commit of the repository on the hub; None takes its main branch.
        settings: Settings of this model, by name (``rilievo.models.adapter_settings``).
    """

    device: str = "auto"
    engine: str = AUTO
    precision: str = "fp32"
    threads: int | None = None
    revision: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)


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
