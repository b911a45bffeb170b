"""Load pipelines of diffusers from a folder or the hub, part by part.

Each part is checked before it is loaded, and code that comes with a pipeline is never run.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import MissingExtraError, ModelError, first_line
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import printable
from rilievo.models.card import ModelCard
from rilievo.models.hub.diffusion_cards import EXTRA, DiffusionSettings
from rilievo.models.hub.hub_files import Snapshot, open_snapshot
from rilievo.models.load_options import LoadOptions, read_settings, resolve_engine
from rilievo.records.prediction_record import Setting
from rilievo.training.adapters.checkpoint_config import (
    check_config,
    check_network_size,
    read_config,
)
from rilievo.training.adapters.pipeline_index import (
    NORMALS_PIPELINE,
    PipelineIndex,
    PipelinePart,
    needed_files,
    read_index,
    weights_variant,
)

if TYPE_CHECKING:
    import torch

    from rilievo.training.adapters.marigold import DiffusionModel

_MARIGOLD_ARGUMENTS = (
    "image",
    "num_inference_steps",
    "ensemble_size",
    "processing_resolution",
    "match_input_resolution",
    "generator",
    "output_uncertainty",
)
"""Arguments that a pipeline must have to be called like Marigold's."""
_PACKAGES = ("torch", "diffusers", "transformers")


def load(card: ModelCard, options: LoadOptions) -> "DiffusionModel":
    """Load a pipeline that predicts depth or normals, and download it if necessary."""
    settings = read_settings(DiffusionSettings, options.settings, card.name)
    _check_installed(card, settings)
    from rilievo.training.adapters.marigold import DiffusionModel, weight_dtype
    from rilievo.training.adapters.torch_model import ENGINE, torch_device

    options = resolve_engine(options, engines=(ENGINE,), what=f"model '{card.name}'")
    dtype = weight_dtype(options, torch_device(options.device))
    snapshot = open_snapshot(card, options.revision, needed_files)
    index = read_index(snapshot.folder)
    card = _complete_card(card, index)
    pipeline = _make_pipeline(card, snapshot, index, dtype)
    extra_settings: dict[str, Setting] = {"source": card.source}
    if snapshot.commit is not None:
        extra_settings["commit"] = snapshot.commit
    return DiffusionModel(
        card,
        pipeline,
        options,
        settings,
        weights_sha256=snapshot.weights_sha256,
        extra_settings=extra_settings,
    )


def _check_installed(card: ModelCard, settings: DiffusionSettings) -> None:
    # diffusers aligns the members of an ensemble with scipy, but would notice too late that it is
    # missing.
    required = (*_PACKAGES, "scipy") if settings.ensemble > 1 else _PACKAGES
    if any(find_spec(name) is None for name in required):
        raise MissingExtraError(f"model '{card.name}'", EXTRA)


def _complete_card(card: ModelCard, index: PipelineIndex) -> ModelCard:
    """Add the kind of depth, or normals, that the index of the pipeline states."""
    if index.normals:
        if card.kind is not None:
            raise ModelError(
                f"model '{card.name}' predicts normals, not {card.kind} depth",
                hint=Text("leave out ", OptionName("kind")),
            )
        return replace(card, normals=True)
    if index.kind is not None and card.kind not in (None, index.kind):
        raise ModelError(
            f"model '{card.name}' states that its depth is {index.kind}, not {card.kind}",
            hint=Text("leave out ", OptionName("kind")),
        )
    return replace(card, kind=card.kind or index.kind, normals=False)


