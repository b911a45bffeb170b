"""Networks broken by what they say of their tensors; checkpoints that would run code."""

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

from lab.torture.forms import blind, payload, texts, trees
from lab.torture.forms.mutator import EXTREMES, Mutator

_NAMES = (
    *("metric", "affine", "none", "2", "-32", "1e9", "rilievo.format", "image", "depth", "fov"),
    *("Add", "MatMul", "Loop", "If", "NoSuch", "Expand", "com.microsoft", "ai.onnx.ml"),
)
"""Words that mean something somewhere in a network."""
_TEXT, _BYTES, _ENUM = 9, 12, 14
"""Types of protobuf's fields that are no numbers."""


def onnx_field(good: bytes, chance: Random) -> bytes:
    """One field anywhere in the network: of another value, taken out, or a message twice."""
    network = _network(good)
    if network is None:
        return blind.flip(good, chance)
    places = [*_fields(network)]
    if not places:
        return blind.flip(good, chance)
    message, field, value = chance.choice(places)
    is_list = not isinstance(value, str | bytes | int | float) and hasattr(value, "append")
    if chance.random() < 0.2:
        message.ClearField(field.name)
    elif field.message_type:
        if is_list and chance.random() < 0.5:
            value.append(chance.choice(value))
        elif is_list:
            del value[chance.randrange(len(value))]
    else:
        odd = _odd(field.type, chance)
        with suppress(ValueError):  # numbers that the field cannot hold
            if is_list:
                value[chance.randrange(len(value))] = odd
            else:
                setattr(message, field.name, odd)
    return network.SerializeToString()


def onnx_outside(good: bytes, chance: Random) -> bytes:
    """A tensor whose numbers lie in another file."""
    network = _network(good)
    if network is None or not network.graph.initializer:
        return blind.flip(good, chance)
    tensor = chance.choice(network.graph.initializer)
    tensor.data_location = 1
    place = chance.choice(("../outside/canary", "/etc/passwd", "weights.bin", ""))
    tensor.external_data.add(key="location", value=place)
    tensor.external_data.add(key="offset", value=chance.choice(("0", "-1", "x")))
    return network.SerializeToString()


def _fields(message: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Fields that are set, of a message and of those below it: message, field, value."""
    for field, value in message.ListFields():
        yield message, field, value
        if field.message_type:
            for below in value if hasattr(value, "append") else [value]:
                yield from _fields(below)


def _odd(kind: int, chance: Random) -> object:
    if kind in (_TEXT, _BYTES):
        word = chance.choice((*texts.NUMBERS, *texts.WORDS, *_NAMES))
        return word if kind == _TEXT else word.encode()
    return chance.choice((-1, 0, 1, 3, 7, 16, 99, 2**20, 2**40, 2**62) if kind != _ENUM else (0, 1))


def safetensors_header(good: bytes, chance: Random) -> bytes:
    """The header's words broken as a tree, its length right or lying."""
    if len(good) < 8:
        return good
    (size,) = struct.unpack("<Q", good[:8])
    if size > len(good):
        return blind.flip(good, chance)
    header = chance.choice(trees.ALL)(good[8 : 8 + size], chance)
    lie = chance.choice((len(header), len(header), len(header), 0, *EXTREMES[-7:]))
    return struct.pack("<Q", lie % 2**64) + header + good[8 + size :]


def safetensors_shape(good: bytes, chance: Random) -> bytes:
    """A tensor that lies about its shape, type or place, in a header that is otherwise right."""
    if len(good) < 8:
        return good
    (size,) = struct.unpack("<Q", good[:8])
    try:
        header: Any = json.loads(good[8 : 8 + size])
        facts = header[chance.choice([name for name in header if name != "__metadata__"])]
        match chance.randrange(3):
            case 0:
                facts["shape"] = facts["shape"][::-1] + chance.choice(([], [1], [0]))
            case 1:
                facts["dtype"] = chance.choice(("F16", "I8", "F64", "BOOL", "Q9"))
            case _:
                facts["data_offsets"] = chance.choice(([0, 4], [4, 0], [0, 2**63], [-1, 4]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return blind.flip(good, chance)
    stored = json.dumps(header).encode()
    return struct.pack("<Q", len(stored)) + stored + good[8 + size :]


def pt_pickle(good: bytes, chance: Random) -> bytes:
    """A checkpoint whose pickle makes a file: in an archive, or as the old format has it."""
    evil = chance.choice((payload.payload(), payload.payload(4), payload.shell_payload()))
    if chance.random() < 0.4:
        return evil
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("archive/data.pkl", evil)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return target.getvalue()


def pt_entry(good: bytes, chance: Random) -> bytes:
    """A checkpoint that torch reads, with entries of other types, sizes or none."""
    import torch

    try:
        entries: Any = torch.load(io.BytesIO(good), weights_only=True)
        place = chance.choice(trees.places(entries))
    except Exception:  # torch.load raises whatever its unpickler does
        return blind.flip(good, chance)
    odd = (None, -1, 2**70, "x", [], {}, [1], {"a": 1}, 1e308, float("nan"), True, b"\0")
    odd += (torch.zeros(3, 5), torch.zeros(0), torch.full((2,), float("nan")), {1: {2: 3}})
    match chance.randrange(4):
        case 0:
            del place.parent[place.key]
        case 1:
            entries = chance.choice(odd)
        case _:
            place.parent[place.key] = chance.choice(odd)
    target = io.BytesIO()
    torch.save(entries, target)
    return target.getvalue()


def _network(good: bytes) -> Any:
    """The network of an ONNX file; None for what is none any more."""
    import onnx
    from google.protobuf.message import DecodeError

    network = onnx.ModelProto()
    try:
        network.ParseFromString(good)
    except (DecodeError, RuntimeError):
        return None
    return network


ONNX: tuple[Mutator, ...] = (*(4 * (onnx_field,)), onnx_outside)
SAFETENSORS: tuple[Mutator, ...] = (safetensors_header, safetensors_shape)
PT: tuple[Mutator, ...] = (pt_pickle, pt_entry, pt_entry, pt_entry)
