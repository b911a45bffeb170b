"""Cache of features of frozen backbones, computed once for all runs.

A file is named by a hash of its pixels, its folder by one of all else. It is a header of 128 bytes,
then each layer's map in 16-bit floats and class token in float32, little-endian.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rilievo.arrays.shapes import Float, Size, UInt8
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.errors.messages import Text
from rilievo.io.checksums import is_blank
from rilievo.io.files.atomic import make_folder, replacing, sweep_parts
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, parse_json, to_json
from rilievo.io.training_caches import (
    FEATURES_HEADER,
    FEATURES_HEADER_BYTES,
    FEATURES_MAGIC,
    FEATURES_SUFFIX,
    features_file_bytes,
)
from rilievo.training.networks.backbones import Backbone, Facts, weights_sha256
from rilievo.training.networks.features import Features, box_in_padded, padded_size
from rilievo.training.tensors import Pictures, as_input

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """SHA-256 of an image, and of all else."""

    identity: bytes
    image: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Layout of the files of one size."""

    shapes: tuple[tuple[int, int, int], ...]
    tokens: bool

    @property
    def fields(self) -> np.dtype:
        """Fields ``values0``, ``token0``, ..., at multiples of four bytes."""
        names, formats, offsets, end = [], [], [], 0
        for index, shape in enumerate(self.shapes):
            parts = {"values": np.dtype(("<f2", shape))}
            if self.tokens:
                parts["token"] = np.dtype(("<f4", shape[:1]))
            for name, part in parts.items():
                names.append(f"{name}{index}")
                formats.append(part)
                offsets.append(end)
                end += part.itemsize + -part.itemsize % 4
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": end})

    @property
    def file_bytes(self) -> int:
        """Size of a file [bytes]."""
        return FEATURES_HEADER_BYTES + self.fields.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFeatures:
    """Features mapped into memory."""

    numbers: np.ndarray
    layout: Layout

    def copy_map_into(self, target: Float[Tensor, "c h w"], layer: int) -> None:
        """Decode one layer's map into ``target``."""
        target.copy_(torch.from_numpy(self.numbers[f"values{layer}"]))

    def class_token(self, layer: int) -> Float[Tensor, " c"]:
        """Class token of a layer."""
        return torch.from_numpy(self.numbers[f"token{layer}"])


def encode_features(
    maps: Sequence[Float[Tensor, "_c _h _w"]],
    tokens: Sequence[Float[Tensor, "_c"]] | None,
    layout: Layout,
    stamp: Stamp,
) -> bytes:
    """Encode the file of one image."""
    numbers = np.zeros((), layout.fields)
    for index, layer in enumerate(maps):
        values = layer.detach().float().cpu().numpy()
        if not np.isfinite(values).all():
            raise InputError(f"features of layer {index} hold numbers that are not finite")
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise InputError(
                f"features of layer {index} reach {np.abs(values).max():.3g}, too large for 16-bit "
                "floats: train without the cache (enabled = false in [cache])"
            )
        numbers[f"values{index}"][...] = values
        if tokens is not None:
            numbers[f"token{index}"][...] = tokens[index].detach().float().cpu().numpy()
    payload = numbers.tobytes()
    header = FEATURES_HEADER.pack(
        FEATURES_MAGIC, VERSION, b"fp16", stamp.identity, stamp.image, len(payload)
    )
    return features_file_bytes(header, payload)


def open_features(path: Path, layout: Layout, stamp: Stamp) -> StoredFeatures:
    """Map a file into memory; refuse another image's or backbone's."""
    name = printable(path)
    with path.open("rb") as file:
        head = file.read(FEATURES_HEADER_BYTES)
    size = path.stat().st_size
    if size != layout.file_bytes or not head.startswith(FEATURES_MAGIC):
        raise InputError(
            f"{name}: no kept features, or not the {layout.file_bytes} bytes that were expected; "
            "remove it to have it made again"
        )
    # The identity covers the version too.
    _, _, _, identity, image, _ = FEATURES_HEADER.unpack_from(head)
    if identity != stamp.identity or image != stamp.image:
        what = "another backbone or setting" if identity != stamp.identity else "another image"
        raise InputError(f"{name}: features of {what}; remove it to have it made again")
    numbers = np.memmap(path, layout.fields, mode="c", offset=FEATURES_HEADER_BYTES, shape=())
    return StoredFeatures(numbers=numbers, layout=layout)


