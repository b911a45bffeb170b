"""Depth models of transformers; checkpoints' code is never run."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import ModelError, first_line, needing
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.hub.checkpoints import resizing_of
from rilievo.models.hub.hub_files import Snapshot, open_snapshot
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.conversion import ConversionSource
from rilievo.models.resampling.preparation import Preparation
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.training.adapters.checkpoint_config import (
    PROCESSOR_FILE,
    READERS,
    check_config,
    check_network_size,
    read_config,
    read_processor,
)
from rilievo.training.conversion.engine_choice import (
    MADE_BY,
    choose_engine,
    load_converter,
    open_converted_or_in_torch,
)

if TYPE_CHECKING:
    from rilievo.training.adapters.torch_model import (
        DepthProHead,
        PlainDepthHead,
        TorchModel,
        TorchNetwork,
    )


FAMILIES = tuple(READERS)

# Tensors of the first fusion layer that are never used, because it has nothing to fuse with.
_UNUSED = re.compile(r"fusion_stage\.layers\.0\.residual_layer1\.")
_SAFE = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_OLD = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
_OTHER_WEIGHTS = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
_REFUSED = {
    "prompt_depth_anything": "PromptDepthAnything completes a measured depth (its prompt), which "
    "predict does not support",
    "chmv2": "CHMv2 predicts the height of trees seen from above, not depth",
}

MODEL_WEIGHTS = "model.safetensors"

# What the network of a run calls its model of transformers.
BODY = "body."

# Offset of DINOv2's depth heads [m], which transformers omits.
DINOV2_NEAREST = 1e-3


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a checkpoint of transformers."""
    choice = choose_engine(options, f"model '{card.name}'")
    snapshot = open_snapshot(card, options.revision, files_to_fetch)
    model_type = _read_supported_type(snapshot.folder)
    card = replace(card, resizing=resizing_of(model_type))
    where = {} if snapshot.commit is None else {"commit": snapshot.commit}
    settings: Mapping[str, Setting] = {"source": card.source, **where}
    in_torch = partial(_load_in_torch, card, snapshot, model_type, settings)
    origin = ConversionSource(
        card=card,
        files=snapshot.files,
        weights_sha256=snapshot.weights_sha256,
        settings=settings,
        converter=partial(load_converter, in_torch),
        made_by=MADE_BY,
    )
    return open_converted_or_in_torch(origin, choice, in_torch)


def _load_in_torch(
    card: ModelCard,
    snapshot: Snapshot,
    model_type: str,
    settings: Mapping[str, Setting],
    options: LoadOptions,
) -> "TorchModel":
    with needing(f"model '{card.name}'", card.extra or "models"):
        import torch  # noqa: F401
        import transformers  # noqa: F401
    from rilievo.training.adapters.torch_model import TorchModel

    return TorchModel(
        card,
        _load_network(card, snapshot, model_type),
        options,
        weights_sha256=snapshot.weights_sha256,
        needs_focal=model_type == "depth_pro",
        settings=settings,
    )


def files_to_fetch(files: Sequence[str]) -> Sequence[str]:
    """Names of settings, then weights, safetensors if there are any."""
    if "config.json" not in files:
        raise ModelError("no config.json among its files: not a checkpoint of transformers")
    settings = [name for name in ("config.json", PROCESSOR_FILE) if name in files]
    for patterns in (_SAFE, _OLD):
        weights = [
            name
            for name in files
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        ]
        if weights:
            return [*settings, *weights]
    others = [name for name in files if name.endswith(_OTHER_WEIGHTS)]
    remark = f"; {', '.join(map(printable, others[:3]))} may hold code and is not read"
    raise ModelError(
        "no model.safetensors and no pytorch_model.bin among its files" + (remark if others else "")
    )


