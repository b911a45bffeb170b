"""Load depth models of transformers from a folder or the hub.

Code that comes with a checkpoint is never run.
"""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import ModelError, explain_missing_extra, first_line
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.hub.checkpoints import architecture_resizing
from rilievo.models.hub.hub_files import Snapshot, open_snapshot
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.conversion import ConversionSource
from rilievo.models.resampling.preparation import Preparation
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.training.adapters.checkpoint_config import (
    PREPARATION_READERS,
    PROCESSOR_FILE,
    check_config,
    check_network_size,
    read_config,
    read_processor,
)
from rilievo.training.conversion.engine_choice import (
    choose_engine,
    load_converter,
    open_converted_or_in_torch,
)

if TYPE_CHECKING:
    from rilievo.training.adapters.torch_model import (
        DepthProNetwork,
        TorchModel,
        TorchNetwork,
        TransformersNetwork,
    )


BODY_PREFIX = "body."
"""Beginning of the names of a run's tensors: the attribute of the network with the model of
transformers."""
_CONFIG = "config.json"
_CONVERSION_PACKAGES = ("torch", "transformers")
"""Packages on whose versions the ONNX file of a checkpoint depends."""
_MAX_NAMES_IN_MESSAGE = 3

_SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_PYTORCH_FILES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
_UNSAFE_SUFFIXES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
"""Suffixes of further files with weights, which may also hold code."""
_UNUSED_TENSORS = re.compile(r"fusion_stage\.layers\.0\.residual_layer1\.")
"""Tensors of the first fusion layer, which are never used because it has nothing to fuse with."""
_UNSUPPORTED = {
    "prompt_depth_anything": (
        "PromptDepthAnything needs a measured depth map as its prompt, which rilievo does not "
        "support"
    ),
    "chmv2": "CHMv2 predicts the height of trees seen from above, not depth",
}
"""Architectures that do not predict depth from a photograph, and why."""
_DINOV2_OFFSET = 1e-3  # [m]; the authors' depth heads add it, and transformers leaves it out


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a checkpoint of transformers with the chosen engine, and download it if necessary."""
    choice = choose_engine(options, f"model '{card.name}'")
    snapshot = open_snapshot(card, options.revision, files_to_fetch)
    model_type = _read_supported_type(snapshot.folder)
    card = replace(card, resizing=architecture_resizing(model_type))
    settings: dict[str, Setting] = {"source": card.source}
    if snapshot.commit is not None:
        settings["commit"] = snapshot.commit

    load_in_torch = partial(_load_in_torch, card, snapshot, model_type, settings)
    source = ConversionSource(
        card=card,
        files=snapshot.files,
        weights_sha256=snapshot.weights_sha256,
        settings=settings,
        load_converter=partial(load_converter, load_in_torch),
        packages=_CONVERSION_PACKAGES,
    )
    return open_converted_or_in_torch(source, choice, load_in_torch)


def _load_in_torch(
    card: ModelCard,
    snapshot: Snapshot,
    model_type: str,
    settings: Mapping[str, Setting],
    options: LoadOptions,
) -> "TorchModel":
    """Load a checkpoint in torch; ``MissingExtraError`` if its packages are not installed."""
    with explain_missing_extra(f"model '{card.name}'", card.extra or "models"):
        import torch  # noqa: F401
        import transformers  # noqa: F401
    from rilievo.training.adapters.torch_model import TorchModel

    preparation = read_processor(snapshot.folder, model_type)
    network = _wrap_network(_load_depth_model(card, snapshot), preparation, card.kind, model_type)
    return TorchModel(
        card,
        network,
        options,
        weights_sha256=snapshot.weights_sha256,
        needs_focal=model_type == "depth_pro",
        settings=settings,
    )


def files_to_fetch(files: Sequence[str]) -> Sequence[str]:
    """Select the files of a checkpoint that are needed: configurations, then weights.

    Weights in safetensors are preferred to those of PyTorch.
    """
    if _CONFIG not in files:
        raise ModelError(
            f"the model's files do not include {_CONFIG}, so it is not a checkpoint for "
            "transformers"
        )
    configurations = [name for name in (_CONFIG, PROCESSOR_FILE) if name in files]
    for patterns in (_SAFETENSORS, _PYTORCH_FILES):
        weights = [name for name in files if _matches_any(name, patterns)]
        if weights:
            return [*configurations, *weights]

    problem = "the model's files include neither model.safetensors nor pytorch_model.bin"
    unsafe = [name for name in files if name.endswith(_UNSAFE_SUFFIXES)]
    if unsafe:
        names = ", ".join(map(printable, unsafe[:_MAX_NAMES_IN_MESSAGE]))
        problem += f"; rilievo does not read {names}, which may contain code"
    raise ModelError(problem)


def _matches_any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _read_supported_type(folder: Path) -> str:
    """Read the architecture of a checkpoint; ``ModelError`` if rilievo does not support it."""
    path = folder / _CONFIG
    config = read_config(path)
    model_type = config.get("model_type")
    architectures = config.get("architectures") or []
    if not isinstance(model_type, str) or not isinstance(architectures, list):
        raise ModelError(
            f"{path}: states no architecture; expected a string as model_type and a list as "
            "architectures"
        )
    if model_type in _UNSUPPORTED:
        raise ModelError(f"{path}: {_UNSUPPORTED[model_type]}")
    if model_type not in PREPARATION_READERS:
        raise ModelError(
            f"{path}: has no depth head: its architecture is '{model_type}'; expected one of "
            f"{', '.join(PREPARATION_READERS)}"
        )
    if architectures and not any("Depth" in str(architecture) for architecture in architectures):
        raise ModelError(
            f"{path}: has no depth head: it is a {', '.join(map(str, architectures))}; expected a "
            "model for depth estimation"
        )
    check_config(config, path)
    return model_type


def make_network_without_weights(folder: Path, kind: DepthKind | None) -> "TorchNetwork":
    """Create the network of a checkpoint; ``fill_transformers_network`` loads its weights."""
    model_type = _read_supported_type(folder)
    network = _make_without_weights(folder)
    return _wrap_network(network, read_processor(folder, model_type), kind, model_type)


def _wrap_network(
    network: Any, preparation: Preparation, kind: DepthKind | None, model_type: str
) -> "TorchNetwork":
    """Add the normalisation to a model of transformers, and corrections for architectures."""
    from rilievo.training.adapters.torch_model import DepthProNetwork, TransformersNetwork

    if model_type == "depth_pro":
        return DepthProNetwork(preparation, network)
    backbone_config = getattr(network.config, "backbone_config", None)
    is_dinov2 = getattr(backbone_config, "model_type", "") == "dinov2"
    is_metric_dpt_dinov2 = model_type == "dpt" and is_dinov2 and kind is DepthKind.METRIC
    # ZoeDepth may have two heads. All photographs of a batch vote on which one is used.
    heads = getattr(network.config, "bin_configurations", None) or ()
    return TransformersNetwork(
        preparation,
        network,
        depth_offset=_DINOV2_OFFSET if is_metric_dpt_dinov2 else 0.0,
        depends_on_batch=len(heads) > 1,
        loops_over_batch=model_type == "zoedepth",
    )


def _load_depth_model(card: ModelCard, snapshot: Snapshot) -> Any:
    """Load a depth model of transformers from the folder of a checkpoint."""
    import torch
    from transformers import AutoModelForDepthEstimation

    from rilievo.training.networks.backbones.weights import check_loading_report, silence_libraries

    has_safetensors = any(name.endswith(".safetensors") for name in snapshot.files)
    try:
        with silence_libraries("transformers"):
            check_network_size(
                lambda: _make_without_weights(snapshot.folder),
                snapshot.weights_bytes,
                snapshot.folder,
            )
            network, loading_report = AutoModelForDepthEstimation.from_pretrained(
                snapshot.folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=has_safetensors,
                weights_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # check_loading_report refuses them below
                output_loading_info=True,
            )
    except ModelError:
        raise
    # Broken configurations and weights raise errors that depend on the class of the model.
    except Exception as error:
        raise ModelError(f"{snapshot.folder}: cannot be loaded: {first_line(error)}") from error
    check_loading_report(f"model '{card.name}'", loading_report, optional=_UNUSED_TENSORS)
    return network


def _make_without_weights(folder: Path) -> Any:
    with explain_missing_extra("a transformers model", "models"):
        from transformers import AutoConfig, AutoModelForDepthEstimation
        from transformers.initialization import no_init_weights

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with no_init_weights():
        return AutoModelForDepthEstimation.from_config(config, trust_remote_code=False)


def fill_transformers_network(network: "TransformersNetwork | DepthProNetwork", path: Path) -> None:
    """Load the weights of a run into a network; any version of transformers may have named them."""
    from rilievo.training.networks.backbones.hub_tensor_names import fill_copy
    from rilievo.training.networks.backbones.weights import (
        check_loading_report,
        check_tensor_of_numbers,
        read_state,
    )

    state = {name.removeprefix(BODY_PREFIX): tensor for name, tensor in read_state(path).items()}
    for name, tensor in state.items():
        check_tensor_of_numbers(tensor, f"{BODY_PREFIX}{name}", path)
    unfilled: Any = network.body
    try:
        filled, loading_report = fill_copy(unfilled, state)
    except Exception as error:  # the conversion of names may raise anything
        raise ModelError(f"{path}: cannot be loaded: {first_line(error)}") from error
    check_loading_report(printable(path), loading_report, prefix=BODY_PREFIX)
    # The copy replaces the model, and keeps the configuration as it was read.
    filled.config = unfilled.config
    network.body = filled
