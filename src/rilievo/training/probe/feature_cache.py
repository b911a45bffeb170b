"""Cache of the features of a frozen backbone, which are computed once for all runs.

The features of an image are stored in a file. The file's name is a hash of the pixels, and its
folder's name a hash of everything else that features depend on. A file has a header of 128 bytes,
and then for each layer the map in float16 and the class token in float32, little-endian.
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
from rilievo.io.files.atomic import make_folder, sweep_parts, write_bytes, write_text
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, parse_json, to_json
from rilievo.io.training_files import (
    FEATURES_HEADER_BYTES,
    FEATURES_SUFFIX,
    FeaturesHeader,
    features_file_bytes,
    read_features_header,
)
from rilievo.training.networks.backbones import Backbone, BackboneProperties, weights_sha256
from rilievo.training.networks.features import Features, box_in_padded, padded_size
from rilievo.training.tensors import Pictures, to_unit_range

VERSION = 1
"""Version of the format."""
LIMIT_MEGABYTES = 20_000.0
"""Largest size of all caches in a folder by default [MB]."""
_IDENTITY_FILE = "features.json"
"""File in a folder of the cache with its ``Identity``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureKey:
    """Everything that the features in a file depend on, as SHA-256 hashes.

    Attributes:
        identity: Hash of all but the image; see ``Identity``.
        image: Hash of the image.
    """

    identity: bytes
    image: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFileLayout:
    """Where the values of each layer are in the files of images of one size.

    Attributes:
        shapes: Shape of the map of each layer: channels, height, width.
        has_tokens: Whether a class token follows each map.
    """

    shapes: tuple[tuple[int, int, int], ...]
    has_tokens: bool

    @property
    def record_type(self) -> np.dtype:
        """Numpy's type of the values, with fields ``values0``, ``token0``, ``values1`` and so on.

        Each field begins at a multiple of four bytes.
        """
        names: list[str] = []
        formats: list[np.dtype] = []
        offsets: list[int] = []
        end = 0
        for index, shape in enumerate(self.shapes):
            field_types = {f"values{index}": np.dtype(("<f2", shape))}
            if self.has_tokens:
                field_types[f"token{index}"] = np.dtype(("<f4", shape[:1]))
            for name, field_type in field_types.items():
                names.append(name)
                formats.append(field_type)
                offsets.append(end)
                padding = -field_type.itemsize % 4
                end += field_type.itemsize + padding
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": end})

    @property
    def file_bytes(self) -> int:
        """Size of a file [bytes]."""
        return FEATURES_HEADER_BYTES + self.record_type.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFeatures:
    """Features of one image, whose file is mapped into memory."""

    record: np.ndarray

    def copy_map_into(self, target: Float[Tensor, "c h w"], layer: int) -> None:
        """Copy the map of a layer into ``target``, as 32-bit floats."""
        target.copy_(torch.from_numpy(self.record[f"values{layer}"]))

    def class_token(self, layer: int) -> Float[Tensor, " c"]:
        """Class token of a layer."""
        return torch.from_numpy(self.record[f"token{layer}"])


def encode_features(
    maps: Sequence[Float[Tensor, "_c _h _w"]],
    tokens: Sequence[Float[Tensor, "_c"]] | None,
    layout: FeatureFileLayout,
    key: FeatureKey,
) -> bytes:
    """Encode the maps and class tokens of one image as the content of a file.

    Raises:
        InputError: If a value is not finite, or too large for 16 bits.
    """
    record = np.zeros((), layout.record_type)
    for index, feature_map in enumerate(maps):
        values = feature_map.detach().float().cpu().numpy()
        _check_fits_16_bits(values, index)
        record[f"values{index}"][...] = values
        if tokens is not None:
            record[f"token{index}"][...] = tokens[index].detach().float().cpu().numpy()
    payload = record.tobytes()
    header = FeaturesHeader(
        version=VERSION, storage=b"fp16", identity=key.identity, image=key.image
    )
    return features_file_bytes(payload, header)


def _check_fits_16_bits(values: np.ndarray, index: int) -> None:
    """Raise ``InputError`` if a value of the selected layer ``index`` cannot be stored."""
    if not np.isfinite(values).all():
        raise InputError(
            f"the features of selected layer {index} (counted from 0) are NaN or infinite: "
            "select other layers, or use fp32 instead of bf16"
        )
    largest = np.abs(values).max()
    if largest > np.finfo(np.float16).max:
        raise InputError(
            f"the features of selected layer {index} (counted from 0) reach {largest:.3g}, "
            "which is too large for 16-bit floats: train without the cache (enabled = false in "
            "[cache])"
        )


