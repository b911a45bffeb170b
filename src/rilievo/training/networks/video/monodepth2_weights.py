"""Checkpoints of Monodepth2's program, read without running code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import Text
from rilievo.io.files.archives import STORED_RATIO, check_zip_ratio
from rilievo.io.files.limits import check_regular, is_whole, reason, unreadable
from rilievo.records.depth_map import DepthKind
from rilievo.training.networks.backbones.weights import Entries, State, select_network_tensors
from rilievo.training.networks.blueprint import (
    DEPTH,
    ENCODER,
    POSE,
    POSE_ENCODER,
    PoseKind,
    VideoBlueprint,
)
from rilievo.training.networks.video.decoder import DepthDecoder
from rilievo.training.networks.video.encoders import RESNETS, ResNetEncoder
from rilievo.training.networks.video.pose_networks import PoseCNN, PoseDecoder

# A stereo baseline of 0.1 in training is 0.54 m on KITTI.
STEREO_UNIT = 5.4

# Of a zip archive, and of old pickles.
_BEGINNINGS = (b"PK", b"\x80")
_HEADS = 10
_SCALE_OF_WIDTH = {16: 0, 32: 1, 64: 2, 128: 3}
_BLOCK = re.compile(r"encoder\.layer([1-4])\.(\d{1,3})\.conv1\.weight")
_HEAD = re.compile(r"decoder\.(\d{1,3})\.conv\.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialWeights:
    """Weights of an official checkpoint."""

    blueprint: VideoBlueprint
    depth: State
    pose: State | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PoseWeights:
    kind: PoseKind = PoseKind.NONE
    encoder: str = ""
    state: State | None = None


def read_official_checkpoint(folder: Path, *, pose: bool = True) -> OfficialWeights:
    """Read its blueprint, weights of depth, and perhaps of motion."""
    path, entries = folder / ENCODER, _read_encoder_entries(folder)
    name, stereo = _resnet_name(entries, path), _uses_stereo(entries, path)
    encoder = _make_without_weights(ResNetEncoder, name)
    state = _select_and_prefix_weights("encoder", encoder, entries, path)
    entries_of_depth = read_torch_file(folder / DEPTH)
    scales = _read_scales(entries_of_depth, folder / DEPTH)
    decoder = _make_without_weights(DepthDecoder, encoder.channels, encoder.reductions, scales)
    state |= _select_and_prefix_weights("decoder", decoder, entries_of_depth, folder / DEPTH)
    pose_weights = _read_pose_weights(folder, encoder) if pose else _PoseWeights()
    return OfficialWeights(
        blueprint=VideoBlueprint(
            encoder=name,
            pose=pose_weights.kind,
            pose_encoder=pose_weights.encoder or "resnet18",
            size=_read_size(entries, path),
            scales=scales,
            kind=DepthKind.METRIC if stereo else DepthKind.UP_TO_SCALE,
            unit=STEREO_UNIT if stereo else 1.0,
        ),
        depth=state,
        pose=pose_weights.state,
    )


def is_depth_metric(folder: Path) -> bool:
    """Whether a checkpoint learned from a stereo camera."""
    return _uses_stereo(_read_encoder_entries(folder), folder / ENCODER)


def read_torch_file(path: Path) -> Entries:
    """Read tensors and plain values; code is refused."""
    _check_is_torch_file(path)
    try:
        check_zip_ratio(path, most_ratio=STORED_RATIO)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise ModelError(f"{path}: {_refusal_reason(error)}") from error
    if not isinstance(held, Mapping) or not all(isinstance(key, str) for key in held):
        raise ModelError(f"{path}: holds {type(held).__name__}, expected tensors by their names")
    return held


def _read_encoder_entries(folder: Path) -> Entries:
    for name in (ENCODER, DEPTH):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder}: has no {name}; a checkpoint of Monodepth2 has {ENCODER} and {DEPTH}"
            )
    return read_torch_file(folder / ENCODER)


def _uses_stereo(entries: Entries, path: Path) -> bool:
    stereo = entries.get("use_stereo", False)
    if not isinstance(stereo, bool):
        raise ModelError(f"{path}: use_stereo is {stereo!r}, expected true or false")
    return stereo


def _read_pose_weights(folder: Path, encoder: ResNetEncoder) -> _PoseWeights:
    path = folder / POSE
    if not path.is_file():
        return _PoseWeights()
    entries = read_torch_file(path)
    if "pose_conv.weight" in entries:
        return _PoseWeights(
            kind=PoseKind.CNN,
            state=select_network_tensors(_make_without_weights(PoseCNN), entries, path),
        )
    frames = getattr(entries.get("net.1.weight"), "shape", (0, 0))[1] // 256
    if frames == 2:
        decoder = _make_without_weights(PoseDecoder, encoder.channels[-1], inputs=2, motions=1)
        return _PoseWeights(
            kind=PoseKind.SHARED,
            state=_select_and_prefix_weights("decoder", decoder, entries, path),
        )
    if frames > 2:
        raise ModelError(
            f"{path}: is of a pose network over {frames} frames at once; expected one over pairs"
        )
    encoder_file = folder / POSE_ENCODER
    if not encoder_file.is_file():
        raise ModelError(f"{folder}: has {POSE} but no {POSE_ENCODER}")
    seen_entries = read_torch_file(encoder_file)
    name = _resnet_name(seen_entries, encoder_file)
    own = _make_without_weights(ResNetEncoder, name, colours=6)
    decoder = _make_without_weights(PoseDecoder, own.channels[-1], inputs=1, motions=2)
    state = _select_and_prefix_weights(
        "encoder", own, seen_entries, encoder_file
    ) | _select_and_prefix_weights("decoder", decoder, entries, path)
    return _PoseWeights(kind=PoseKind.SEPARATE, encoder=name, state=state)


def _select_and_prefix_weights(
    part: str, network: Any, entries: Entries, path: Path
) -> dict[str, Tensor]:
    return {
        f"{part}.{key}": tensor
        for key, tensor in select_network_tensors(network, entries, path).items()
    }


def _make_without_weights(kind: Any, *arguments: Any, **options: Any) -> Any:
    with torch.device("meta"):
        return kind(*arguments, **options)


def _resnet_name(entries: Entries, path: Path) -> str:
    blocks = [match.groups() for match in map(_BLOCK.fullmatch, entries) if match]
    counts = [sum(layer == digit for layer, _ in blocks) for digit in "1234"]
    bottleneck = "encoder.layer1.0.conv3.weight" in entries
    for name, design in RESNETS.items():
        if design == (tuple(counts), bottleneck):
            return name
    raise ModelError(
        f"{path}: is of no ResNet that is known ({', '.join(RESNETS)}): its layers have "
        f"{', '.join(map(str, counts))} blocks"
    )


def _read_scales(entries: Entries, path: Path) -> tuple[int, ...]:
    indices = sorted(
        int(match[1]) for match in map(_HEAD.fullmatch, entries) if match and is_whole(match[1])
    )
    indices = [index for index in indices if index >= _HEADS]
    shapes = [getattr(entries[f"decoder.{index}.conv.weight"], "shape", ()) for index in indices]
    scales = tuple(_SCALE_OF_WIDTH.get(shape[1], -1) if len(shape) == 4 else -1 for shape in shapes)
    whole = indices == list(range(_HEADS, _HEADS + len(indices)))
    if not scales or min(scales) < 0 or not whole or sorted(set(scales)) != list(scales):
        raise ModelError(
            f"{path}: its heads, decoder.{_HEADS} and after, are of shapes "
            f"{[tuple(shape) for shape in shapes]}, expected 1 to 4 over 16, 32, 64, 128 channels"
        )
    return scales


def _read_size(entries: Entries, path: Path) -> tuple[int, int]:
    height, width = entries.get("height"), entries.get("width")
    if type(height) is not int or type(width) is not int:
        raise ModelError(
            f"{path}: its height is {height!r} and its width {width!r}, expected whole numbers, as "
            "the published checkpoints have them"
        )
    try:
        VideoBlueprint(size=(height, width))
    except OptionError as error:
        raise ModelError(path=path, problem=Text(error)) from error
    return height, width


def _check_is_torch_file(path: Path) -> None:
    check_regular(path)
    try:
        with path.open("rb") as file:
            beginning = file.read(2)
    except OSError as error:
        raise unreadable(error, path) from error
    if not beginning.startswith(_BEGINNINGS):
        raise ModelError(
            f"{path}: is no file of torch: a failed download often leaves such a file; fetch it "
            "again from where it came"
        )


def _refusal_reason(error: Exception) -> str:
    if "weights_only" in str(error) or "Unsupported" in str(error):
        return "holds more than tensors, which may be code, and is not read"
    return f"is broken: {reason(error)}; fetch it again from where it came"
