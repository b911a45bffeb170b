"""Trained networks in torch as models."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Shaped
from rilievo.errors import ModelError
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.limits import reason
from rilievo.models import load_model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.model_settings import read_settings
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.training.adapters.marigold import DiffusionModel
from rilievo.training.adapters.run_models import (
    CONFIG,
    PIPELINE,
    WEIGHTS,
    ProbeRunFacts,
    VideoSettings,
    probe_preparation,
    read_probe_run,
    read_tuned_run,
    read_video_run,
)
from rilievo.training.adapters.torch_model import (
    DepthProHead,
    PlainDepthHead,
    TorchModel,
    TorchNetwork,
)
from rilievo.training.adapters.transformers_models import empty_network, fill_body
from rilievo.training.networks.backbones import Backbone, tensors_sha256, weights_sha256
from rilievo.training.networks.backbones.weights import read_state, select_network_tensors
from rilievo.training.networks.blueprint import (
    DEPTH,
    EMBEDDED_ENCODER,
    ENCODER,
    RANDOM,
    Family,
    TunedBlueprint,
    VideoBlueprint,
    is_official_checkpoint,
)
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.networks.probe_network import (
    BackboneWithProbe,
    backbone_from_blueprint,
    probe_from_blueprint,
    weights_of_stored,
)
from rilievo.training.networks.small import SmallNet, double_bilinearly
from rilievo.training.networks.small_weights import MULTIPLE
from rilievo.training.networks.video.depth_network import DepthNet, sigmoid_to_inverse_depth
from rilievo.training.networks.video.monodepth2_weights import read_official_checkpoint
from rilievo.training.tensors import Images, Maps, Tensors

HEADED = "transformers"
DEPTH_PRO = "depth_pro"
BACKBONE = "backbone_sha256"
Tuned = TypeVar("Tuned", TorchNetwork, LatentNetwork, TorchNetwork | LatentNetwork)
_LARGEST_LOG_DEPTH = 6.9  # depth within a factor of 1000 of the image's geometric mean
_BORDER = 0.05


def load_probe_in_torch(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load a probe's run."""
    assert card.source is not None, "the card of a run has its folder"
    folder = Path(card.source)
    facts = read_probe_run(folder)
    blueprint = facts.blueprint
    return TorchModel(
        card,
        ProbeNetwork(probe_preparation(blueprint), load_probed_network(folder, facts)),
        options,
        weights_sha256=_file_sha256(folder / WEIGHTS),
        settings={
            "backbone": blueprint.backbone.name,
            "probe": blueprint.probe.kind,
            "treatment": blueprint.treatment,
        },
    )


def load_probed_network(folder: Path, facts: ProbeRunFacts) -> BackboneWithProbe:
    """Load a run's network; refuse a frozen backbone with other weights."""
    path = folder / WEIGHTS
    check_trusted(facts.blueprint.backbone.name, "backbone", folder / CONFIG)
    check_trusted(facts.blueprint.probe.kind, "probe", folder / CONFIG)
    backbone = backbone_from_blueprint(facts.blueprint)
    probed = BackboneWithProbe(
        facts.blueprint, backbone, probe_from_blueprint(facts.blueprint, backbone, seed=0)
    )
    try:
        with safe_open(path, framework="pt") as file:
            trained_on = (file.metadata() or {}).get(BACKBONE)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read: {reason(error)}") from error
    if not facts.backbone_rate and not _has_sha256(backbone, trained_on):
        raise ModelError(
            f"{path}: was trained on a backbone '{facts.blueprint.backbone.name}' with other "
            "weights than it has now: restore those weights, or train again"
        )
    try:
        if facts.backbone_rate:
            probed.load_state_dict(weights_of_stored(probed, state, path))
        else:
            probed.probe.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path}: its weights are of another network: {reason(error)}") from error
    return probed


def _has_sha256(backbone: Backbone, sha256: str | None) -> bool:
    """Whether a backbone has the weights of a hash; earlier runs hashed names of modules."""
    return sha256 in (weights_sha256(backbone), tensors_sha256(backbone.stored_weights()))


