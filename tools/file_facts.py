"""What the ONNX file of an embedded model is."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.numpy_helper


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What an ONNX file is.

    Attributes:
        name: As in ``MODELS``.
        kind: Of its depth.
        licence: SPDX identifier.
        precision: Of its weights.
        trained_on: Images, and where the encoder came from.
        parameters: Numbers in the graph, batch normalisation folded into the convolutions.
        size_bytes: Of the file.
        sha256: Of the file.
    """

    name: str
    kind: str
    licence: str
    precision: str
    trained_on: str
    parameters: int
    size_bytes: int
    sha256: str


def read_facts(path: Path) -> FileFacts:
    """What the file says of itself, and what can be counted in it."""
    content = path.read_bytes()
    model = onnx.load_from_string(content)
    said = {entry.key: entry.value for entry in model.metadata_props}
    return FileFacts(
        name=said["rilievo.name"],
        kind=said["rilievo.kind"],
        licence=said["rilievo.licence"],
        precision=said.get("rilievo.precision", "fp32"),
        trained_on=said["rilievo.trained_on"],
        parameters=_parameters(model),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _parameters(model: onnx.ModelProto) -> int:
    """Weights of any precision; steps and zeros of the 8-bit ones are none."""
    kinds = onnx.TensorProto
    counted = (kinds.FLOAT, kinds.FLOAT16, kinds.INT8, kinds.UINT8, kinds.INT32)
    return sum(
        int(onnx.numpy_helper.to_array(tensor).size)
        for tensor in model.graph.initializer
        if tensor.data_type in counted and not re.search("_(scale|zero_point)$", tensor.name)
    )
