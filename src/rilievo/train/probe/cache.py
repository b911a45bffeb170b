"""Features of frozen backbones, computed once and kept on disk for all probes and tasks.

Every image has a file of its own, named by what it looks like: an image that is changed (a frozen
augmentation) has features of its own, one that two data sets share has them once. The folder is
named by all else that makes features: backbone, weights, layers, tokens, normalisation, padding,
and how numbers are kept. So nothing of another kind is ever found, and a file that was moved there
is refused by what its header says. Files are whole or not there; a run that was stopped goes on.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from rilievo.errors import InputError, OptionError, OutputError
from rilievo.io.atomic import make_folder, replacing, sweep_parts
from rilievo.io.json_record import to_json
from rilievo.io.limits import printable, read_text
from rilievo.io.sums import is_blank
from rilievo.networks.backbones import Backbone, Facts, weights_sha256
from rilievo.networks.backbones.padding import padded_size, place
from rilievo.networks.features import Features
from rilievo.train.probe.stored_features import (
    VERSION,
    Layout,
    MapShape,
    Stamp,
    Storage,
    Stored,
    pack,
    unpack,
)

LIMIT_MEGABYTES = 20_000.0
_RECORD = "features.json"
_ENDING = ".features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """All that makes features, the image left out.

    Attributes:
        version: Of the files' format.
        facts: Of the backbone, its layers and the preset's treatment among them.
        weights_sha256: Of its weights.
        storage: How numbers are kept.
        precision: Of the arithmetic.
    """

    version: int
    facts: Facts
    weights_sha256: str
    storage: Storage
    precision: str

    @property
    def digest(self) -> bytes:
        """sha256 of all of it."""
        return hashlib.sha256(to_json(self).encode()).digest()


class FeatureCache:
    """Features of one backbone, kept in a folder that caches of other backbones may share.

    The answer is always what was kept, also at the first time, so that the epochs of a run see the
    same numbers. When the folder is full nothing is thrown away: an epoch would throw out what
    the next one begins with. It is refused, and ``reserve`` says so before the work begins.

    Attributes:
        root: Of all caches.
        folder: Of this backbone's features.
        identity: What makes them.
        found: Images that were there when they were asked for.
        made: Images whose features had to be computed.
    """

    def __init__(
        self,
        root: Path,
        backbone: Backbone,
        *,
        storage: Storage = Storage.FP16,
        limit_megabytes: float = LIMIT_MEGABYTES,
        precision: str = "fp32",
    ) -> None:
        """Open, or begin.

        Args:
            root: Folder of all caches.
            backbone: Frozen; it computes what is not there.
            storage: How numbers are kept.
            limit_megabytes: Most that ``root`` may hold, of all backbones together.
            precision: Of the arithmetic: fp32, or bf16 (autocast).

        Raises:
            OptionError: If the backbone is not frozen, or the limit or precision is none.
            InputError: If the folder holds features of something else.
            OutputError: If it cannot be written.
        """
        if backbone.training or any(each.requires_grad for each in backbone.parameters()):
            raise OptionError(
                f"backbone '{backbone.name}' is being trained, so its features change: "
                "train without a cache, or freeze it"
            )
        if not limit_megabytes > 0 or precision not in ("fp32", "bf16"):
            raise OptionError(
                "a feature cache needs a limit above 0 MB and precision fp32 or bf16, got "
                f"{limit_megabytes} MB and '{precision}'"
            )
        self.root, self._backbone, self._limit = root, backbone, limit_megabytes * 1e6
        self.identity = Identity(
            version=VERSION,
            facts=backbone.facts,
            weights_sha256=weights_sha256(backbone),
            storage=storage,
            precision=precision,
        )
        slug = re.sub(r"[^\w.-]+", "-", backbone.name)[-60:].strip("-.")
        self.folder = root / f"{slug}-{self.identity.digest.hex()[:16]}"
        self.found = self.made = 0
        make_folder(self.folder)
        for each in (self.folder, *self.folder.glob("??")):
            sweep_parts(each)
        self._check_record()
        self._used = used_bytes(root)

    def layout(self, size: tuple[int, int]) -> Layout:
        """Of the files of images of this size (height, width)."""
        facts = self.identity.facts
        height, width = padded_size(size, facts.patch, facts.padding)
        shapes = tuple(
            MapShape(channels=channels, rows=height // stride, columns=width // stride)
            for channels, stride in zip(facts.channels, self._backbone.strides, strict=True)
        )
        return Layout(shapes=shapes, tokens=facts.tokens, storage=self.identity.storage)

    def reserve(self, count: int, size: tuple[int, int]) -> None:
        """Say now if features of so many new images cannot be kept.

        Args:
            count: Of images, each changed version counted.
            size: Their (height, width).

        Raises:
            OutputError: If they would go beyond the limit.
        """
        needed = count * self.layout(size).bytes_each
        if self._used + needed > self._limit:
            raise self._full(needed)

    def features(self, image: UInt8[Tensor, "b h w 3"]) -> Features:
        """Features of RGB images, from the folder where they are there, else computed and kept.

        Raises:
            InputError: If a file is not what it should be, or features are not finite.
            OutputError: If the folder is full, or cannot be written.
        """
        size = (image.shape[1], image.shape[2])
        layout = self.layout(size)
        stamps = [Stamp(identity=self.identity.digest, image=image_sha256(each)) for each in image]
        missing = [i for i, stamp in enumerate(stamps) if not self._is_there(stamp, layout)]
        self.found += len(stamps) - len(missing)
        if missing:
            self._make(image[missing], [stamps[i] for i in missing], layout)
        stored = [unpack(self._path(stamp), layout, stamp) for stamp in stamps]
        return self._stacked(stored, layout, size)

    def _make(self, image: UInt8[Tensor, "b h w 3"], stamps: list[Stamp], layout: Layout) -> None:
        self._refuse_full(len(stamps) * layout.bytes_each)
        device = self._backbone.mean.device
        pixels = image.to(device).permute(0, 3, 1, 2).float() / 255
        with (
            torch.no_grad(),
            torch.autocast(device.type, torch.bfloat16, enabled=self.identity.precision == "bf16"),
        ):
            made = self._backbone(pixels)
        for index, stamp in enumerate(stamps):
            maps = [each[index] for each in made.maps]
            tokens = [each[index] for each in made.tokens] if made.tokens is not None else None
            self._write(stamp, self._packed(maps, tokens, layout, stamp))
            self.made += 1

    def _packed(
        self, maps: list[Tensor], tokens: list[Tensor] | None, layout: Layout, stamp: Stamp
    ) -> bytes:
        try:
            return pack(maps, tokens, layout, stamp)
        except InputError as error:
            raise InputError(f"backbone '{self._backbone.name}': {error}") from error

    def _write(self, stamp: Stamp, data: bytes) -> None:
        path = self._path(stamp)
        make_folder(path.parent)
        with replacing(path) as part:
            part.write_bytes(data)
        self._used += len(data)

    def _stacked(
        self, stored: Sequence[tuple[Stored, ...]], layout: Layout, size: tuple[int, int]
    ) -> Features:
        device, facts = self._backbone.mean.device, self.identity.facts
        maps, tokens = [], []
        for index, shape in enumerate(layout.shapes):
            batch = torch.empty(
                (len(stored), shape.channels, shape.rows, shape.columns), device=device
            )
            for target, layers in zip(batch, stored, strict=True):
                layers[index].into(target)
            maps.append(batch)
            if layout.tokens:
                tokens.append(torch.stack([layers[index].class_token() for layers in stored]))
        return Features(
            maps=tuple(maps),
            tokens=tuple(each.to(device) for each in tokens) if layout.tokens else None,
            padded=padded_size(size, facts.patch, facts.padding),
            box=place(size, facts.patch, facts.padding),
        )

    def _path(self, stamp: Stamp) -> Path:
        name = stamp.image.hex()
        return self.folder / name[:2] / (name + _ENDING)

    def _is_there(self, stamp: Stamp, layout: Layout) -> bool:
        """Whether an image's file is there and not cut short, as a power cut leaves it."""
        try:
            return self._path(stamp).stat().st_size == layout.bytes_each
        except FileNotFoundError:
            return False

    def _check_record(self) -> None:
        """Write down what the features are of, or make sure that it is the same."""
        path, expected = self.folder / _RECORD, to_json(self.identity, indent=1)
        if not os.path.lexists(path) or is_blank(path):
            with replacing(path) as part:
                part.write_text(expected, encoding="ascii")
            return
        if read_text(path) != expected:
            raise InputError(
                f"{printable(path)}: describes features of another backbone, setting or version; "
                "remove its folder to have them made again"
            )

    def _refuse_full(self, needed: int) -> None:
        if self._used + needed > self._limit:
            # Others may have made room since, or have written too.
            self._used = used_bytes(self.root)
        if self._used + needed > self._limit:
            raise self._full(needed)

    def _full(self, needed: int) -> OutputError:
        return OutputError(
            f"{printable(self.root)}: the feature cache is full: {self._used / 1e6:.0f} MB of "
            f"{self._limit / 1e6:.0f} MB, and {needed / 1e6:.1f} MB more are needed; raise the "
            "limit, keep int8 or fewer layers, or remove folders that are no longer used"
        )


def image_sha256(image: UInt8[Tensor, "h w 3"]) -> bytes:
    """Of an image's size and pixels."""
    pixels = image.cpu().contiguous().numpy()
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


def used_bytes(root: Path) -> int:
    """Size of all features kept in a folder of caches."""
    # A link counts as itself: what it leads to is not ours.
    return sum(each.lstat().st_size for each in root.glob(f"*/*/*{_ENDING}"))
