"""Facts about the ONNX file of an embedded model."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.numpy_helper


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """Facts about an ONNX file.

    Attributes:
        name: Name in ``MODELS``.
        kind: Kind of its depth.
        licence: SPDX identifier.
        precision: Precision of its weights.
        trained_on: Training images, and the origin of the encoder.
        parameters: Number of weights in the graph, with batch normalisation folded into the
            convolutions.
        size_bytes: Size of the file.
        sha256: SHA-256 of the file.
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
    """Read the file's metadata, and count its weights."""
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
    """Number of weights of any precision, without scales and zero points of 8-bit ones."""
    kinds = onnx.TensorProto
    counted = (kinds.FLOAT, kinds.FLOAT16, kinds.INT8, kinds.UINT8, kinds.INT32)
    return sum(
        int(onnx.numpy_helper.to_array(tensor).size)
        for tensor in model.graph.initializer
        if tensor.data_type in counted and not re.search("(_scale|_zero_point|/step)$", tensor.name)
    )