LIMIT_MEGABYTES = 20_000.0
_RECORD = "features.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything but the image that determines features."""

    version: int
    facts: Facts
    weights_sha256: str
    precision: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the whole record."""
        return hashlib.sha256(to_json(self).encode()).digest()


class FeatureCache:
    """Cache of one backbone's features, in a folder that others may share.

    Features are those stored, so that epochs see the same numbers. A full folder is an error.
    """

    def __init__(
        self,
        root: Path,
        backbone: Backbone,
        *,
        limit_megabytes: float = LIMIT_MEGABYTES,
        precision: str = "fp32",
    ) -> None:
        """Open or create the cache in ``root``."""
        if backbone.training or any(item.requires_grad for item in backbone.parameters()):
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
            precision=precision,
        )
        slug = re.sub(r"[^\w.-]+", "-", backbone.name)[-60:].strip("-.")
        self.folder = root / f"{slug}-{self.identity.digest.hex()[:16]}"
        self.found = self.made = 0
        make_folder(self.folder)
        for item in (self.folder, *self.folder.glob("??")):
            sweep_parts(item)
        self._write_or_check_identity()
        self._used = used_bytes(root)

    def layout(self, size: Size) -> Layout:
        """Layout of files of a size."""
        facts = self.identity.facts
        height, width = padded_size(size, facts.patch, facts.padding)
        shapes = tuple(
            (channels, height // stride, width // stride)
            for channels, stride in zip(facts.channels, self._backbone.strides, strict=True)
        )
        return Layout(shapes=shapes, tokens=facts.tokens)

    def features(self, image: Pictures) -> Features:
        """Features of RGB images, stored or computed."""
        size = (image.shape[1], image.shape[2])
        layout = self.layout(size)
        stamps = [
            Stamp(identity=self.identity.digest, image=image_sha256(picture)) for picture in image
        ]
        missing = [i for i, stamp in enumerate(stamps) if not self._is_stored(stamp, layout)]
        self.found += len(stamps) - len(missing)
        if missing:
            self._compute_and_store(image[missing], [stamps[i] for i in missing], layout)
        stored = [open_features(self._feature_path(stamp), layout, stamp) for stamp in stamps]
        return self._stack_on_device(stored, layout, size)

    def _compute_and_store(self, image: Pictures, stamps: list[Stamp], layout: Layout) -> None:
        self._check_room_for_bytes(len(stamps) * layout.file_bytes)
        device = self._backbone.mean.device
        pixels = as_input(image.to(device))
        with (
            torch.no_grad(),
            torch.autocast(device.type, torch.bfloat16, enabled=self.identity.precision == "bf16"),
        ):
            made = self._backbone(pixels)
        for index, stamp in enumerate(stamps):
            maps = [tensor[index] for tensor in made.maps]
            tokens = [tensor[index] for tensor in made.tokens] if made.tokens is not None else None
            try:
                data = encode_features(maps, tokens, layout, stamp)
            except InputError as error:
                raise InputError(
                    path=f"backbone '{self._backbone.name}'", problem=Text(error)
                ) from error
            path = self._feature_path(stamp)
            make_folder(path.parent)
            with replacing(path) as part:
                part.write_bytes(data)
            self._used += len(data)
            self.made += 1

    def _stack_on_device(
        self, stored: Sequence[StoredFeatures], layout: Layout, size: Size
    ) -> Features:
        device, facts = self._backbone.mean.device, self.identity.facts
        maps, tokens = [], []
        for index, shape in enumerate(layout.shapes):
            batch = torch.empty((len(stored), *shape), device=device)
            for target, entry in zip(batch, stored, strict=True):
                entry.copy_map_into(target, index)
            maps.append(batch)
            if layout.tokens:
                tokens.append(torch.stack([entry.class_token(index) for entry in stored]))
        return Features(
            maps=tuple(maps),
            tokens=tuple(entry.to(device) for entry in tokens) if layout.tokens else None,
            padded=padded_size(size, facts.patch, facts.padding),
            box=box_in_padded(size, facts.patch, facts.padding),
        )

    def _feature_path(self, stamp: Stamp) -> Path:
        name = stamp.image.hex()
        return self.folder / name[:2] / (name + FEATURES_SUFFIX)

    def _is_stored(self, stamp: Stamp, layout: Layout) -> bool:
        """Whether a file is there, not truncated or blank."""
        path = self._feature_path(stamp)
        try:
            return path.stat().st_size == layout.file_bytes and not is_blank(path)
        except OSError:  # not there, or a link that leads nowhere
            return False

    def _write_or_check_identity(self) -> None:
        path, expected = self.folder / _RECORD, to_json(self.identity, indent=1)
        if not os.path.lexists(path) or is_blank(path) or _is_no_json(text := read_text(path)):
            with replacing(path) as part:
                part.write_text(expected, encoding="ascii")
        elif text != expected:
            raise InputError(
                f"{printable(path)}: describes features of another backbone, setting or version; "
                "remove its folder to have them made again"
            )

    def _check_room_for_bytes(self, needed: int) -> None:
        if self._used + needed > self._limit:
            # Other processes may have freed or filled space since.
            self._used = used_bytes(self.root)
        if self._used + needed > self._limit:
            raise OutputError(
                f"{printable(self.root)}: the feature cache is full: {self._used / 1e6:.0f} MB of "
                f"{self._limit / 1e6:.0f} MB, and {needed / 1e6:.1f} MB more are needed; raise the "
                "limit, keep fewer layers, or remove folders that are no longer used"
            )


def _is_no_json(text: str) -> bool:
    try:
        parse_json(text)
    except NotThisRecord:
        return True
    return False


def image_sha256(image: UInt8[Tensor, "h w 3"]) -> bytes:
    """Hash an image's size and pixels."""
    pixels = image.cpu().contiguous().numpy()
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


def used_bytes(root: Path) -> int:
    """Size of all feature files in a folder."""
    # A link counts as itself: its target is not part of the cache.
    return sum(file.lstat().st_size for file in root.glob(f"*/*/*{FEATURES_SUFFIX}"))
