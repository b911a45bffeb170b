"""A probed backbone as a ``Network``: photographs in, named answers out, exportable."""

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
        depth, normals, kappa = self.probed(pixels)
        confidence = None if kappa is None else kappa / (1 + kappa)
        return tuple(each for each in (depth, normals, confidence) if each is not None)
