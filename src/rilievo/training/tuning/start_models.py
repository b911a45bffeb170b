"""Models that can be trained further, opened with their networks in torch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rilievo.errors import ModelError, OptionError
from rilievo.models import load_model
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import BASE, SMALL, embedded_file
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import sha256 as file_sha256
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.models.resampling.preparation import Rule
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.marigold import DiffusionModel
from rilievo.training.adapters.run_models import (
    WEIGHTS,
    is_probe_run,
    is_tuned_run,
    is_video_run,
    probe_preparation,
    read_probe_run,
    read_tuned_run,
)
from rilievo.training.adapters.torch_model import DepthProNetwork, TorchModel, TransformersNetwork
from rilievo.training.adapters.trained import (
    DEPTH_PRO,
    ProbeNetwork,
    SmallNetwork,
    fill_from_file,
    load_probed_network,
    make_tuned_network,
)
from rilievo.training.adapters.trained_cards import probe_run_card, tuned_run_card
from rilievo.training.networks.blueprint import Family, TunedBlueprint
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.networks.small_weights import fill_from_onnx
from rilievo.training.tuning.network_layers import TunedNetwork

_EXPECTED_START = (
    f"{SMALL}, the folder of a run of 'train supervised' or 'train probe', an ONNX file of the "
    f"network of {SMALL}, a depth model of transformers, or a Marigold pipeline of depth"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartModel:
    """Model with which further training begins, and the checksum of its weights."""

    blueprint: TunedBlueprint
    network: TunedNetwork
    card: ModelCard
    sha256: str

    @property
    def needs_focal(self) -> bool:
        """Whether its depth is that of a camera whose focal length is the photograph's width."""
        return self.blueprint.architecture == DEPTH_PRO


def open_start_model(name: str, kind: DepthKind | None = None) -> StartModel:
    """Open a model in order to train it further; ``name`` may be a folder or a file.

    ``kind`` is the kind of depth of a folder of transformers or diffusers that does not say it.

    Raises:
        OptionError: If the model cannot be trained further, or its kind of depth is another one.
    """
    start = _open_by_family(name, kind)
    if kind not in (None, start.blueprint.kind):
        problem = f"has no effect: the depth of {name} is {start.blueprint.kind}"
        raise OptionError(option="kind", problem=problem)
    return start


def _open_by_family(name: str, kind: DepthKind | None) -> StartModel:
    path = Path(name)
    if is_tuned_run(path):
        return _open_tuned_run(name, path)
    if is_probe_run(path):
        return _open_probe_run(name, path)
    if name == SMALL:
        return _open_small_network(name, embedded_file(SMALL))
    if path.suffix == ".onnx":
        return _open_small_network(name, path)
    if name == BASE:
        hint = f"of two networks in one graph, start from {SMALL}"
        raise OptionError(option="start", value=name, expected=_EXPECTED_START, hint=hint)
    if is_video_run(path):
        hint = "a run on video goes on with 'rilievo train video --start'"
        raise OptionError(option="start", value=name, expected=_EXPECTED_START, hint=hint)

    model = load_model(name, kind=kind, device="cpu", engine="torch")
    if isinstance(model, DiffusionModel):
        return _start_from_pipeline(name, model)
    if isinstance(model, TorchModel) and isinstance(
        model.network, TransformersNetwork | DepthProNetwork
    ):
        return _start_from_transformers(name, model, model.network)
    raise OptionError(option="start", value=name, expected=_EXPECTED_START)


def _open_tuned_run(name: str, folder: Path) -> StartModel:
    blueprint = replace(read_tuned_run(folder).network, start=name)
    network = fill_from_file(make_tuned_network(blueprint, folder), folder / WEIGHTS)
    return StartModel(
        blueprint=blueprint,
        network=network,
        card=tuned_run_card(folder),
        sha256=file_sha256(folder / WEIGHTS),
    )


def _open_probe_run(name: str, folder: Path) -> StartModel:
    card, run = probe_run_card(folder), read_probe_run(folder)
    if card.kind is None:
        problem = "names a model of normals alone: runs are judged by depth"
        raise OptionError(option="start", problem=problem)
    preparation = probe_preparation(run.blueprint)
    return StartModel(
        blueprint=TunedBlueprint(
            family=Family.PROBE,
            start=name,
            kind=card.kind,
            licence=card.licence,
            probed=run.blueprint,
        ),
        network=ProbeNetwork(preparation, load_probed_network(folder, run)),
        card=card,
        sha256=file_sha256(folder / WEIGHTS),
    )


def _open_small_network(name: str, path: Path) -> StartModel:
    model = OnnxModel(path, LoadOptions(device="cpu", engine="onnxruntime"))
    card, sizing = model.card, model.preparation.sizing
    if sizing.rule is not Rule.AREA or card.kind is None:
        raise ModelError(f"{path}: is not the network of {SMALL}, which training goes on with")
    network = SmallNetwork(sizing.area)
    fill_from_onnx(network.network, path)
    return StartModel(
        blueprint=TunedBlueprint(
            family=Family.SMALL,
            start=name,
            kind=card.kind,
            licence=card.licence,
            teacher=model.facts.teacher,
            area=sizing.area,
        ),
        network=network,
        card=replace(card, confidence=False, sky=False),
        sha256=model.weights_sha256,
    )


def _start_from_pipeline(name: str, model: DiffusionModel) -> StartModel:
    if model.kind not in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        problem = f"names a pipeline of {model.kind or 'normals'}: expected is affine depth"
        raise OptionError(option="start", problem=problem)
    return StartModel(
        blueprint=TunedBlueprint(
            family=Family.MARIGOLD, start=name, kind=model.kind, licence=model.card.licence
        ),
        network=LatentNetwork(model.pipeline),
        card=model.card,
        sha256=model.weights_sha256,
    )


def _start_from_transformers(
    name: str, model: TorchModel, network: TransformersNetwork | DepthProNetwork
) -> StartModel:
    assert model.kind is not None, "depth models have one"
    if network.depends_on_batch or network.preparation.padding:
        raise OptionError(
            f"model '{name}' cannot be trained further here: it sees a reflected border, or its "
            "photographs affect each other"
        )
    body: Any = network.body
    return StartModel(
        blueprint=TunedBlueprint(
            family=Family.TRANSFORMERS,
            start=name,
            kind=model.kind,
            licence=model.card.licence,
            teacher=model.card.teacher,
            architecture=body.config.model_type,
        ),
        network=network,
        card=model.card,
        sha256=model.weights_sha256,
    )
