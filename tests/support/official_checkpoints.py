"""Checkpoint folders as Monodepth2's program writes them, and what its networks say of them.

Everything here follows the published layout by itself: names and shapes are spelled out, numbers
are random, and the forward pass is plain functions over a file's tensors.
"""

from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
WIDE = ("resnet50", "resnet101", "resnet152")
"""Those of bottlenecks, whose last convolution has four times the channels."""
UP = {4: 256, 3: 128, 2: 64, 1: 32, 0: 16}
State = OrderedDict[str, Tensor]


def write_checkpoint(
    folder: Path,
    *,
    encoder: str = "resnet18",
    size: tuple[int, int] = (192, 640),
    scales: tuple[int, ...] = (0, 1, 2, 3),
    stereo: bool = False,
    pose: str | None = "separate",
    pose_encoder: str = "resnet18",
    zipped: bool = True,
) -> Path:
    """A folder with random numbers; ``zipped`` is how torch has written files since 1.6."""
    random = torch.Generator().manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    last = 2048 if encoder in WIDE else 512

    def save(name: str, held: object) -> None:
        torch.save(held, folder / name, _use_new_zipfile_serialization=zipped)

    facts = {"height": size[0], "width": size[1], "use_stereo": stereo}
    save("encoder.pth", OrderedDict(resnet_state(encoder, 3, random) | facts))
    save("depth.pth", depth_state(encoder, scales, random))
    if pose == "separate":
        save("pose_encoder.pth", resnet_state(pose_encoder, 6, random))
        width = 2048 if pose_encoder in WIDE else 512
        save("pose.pth", pose_state(width, 1, 12, random))
    elif pose == "shared":
        save("pose.pth", pose_state(last, 2, 6, random))
    elif pose == "cnn":
        save("pose.pth", cnn_state(random))
    return folder


def resnet_state(name: str, colours: int, random: torch.Generator) -> State:
    state: State = OrderedDict()
    wide = 4 if name in WIDE else 1
    state["encoder.conv1.weight"] = conv(random, 64, colours, 7)
    state |= norm("encoder.bn1", 64, random)
    inputs = 64
    for layer, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(BLOCKS[name][layer - 1]):
            at = f"encoder.layer{layer}.{block}"
            shapes = [(width, inputs, 3), (width, width, 3)]
            if wide == 4:
                shapes = [(width, inputs, 1), (width, width, 3), (4 * width, width, 1)]
            for index, shape in enumerate(shapes, start=1):
                state[f"{at}.conv{index}.weight"] = conv(random, *shape)
                state |= norm(f"{at}.bn{index}", shape[0], random)
            if block == 0 and (layer > 1 or wide == 4):
                state[f"{at}.downsample.0.weight"] = conv(random, width * wide, inputs, 1)
                state |= norm(f"{at}.downsample.1", width * wide, random)
            inputs = width * wide
    state["encoder.fc.weight"] = torch.randn(1000, inputs, generator=random)
    state["encoder.fc.bias"] = torch.randn(1000, generator=random)
    return state


def depth_state(name: str, scales: tuple[int, ...], random: torch.Generator) -> State:
    state: State = OrderedDict()
    wide = 4 if name in WIDE else 1
    skips = {4: 256 * wide, 3: 128 * wide, 2: 64 * wide, 1: 64, 0: 0}
    inputs, index = 512 * wide, 0
    for level in (4, 3, 2, 1, 0):
        for before in (inputs, UP[level] + skips[level]):
            state[f"decoder.{index}.conv.conv.weight"] = conv(random, UP[level], before, 3)
            state[f"decoder.{index}.conv.conv.bias"] = small(random, UP[level])
            index += 1
        inputs = UP[level]
    for position, scale in enumerate(scales):
        # Small, so that not every sigmoid is 0 or 1.
        state[f"decoder.{10 + position}.conv.weight"] = 0.3 * conv(random, 1, UP[scale], 3)
        state[f"decoder.{10 + position}.conv.bias"] = small(random, 1)
    return state


def pose_state(width: int, maps: int, numbers: int, random: torch.Generator) -> State:
    state: State = OrderedDict()
    shapes = ((256, width, 1), (256, 256 * maps, 3), (256, 256, 3), (numbers, 256, 1))
    for index, shape in enumerate(shapes):
        state[f"net.{index}.weight"] = conv(random, *shape)
        state[f"net.{index}.bias"] = small(random, shape[0])
    return state


def cnn_state(random: torch.Generator) -> State:
    state: State = OrderedDict()
    widths, sides = (6, 16, 32, 64, 128, 256, 256, 256), (7, 5, 3, 3, 3, 3, 3)
    for index, side in enumerate(sides):
        state[f"net.{index}.weight"] = conv(random, widths[index + 1], widths[index], side)
        state[f"net.{index}.bias"] = small(random, widths[index + 1])
    state["pose_conv.weight"] = conv(random, 6, 256, 1)
    state["pose_conv.bias"] = small(random, 6)
    return state


