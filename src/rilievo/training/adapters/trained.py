"""Load the networks of training runs in torch, as models."""

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
from rilievo.io.files.limits import reason
from rilievo.models import load_model
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions, read_settings
from rilievo.models.network_files import sha256
from rilievo.models.resampling.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.training.adapters.marigold import DiffusionModel
from rilievo.training.adapters.run_models import (
    CONFIG,
    PIPELINE_FOLDER,
    TRANSFORMERS_FOLDER,
    WEIGHTS,
    ProbeRunRecord,
    VideoSettings,
    check_code_is_trusted,
    probe_settings,
    read_probe_run,
    read_tuned_run,
    read_video_run,
    run_folder,
    video_settings,
)
from rilievo.training.adapters.torch_model import (
    DepthProNetwork,
    TorchModel,
    TorchNetwork,
    TransformersNetwork,
)
from rilievo.training.adapters.transformers_models import (
    fill_transformers_network,
    make_network_without_weights,
)
from rilievo.training.networks.backbones import Backbone, tensors_sha256, weights_sha256
from rilievo.training.networks.backbones.weights import read_state, select_network_tensors
from rilievo.training.networks.blueprint import (
    DEPTH,
    EMBEDDED_ENCODER,
    ENCODER,
    RANDOM,
    Blueprint,
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
    rename_stored_weights,
)
from rilievo.training.networks.small import SmallNet, double_bilinearly
from rilievo.training.networks.small_weights import MULTIPLE
from rilievo.training.networks.video.depth_network import DepthNet, sigmoid_to_inverse_depth
from rilievo.training.networks.video.monodepth2_weights import read_official_checkpoint
from rilievo.training.tensors import Images, Maps, Tensors

DEPTH_PRO = "depth_pro"
"""Name of Depth Pro's architecture in transformers."""
BACKBONE_SHA256_KEY = "backbone_sha256"
"""Key in the metadata of a probe's weights: hash of the backbone that it was trained on."""
_MAX_LOG_DEPTH = 6.9  # depth within a factor of 1000 of the image's geometric mean
_BORDER_FRACTION = 0.05
"""Fraction of the width, at each border, that ``blend_with_mirrored`` takes from one prediction.
Over the next strip of this width it fades to the mean."""

_Network = TypeVar("_Network", TorchNetwork, LatentNetwork, TorchNetwork | LatentNetwork)