def _read_supported_type(folder: Path) -> str:
    path = folder / "config.json"
    config = read_config(path)
    model_type, architectures = config.get("model_type"), config.get("architectures") or []
    if not isinstance(model_type, str) or not isinstance(architectures, list):
        raise ModelError(
            f"{path}: names no architecture: model_type is a text, architectures a list"
        )
    if model_type in _REFUSED:
        raise ModelError(f"{path}: {_REFUSED[model_type]}")
    if model_type not in FAMILIES:
        raise ModelError(
            f"{path}: no depth head: its architecture is '{model_type}', expected one of "
            f"{', '.join(FAMILIES)}"
        )
    if architectures and not any("Depth" in str(architecture) for architecture in architectures):
        raise ModelError(f"{path}: no depth head: it is a {', '.join(map(str, architectures))}")
    check_config(config, path)
    return model_type


def _load_network(card: ModelCard, snapshot: Snapshot, model_type: str) -> "TorchNetwork":
    preparation = read_processor(snapshot.folder, model_type)
    return _wrap_in_depth_head(_load_body(card, snapshot), preparation, card.kind, model_type)


def empty_network(folder: Path, kind: DepthKind | None) -> "TorchNetwork":
    """Make a checkpoint's network without weights."""
    model_type = _read_supported_type(folder)
    return _wrap_in_depth_head(
        _network_without_weights(folder), read_processor(folder, model_type), kind, model_type
    )


def _wrap_in_depth_head(
    body: Any, preparation: Preparation, kind: DepthKind | None, model_type: str
) -> "TorchNetwork":
    from rilievo.training.adapters.torch_model import DepthProHead, PlainDepthHead

    if model_type == "depth_pro":
        return DepthProHead(preparation, body)
    is_dinov2 = getattr(getattr(body.config, "backbone_config", None), "model_type", "") == "dinov2"
    metric_dpt = model_type == "dpt" and is_dinov2 and kind is DepthKind.METRIC
    return PlainDepthHead(
        preparation,
        body,
        offset=DINOV2_NEAREST if metric_dpt else 0.0,
        # It has two heads, and all photographs of a batch vote on which one is used.
        mixes_batches=len(getattr(body.config, "bin_configurations", None) or ()) > 1,
        counts_photos=model_type == "zoedepth",
    )


def _load_body(card: ModelCard, snapshot: Snapshot) -> Any:
    import torch
    from transformers import AutoModelForDepthEstimation

    from rilievo.training.networks.backbones.weights import check_loading_report, silence_libraries

    safe = any(name.endswith(".safetensors") for name in snapshot.files)
    try:
        with silence_libraries("transformers"):
            check_network_size(
                lambda: _network_without_weights(snapshot.folder),
                snapshot.weights_bytes,
                snapshot.folder,
            )
            body, info = AutoModelForDepthEstimation.from_pretrained(
                snapshot.folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=safe,
                weights_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except ModelError:
        raise
    # Broken configurations and weights raise as many types of errors as there are classes.
    except Exception as error:
        raise ModelError(f"{snapshot.folder}: cannot be loaded: {first_line(error)}") from error
    check_loading_report(f"model '{card.name}'", info, optional=_UNUSED)
    return body


def _network_without_weights(folder: Path) -> Any:
    with needing("a model of transformers", "models"):
        from transformers import AutoConfig, AutoModelForDepthEstimation
        from transformers.initialization import no_init_weights

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with no_init_weights():
        return AutoModelForDepthEstimation.from_config(config, trust_remote_code=False)


def fill_body(network: "PlainDepthHead | DepthProHead", path: Path) -> None:
    """Fill a network with a run's weights, whichever version of transformers named them."""
    from rilievo.training.networks.backbones.released_names import fill_copy
    from rilievo.training.networks.backbones.weights import (
        check_loading_report,
        check_tensor_of_numbers,
        read_state,
    )

    state = {name.removeprefix(BODY): tensor for name, tensor in read_state(path).items()}
    for name, tensor in state.items():
        check_tensor_of_numbers(tensor, f"{BODY}{name}", path)
    body: Any = network.body
    try:
        filled, info = fill_copy(body, state)
    # Weights of another network raise as many types of errors as there are conversions.
    except Exception as error:
        raise ModelError(f"{path}: cannot be loaded: {first_line(error)}") from error
    check_loading_report(printable(path), info, prefix=BODY)
    filled.config = body.config
    network.body = filled
