"""Check and read the configuration of a checkpoint of transformers or diffusers.

It is checked before anything is loaded, because it may name code or describe a huge network. The
configuration of a checkpoint's processor becomes a ``Preparation``.
"""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError, ModelError
from rilievo.io.files.limits import read_text, reason
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing

if TYPE_CHECKING:
    from torch import nn


Entries = Mapping[str, Any]
"""JSON object of a configuration."""

PROCESSOR_FILE = "preprocessor_config.json"
_MAX_LAYERS = 1000  # deep networks have about 50
_LAYER_COUNTS = re.compile(r"num_\w*(layers|blocks|stages)|depths")
"""Names of the entries that count layers."""
_FAST_ATTENTIONS = ("sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
_SAFE_ATTENTIONS = (None, "eager", *_FAST_ATTENTIONS)
"""Implementations of attention that come with transformers; others may be code of the hub."""

_BYTES_PER_WEIGHT = 4  # fp32
_MAX_COMPRESSION = 8
"""A network in fp32 is at most this factor larger than its files, as with 4-bit weights."""
_SPARE_BYTES = 2**31
"""A small network may exceed that limit by so many bytes."""

_MAX_NATIVE_PIXELS = 1280 * 960
"""Most pixels of a photograph for networks that take it in its own size."""
_LANCZOS, _BILINEAR, _BICUBIC = 1, 2, 3
_FILTERS = {
    _LANCZOS: Resampling.LANCZOS,
    _BILINEAR: Resampling.BILINEAR,
    _BICUBIC: Resampling.BICUBIC,
}
"""Filters by their numbers in Pillow, which processors state."""
_HALF = (0.5, 0.5, 0.5)
"""Default mean and standard deviation in the processors of transformers."""


def read_config(path: Path) -> Entries:
    """Read the configuration of a checkpoint, which is a JSON object."""
    try:
        config = parse_json(read_text(path))
    except (InputError, InvalidRecordError) as error:
        raise ModelError(
            f"{path}: is not valid JSON; expected the configuration of a model"
        ) from error
    if not isinstance(config, dict):
        raise ModelError(
            f"{path}: expected a configuration (a JSON object), got {type(config).__name__}"
        )
    return config


def check_config(config: Entries, path: Path) -> None:
    """Raise ``ModelError`` for a configuration that is not safe to make a network from.

    Such a configuration names code or a backbone to download, or has too many layers.
    """
    for name, value in _nested_entries(config):
        _check_entry(name, value, path)
    if isinstance(config.get("backbone"), str) and not config.get("backbone_config"):
        raise ModelError(
            f"{path}: names the backbone '{config['backbone']}' without describing it, and rilievo "
            "does not download backbones separately; expected a description in the entry "
            "backbone_config"
        )


def _nested_entries(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a JSON object, and those of the objects in it."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield str(name), value
            yield from _nested_entries(value)


def _check_entry(name: str, value: Any, path: Path) -> None:
    """Raise ``ModelError`` for too many layers, foreign code, or a separate download."""
    if _LAYER_COUNTS.fullmatch(name):
        counts = value if isinstance(value, list) else [value]
        largest = max((count for count in counts if isinstance(count, int)), default=0)
        if largest > _MAX_LAYERS:
            raise ModelError(f"{path}: {name} is {largest}; expected at most {_MAX_LAYERS}")
    if name.endswith("attn_implementation") and value not in _SAFE_ATTENTIONS:
        raise ModelError(
            f"{path}: {name} is {value!s}, which may be code from the Hugging Face Hub, and "
            "rilievo never runs such code: remove this entry"
        )
    if name == "use_pretrained_backbone" and value:
        raise ModelError(
            f"{path}: requests a backbone that is downloaded separately (use_pretrained_backbone); "
            "expected a checkpoint that contains all weights"
        )


def check_network_size(
    make_network: "Callable[[], nn.Module]", file_bytes: int, path: Path
) -> None:
    """Raise ``ModelError`` for a network that is much larger than the files with its weights.

    ``make_network`` is called without taking memory for weights.
    """
    import torch

    with torch.device("meta"):
        network = make_network()
    network_bytes = _BYTES_PER_WEIGHT * sum(weight.numel() for weight in network.parameters())
    if network_bytes > _MAX_COMPRESSION * file_bytes + _SPARE_BYTES:
        raise ModelError(
            f"{path}: the configuration describes a network of {network_bytes / 1e9:.1f} GB, but "
            f"the weights take {file_bytes / 1e9:.3f} GB, so the two belong to different models"
        )


def read_processor(folder: Path, model_type: str) -> Preparation:
    """Read how a checkpoint's processor prepares photographs for the model's architecture."""
    path = folder / PROCESSOR_FILE
    if not os.path.lexists(path):
        raise ModelError(
            f"{folder}: has no {PROCESSOR_FILE}, which describes how to prepare photographs: copy "
            "this file from the model's repository"
        )
    entries = read_config(path)
    try:
        return PREPARATION_READERS[model_type](entries)
    except (KeyError, OverflowError, TypeError, ValueError, ModelError) as error:
        # A KeyError is the missing entry in quotes.
        problem = f"the entry {error} is missing" if isinstance(error, KeyError) else reason(error)
        raise ModelError(f"{path}: is not valid: {problem}") from error


def _dpt_preparation(entries: Entries) -> Preparation:
    """Read the processor of DPT and Depth Anything, which may pad after resizing."""
    pad_multiple = 1  # no padding
    if entries.get("do_pad", False):
        pad_multiple = _read_whole_number(entries, "size_divisor", 1)
    if not entries.get("do_resize", True):
        return _make_preparation(
            entries, _native_sizing(multiple=1), Resampling.BILINEAR, pad_multiple=pad_multiple
        )

    multiple = _read_whole_number(entries, "ensure_multiple_of", 1)
    size = _read_size(entries, (384, 384))
    keeps_aspect = bool(entries.get("keep_aspect_ratio"))
    sizing = _aspect_sizing(size, multiple) if keeps_aspect else _fixed_sizing(size, multiple)
    resampling = _read_resampling(entries, default=_BICUBIC)
    return _make_preparation(entries, sizing, resampling, pad_multiple=pad_multiple)


def _zoedepth_preparation(entries: Entries) -> Preparation:
    _check_bilinear(entries, "ZoeDepth")
    multiple = _read_whole_number(entries, "ensure_multiple_of", 32)
    size = _read_size(entries, (384, 512))
    keeps_aspect = entries.get("keep_aspect_ratio", True)
    sizing = _aspect_sizing(size, multiple) if keeps_aspect else _fixed_sizing(size, multiple)
    border_factor = 3.0 if entries.get("do_pad", True) else 0.0
    return _make_preparation(
        entries, sizing, Resampling.BILINEAR_CORNERS, border_factor=border_factor
    )


def _glpn_preparation(entries: Entries) -> Preparation:
    is_resized = entries.get("do_resize", True)
    multiple = _read_whole_number(entries, "size_divisor", 32) if is_resized else 1
    entries = {"do_normalize": False, **entries}
    resampling = _read_resampling(entries, default=_BILINEAR)
    return _make_preparation(entries, _native_sizing(multiple), resampling)


def _depth_pro_preparation(entries: Entries) -> Preparation:
    _check_bilinear(entries, "Depth Pro")
    sizing = _fixed_sizing(_read_size(entries, (1536, 1536)))
    return _make_preparation(entries, sizing, Resampling.BILINEAR_POINTS)


def _tips_preparation(entries: Entries) -> Preparation:
    sizing = _fixed_sizing(_read_size(entries, (448, 448)))
    entries = {"do_normalize": False, **entries}
    return _make_preparation(entries, sizing, _read_resampling(entries, default=_BILINEAR))


PREPARATION_READERS: Mapping[str, Callable[[Entries], Preparation]] = {
    "depth_anything": _dpt_preparation,
    "depth_pro": _depth_pro_preparation,
    "dpt": _dpt_preparation,
    "glpn": _glpn_preparation,
    "tipsv2_dpt": _tips_preparation,
    "zoedepth": _zoedepth_preparation,
}
"""Functions that read a processor's configuration, by the architecture in transformers."""


def _make_preparation(
    entries: Entries,
    sizing: Sizing,
    resampling: Resampling,
    *,
    border_factor: float = 0.0,
    pad_multiple: int = 1,
) -> Preparation:
    """Make a preparation, with the normalisation that a processor's configuration states."""
    rescale = float(entries.get("rescale_factor", 1 / 255))
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    if entries.get("do_normalize", True):
        mean = _three_floats(entries.get("image_mean", _HALF))
        std = _three_floats(entries.get("image_std", _HALF))
    return Preparation(
        sizing=sizing,
        resampling=resampling,
        border_factor=border_factor,
        pad_multiple=pad_multiple,
        rescale=rescale if entries.get("do_rescale", True) else 1.0,
        mean=mean,
        std=std,
    )


def _check_bilinear(entries: Entries, family: str) -> None:
    if entries.get("resample", _BILINEAR) != _BILINEAR or not entries.get("do_resize", True):
        raise ModelError(f"{family} needs bilinear resizing (do_resize true, resample 2)")


def _three_floats(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(number) for number in values)
    return red, green, blue


def _native_sizing(multiple: int) -> Sizing:
    """The photograph's own size, up to ``_MAX_NATIVE_PIXELS``."""
    return Sizing(rule=Rule.FLOOR, pixel_count=_MAX_NATIVE_PIXELS, multiple=multiple)


def _aspect_sizing(size: Size, multiple: int) -> Sizing:
    """Approximately this size, with the photograph's proportions."""
    height, width = size
    return Sizing(rule=Rule.LEAST_CHANGE, height=height, width=width, multiple=multiple)


def _fixed_sizing(size: Size, multiple: int = 1) -> Sizing:
    """Exactly this size, rounded to multiples, whatever the photograph's proportions."""
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return Sizing(rule=Rule.FIXED, height=height, width=width, multiple=multiple)


def _read_size(entries: Entries, default: Size) -> Size:
    """Read a size, which is one number for both sides, or a height and a width."""
    size = entries.get("size", {"height": default[0], "width": default[1]})
    if not isinstance(size, dict):
        size = {"height": size, "width": size}
    height = size["height"]
    width = size["width"]
    if not all(isinstance(side, int) and side > 0 for side in (height, width)):
        raise ModelError(f"size must consist of integers of 1 or more, got {size!r}")
    return height, width


def _read_whole_number(entries: Entries, name: str, default: int) -> int:
    """Read a positive whole number; ``ModelError`` if the entry is anything else."""
    value = entries.get(name, default)
    # ZoeDepth's processor in transformers 5 saves 1/32 where it means 32.
    is_reciprocal = isinstance(value, float) and 0 < value < 1
    number = 1 / value if is_reciprocal else value
    if not isinstance(number, int | float) or number < 1 or not math.isclose(number, round(number)):
        raise ModelError(f"{name} must be an integer of 1 or more, got {value!r}")
    return round(number)


def _read_resampling(entries: Entries, default: int) -> Resampling:
    number = entries.get("resample", default)
    if number not in _FILTERS:
        raise ModelError(
            f"resample must be 1 (Lanczos), 2 (bilinear) or 3 (bicubic), got {number!r}"
        )
    return _FILTERS[number]
