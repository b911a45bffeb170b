"""Read checkpoints of Monodepth2's program, without running code."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import check_regular, reason, unreadable
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
from rilievo.training.networks.torch_files import load_torch_file
from rilievo.training.networks.video.decoder import DepthDecoder
from rilievo.training.networks.video.encoders import RESNETS, ResNetDesign, ResNetEncoder
from rilievo.training.networks.video.pose_networks import PoseCNN, PoseDecoder

STEREO_UNIT = 5.4
"""Metres per unit of depth: the stereo baseline of 0.1 in training is 0.54 m on KITTI."""

_FILE_BEGINNINGS = (b"PK", b"\x80")
"""First bytes of a zip archive, and of an old pickle."""
_FIRST_HEAD_INDEX = 10
"""Index of the first head in the list of the depth decoder's layers."""
_SCALE_OF_CHANNELS = {16: 0, 32: 1, 64: 2, 128: 3}
"""Scale of a head by the number of its input channels."""
_POSE_CHANNELS = 256
"""Channels that the pose decoder computes of each input."""
_BLOCK = re.compile(r"encoder\.layer(?P<layer>[1-4])\.(?P<block>\d{1,3})\.conv1\.weight")
"""Name of a tensor that each block of a ResNet has once."""
_DECODER_LAYER = re.compile(r"decoder\.(?P<index>\d{1,3})\.conv\.weight")
"""Name of a weight of the depth decoder, whose last layers are the heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialWeights:
    """Weights of an official checkpoint.

    Attributes:
        pose: Weights of the pose network; None if it was not read, or there is none.
    """

    blueprint: VideoBlueprint
    depth: State
    pose: State | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PoseWeights:
    """Weights of a pose network; by default there is none."""

    kind: PoseKind = PoseKind.NONE
    encoder: str = ""
    state: State | None = None


def read_official_checkpoint(folder: Path, *, pose: bool = True) -> OfficialWeights:
    """Read a checkpoint of Monodepth2's program from the folder with its files ``.pth``.

    ``pose`` is whether to read the pose network too, if there is one.
    """
    encoder_file = folder / ENCODER
    depth_file = folder / DEPTH
    entries = _read_encoder_entries(folder)
    encoder_name = _resnet_name(entries, encoder_file)
    is_stereo = _uses_stereo(entries, encoder_file)
    encoder = _make_without_weights(ResNetEncoder, encoder_name)
    depth_weights = _select_and_prefix_weights("encoder", encoder, entries, encoder_file)

    decoder_entries = read_torch_file(depth_file)
    scales = _read_scales(decoder_entries, depth_file)
    decoder = _make_without_weights(DepthDecoder, encoder.channels, encoder.reductions, scales)
    depth_weights |= _select_and_prefix_weights("decoder", decoder, decoder_entries, depth_file)

    pose_weights = _read_pose_weights(folder, encoder) if pose else _PoseWeights()
    return OfficialWeights(
        blueprint=VideoBlueprint(
            encoder=encoder_name,
            pose=pose_weights.kind,
            pose_encoder=pose_weights.encoder or "resnet18",
            size=_read_size(entries, encoder_file),
            scales=scales,
            kind=DepthKind.METRIC if is_stereo else DepthKind.UP_TO_SCALE,
            unit=STEREO_UNIT if is_stereo else 1.0,
        ),
        depth=depth_weights,
        pose=pose_weights.state,
    )


def is_depth_metric(folder: Path) -> bool:
    """Whether a checkpoint learned from a stereo camera, whose baseline gives metres."""
    return _uses_stereo(_read_encoder_entries(folder), folder / ENCODER)


def read_torch_file(path: Path) -> Entries:
    """Read tensors and numbers by their names from a file of torch, without running code."""
    _check_is_torch_file(path)
    try:
        entries = load_torch_file(path)
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise ModelError(f"{path}: {_describe_loading_error(error)}") from error
    if not isinstance(entries, Mapping) or not all(isinstance(key, str) for key in entries):
        raise ModelError(f"{path}: contains a {type(entries).__name__}; expected named tensors")
    return entries


def _read_encoder_entries(folder: Path) -> Entries:
    for name in (ENCODER, DEPTH):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder}: has no {name}; a Monodepth2 checkpoint consists of {ENCODER} and "
                f"{DEPTH}"
            )
    return read_torch_file(folder / ENCODER)


def _uses_stereo(entries: Entries, path: Path) -> bool:
    use_stereo = entries.get("use_stereo", False)
    if not isinstance(use_stereo, bool):
        raise ModelError(f"{path}: use_stereo is {use_stereo!r}, expected true or false")
    return use_stereo


def _read_pose_weights(folder: Path, depth_encoder: ResNetEncoder) -> _PoseWeights:
    """Read the pose network, whose kind follows from the names and shapes of its weights."""
    path = folder / POSE
    if not path.is_file():
        return _PoseWeights()
    entries = read_torch_file(path)
    if "pose_conv.weight" in entries:
        network = _make_without_weights(PoseCNN)
        return _PoseWeights(kind=PoseKind.CNN, state=select_network_tensors(network, entries, path))

    # The second layer takes the features of all inputs side by side. A separate pose network has
    # one input, a pair of frames; a shared one has two inputs, one for each frame.
    shape = getattr(entries.get("net.1.weight"), "shape", (0, 0))
    num_inputs = shape[1] // _POSE_CHANNELS
    if num_inputs == 2:
        channels = depth_encoder.channels[-1]
        decoder = _make_without_weights(PoseDecoder, channels, num_maps=2, num_motions=1)
        return _PoseWeights(
            kind=PoseKind.SHARED,
            state=_select_and_prefix_weights("decoder", decoder, entries, path),
        )
    if num_inputs > 2:
        raise ModelError(
            f"{path}: contains a pose network for {num_inputs} frames at once; expected one for "
            "pairs of frames"
        )
    return _read_separate_pose_weights(folder, entries)


def _read_separate_pose_weights(folder: Path, decoder_entries: Entries) -> _PoseWeights:
    """Read a pose network with an encoder of its own."""
    encoder_file = folder / POSE_ENCODER
    if not encoder_file.is_file():
        raise ModelError(
            f"{folder}: has {POSE} but no {POSE_ENCODER}, which belongs to it: copy both files of "
            "the checkpoint"
        )
    encoder_entries = read_torch_file(encoder_file)
    name = _resnet_name(encoder_entries, encoder_file)
    encoder = _make_without_weights(ResNetEncoder, name, colours=6)
    decoder = _make_without_weights(PoseDecoder, encoder.channels[-1], num_maps=1, num_motions=2)
    state = _select_and_prefix_weights("encoder", encoder, encoder_entries, encoder_file)
    state |= _select_and_prefix_weights("decoder", decoder, decoder_entries, folder / POSE)
    return _PoseWeights(kind=PoseKind.SEPARATE, encoder=name, state=state)


def _select_and_prefix_weights(
    part: str, network: torch.nn.Module, entries: Entries, path: Path
) -> dict[str, Tensor]:
    """Select the weights of a part of a network, under their names in the whole network."""
    tensors = select_network_tensors(network, entries, path)
    return {f"{part}.{key}": tensor for key, tensor in tensors.items()}


Arguments = ParamSpec("Arguments")
Network = TypeVar("Network", bound=torch.nn.Module)


def _make_without_weights(
    network_class: Callable[Arguments, Network],
    *arguments: Arguments.args,
    **options: Arguments.kwargs,
) -> Network:
    """Make a network whose tensors have shapes but no memory."""
    with torch.device("meta"):
        return network_class(*arguments, **options)


def _resnet_name(entries: Entries, path: Path) -> str:
    """Find the ResNet whose layers have as many blocks as the weights."""
    block_matches = [match for match in map(_BLOCK.fullmatch, entries) if match]
    block_counts = Counter(match["layer"] for match in block_matches)
    design = ResNetDesign(
        blocks=tuple(block_counts[layer] for layer in "1234"),
        has_bottlenecks="encoder.layer1.0.conv3.weight" in entries,
    )
    for name, known_design in RESNETS.items():
        if design == known_design:
            return name
    raise ModelError(
        f"{path}: contains an unknown ResNet: its layers have {', '.join(map(str, design.blocks))} "
        f"blocks; expected one of {', '.join(RESNETS)}"
    )


def _read_scales(entries: Entries, path: Path) -> tuple[int, ...]:
    """Find the scales of the heads by the input channels of their weights.

    Heads are the decoder's layers from ``_FIRST_HEAD_INDEX`` on, with the finest scale first.
    """
    matches = [match for match in map(_DECODER_LAYER.fullmatch, entries) if match]
    layer_indices = sorted(int(match["index"]) for match in matches)
    head_indices = [index for index in layer_indices if index >= _FIRST_HEAD_INDEX]
    weights = [entries[f"decoder.{index}.conv.weight"] for index in head_indices]
    shapes = [tuple(getattr(weight, "shape", ())) for weight in weights]
    scales = tuple(
        _SCALE_OF_CHANNELS[shape[1]]
        for shape in shapes
        if len(shape) == 4 and shape[1] in _SCALE_OF_CHANNELS
    )
    expected_indices = range(_FIRST_HEAD_INDEX, _FIRST_HEAD_INDEX + len(head_indices))
    is_consecutive = head_indices == list(expected_indices)
    is_ascending = sorted(set(scales)) == list(scales)
    has_unknown_heads = len(scales) < len(shapes)
    if not scales or has_unknown_heads or not is_consecutive or not is_ascending:
        raise ModelError(
            f"{path}: its heads, decoder.{_FIRST_HEAD_INDEX} and after, have the shapes {shapes}; "
            "expected 1 to 4 heads for 16, 32, 64, 128 channels"
        )
    return scales


def _read_size(entries: Entries, path: Path) -> tuple[int, int]:
    """Read the (height, width) of a checkpoint's images; ``ModelError`` for other sizes."""
    height = entries.get("height")
    width = entries.get("width")
    if type(height) is not int or type(width) is not int:
        raise ModelError(
            f"{path}: its height is {height!r} and its width {width!r}; expected integers"
        )
    try:
        VideoBlueprint(size=(height, width))  # checks the size
    except OptionError as error:
        raise ModelError(path=path, problem=Text(error)) from error
    return height, width


def _check_is_torch_file(path: Path) -> None:
    """Raise ``ModelError`` unless a file begins as those of torch do."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            first_bytes = file.read(2)
    except OSError as error:
        raise unreadable(error, path) from error
    if not first_bytes.startswith(_FILE_BEGINNINGS):
        raise ModelError(
            f"{path}: is not a PyTorch file, perhaps because a download failed; download it again"
        )


def _describe_loading_error(error: Exception) -> str:
    if "weights_only" in str(error) or "Unsupported" in str(error):
        return "contains more than tensors; the rest may be code, so rilievo does not read the file"
    return f"is broken: {reason(error)}; download it again"
