"""Weights that training starts from: ImageNet's, a run's, or an official checkpoint's."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rilievo.errors import MissingExtraError, ModelError
from rilievo.io.limits import printable
from rilievo.networks.backbones.weights import read_state, why_not_fetched
from rilievo.networks.video.blueprint import is_official
from rilievo.networks.video.encoders import ResNetEncoder, TimmEncoder
from rilievo.networks.video.official import fitting, read_official
from rilievo.networks.video.pose import PoseNet

if TYPE_CHECKING:
    from rilievo.networks.video.networks import VideoNetworks

IMAGENET = "imagenet"
WEIGHTS = "weights.safetensors"
_SCRATCH = "starts from random weights"


def fill(networks: "VideoNetworks", start: str) -> tuple[str, ...]:
    """Give networks the weights that they start from; parts without any stay as they are.

    ``start`` is ``imagenet``, or the folder of a run or of an official checkpoint. Returns a
    sentence for each part that stayed as it is. Raises ``ModelError`` if weights are not available,
    are broken, or are those of other networks.
    """
    if start == IMAGENET:
        return _fill_from_imagenet(networks)
    folder = Path(start)
    if is_official(folder):
        return _fill_from_official(networks, folder)
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{folder}: nothing to start from: expected 'imagenet', the folder of a run "
            f"({WEIGHTS}) or of an official checkpoint (encoder.pth and depth.pth)"
        )
    return _fill_from_run(networks, folder / WEIGHTS)


def _fill_from_run(networks: "VideoNetworks", path: Path) -> tuple[str, ...]:
    state, notes = read_state(path), []
    for name, part in networks.named_children():
        if any(key.startswith(f"{name}.") for key in state):
            part.load_state_dict(fitting(part, state, path, f"{name}."))
        elif name == "depth":
            raise ModelError(f"{path}: holds no depth network; is it a run on video?")
        else:
            notes.append(f"{printable(path)} holds no {name} network: it {_SCRATCH}")
    return tuple(notes)


def _fill_from_official(networks: "VideoNetworks", folder: Path) -> tuple[str, ...]:
    wanted = networks.blueprint
    official = read_official(folder, pose=networks.pose is not None)
    there = official.blueprint
    if there.encoder != wanted.encoder:
        raise ModelError(
            f"{folder}: its depth network has a {there.encoder}, this run's a {wanted.encoder}: "
            f"choose the encoder {there.encoder}"
        )
    renamed = _heads(official.depth, there.scales, wanted.scales)
    networks.depth.load_state_dict(fitting(networks.depth, renamed, folder))
    notes = [] if networks.mask is None else [f"the mask network {_SCRATCH}"]
    if networks.pose is None:
        return tuple(notes)
    if official.pose is None:
        notes.append(f"{printable(folder)} holds no pose network (pose.pth): it {_SCRATCH}")
        return tuple(notes)
    if there.pose is not wanted.pose:
        raise ModelError(
            f"{folder}: its pose network is '{there.pose}', this run's '{wanted.pose}': choose the "
            f"pose network {there.pose}"
        )
    networks.pose.load_state_dict(fitting(networks.pose, official.pose, folder))
    return tuple(notes)


def _heads(
    state: Mapping[str, Tensor], there: tuple[int, ...], wanted: tuple[int, ...]
) -> Mapping[str, Tensor]:
    """Renumber the heads of a state for another choice of scales."""
    first = 10
    heads = {f"decoder.decoder.{first + place}." for place in range(len(there))}
    kept = {key: each for key, each in state.items() if not key.startswith(tuple(heads))}
    for place, scale in enumerate(wanted):
        if scale not in there:
            continue
        old = f"decoder.decoder.{first + there.index(scale)}."
        for key, each in state.items():
            if key.startswith(old):
                kept[f"decoder.decoder.{first + place}.{key.removeprefix(old)}"] = each
    return kept


def _fill_from_imagenet(networks: "VideoNetworks") -> tuple[str, ...]:
    encoder, notes = networks.depth.encoder, []
    if isinstance(encoder, ResNetEncoder):
        _fill_resnet(encoder, networks.blueprint.encoder)
    elif isinstance(encoder, TimmEncoder):
        blueprint = networks.blueprint
        made = TimmEncoder(blueprint.encoder, blueprint.size, pretrained=True)
        encoder.load_state_dict(made.state_dict())
    else:
        name = networks.blueprint.encoder
        notes.append(f"the encoder {name} has no published weights: it {_SCRATCH}")
    if isinstance(networks.pose, PoseNet):
        _fill_resnet(networks.pose.encoder, networks.blueprint.pose_encoder)
    return tuple(notes)


def _fill_resnet(encoder: ResNetEncoder, name: str) -> None:
    """Load the weights that torchvision published, from timm."""
    state = _fetched(f"{name}.tv_in1k").state_dict()
    frames = encoder.encoder.conv1.in_channels // 3
    # Each filter is repeated for every frame, at 1 / frames of its weight, to keep its output.
    state["conv1.weight"] = torch.cat([state["conv1.weight"]] * frames, dim=1) / frames
    encoder.encoder.load_state_dict({key: state[key] for key in encoder.encoder.state_dict()})


def _fetched(name: str) -> nn.Module:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtraError("a start from 'imagenet'", "train") from error
    create: Any = timm.create_model
    try:
        return create(name, pretrained=True)
    except Exception as error:  # errors of the hub, its client or the file fetched
        raise why_not_fetched(f"timm/{name}", error) from error
