"""Depth of the targets by the network that a run starts from, or by a stronger model.

It gives the first motion by geometry, and learned depth is kept near it. It is computed once and
stored in half precision beside the decoded frames.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from rilievo.depth_map import DepthKind
from rilievo.errors import ModelError
from rilievo.io.atomic import make_folder, replacing
from rilievo.io.limits import printable
from rilievo.models import load_model
from rilievo.networks.video.blueprint import VideoBlueprint
from rilievo.networks.video.depth import depth_of
from rilievo.train.video.kept import KeptFrames
from rilievo.train.video.targets import Place

_AT_ONCE = 8
_LARGEST = 6e4
"""Limit of half precision, a little below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorDepth:
    """Stored depth of targets.

    Attributes:
        path: File of an array (n, height, width) of half precision; 0 where depth is unknown.
        places: Index of each target in it.
    """

    path: Path
    places: Mapping[Place, int]

    def of(self, place: Place) -> Float32[np.ndarray, "h w"]:
        """Depth of a target, in one unit for all targets."""
        return np.load(self.path, mmap_mode="r")[self.places[place]].astype(np.float32)


def network_depths(
    depth: nn.Module, frames: KeptFrames, blueprint: VideoBlueprint, device: torch.device
) -> Iterator[Float32[np.ndarray, "h w"]]:
    """Yield the depth of each target by a depth network."""
    depth.eval()
    for first in range(0, len(frames), _AT_ONCE):
        indices = range(first, min(first + _AT_ONCE, len(frames)))
        seen = np.stack([frames.frame_of(frames.targets[index].place) for index in indices])
        pixels = torch.from_numpy(seen).to(device).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            found = depth_of(depth(pixels)[0][:, 0].float(), blueprint)
        yield from found.cpu().numpy()


def model_depths(name: str, frames: KeptFrames) -> Iterator[Float32[np.ndarray, "h w"]]:
    """Yield the depth of each target by any model, in its own unit.

    Raises:
        ModelError: If the model is unknown, or its depth has an unknown shift.
    """
    model = load_model(name)
    if model.card.kind not in (DepthKind.METRIC, DepthKind.UP_TO_SCALE):
        raise ModelError(
            f"{printable(name)}: its depth is {model.card.kind}, and motion needs depth that is "
            "metric or up to scale; see 'rilievo models'"
        )
    for target in frames.targets:
        found = model(frames.frame_of(target.place)).depth
        yield np.where(np.isfinite(found.values), found.values, 0).astype(np.float32)


def stored_prior(
    frames: KeptFrames,
    folder: Path,
    key: str,
    depths: Callable[[], Iterator[Float32[np.ndarray, "h w"]]],
    *,
    middle: float | None = None,
) -> PriorDepth:
    """Compute and store the depth of all targets, unless a file holds it already.

    Args:
        frames: Targets.
        folder: Folder of decoded frames.
        key: Text that names the source of the depth; another one gets another file.
        depths: Function that begins to yield the depth of each target in order.
        middle: Median depth that all targets together are scaled to; None keeps the unit.

    Raises:
        OutputError: If the file cannot be written.
    """
    digest = hashlib.sha256("\n".join([key, str(middle), *frames.ids]).encode()).hexdigest()[:16]
    path = folder / f"prior-{digest}.npy"
    if not path.exists():
        stored = [np.clip(each, 0, _LARGEST).astype(np.float16) for each in depths()]
        if middle is not None:
            medians = [float(np.median(each[each > 0])) for each in stored if (each > 0).any()]
            factor = middle / max(float(np.median(medians or [middle])), 1e-6)
            stored = [(each * np.float32(factor)).astype(np.float16) for each in stored]
        make_folder(folder)
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, np.stack(stored))
    places = {target.place: index for index, target in enumerate(frames.targets)}
    return PriorDepth(path=path, places=places)
