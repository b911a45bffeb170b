"""Cache of the features of a frozen backbone, which are computed once for all runs.

The features of each image are a file. Its name is a hash of the pixels, and that of its folder a
hash of all else that features depend on. A file is a header of 128 bytes, and then for each layer
the map in 16-bit floats and the class token in 32-bit floats, little-endian.
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
from rilievo.training.tensors import Pictures, to_unit_range

VERSION = 1
"""Version of the format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What the features of a file depend on.

    Attributes:
        identity: SHA-256 of all but the image; see ``Identity``.
        image: SHA-256 of the image.
    """

    identity: bytes
    image: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFileLayout:
    """Where the numbers of each layer lie in the files of images of one size.

    Attributes:
        shapes: Shape of the map of each layer: channels, height, width.
        has_tokens: Whether a class token follows each map.
    """

    shapes: tuple[tuple[int, int, int], ...]
    has_tokens: bool

    @property
    def fields(self) -> np.dtype:
        """Numpy's type of the numbers, with fields ``values0``, ``token0``, ``values1`` and so on.

        Each field begins at a multiple of four bytes.
        """
        names: list[str] = []
        formats: list[np.dtype] = []
        offsets: list[int] = []
        end = 0
        for index, shape in enumerate(self.shapes):
            parts = {f"values{index}": np.dtype(("<f2", shape))}
            if self.has_tokens:
                parts[f"token{index}"] = np.dtype(("<f4", shape[:1]))
            for name, part in parts.items():
                names.append(name)
                formats.append(part)
                offsets.append(end)
                padding = -part.itemsize % 4
                end += part.itemsize + padding
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": end})

    @property
    def file_bytes(self) -> int:
        """Size of a file [bytes]."""
        return FEATURES_HEADER_BYTES + self.fields.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFeatures:
    """Features of one image, whose file is mapped into memory."""

    numbers: np.ndarray
    layout: FeatureFileLayout

    def copy_map_into(self, target: Float[Tensor, "c h w"], layer: int) -> None:
        """Copy the map of a layer into ``target``, as 32-bit floats."""
        target.copy_(torch.from_numpy(self.numbers[f"values{layer}"]))

    def class_token(self, layer: int) -> Float[Tensor, " c"]:
        """Class token of a layer."""
        return torch.from_numpy(self.numbers[f"token{layer}"])


def encode_features(
    maps: Sequence[Float[Tensor, "_c _h _w"]],
    tokens: Sequence[Float[Tensor, "_c"]] | None,
    layout: FeatureFileLayout,
    stamp: Stamp,
) -> bytes:
    """Encode the maps and class tokens of one image as the content of a file.

    Raises:
        InputError: If a number is not finite, or too large for 16 bits.
    """
    numbers = np.zeros((), layout.fields)
    for index, layer in enumerate(maps):
        values = layer.detach().float().cpu().numpy()
        if not np.isfinite(values).all():
            raise InputError(f"features of layer {index} hold numbers that are not finite")
        largest = np.abs(values).max()
        if largest > np.finfo(np.float16).max:
            raise InputError(
                f"features of layer {index} reach {largest:.3g}, too large for 16-bit "
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


def open_features(path: Path, layout: FeatureFileLayout, stamp: Stamp) -> StoredFeatures:
    """Map a file into memory; ``InputError`` if it is broken, or of another image or backbone."""
    name = printable(path)
    with path.open("rb") as file:
        header = file.read(FEATURES_HEADER_BYTES)
    size = path.stat().st_size
    if size != layout.file_bytes or not header.startswith(FEATURES_MAGIC):
        raise InputError(
            f"{name}: no kept features, or not the {layout.file_bytes} bytes that were expected; "
            "remove it to have it made again"
        )
    # The identity covers the version too.
    _, _, _, identity, image, _ = FEATURES_HEADER.unpack_from(header)
    if identity != stamp.identity or image != stamp.image:
        what = "another backbone or setting" if identity != stamp.identity else "another image"
        raise InputError(f"{name}: features of {what}; remove it to have it made again")
    numbers = np.memmap(path, layout.fields, mode="c", offset=FEATURES_HEADER_BYTES, shape=())
    return StoredFeatures(numbers=numbers, layout=layout)


LIMIT_MEGABYTES = 20_000.0
"""Size of a cache by default [MB]."""
_IDENTITY_FILE = "features.json"
"""File in a folder of the cache with its ``Identity``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything but the image that features depend on.

    Attributes:
        version: Version of the format.
        facts: Properties of the backbone, and its layers that are taken.
        weights_sha256: SHA-256 of its weights.
        precision: Precision in which it computes, fp32 or bf16.
    """

    version: int
    facts: Facts
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
        folder: Folder of this cache.
        identity: What the features depend on besides the image.
        found: Number of images whose features were stored before.
        made: Number of images whose features were computed.
    """

    def __init__(
        self,
        root: Path,
        backbone: Backbone,
        *,
        limit_megabytes: float = LIMIT_MEGABYTES,
        precision: str = "fp32",
    ) -> None:
        """Open or create the cache.

        Args:
            root: Folder of all caches.
            backbone: Frozen backbone.
            limit_megabytes: Largest size of all caches in the folder [MB].
            precision: Precision in which the backbone computes, fp32 or bf16.

        Raises:
            InputError: If the folder is that of another backbone.
            OptionError: If the backbone is trained, or an option is wrong.
        """
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
        self.root, self._backbone, self._limit_bytes = root, backbone, limit_megabytes * 1e6
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
        for folder in (self.folder, *self.folder.glob("??")):
            sweep_parts(folder)
        self._write_or_check_identity()
        self._used_bytes = used_bytes(root)

    def layout(self, size: Size) -> FeatureFileLayout:
        """Where numbers lie in the files of images of a size (height, width) [px]."""
        facts = self.identity.facts
        height, width = padded_size(size, facts.patch, facts.padding)
        shapes = tuple(
            (channels, height // stride, width // stride)
            for channels, stride in zip(facts.channels, self._backbone.strides, strict=True)
        )
        return FeatureFileLayout(shapes=shapes, has_tokens=facts.tokens)

    def features(self, image: Pictures) -> Features:
        """Read the features of RGB images, after computing and storing those that are missing.

        Raises:
            InputError: If features cannot be stored in 16 bits, or a file is broken.
            OutputError: If the cache is full.
        """
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

    def _compute_and_store(
        self, image: Pictures, stamps: list[Stamp], layout: FeatureFileLayout
    ) -> None:
        self._check_free_space(len(stamps) * layout.file_bytes)
        device = self._backbone.mean.device
        pixels = to_unit_range(image.to(device))
        with (
            torch.no_grad(),
            torch.autocast(device.type, torch.bfloat16, enabled=self.identity.precision == "bf16"),
        ):
            features = self._backbone(pixels)
        for index, stamp in enumerate(stamps):
            maps = [batch[index] for batch in features.maps]
            tokens = None
            if features.tokens is not None:
                tokens = [batch[index] for batch in features.tokens]
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
            self._used_bytes += len(data)
            self.made += 1

    def _stack_on_device(
        self, stored: Sequence[StoredFeatures], layout: FeatureFileLayout, size: Size
    ) -> Features:
        """Features of a batch from those of its images."""
        device, facts = self._backbone.mean.device, self.identity.facts
        maps: list[Tensor] = []
        tokens: list[Tensor] = []
        for index, shape in enumerate(layout.shapes):
            batch = torch.empty((len(stored), *shape), device=device)
            for target, image_features in zip(batch, stored, strict=True):
                image_features.copy_map_into(target, index)
            maps.append(batch)
            if layout.has_tokens:
                image_tokens = [image_features.class_token(index) for image_features in stored]
                tokens.append(torch.stack(image_tokens).to(device))
        return Features(
            maps=tuple(maps),
            tokens=tuple(tokens) if layout.has_tokens else None,
            padded=padded_size(size, facts.patch, facts.padding),
            box=box_in_padded(size, facts.patch, facts.padding),
        )

    def _feature_path(self, stamp: Stamp) -> Path:
        name = stamp.image.hex()
        return self.folder / name[:2] / (name + FEATURES_SUFFIX)

    def _is_stored(self, stamp: Stamp, layout: FeatureFileLayout) -> bool:
        """Whether there is a file, which is neither truncated nor blank."""
        path = self._feature_path(stamp)
        try:
            return path.stat().st_size == layout.file_bytes and not is_blank(path)
        except OSError:  # not there, or a link that leads nowhere
            return False

    def _write_or_check_identity(self) -> None:
        """Write the identity of a new folder, or check that of an existing one."""
        path, expected = self.folder / _IDENTITY_FILE, to_json(self.identity, indent=1)
        is_written = os.path.lexists(path) and not is_blank(path)
        stored = read_text(path) if is_written else ""
        if not _is_json(stored):
            with replacing(path) as part:
                part.write_text(expected, encoding="ascii")
        elif stored != expected:
            raise InputError(
                f"{printable(path)}: describes features of another backbone, setting or version; "
                "remove its folder to have them made again"
            )

    def _check_free_space(self, needed_bytes: int) -> None:
        if self._used_bytes + needed_bytes > self._limit_bytes:
            # Other processes may have freed or filled space since.
            self._used_bytes = used_bytes(self.root)
        if self._used_bytes + needed_bytes > self._limit_bytes:
            raise OutputError(
                f"{printable(self.root)}: the feature cache is full: "
                f"{self._used_bytes / 1e6:.0f} MB of {self._limit_bytes / 1e6:.0f} MB, and "
                f"{needed_bytes / 1e6:.1f} MB more are needed; raise the limit, keep fewer layers, "
                "or remove folders that are no longer used"
            )


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except NotThisRecord:
        return False
    return True


def image_sha256(image: UInt8[Tensor, "h w 3"]) -> bytes:
    """SHA-256 of the size and the pixels of an image."""
    pixels = image.cpu().contiguous().numpy()
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


def used_bytes(root: Path) -> int:
    """Size of all files of features in the caches of a folder [bytes]."""
    # A link counts as itself: its target is not part of the cache.
    return sum(file.lstat().st_size for file in root.glob(f"*/*/*{FEATURES_SUFFIX}"))