class ProbeNetwork(TorchNetwork):
    """Depth, normals, or both; confidence is kappa / (1 + kappa)."""

    def __init__(self, preparation: Preparation, probed: BackboneWithProbe) -> None:
        super().__init__(preparation)
        self.probed = probed
        task, uncertain = probed.blueprint.task, probed.blueprint.uncertainty
        there = {
            "depth": task.has_depth,
            "normals": task.has_normals,
            "confidence": task.has_normals and uncertain,
        }
        self.outputs = tuple(name for name, has in there.items() if has)

    def answer(self, pixels: Images) -> Tensors:
        """Predict depth, normals and confidence, as far as learned."""
        with _antialiased_resizing_as_constants():
            depth, normals, kappa = self.probed(pixels)
        confidence = None if kappa is None else kappa / (1 + kappa)
        return tuple(output for output in (depth, normals, confidence) if output is not None)


@contextmanager
def _antialiased_resizing_as_constants() -> Iterator[None]:
    # ONNX has no operator for antialiasing.
    if not torch.onnx.is_in_onnx_export():
        yield
        return
    plain = F.interpolate

    def resize_outside_trace(*values: Any, antialias: bool = False, **options: Any) -> Tensor:
        if not antialias:
            return plain(*values, **options)
        state = torch._C._get_tracing_state()
        torch._C._set_tracing_state(None)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return plain(*values, antialias=True, **options).detach()
        finally:
            torch._C._set_tracing_state(state)  # pyright: ignore[reportAttributeAccessIssue]

    F.interpolate = resize_outside_trace
    try:
        yield
    finally:
        F.interpolate = plain


class VideoNetwork(TorchNetwork):
    """Network of a video run."""

    def __init__(
        self, blueprint: VideoBlueprint, depth: DepthNet, *, post_process: bool = False
    ) -> None:
        super().__init__(_video_preparation(blueprint))
        self.blueprint, self.depth, self.post_process = blueprint, depth, post_process

    def answer(self, pixels: Images) -> Tensors:
        """Predict depth from RGB in 0..1."""
        inverse = self._inverse_depth(pixels)
        if self.post_process:
            mirrored = self._inverse_depth(pixels.flip(-1)).flip(-1)
            inverse = blend_with_mirrored(inverse, mirrored)
        return (self.blueprint.unit / inverse,)

    def _inverse_depth(self, pixels: Images) -> Float[Tensor, "b _ _"]:
        return sigmoid_to_inverse_depth(self.depth(pixels)[0][:, 0].float(), self.blueprint)


def blend_with_mirrored(plain: Maps, mirrored: Maps) -> Maps:
    """Mean of both; the left border is ``mirrored``, the right ``plain`` (Godard et al. 2017)."""
    place = torch.linspace(0, 1, plain.shape[-1], dtype=plain.dtype, device=plain.device)
    left = 1 - ((place - _BORDER) / _BORDER).clamp(0, 1)
    right = left.flip(-1)
    return right * plain + left * mirrored + (1 - left - right) * (plain + mirrored) / 2


def _video_preparation(blueprint: VideoBlueprint) -> Preparation:
    height, width = blueprint.size
    if blueprint.encoder == EMBEDDED_ENCODER:
        area = blueprint.area or height * width
        return Preparation(
            sizing=Sizing(rule=Rule.AREA, area=area, multiple=MULTIPLE),
            resampling=Resampling.TRIANGLE,
        )
    return Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=height, width=width, multiple=MULTIPLE),
        resampling=Resampling.LANCZOS,
    )


