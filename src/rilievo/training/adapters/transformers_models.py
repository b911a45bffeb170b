"""Depth models of transformers; checkpoints' code is never run."""

import fnmatch
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError, ModelError, first_line, needing
from rilievo.io.files.limits import read_text, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.hub.checkpoints import resizing_of
from rilievo.models.hub.hub_files import Snapshot, open_snapshot
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.conversion import Origin
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
from rilievo.training.conversion.engine_choice import (
    MADE_BY,
    choose_engine,
    load_converter,
    open_converted_or_in_torch,
)

if TYPE_CHECKING:
    from torch import nn

    from rilievo.training.adapters.torch_model import TorchModel, TorchNetwork

Entries = Mapping[str, Any]
# Deep networks have about 50.
MOST_LAYERS = 1000
# Bytes by which a network may exceed its files.
SPARE = 2**31
BYTES, PACKED = 4, 8

_ATTENTIONS = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
_COUNTS = re.compile(r"num_\w*(layers|blocks|stages)|depths")
PROCESSOR_FILE = "preprocessor_config.json"
LARGEST_NATIVE = 1280 * 960
"""Most pixels for networks that keep a photograph's size."""
_FILTERS = {1: Resampling.LANCZOS, 2: Resampling.BILINEAR, 3: Resampling.BICUBIC}
_HALF = (0.5, 0.5, 0.5)


def read_config(path: Path) -> Entries:
    """Read a checkpoint's configuration, a JSON object."""
    try:
        config = parse_json(read_text(path))
    except (InputError, NotThisRecord) as error:
        raise ModelError(f"{path}: not a configuration, not JSON that can be read") from error
    if not isinstance(config, dict):
        raise ModelError(
            f"{path}: not a configuration, an object is expected, got {type(config).__name__}"
        )
    return config


def check_config(config: Entries, path: Path) -> None:
    """Refuse too many layers, and what would make transformers download or run code."""
    for name, value in _nested_entries(config):
        numbers = value if isinstance(value, list) else [value]
        most = max((number for number in numbers if isinstance(number, int)), default=0)
        if _COUNTS.fullmatch(name) and most > MOST_LAYERS:
            raise ModelError(
                f"{path}: {name} is {most}, and no network has more than {MOST_LAYERS}"
            )
        if name.endswith("attn_implementation") and value not in _ATTENTIONS:
            raise ModelError(
                f"{path}: {name} is {value!s}, which may be code of the hub and is never run: "
                "remove it"
            )
        if name == "use_pretrained_backbone" and value:
            raise ModelError(
                f"{path}: asks for a backbone that is downloaded separately "
                "(use_pretrained_backbone); expected all weights in the checkpoint"
            )
    if isinstance(config.get("backbone"), str) and not config.get("backbone_config"):
        raise ModelError(
            f"{path}: names its backbone, '{config['backbone']}', instead of describing it "
            "(backbone_config), so it would be downloaded"
        )


def check_network_size(make: "Callable[[], nn.Module]", file_bytes: int, path: Path) -> None:
    """Refuse a network much larger than its files of weights."""
    import torch

    with torch.device("meta"):
        network = make()
    needed = BYTES * sum(parameter.numel() for parameter in network.parameters())
    if needed > PACKED * file_bytes + SPARE:
        raise ModelError(
            f"{path}: its configuration is of a network of {needed / 1e9:.1f} GB, but its weights "
            f"are {file_bytes / 1e9:.3f} GB: one of the two is of another model"
        )


