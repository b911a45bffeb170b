"""Check that a configuration fits the size of its weights, before memory is allocated.

A wrong number in a configuration can make a network that fills the memory, or takes for ever to
build, before its tensors are compared with those of the files.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.errors import InputError, ModelError
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.limits import read_text

if TYPE_CHECKING:
    from torch import nn

MOST_LAYERS = 1000
"""Most layers, blocks or stages of one kind; the deepest depth networks have about 50."""
SPARE = 2**31
"""Bytes by which a network may exceed its files; tensors missing from small files are better listed
by name.
"""
BYTES, PACKED = 4, 8
"""Bytes of a number in memory, and by what factor its file may be smaller (4-bit weights)."""

_ATTENTIONS = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
_COUNTS = re.compile(r"num_\w*(layers|blocks|stages)|depths")


def read_config(path: Path) -> Mapping[str, Any]:
    """Read a configuration."""
    try:
        config = parse_json(read_text(path))
    except (InputError, NotThisRecord) as error:
        raise ModelError(f"{path}: not a configuration that can be read") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path}: not a configuration that can be read")
    return config


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a configuration with too many layers, or one that triggers downloads.

    transformers downloads a backbone that a configuration only names, and takes an attention name
    with an organisation for compiled code of the hub, which it would run.
    """
    for name, value in _entries(config):
        numbers = value if isinstance(value, list) else [value]
        most = max((each for each in numbers if isinstance(each, int)), default=0)
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


def check_size(make: "Callable[[], nn.Module]", held: int, path: Path) -> None:
    """Refuse a network that is much larger than its files of weights.

    Args:
        make: Function that builds it, called without allocating memory for its tensors.
        held: Size of its files of weights [bytes].
        path: Path of the checkpoint, for messages.
    """
    import torch

    with torch.device("meta"):
        network = make()
    needed = BYTES * sum(each.numel() for each in network.parameters())
    if needed > PACKED * held + SPARE:
        raise ModelError(
            f"{path}: its configuration is of a network of {needed / 1e9:.1f} GB, but its weights "
            f"are {held / 1e9:.3f} GB: one of the two is of another model"
        )


def _entries(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield every name and value of a configuration, including nested ones."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield str(name), value
            yield from _entries(value)
