"""A probed backbone as a ``Network``: photographs in, named answers out, exportable."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rilievo.models.preparation import Preparation
from rilievo.models.torch_model import Network
from rilievo.networks.probed import Probed


class ProbeNetwork(Network):
    """Depth, normals, or both; with kappa / (1 + kappa) as the confidence of normals."""

    def __init__(self, preparation: Preparation, probed: Probed) -> None:
        super().__init__(preparation)
        self.probed = probed
        task, uncertain = probed.blueprint.task, probed.blueprint.uncertainty
        there = {
            "depth": task.has_depth,
            "normals": task.has_normals,
            "confidence": task.has_normals and uncertain,
        }
        self.outputs = tuple(name for name, has in there.items() if has)

    def answer(self, pixels: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """What the probe reads; the backbone normalises pixels of 0 to 1 itself."""
        with _positions_as_constants():
            depth, normals, kappa = self.probed(pixels)
        confidence = None if kappa is None else kappa / (1 + kappa)
        return tuple(each for each in (depth, normals, confidence) if each is not None)


@contextmanager
def _positions_as_constants() -> Iterator[None]:
    """Keep the resampling of positional embeddings out of an ONNX file.

    It is antialiased, which no operator of ONNX is in the same way, and at a network's one size it
    always gives the same numbers. Images themselves are nowhere resampled so.
    """
    if not torch.onnx.is_in_onnx_export():
        yield
        return
    plain = F.interpolate

    def untraced(*given: Any, antialias: bool = False, **options: Any) -> Tensor:
        if not antialias:
            return plain(*given, **options)
        state = torch._C._get_tracing_state()
        torch._C._set_tracing_state(None)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return plain(*given, antialias=True, **options).detach()
        finally:
            torch._C._set_tracing_state(state)  # pyright: ignore[reportAttributeAccessIssue]

    F.interpolate = untraced
    try:
        yield
    finally:
        F.interpolate = plain
