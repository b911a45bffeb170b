"""Models whose affine depth is a known function of the embedded model's, as files and in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import rilievo
from rilievo.models import DEFAULT_MODEL
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import embedded_file
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo

SCALE, SHIFT = 2.5, 0.3


def affine_graph(path: Path, *, scale: float = SCALE, shift: float = SHIFT) -> Path:
    """Write an ONNX file that answers scale / depth + shift, of the embedded model's depth."""
    graph = onnx.load(embedded_file(DEFAULT_MODEL))
    for node in graph.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == "depth":
                    names[index] = "own_depth"
    for name, value in (("its_scale", scale), ("its_shift", shift)):
        array = np.array(value, np.float32)
        graph.graph.initializer.append(numpy_helper.from_array(array, name))
    graph.graph.node.extend(
        [
            helper.make_node("Div", ["its_scale", "own_depth"], ["scaled"]),
            helper.make_node("Add", ["scaled", "its_shift"], ["depth"]),
        ]
    )
    del graph.graph.output[:]
    size = ["batch", "height", "width"]
    graph.graph.output.append(helper.make_tensor_value_info("depth", TensorProto.FLOAT, size))
    said = {"rilievo.kind": "affine_inverse", "rilievo.name": "test/affine"}
    for each in graph.metadata_props:
        each.value = said.get(each.key, each.value)
    onnx.save(graph, path)
    return path


class AffineAnswer(Model):
    """Answers a function of the embedded model's depth, or of noise."""

    def __init__(self, kind: DepthKind, *, seed: int | None = None) -> None:
        self.card = ModelCard(name="test/affine", summary="", kind=kind, licence="none")
        self.weights_sha256, self.settings = f"{kind}{seed}", {}
        self._seed, self._embedded = seed, rilievo.load_model()

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [Inference(depth=self._values(photo)) for photo in photos]

    def _values(self, photo: Photo) -> np.ndarray:
        [answer] = self._embedded.infer([photo])
        assert answer.depth is not None
        depth = answer.depth
        if self._seed is not None:
            depth = np.random.default_rng(self._seed).uniform(1, 2, depth.shape)
        values = 1 / depth if self.card.kind is DepthKind.AFFINE_INVERSE else depth
        return (SCALE * values + SHIFT).astype(np.float32)