def _nested_entries(config: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(config, dict):
        for name, value in config.items():
            yield str(name), value
            yield from _nested_entries(value)


def read_processor(folder: Path, model_type: str) -> Preparation:
    """Read the authors' preparation of photographs."""
    path = folder / PROCESSOR_FILE
    if not os.path.lexists(path):
        raise ModelError(
            f"{folder}: no {PROCESSOR_FILE}, which describes the preparation of photographs"
        )
    entries = read_config(path)
    try:
        return _READERS[model_type](entries)
    except (KeyError, OverflowError, TypeError, ValueError, ModelError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else reason(error)
        raise ModelError(f"{path}: is not valid: {what}") from error


def _dpt_preparation(entries: Entries) -> Preparation:
    fill = _read_whole_number(entries, "size_divisor", 1) if entries.get("do_pad", False) else 1
    if not entries.get("do_resize", True):
        return _preparation_with_normalisation(
            entries, _native_sizing(1), Resampling.BILINEAR, fill=fill
        )
    multiple = _read_whole_number(entries, "ensure_multiple_of", 1)
    keeps_aspect = bool(entries.get("keep_aspect_ratio"))
    sizing = _fixed_or_aspect_sizing(
        _read_size(entries, (384, 384)), multiple, keeps_aspect=keeps_aspect
    )
    return _preparation_with_normalisation(entries, sizing, _read_resampling(entries, 3), fill=fill)


def _zoedepth_preparation(entries: Entries) -> Preparation:
    _check_bilinear(entries, "ZoeDepth")
    multiple = _read_whole_number(entries, "ensure_multiple_of", 32)
    keeps_aspect = entries.get("keep_aspect_ratio", True)
    sizing = _fixed_or_aspect_sizing(
        _read_size(entries, (384, 512)), multiple, keeps_aspect=keeps_aspect
    )
    padding = 3.0 if entries.get("do_pad", True) else 0.0
    return _preparation_with_normalisation(
        entries, sizing, Resampling.BILINEAR_CORNERS, padding=padding
    )


def _glpn_preparation(entries: Entries) -> Preparation:
    multiple = (
        _read_whole_number(entries, "size_divisor", 32) if entries.get("do_resize", True) else 1
    )
    return _preparation_with_normalisation(
        {"do_normalize": False, **entries}, _native_sizing(multiple), _read_resampling(entries, 2)
    )


def _depth_pro_preparation(entries: Entries) -> Preparation:
    _check_bilinear(entries, "Depth Pro")
    sizing = _fixed_or_aspect_sizing(_read_size(entries, (1536, 1536)))
    return _preparation_with_normalisation(entries, sizing, Resampling.BILINEAR_POINTS)


def _tips_preparation(entries: Entries) -> Preparation:
    sizing = _fixed_or_aspect_sizing(_read_size(entries, (448, 448)))
    return _preparation_with_normalisation(
        {"do_normalize": False, **entries}, sizing, _read_resampling(entries, 2)
    )


_READERS: Mapping[str, Callable[[Entries], Preparation]] = {
    "depth_anything": _dpt_preparation,
    "depth_pro": _depth_pro_preparation,
    "dpt": _dpt_preparation,
    "glpn": _glpn_preparation,
    "tipsv2_dpt": _tips_preparation,
    "zoedepth": _zoedepth_preparation,
}
FAMILIES = tuple(_READERS)


def _preparation_with_normalisation(
    entries: Entries,
    sizing: Sizing,
    resampling: Resampling,
    *,
    padding: float = 0.0,
    fill: int = 1,
) -> Preparation:
    rescale = float(entries.get("rescale_factor", 1 / 255))
    normalises = entries.get("do_normalize", True)
    return Preparation(
        sizing=sizing,
        resampling=resampling,
        padding=padding,
        fill=fill,
        rescale=rescale if entries.get("do_rescale", True) else 1.0,
        mean=_three_floats(entries.get("image_mean", _HALF)) if normalises else (0.0, 0.0, 0.0),
        std=_three_floats(entries.get("image_std", _HALF)) if normalises else (1.0, 1.0, 1.0),
    )


def _check_bilinear(entries: Entries, family: str) -> None:
    if entries.get("resample", 2) != 2 or not entries.get("do_resize", True):
        raise ModelError(f"{family} is resized bilinearly (do_resize true, resample 2)")


def _three_floats(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(number) for number in values)
    return red, green, blue


def _native_sizing(multiple: int) -> Sizing:
    """Sizing of the photograph, up to ``LARGEST_NATIVE`` pixels."""
    return Sizing(rule=Rule.FLOOR, area=LARGEST_NATIVE, multiple=multiple)


def _fixed_or_aspect_sizing(size: Size, multiple: int = 1, *, keeps_aspect: bool = False) -> Sizing:
    height, width = size
    if keeps_aspect:
        return Sizing(rule=Rule.LEAST_CHANGE, height=height, width=width, multiple=multiple)
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return Sizing(rule=Rule.FIXED, height=height, width=width, multiple=multiple)


def _read_size(entries: Entries, usual: Size) -> Size:
    size = entries.get("size", {"height": usual[0], "width": usual[1]})
    if not isinstance(size, dict):
        size = {"height": size, "width": size}
    if not all(isinstance(size[side], int) and size[side] > 0 for side in ("height", "width")):
        raise ModelError(f"size is of whole numbers of 1 or more, got {size!r}")
    return size["height"], size["width"]


def _read_whole_number(entries: Entries, name: str, usual: int) -> int:
    value = entries.get(name, usual)
    # ZoeDepth's processor in transformers 5 saves 1/32 where it means 32.
    number = 1 / value if isinstance(value, float) and 0 < value < 1 else value
    if not isinstance(number, int | float) or number < 1 or not math.isclose(number, round(number)):
        raise ModelError(f"{name} is a whole number of 1 or more, got {value!r}")
    return round(number)


def _read_resampling(entries: Entries, usual: int) -> Resampling:
    number = entries.get("resample", usual)
    if number not in _FILTERS:
        raise ModelError(f"resample is 1 (Lanczos), 2 (bilinear) or 3 (bicubic), got {number!r}")
    return _FILTERS[number]


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
    origin = Origin(
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
