"""Networks broken by what they say of their tensors; checkpoints that would run code."""

import io
import json
import struct
import zipfile
from random import Random
from typing import Any

from lab.torture.forms import blind, payload, texts, trees
from lab.torture.forms.mutator import EXTREMES, Mutator


def onnx_metadata(good: bytes, chance: Random) -> bytes:
    """Forged words about the network: another kind, area, size, licence."""
    network = _network(good)
    if network is None or not network.metadata_props:
        return blind.flip(good, chance)
    entry = chance.choice(network.metadata_props)
    odd = (*texts.NUMBERS, *texts.WORDS, "metric", "affine", "none", "2", "-32", "1e9", "fixed")
    match chance.randrange(4):
        case 0:
            network.metadata_props.remove(entry)
        case 1:
            entry.key = chance.choice(("rilievo.format", "rilievo.x", "", "\x1b[2J"))
        case 2:
            network.metadata_props.add(key=entry.key, value=chance.choice(odd))
        case _:
            entry.value = chance.choice(odd)
    return network.SerializeToString()


def onnx_tensor(good: bytes, chance: Random) -> bytes:
    """A tensor that lies about its shape or type, or whose numbers lie in another file."""
    network = _network(good)
    if network is None or not network.graph.initializer:
        return blind.flip(good, chance)
    tensor = chance.choice(network.graph.initializer)
    match chance.randrange(4):
        case 0:
            tensor.dims[:] = [chance.choice((-1, 0, 2**20, 2**40, 2**62, 7))] * chance.randrange(5)
        case 1:
            tensor.data_type = chance.choice((0, 2, 7, 8, 9, 16, 99))
        case 2:
            tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
        case _:
            tensor.data_location = 1
            place = chance.choice(("../outside/canary", "/etc/passwd", "weights.bin", ""))
            tensor.external_data.add(key="location", value=place)
            tensor.external_data.add(key="offset", value=chance.choice(("0", "-1", "x")))
    return network.SerializeToString()


def onnx_node(good: bytes, chance: Random) -> bytes:
    """A node that is another, is missing, is of an unknown library, or goes in a circle."""
    network = _network(good)
    if network is None or not network.graph.node:
        return blind.flip(good, chance)
    node = chance.choice(network.graph.node)
    match chance.randrange(5):
        case 0:
            node.op_type = chance.choice(("Add", "MatMul", "Loop", "If", "NoSuch", "Sin", "Expand"))
        case 1:
            node.domain = chance.choice(("com.microsoft", "evil", "ai.onnx.ml"))
        case 2 if node.input:
            node.input[chance.randrange(len(node.input))] = chance.choice((node.output[0], "x", ""))
        case 3 if node.attribute:
            attribute = chance.choice(node.attribute)
            attribute.i = chance.choice((-1, 0, 2**40, 99))
            if attribute.ints:
                attribute.ints[0] = chance.choice((-9, 3, 2**40))
        case _:
            network.graph.node.remove(node)
    return network.SerializeToString()


def onnx_border(good: bytes, chance: Random) -> bytes:
    """Inputs and outputs of another name, type or size than the contract's."""
    network = _network(good)
    if network is None:
        return blind.flip(good, chance)
    border = [*network.graph.input, *network.graph.output]
    if not border:
        return blind.flip(good, chance)
    value = chance.choice(border)
    sides = value.type.tensor_type.shape.dim
    match chance.randrange(4):
        case 0:
            value.name = chance.choice(("image", "depth", "normals", "fov", "confidence", "x", ""))
        case 1:
            value.type.tensor_type.elem_type = chance.choice((0, 1, 2, 7, 8, 11, 99))
        case 2 if sides:
            chance.choice(sides).dim_value = chance.choice((-1, 0, 1, 3, 7, 2**40))
        case _:
            network.opset_import[0].version = chance.choice((0, 1, 9, 99, 2**40))
    return network.SerializeToString()


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


ONNX: tuple[Mutator, ...] = (onnx_metadata, onnx_tensor, onnx_node, onnx_border)
SAFETENSORS: tuple[Mutator, ...] = (safetensors_header, safetensors_shape)
PT: tuple[Mutator, ...] = (pt_pickle, pt_entry, pt_entry, pt_entry)
