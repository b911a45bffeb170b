"""Writing of ONNX graphs, node by node."""

from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lab.making.fusing import CELL, REACH


class GraphWriter:
    """Nodes and constants of a graph, in the order of their making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._numbers = count()

    def constant(self, values: object, dtype: type = np.float32, *, name: str | None = None) -> str:
        """Add a constant and return its name."""
        name = name or f"fused.constant_{next(self._numbers)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"fused.{kind}_{next(self._numbers)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def part(self, values: str, first: int, last: int) -> str:
        """Elements of a list from ``first`` to before ``last``."""
        bounds = (self.constant([each], np.int64) for each in (first, last))
        return self.add("Slice", values, *bounds)

    def planes(self, values: str) -> str:
        """Add the axis of channels to (batch, height, width)."""
        return self.add("Unsqueeze", values, self.constant([1], np.int64))

    def means(self, values: str, side: int) -> str:
        """Means of cells of ``side`` x ``side`` values."""
        return self.add("AveragePool", values, kernel_shape=[side] * 2, strides=[side] * 2)

    def window_means(self, values: str) -> str:
        """Means of windows of pixels, one a cell; at the border, of the cells inside."""
        return self.add(
            "AveragePool",
            self.means(values, CELL),
            kernel_shape=[2 * REACH + 1] * 2,
            pads=[REACH] * 4,
            count_include_pad=0,
        )

    def resized(self, values: str, size: str) -> str:
        """Resize bilinearly to ``size``, the name of (height, width)."""
        first = self.part(self.add("Shape", values), 0, 2)
        whole = self.add("Concat", first, size, axis=0)
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self.add("Resize", values, "", "", whole, **mode)