def load_video_in_torch(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load a video run, or a checkpoint of Monodepth2."""
    assert card.source is not None, "the card of a run has its folder"
    settings = read_settings(VideoSettings, options.settings, card.name)
    folder = Path(card.source)
    path = folder / WEIGHTS
    if is_official_checkpoint(folder):
        official = read_official_checkpoint(folder, pose=False)
        blueprint, depth = official.blueprint, DepthNet(official.blueprint)
        depth.load_state_dict(dict(official.depth))
        # Hashes of the files that determine depth, as sha256sum writes them.
        lines = (f"{_file_sha256(folder / name)}  {name}\n" for name in (DEPTH, ENCODER))
        weights_sha256 = hashlib.sha256("".join(lines).encode()).hexdigest()
    else:
        blueprint = read_video_run(folder).blueprint
        depth = DepthNet(blueprint)
        depth.load_state_dict(select_network_tensors(depth, read_state(path), path, "depth."))
        weights_sha256 = _file_sha256(path)
    return TorchModel(
        card,
        VideoNetwork(blueprint, depth, post_process=settings.post_process),
        options,
        weights_sha256=weights_sha256,
        settings={
            "encoder": blueprint.encoder,
            "unit": blueprint.unit,
            "post_process": settings.post_process,
        },
    )


class SmallNetwork(TorchNetwork):
    """Depth up to scale and normals; confidence was calibrated for other weights."""

    outputs = ("depth", "normals")

    def __init__(self, area: int) -> None:
        sizing = Sizing(rule=Rule.AREA, area=area, multiple=MULTIPLE)
        super().__init__(Preparation(sizing=sizing, resampling=Resampling.TRIANGLE))
        self.network = SmallNet()
        for part in (self.network.spread, self.network.sky):
            part.requires_grad_(False)
        # Files without sky do not fill them.
        for weights in self.network.sky.parameters():
            nn.init.zeros_(weights)

    def forward(self, image: Shaped[Tensor, "b h w 3"]) -> Tensors:
        """Predict depth and unit normals from RGB in 0..255."""
        surface = self.network(image)
        logs = surface.log_depth - surface.log_depth.mean(dim=(1, 2), keepdim=True)
        depth = logs.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH).exp()
        return depth, F.normalize(double_bilinearly(surface.normals.float()), dim=1)

    def answer(self, pixels: Images) -> Tensors:
        """Predict them from RGB in 0..1."""
        return self(pixels.permute(0, 2, 3, 1) * 255)


def make_tuned_network(blueprint: TunedBlueprint, folder: Path) -> TorchNetwork | LatentNetwork:
    """Make a network for a run's weights; only pipelines have any."""
    if blueprint.family is Family.MARIGOLD:
        return LatentNetwork(open_pipeline_on_cpu(folder / PIPELINE).pipeline)
    if blueprint.family is Family.SMALL:
        return SmallNetwork(blueprint.area)
    if blueprint.family is Family.TRANSFORMERS:
        return empty_network(folder / HEADED, blueprint.kind)
    probed = blueprint.probed
    if probed is None:
        problem = "states no 'probed', which networks of the family 'probe' have"
        raise ModelError(f"{folder / CONFIG}: {problem}")
    check_trusted(probed.backbone.name, "backbone", folder / CONFIG)
    check_trusted(probed.probe.kind, "probe", folder / CONFIG)
    # Its weights come with the run: none are fetched.
    probed = replace(probed, backbone=replace(probed.backbone, weights=RANDOM))
    backbone = backbone_from_blueprint(probed)
    whole = BackboneWithProbe(probed, backbone, probe_from_blueprint(probed, backbone, seed=0))
    return ProbeNetwork(probe_preparation(probed), whole)


def open_pipeline_on_cpu(folder: Path) -> DiffusionModel:
    """Open a run's pipeline."""
    model = load_model(str(folder), device="cpu")
    assert isinstance(model, DiffusionModel), "the folder has the index of a pipeline"
    return model


def load_tuned_in_torch(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load further training, other than a pipeline's."""
    assert card.source is not None, "the card of a run has its folder"
    folder = Path(card.source)
    blueprint = read_tuned_run(folder).network
    network = fill_from_file(make_tuned_network(blueprint, folder), folder / WEIGHTS)
    assert isinstance(network, TorchNetwork), "runs of pipelines are loaded as pipelines"
    return TorchModel(
        card,
        network,
        options,
        weights_sha256=_file_sha256(folder / WEIGHTS),
        needs_focal=blueprint.architecture == DEPTH_PRO,
        settings={"family": blueprint.family.value},
    )


def fill_from_file(network: Tuned, path: Path) -> Tuned:
    """Fill a network with a file's weights, and return it."""
    if isinstance(network, PlainDepthHead | DepthProHead):
        fill_body(network, path)
        return network
    state = weights_of_stored(network, read_state(path), path)
    network.load_state_dict(dict(select_network_tensors(network, state, path)))
    return network


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
