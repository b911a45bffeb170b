"""A probed backbone as an exportable ``Network``."""

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
    """Depth, normals, or both; the confidence of normals is kappa / (1 + kappa)."""

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
        """Run the probe; the backbone itself normalises pixels of 0 to 1."""
        with _positions_as_constants():
            depth, normals, kappa = self.probed(pixels)
        confidence = None if kappa is None else kappa / (1 + kappa)
        return tuple(each for each in (depth, normals, confidence) if each is not None)


@contextmanager
def _positions_as_constants() -> Iterator[None]:
    """Make resampled positional embeddings constants of an ONNX file.

    Their resampling is antialiased, for which ONNX has no equal operator; at a network's fixed size
    it always gives the same values. Images are not resampled this way.
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