def load_probe_in_torch(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load the run of a probe.

    Raises:
        ModelError: If its files are missing or broken, or its frozen backbone has changed.
        UntrustedCodeError: If it names code that the user does not trust.
    """
    folder = run_folder(card)
    record = read_probe_run(folder)
    probed = load_probed_network(folder, record)
    return TorchModel(
        card,
        ProbeNetwork(record.blueprint.preparation, probed),
        options,
        weights_sha256=sha256(folder / WEIGHTS),
        settings=probe_settings(record.blueprint),
    )


def load_probed_network(folder: Path, record: ProbeRunRecord) -> BackboneWithProbe:
    """Load the backbone and the probe of a run; raises as ``load_probe_in_torch`` does."""
    check_code_is_trusted(record.blueprint, folder)
    probed = _make_probed_network(record.blueprint)
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            backbone_sha256 = (file.metadata() or {}).get(BACKBONE_SHA256_KEY)
            tensor_names = file.keys()
            state = {name: file.get_tensor(name) for name in tensor_names}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read: {reason(error)}") from error

    is_frozen = not record.backbone_rate
    if is_frozen and not _has_sha256(probed.backbone, backbone_sha256):
        raise ModelError(
            f"{path}: was trained on weights of the backbone "
            f"'{record.blueprint.backbone.name}' that differ from its current ones: restore the "
            "earlier weights, or train again"
        )
    try:
        if is_frozen:
            probed.probe.load_state_dict(state)
        else:
            probed.load_state_dict(rename_stored_weights(probed, state, path))
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights do not fit this network: {reason(error)}") from error
    return probed


def _make_probed_network(blueprint: Blueprint) -> BackboneWithProbe:
    """Make a backbone with its weights, and a probe without weights."""
    backbone = backbone_from_blueprint(blueprint)
    probe = probe_from_blueprint(blueprint, backbone, seed=0)
    return BackboneWithProbe(blueprint, backbone, probe)


def _has_sha256(backbone: Backbone, digest: str | None) -> bool:
    """Whether this is the hash of a backbone's weights."""
    # Earlier versions hashed the weights under the names of modules.
    return digest in (weights_sha256(backbone), tensors_sha256(backbone.stored_weights()))


class ProbeNetwork(TorchNetwork):
    """Backbone with a probe that predicts depth, normals, or both.

    The confidence of normals is kappa / (1 + kappa).
    """

    def __init__(self, preparation: Preparation, probed: BackboneWithProbe) -> None:
        super().__init__(preparation)
        self.probed = probed
        target = probed.blueprint.task
        # In the order in which compute_outputs returns them.
        outputs: list[str] = []
        if target.has_depth:
            outputs.append("depth")
        if target.has_normals:
            outputs.append("normals")
        if target.has_normals and probed.blueprint.uncertainty:
            outputs.append("confidence")
        self.outputs = tuple(outputs)

    def compute_outputs(self, pixels: Images) -> Tensors:
        """Predict what the probe has learned of depth, normals and confidence."""
        with _antialiased_resizing_as_constants():
            depth, normals, kappa = self.probed(pixels)
        confidence = None if kappa is None else kappa / (1 + kappa)
        return tuple(output for output in (depth, normals, confidence) if output is not None)


@contextmanager
def _antialiased_resizing_as_constants() -> Iterator[None]:
    """Store the results of antialiased resizing as constants while a network is exported.

    ONNX has no operator for antialiasing. Only the position embeddings of timm's backbones are
    resized with it, which do not depend on the photograph.
    """
    if not torch.onnx.is_in_onnx_export():
        yield
        return
    original_interpolate = F.interpolate

    def interpolate_untraced(*arguments: Any, antialias: bool = False, **options: Any) -> Tensor:
        if not antialias:
            return original_interpolate(*arguments, **options)
        # A tensor that was computed outside the trace is stored as a constant.
        tracing_state = torch._C._get_tracing_state()
        torch._C._set_tracing_state(None)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return original_interpolate(*arguments, antialias=True, **options).detach()
        finally:
            torch._C._set_tracing_state(tracing_state)  # pyright: ignore[reportAttributeAccessIssue]

    F.interpolate = interpolate_untraced
    try:
        yield
    finally:
        F.interpolate = original_interpolate


def load_video_in_torch(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load the depth network of a run on video, or of a checkpoint of Monodepth2."""
    folder = run_folder(card)
    settings = read_settings(VideoSettings, options.settings, card.name)
    blueprint, depth = _load_depth_network(folder)
    return TorchModel(
        card,
        VideoNetwork(blueprint, depth, post_process=settings.post_process),
        options,
        weights_sha256=_depth_weights_sha256(folder),
        settings=video_settings(blueprint, settings),
    )


def _load_depth_network(folder: Path) -> tuple[VideoBlueprint, DepthNet]:
    """Load the depth network in the folder of a run on video or of a checkpoint of Monodepth2."""
    if is_official_checkpoint(folder):
        official = read_official_checkpoint(folder, pose=False)
        depth = DepthNet(official.blueprint)
        depth.load_state_dict(dict(official.depth))
        return official.blueprint, depth

    path = folder / WEIGHTS
    blueprint = read_video_run(folder).blueprint
    depth = DepthNet(blueprint)
    depth.load_state_dict(select_network_tensors(depth, read_state(path), path, "depth."))
    return blueprint, depth


def _depth_weights_sha256(folder: Path) -> str:
    """Hash of a run's weights; for a checkpoint, hash of the output of ``sha256sum``."""
    if not is_official_checkpoint(folder):
        return sha256(folder / WEIGHTS)
    lines = [f"{sha256(folder / name)}  {name}\n" for name in (DEPTH, ENCODER)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class VideoNetwork(TorchNetwork):
    """Depth network that was trained on video."""

    def __init__(
        self, blueprint: VideoBlueprint, depth: DepthNet, *, post_process: bool = False
    ) -> None:
        super().__init__(_video_preparation(blueprint))
        self.blueprint = blueprint
        self.depth = depth
        self.post_process = post_process

    def compute_outputs(self, pixels: Images) -> Tensors:
        """Predict depth from RGB in 0..1."""
        inverse_depth = self._inverse_depth(pixels)
        if self.post_process:
            mirrored = self._inverse_depth(pixels.flip(-1)).flip(-1)
            inverse_depth = blend_with_mirrored(inverse_depth, mirrored)
        return (self.blueprint.unit / inverse_depth,)

    def _inverse_depth(self, pixels: Images) -> Float[Tensor, "b _ _"]:
        finest_sigmoid = self.depth(pixels)[0]
        return sigmoid_to_inverse_depth(finest_sigmoid[:, 0].float(), self.blueprint)


def blend_with_mirrored(original: Maps, mirrored: Maps) -> Maps:
    """Blend inverse depth with that of the mirrored image, flipped back (Godard et al. 2017).

    It is the mean of both in the middle of the image. The left border is that of ``mirrored``, and
    the right border that of ``original``.
    """
    x = torch.linspace(0, 1, original.shape[-1], dtype=original.dtype, device=original.device)
    left_weight = 1 - ((x - _BORDER_FRACTION) / _BORDER_FRACTION).clamp(0, 1)
    right_weight = left_weight.flip(-1)
    weighted_mean = (1 - left_weight - right_weight) * (original + mirrored) / 2
    return right_weight * original + left_weight * mirrored + weighted_mean


def _video_preparation(blueprint: VideoBlueprint) -> Preparation:
    """How photographs are prepared: as for the embedded models with their encoder, or resized."""
    height, width = blueprint.size
    if blueprint.encoder == EMBEDDED_ENCODER:
        pixel_count = blueprint.area or height * width
        return Preparation(
            sizing=Sizing(rule=Rule.AREA, pixel_count=pixel_count, multiple=MULTIPLE),
            resampling=Resampling.TRIANGLE,
        )
    return Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=height, width=width, multiple=MULTIPLE),
        resampling=Resampling.LANCZOS,
    )


def load_tuned_in_torch(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load a fine-tuned network that is not a pipeline of diffusers."""
    folder = run_folder(card)
    blueprint = read_tuned_run(folder).network
    network = fill_from_file(make_tuned_network(blueprint, folder), folder / WEIGHTS)
    assert isinstance(network, TorchNetwork), "runs of pipelines are loaded as pipelines"
    return TorchModel(
        card,
        network,
        options,
        weights_sha256=sha256(folder / WEIGHTS),
        needs_focal=blueprint.architecture == DEPTH_PRO,
        settings={"family": blueprint.family.value},
    )


def make_tuned_network(blueprint: TunedBlueprint, folder: Path) -> TorchNetwork | LatentNetwork:
    """Create the network of a fine-tuning run; ``fill_from_file`` loads its weights.

    Only the network of a diffusers pipeline has its weights already.
    """
    match blueprint.family:
        case Family.MARIGOLD:
            return LatentNetwork(_open_pipeline_on_cpu(folder / PIPELINE_FOLDER).pipeline)
        case Family.SMALL:
            return SmallNetwork(blueprint.area)
        case Family.TRANSFORMERS:
            return make_network_without_weights(folder / TRANSFORMERS_FOLDER, blueprint.kind)
        case Family.PROBE:
            return _make_probe_network_without_weights(blueprint.probed, folder)


def _make_probe_network_without_weights(
    probe_blueprint: Blueprint | None, folder: Path
) -> ProbeNetwork:
    if probe_blueprint is None:
        raise ModelError(
            f"{folder / CONFIG}: has no entry 'probed', which describes the network: restore the "
            "file from a copy, or train again"
        )
    check_code_is_trusted(probe_blueprint, folder)
    # The weights of the backbone come with the run, so none are downloaded.
    random_backbone = replace(probe_blueprint.backbone, weights=RANDOM)
    unfilled = replace(probe_blueprint, backbone=random_backbone)
    return ProbeNetwork(unfilled.preparation, _make_probed_network(unfilled))


def _open_pipeline_on_cpu(folder: Path) -> DiffusionModel:
    model = load_model(str(folder), device="cpu")
    assert isinstance(model, DiffusionModel), "the folder has the index of a pipeline"
    return model


def fill_from_file(network: _Network, path: Path) -> _Network:
    """Fill a network with the weights of a file, and return it."""
    if isinstance(network, TransformersNetwork | DepthProNetwork):
        fill_transformers_network(network, path)
        return network
    state = rename_stored_weights(network, read_state(path), path)
    network.load_state_dict(dict(select_network_tensors(network, state, path)))
    return network


class SmallNetwork(TorchNetwork):
    """Fine-tuned network of ``rilievo/small``: depth up to scale, and normals.

    It has no confidence, because that was calibrated for the weights of ``rilievo/small``.
    """

    outputs = ("depth", "normals")

    def __init__(self, pixel_count: int) -> None:
        """Make the network, for photographs of about ``pixel_count`` pixels."""
        sizing = Sizing(rule=Rule.AREA, pixel_count=pixel_count, multiple=MULTIPLE)
        super().__init__(Preparation(sizing=sizing, resampling=Resampling.TRIANGLE))
        self.network = SmallNet()
        for unused in (self.network.spread, self.network.sky):
            unused.requires_grad_(False)
        # Weights that files of networks without sky do not fill.
        for weights in self.network.sky.parameters():
            nn.init.zeros_(weights)

    def forward(self, image: Shaped[Tensor, "b h w 3"]) -> Tensors:
        """Predict depth and unit normals from RGB in 0..255."""
        surface = self.network(image)
        # Depth is up to scale, so it is divided by its geometric mean.
        mean_log_depth = surface.log_depth.mean(dim=(1, 2), keepdim=True)
        log_depth = (surface.log_depth - mean_log_depth).clamp(-_MAX_LOG_DEPTH, _MAX_LOG_DEPTH)
        normals = double_bilinearly(surface.normals.float())
        return log_depth.exp(), F.normalize(normals, dim=1)

    def compute_outputs(self, pixels: Images) -> Tensors:
        """Predict depth and unit normals from RGB in 0..1."""
        return self(pixels.permute(0, 2, 3, 1) * 255)
