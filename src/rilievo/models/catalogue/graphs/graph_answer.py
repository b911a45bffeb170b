"""Answer of a published graph for one photograph, before it is read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped

from rilievo.errors import ModelError
from rilievo.models.catalogue.graphs.graph_facts import GraphFacts
from rilievo.models.catalogue.graphs.letterbox import Letterbox
from rilievo.models.onnx_files.session import Arrays
from rilievo.types import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphAnswer:
    """Outputs for one photograph, with what is needed to read them.

    Attributes:
        model: Name of the model in messages.
        facts: Facts of its graph.
        outputs: Outputs by the graph's own names, float32, for a batch of one.
        photo: The photograph.
        size: Size (height, width) of the network's input.
        place: Position of the photograph in that; None where it fills it.
        turned: Whether the photograph lies on its left side in it.
    """

    model: str
    facts: GraphFacts
    outputs: Arrays
    photo: Photo
    size: tuple[int, int]
    place: Letterbox | None
    turned: bool

    def find(self, role: str) -> Shaped[np.ndarray, "..."] | None:
        """Output of a role; None if the graph has none."""
        name = self._name(role)
        return None if name is None else self.outputs[name]

    def depth(self) -> Float32[np.ndarray, "h w"]:
        """Depth; in a graph of which that is known, the only output, whatever its name."""
        if self.facts.any_depth and len(self.outputs) == 1 and self._name("depth") is None:
            return self._map(next(iter(self.outputs)))
        return self.map("depth")

    def map(self, role: str) -> Float32[np.ndarray, "h w"]:
        """Output with one value a pixel, without its axes of length 1."""
        return self._map(self._name(role) or self.facts.outputs[role][0])

    def _name(self, role: str) -> str | None:
        return next((name for name in self.facts.outputs[role] if name in self.outputs), None)

    def _map(self, name: str) -> Float32[np.ndarray, "h w"]:
        if name not in self.outputs:
            raise ModelError(f"model '{self.model}': the network has no output '{name}'")
        array = self.outputs[name]
        if array.ndim < 2 or array.size != array.shape[-2] * array.shape[-1]:
            raise ModelError(
                f"model '{self.model}': output '{name}' is {array.shape}, expected "
                "(1, height, width)"
            )
        field = array.reshape(array.shape[-2:])
        return np.ascontiguousarray(np.rot90(field, -1)) if self.turned else field