def open_features(path: Path, layout: FeatureFileLayout, key: FeatureKey) -> StoredFeatures:
    """Map a file into memory; ``InputError`` if it is broken or has another key."""
    name = printable(path)
    header = read_features_header(path)
    has_size = path.stat().st_size == layout.file_bytes
    if not has_size or header is None:
        raise InputError(
            f"{name}: is not a cache file with {layout.file_bytes} bytes of features; delete it, "
            "and rilievo writes it again"
        )
    # The version need not be checked, because the identity depends on it.
    has_identity = header.identity == key.identity
    if not has_identity or header.image != key.image:
        owner = "another image" if has_identity else "another backbone or setting"
        raise InputError(
            f"{name}: contains features from {owner}; delete it, and rilievo writes it again"
        )
    record = np.memmap(path, layout.record_type, mode="c", offset=FEATURES_HEADER_BYTES, shape=())
    return StoredFeatures(record=record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything but the image that features depend on.

    Attributes:
        facts: Properties of the backbone, and the layers whose features are taken.
        precision: Precision in which the backbone computes, fp32 or bf16.
    """

    version: int
    facts: BackboneProperties
    weights_sha256: str
    precision: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of this record."""
        return hashlib.sha256(to_json(self).encode()).digest()


class FeatureCache:
    """Cache of the features of one backbone, in a folder that other caches may share.

    Features always come from their file, so that all epochs see the same numbers.

    Attributes:
        root: Folder of all caches.
        identity: What the features depend on besides the image.
        folder: Folder of this cache, whose name contains the backbone's name.
        hit_count: Number of images whose features were in the cache.
        computed_count: Number of images whose features were computed.
    """

    def __init__(
        self, root: Path, backbone: Backbone, identity: Identity, *, limit_bytes: float
    ) -> None:
        """Describe a cache; ``FeatureCache.open`` also prepares its folder."""
        readable_name = re.sub(r"[^\w.-]+", "-", backbone.name)[-60:].strip("-.")
        self.root = root
        self.identity = identity
        self.folder = root / f"{readable_name}-{identity.digest.hex()[:16]}"
        self.hit_count = 0
        self.computed_count = 0
        self._backbone = backbone
        self._limit_bytes = limit_bytes
        self._used_bytes = 0  # of all caches in the root, as far as this process knows

    @classmethod
    def open(
        cls,
        root: Path,
        backbone: Backbone,
        *,
        limit_megabytes: float = LIMIT_MEGABYTES,
        precision: str = "fp32",
    ) -> "FeatureCache":
        """Open or create the cache of a frozen backbone in ``root``, the folder of all caches.

        ``limit_megabytes`` is the largest size of all caches in the folder [MB].

        Raises:
            InputError: If the cache's folder has the features of another backbone.
            OptionError: If the backbone is trained, or an option is wrong.
        """
        if backbone.training or any(weight.requires_grad for weight in backbone.parameters()):
            raise OptionError(
                f"backbone '{backbone.name}' is being trained, so its features change: train "
                "without a cache, or freeze the backbone"
            )
        if not limit_megabytes > 0 or precision not in ("fp32", "bf16"):
            raise OptionError(
                "a feature cache needs a limit above 0 MB and precision fp32 or bf16, got "
                f"{limit_megabytes} MB and '{precision}'"
            )
        identity = Identity(
            version=VERSION,
            facts=backbone.properties,
            weights_sha256=weights_sha256(backbone),
            precision=precision,
        )
        cache = cls(root, backbone, identity, limit_bytes=limit_megabytes * 1e6)
        cache._prepare_folder()
        return cache

    def layout(self, size: Size) -> FeatureFileLayout:
        """Layout of the files of images of a size (height, width) [px]."""
        properties = self.identity.facts
        height, width = padded_size(size, properties.patch, properties.padding)
        shapes = tuple(
            (channels, height // stride, width // stride)
            for channels, stride in zip(properties.channels, self._backbone.strides, strict=True)
        )
        return FeatureFileLayout(shapes=shapes, has_tokens=properties.tokens)

    def features(self, images: Pictures) -> Features:
        """Read the features of RGB images, after computing and storing those that are missing.

        Raises:
            InputError: If features cannot be stored in 16 bits, or a file is broken.
            OutputError: If the cache is full.
        """
        size = (images.shape[1], images.shape[2])
        layout = self.layout(size)
        keys = [
            FeatureKey(identity=self.identity.digest, image=image_sha256(image)) for image in images
        ]
        missing = [index for index, key in enumerate(keys) if not self._is_stored(key, layout)]
        self.hit_count += len(keys) - len(missing)
        if missing:
            self._compute_and_store(images[missing], [keys[index] for index in missing], layout)
        stored = [open_features(self._feature_path(key), layout, key) for key in keys]
        return self._stack_on_device(stored, layout, size)

    def _compute_and_store(
        self, images: Pictures, keys: list[FeatureKey], layout: FeatureFileLayout
    ) -> None:
        """Compute the features of images, and write a file for each image."""
        self._check_limit(len(keys) * layout.file_bytes)
        device = self._backbone.mean.device
        pixels = to_unit_range(images.to(device))
        uses_bf16 = self.identity.precision == "bf16"
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16):
            features = self._backbone(pixels)
        for index, key in enumerate(keys):
            maps = [batch[index] for batch in features.maps]
            tokens = None
            if features.tokens is not None:
                tokens = [batch[index] for batch in features.tokens]
            try:
                content = encode_features(maps, tokens, layout, key)
            except InputError as error:
                raise InputError(
                    path=f"backbone '{self._backbone.name}'", problem=Text(error)
                ) from error
            path = self._feature_path(key)
            make_folder(path.parent)
            write_bytes(path, content)
            self._used_bytes += len(content)
            self.computed_count += 1

    def _stack_on_device(
        self, stored: Sequence[StoredFeatures], layout: FeatureFileLayout, size: Size
    ) -> Features:
        """Stack the features of images of one size into a batch on the backbone's device."""
        device = self._backbone.mean.device
        properties = self.identity.facts
        maps: list[Tensor] = []
        tokens: list[Tensor] = []
        for layer, shape in enumerate(layout.shapes):
            layer_maps = torch.empty((len(stored), *shape), device=device)
            for target, image_features in zip(layer_maps, stored, strict=True):
                image_features.copy_map_into(target, layer)
            maps.append(layer_maps)
            if layout.has_tokens:
                layer_tokens = [image_features.class_token(layer) for image_features in stored]
                tokens.append(torch.stack(layer_tokens).to(device))
        return Features(
            maps=tuple(maps),
            tokens=tuple(tokens) if layout.has_tokens else None,
            padded=padded_size(size, properties.patch, properties.padding),
            box=box_in_padded(size, properties.patch, properties.padding),
        )

    def _feature_path(self, key: FeatureKey) -> Path:
        name = key.image.hex()
        return self.folder / name[:2] / (name + FEATURES_SUFFIX)

    def _is_stored(self, key: FeatureKey, layout: FeatureFileLayout) -> bool:
        """Whether there is a file, which is neither truncated nor blank."""
        path = self._feature_path(key)
        try:
            return path.stat().st_size == layout.file_bytes and not is_blank(path)
        except OSError:  # not there, or a link that leads nowhere
            return False

    def _prepare_folder(self) -> None:
        """Make the folder, remove what killed processes have left, and count the used bytes."""
        make_folder(self.folder)
        for folder in (self.folder, *self.folder.glob("??")):
            sweep_parts(folder)
        self._write_or_check_identity()
        self._used_bytes = used_bytes(self.root)

    def _write_or_check_identity(self) -> None:
        """Write the identity of a new folder, or check that of an existing one."""
        path = self.folder / _IDENTITY_FILE
        identity = to_json(self.identity, indent=1)
        stored_identity = _read_json_text(path)
        if stored_identity is None:
            write_text(path, identity)
        elif stored_identity != identity:
            raise InputError(
                f"{printable(path)}: describes features of another backbone, setting or version; "
                "delete its folder, and rilievo computes the features again"
            )

    def _check_limit(self, needed_bytes: int) -> None:
        """Raise ``OutputError`` if so many more bytes would exceed the limit of the caches."""
        if self._used_bytes + needed_bytes > self._limit_bytes:
            # Other processes may have freed or filled space since the last count.
            self._used_bytes = used_bytes(self.root)
        if self._used_bytes + needed_bytes > self._limit_bytes:
            raise OutputError(
                f"{printable(self.root)}: the feature cache is full: it uses "
                f"{self._used_bytes / 1e6:.0f} MB of {self._limit_bytes / 1e6:.0f} MB and needs "
                f"{needed_bytes / 1e6:.1f} MB more; raise the limit (gigabytes in [cache]), use "
                "fewer layers, or delete folders that you no longer need"
            )


def _read_json_text(path: Path) -> str | None:
    """Text of a JSON file; None if there is no file, or if it was cut short by a crash."""
    if not os.path.lexists(path) or is_blank(path):
        return None
    text = read_text(path)
    try:
        parse_json(text)
    except InvalidRecordError:
        return None
    return text


def image_sha256(image: UInt8[Tensor, "h w 3"]) -> bytes:
    """SHA-256 of the size and the pixels of an image."""
    pixels = image.cpu().contiguous().numpy()
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


def used_bytes(root: Path) -> int:
    """Size of all files of features in the caches of a folder [bytes]."""
    # A link counts as itself: its target is not part of the cache.
    return sum(file.lstat().st_size for file in root.glob(f"*/*/*{FEATURES_SUFFIX}"))
