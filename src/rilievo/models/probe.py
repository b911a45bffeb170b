"""Models from training runs of probes: a backbone and its probe."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rilievo.errors import ModelError
from rilievo.io.limits import reason
from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.preparation import Preparation
from rilievo.models.runs import WEIGHTS, RunFacts, preparation_of, read_run
from rilievo.models.torch_model import Network, TorchModel
from rilievo.networks.backbones import weights_sha256
from rilievo.networks.probed import Probed, make_chosen_backbone, make_chosen_probe

BACKBONE = "backbone_sha256"
"""Entry in the header of the weights: hash of the backbone that they were trained on."""


def load(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load a run (``ModelCard.loader``)."""
    assert card.source is not None, "the card of a run has its folder"
    folder = Path(card.source)
    facts = read_run(folder)
    blueprint = facts.blueprint
    return TorchModel(
        card,
        ProbeNetwork(preparation_of(blueprint), read_probed(folder, facts)),
        options,
        weights_sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        settings={
            "backbone": blueprint.backbone.name,
            "probe": blueprint.probe.kind,
            "treatment": blueprint.treatment,
        },
    )


def read_probed(folder: Path, facts: RunFacts) -> Probed:
    """Build the network of a run with its weights.

    A frozen backbone is not stored: it is built anew, and its weights have to be the same.
    """
    path = folder / WEIGHTS
    backbone = make_chosen_backbone(facts.blueprint)
    probed = Probed(facts.blueprint, backbone, make_chosen_probe(facts.blueprint, backbone, seed=0))
    try:
        with safe_open(path, framework="pt") as file:
            trained_on = (file.metadata() or {}).get(BACKBONE)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read: {reason(error)}") from error
    if not facts.backbone_rate and trained_on != weights_sha256(backbone):
        raise ModelError(
            f"{path}: was trained on a backbone '{facts.blueprint.backbone.name}' with other "
            "weights than it has now: restore those weights, or train again"
        )
    try:
        (probed if facts.backbone_rate else probed.probe).load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path}: its weights are of another network: {reason(error)}") from error
    return probed


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