def conv(random: torch.Generator, outputs: int, inputs: int, side: int) -> Tensor:
    share = (2 / (inputs * side * side)) ** 0.5
    return share * torch.randn(outputs, inputs, side, side, generator=random)


def small(random: torch.Generator, width: int) -> Tensor:
    return 0.1 * torch.randn(width, generator=random)


def norm(at: str, width: int, random: torch.Generator) -> State:
    return OrderedDict(
        {
            f"{at}.weight": 1 + small(random, width),
            f"{at}.bias": small(random, width),
            f"{at}.running_mean": small(random, width),
            f"{at}.running_var": 1 + small(random, width).abs(),
            f"{at}.num_batches_tracked": torch.tensor(39810),
        }
    )


def exact_state(folder: Path, name: str) -> State:
    """The tensors of a file in float64, where rounding does not hide what differs."""
    held = torch.load(folder / name, weights_only=True).items()
    tensors = {key: each for key, each in held if isinstance(each, torch.Tensor)}
    return OrderedDict((key, each.double()) for key, each in tensors.items())


def plain_features(state: State, name: str, image: Tensor) -> list[Tensor]:
    """Five maps of a ResNet, straight from its file."""

    def normed(x: Tensor, at: str) -> Tensor:
        mean, variance = state[f"{at}.running_mean"], state[f"{at}.running_var"]
        scale = state[f"{at}.weight"] / torch.sqrt(variance + 1e-5)
        return (x - mean[:, None, None]) * scale[:, None, None] + state[f"{at}.bias"][:, None, None]

    x = F.conv2d((image - 0.45) / 0.225, state["encoder.conv1.weight"], None, 2, 3)
    x = normed(x, "encoder.bn1").relu()
    maps = [x]
    x = F.max_pool2d(x, 3, 2, 1)
    for layer in (1, 2, 3, 4):
        for block in range(BLOCKS[name][layer - 1]):
            at, y = f"encoder.layer{layer}.{block}", x
            stride = 2 if layer > 1 and block == 0 else 1
            strides = (1, stride, 1) if name in WIDE else (stride, 1)
            for index, step in enumerate(strides, start=1):
                weight = state[f"{at}.conv{index}.weight"]
                y = F.conv2d(y, weight, None, step, weight.shape[-1] // 2)
                y = normed(y, f"{at}.bn{index}")
                y = y.relu() if index < len(strides) else y
            if f"{at}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{at}.downsample.0.weight"], None, stride)
                x = normed(x, f"{at}.downsample.1")
            x = (x + y).relu()
        maps.append(x)
    return maps


def plain_disparities(
    encoder: State, depth: State, image: Tensor, *, name: str, scales: tuple[int, ...]
) -> dict[int, Tensor]:
    """Output of the depth network's heads, by scale."""

    def reflected(x: Tensor, at: str) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, depth[f"{at}.weight"], depth[f"{at}.bias"])

    maps = plain_features(encoder, name, image)
    x, said = maps[4], {}
    for step, level in enumerate((4, 3, 2, 1, 0)):
        x = F.elu(reflected(x, f"decoder.{2 * step}.conv.conv"))
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        if level > 0:
            x = torch.cat([x, maps[level - 1]], dim=1)
        x = F.elu(reflected(x, f"decoder.{2 * step + 1}.conv.conv"))
        if level in scales:
            said[level] = reflected(x, f"decoder.{10 + scales.index(level)}.conv").sigmoid()
    return said


def plain_motion(pose: State, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Output of a pose decoder for the coarsest map of each frame, or of both frames."""

    def step(x: Tensor, index: int, padding: int) -> Tensor:
        return F.conv2d(x, pose[f"net.{index}.weight"], pose[f"net.{index}.bias"], 1, padding)

    x = torch.cat([step(each, 0, 0).relu() for each in maps], dim=1)
    x = step(step(x, 1, 1).relu(), 2, 1).relu()
    six = 0.01 * step(x, 3, 0).mean(3).mean(2).view(len(x), -1, 1, 6)[:, 0, 0]
    return six[:, :3], six[:, 3:]


def plain_cnn_motion(pose: State, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Output of PoseCNN for two concatenated frames."""
    x = frames
    for index in range(7):
        weight = pose[f"net.{index}.weight"]
        x = F.conv2d(x, weight, pose[f"net.{index}.bias"], 2, (weight.shape[-1] - 1) // 2).relu()
    x = F.conv2d(x, pose["pose_conv.weight"], pose["pose_conv.bias"])
    six = 0.01 * x.mean(3).mean(2)
    return six[:, :3], six[:, 3:]