def _make_pipeline(
    card: ModelCard, snapshot: Snapshot, index: PipelineIndex, dtype: "torch.dtype"
) -> Any:
    """Load all parts, and make the pipeline of them."""
    import diffusers

    folder = printable(snapshot.folder)
    pipeline_class = getattr(diffusers, index.class_name, None)
    if not isinstance(pipeline_class, type):
        raise ModelError(
            f"{folder}: needs {index.class_name}, which diffusers {diffusers.__version__} does not "
            "have: install another version of diffusers, or use another model"
        )
    parameters = inspect.signature(pipeline_class.__call__).parameters
    if any(name not in parameters for name in _MARIGOLD_ARGUMENTS):
        raise ModelError(
            f"{folder}: contains a {index.class_name}, which does not have Marigold's interface; "
            "expected a pipeline for depth or normals, such as MarigoldDepthPipeline or "
            f"{NORMALS_PIPELINE}"
        )
    parts: dict[str, Any] = {}
    for name, part in index.parts.items():
        parts[name] = None if part is None else _load_part(card, snapshot, name, part, dtype)
    try:
        return pipeline_class(**parts, **index.settings)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{folder}: its components do not form a pipeline: {first_line(error)}"
        ) from error


def _load_part(
    card: ModelCard, snapshot: Snapshot, name: str, part: PipelinePart, dtype: "torch.dtype"
) -> Any:
    """Load a part: a network in ``dtype``, after checking its size, or a scheduler or tokenizer."""
    import diffusers
    import transformers
    from torch import nn

    folder = snapshot.folder / name
    library = diffusers if part.library == "diffusers" else transformers
    part_class = getattr(library, part.class_name, None)
    if not isinstance(part_class, type) or not hasattr(part_class, "from_pretrained"):
        raise ModelError(
            f"{folder}: needs {part.class_name}, which the installed version of {part.library} "
            "does not have: install another version, or use another model"
        )
    if not issubclass(part_class, nn.Module):
        return _from_local_files(part_class, folder)
    if library is diffusers:
        # Otherwise diffusers would warn that loading takes more memory without accelerate.
        options = {"torch_dtype": dtype, "low_cpu_mem_usage": False}
    else:
        options = {"dtype": dtype}
    return _load_network(card, snapshot, name, part_class, options)


def _load_network(
    card: ModelCard, snapshot: Snapshot, name: str, part_class: Any, options: Mapping[str, Any]
) -> Any:
    """Load a network of a pipeline with the library's ``options``, after checking its size."""
    from rilievo.training.networks.backbones.weights import check_loading_report

    folder = snapshot.folder / name
    with _loading_errors_as_model_error(folder):
        check_config(read_config(folder / "config.json"), folder / "config.json")
        check_network_size(
            lambda: _network_without_weights(part_class, folder), snapshot.weights_bytes, folder
        )
    network, loading_report = _from_local_files(
        part_class,
        folder,
        **options,
        use_safetensors=True,
        variant=weights_variant(list(snapshot.files), name),
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    check_loading_report(f"model '{card.name}'", loading_report, prefix=f"{name}.")
    return network.eval().requires_grad_(False)


def _network_without_weights(part_class: Any, folder: Path) -> Any:
    from transformers import PreTrainedModel
    from transformers.initialization import no_init_weights

    if not issubclass(part_class, PreTrainedModel):
        return part_class.from_config(part_class.load_config(str(folder), local_files_only=True))
    config_class: Any = part_class.config_class
    with no_init_weights():
        return part_class(config_class.from_pretrained(folder, local_files_only=True))


def _from_local_files(part_class: Any, folder: Path, **options: Any) -> Any:
    with _loading_errors_as_model_error(folder):
        return part_class.from_pretrained(str(folder), local_files_only=True, **options)


@contextmanager
def _loading_errors_as_model_error(folder: Path) -> Iterator[None]:
    """Turn any error in the block into a ``ModelError`` of one line, and silence the libraries."""
    from rilievo.training.networks.backbones.weights import silence_libraries

    if not folder.is_dir():
        raise ModelError(
            f"{folder}: is a part of the pipeline, but there is no such folder; download it again"
        )
    try:
        with silence_libraries("transformers", "diffusers"):
            yield
    except ModelError:
        raise
    # Broken configurations and weights raise errors that depend on the class of the part.
    except Exception as error:
        raise ModelError(f"{folder}: cannot be loaded: {first_line(error)}") from error
