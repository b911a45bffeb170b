"""Configuration of a checkpoint of transformers: its safety and preparation."""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError, ModelError
from rilievo.io.files.limits import read_text, reason
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing

if TYPE_CHECKING:
    from torch import nn


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
        return READERS[model_type](entries)
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


READERS: Mapping[str, Callable[[Entries], Preparation]] = {
    "depth_anything": _dpt_preparation,
    "depth_pro": _depth_pro_preparation,
    "dpt": _dpt_preparation,
    "glpn": _glpn_preparation,
    "tipsv2_dpt": _tips_preparation,
    "zoedepth": _zoedepth_preparation,
}


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
