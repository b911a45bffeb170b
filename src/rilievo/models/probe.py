"""Models from training runs of probes: a backbone and its probe."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import MissingExtraError, ModelError
from rilievo.io.limits import reason
from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.models.probe_run import WEIGHTS, RunFacts, read_run
from rilievo.networks.blueprint import Blueprint

if TYPE_CHECKING:
    from rilievo.models.torch_model import TorchModel
    from rilievo.networks.probed import Probed

BACKBONE = "backbone_sha256"
"""Entry in the header of the weights: hash of the backbone that they were trained on."""


def load(card: ModelCard, options: LoadOptions) -> "TorchModel":
    """Load a run (``ModelCard.loader``).

    Raises:
        ModelError: If the folder is broken, or its backbone is not the one it was trained on.
        MissingExtraError: If a package that it needs is not installed.
        OptionError: If the device, engine or precision is not available.
    """
    try:
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"model '{card.name}'", "train") from error
    from rilievo.models.probe_network import ProbeNetwork
    from rilievo.models.torch_model import TorchModel

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


def preparation_of(blueprint: Blueprint) -> Preparation:
    """Preparation that resizes photographs to a blueprint's size, the same as in training."""
    height, width = blueprint.size
    return Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=height, width=width),
        resampling=Resampling.BILINEAR,
    )


def read_probed(folder: Path, facts: RunFacts) -> "Probed":
    """Build the network of a run with its weights.

    A frozen backbone is not stored: it is built anew, and its weights have to be the same.

    Raises:
        ModelError: If weights are missing, broken, or of another network or backbone.
    """
    from safetensors import SafetensorError, safe_open

    from rilievo.networks.backbones import weights_sha256
    from rilievo.networks.probed import Probed, make_chosen_backbone, make_chosen_probe

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
