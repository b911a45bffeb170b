"""Depth files of a user's folder: what their numbers mean, and their depth in metres."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Mask, Size
from rilievo.data.datasets.folder_layout import FILE_NAME, DepthLayout, StoredKind
from rilievo.data.datasets.loaders import MaskedValues
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.depth_metadata import DISPARITY, DISTANCE, INVERSE, DepthMetadata
from rilievo.io.depth.encoding import equals_any
from rilievo.io.depth.stored_depth import StoredDepth, read_stored_depth
from rilievo.records.depth_map import DepthKind

_STORED_KINDS = {DISTANCE: StoredKind.DISTANCE, DISPARITY: StoredKind.DISPARITY}
"""Kinds that a file may state; every other kind is depth along the optical axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDepth:
    """One depth file, with what the file and the YAML say about its numbers."""

    path: Path
    numbers: StoredDepth
    layout: DepthLayout

    @property
    def size(self) -> Size:
        """Size of the map."""
        return self.numbers.raw_values.shape[0], self.numbers.raw_values.shape[1]

    @property
    def metadata(self) -> DepthMetadata:
        """What the file states about its numbers."""
        return self.numbers.metadata

    @property
    def kind(self) -> StoredKind:
        """Quantity that the file states, or that the YAML states; by default depth.

        Raises:
            InputError: If the two differ, or the file states what cannot be ground truth.
        """
        stated, source = self.metadata.kind, self.metadata.source
        if stated in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
            raise InputError(
                f"{self.path}: states depth of kind '{stated}' ({source}), which has an unknown "
                "shift and cannot be ground truth; convert it to metric depth first"
            )
        if stated == INVERSE:
            raise InputError(
                f"{self.path}: states inverse depth ({source}), but ground truth must be depth or "
                "disparity; store the reciprocals of its values"
            )
        yaml_kind = self.layout.kind
        if stated is None:
            return StoredKind.DEPTH if yaml_kind is None else yaml_kind
        stated_kind = _STORED_KINDS.get(stated, StoredKind.DEPTH)
        if yaml_kind not in (None, stated_kind):
            raise InputError(
                f"{self.path}: states its kind as '{stated}' ({source}), but {FILE_NAME} says "
                f"'{yaml_kind}'; remove 'kind' from {FILE_NAME}"
            )
        return stated_kind

    @property
    def scale(self) -> float:
        """Factor from a number to metres, or to pixels of disparity, by the YAML or as a guess.

        It is 1 if the file states how its numbers become depth.

        Raises:
            InputError: If file and YAML state different scales, or 8 bits have no scale.
        """
        layout, metadata = self.layout, self.metadata
        if metadata.is_decodable:
            yaml_scaling = (layout.scale, layout.offset)
            if yaml_scaling not in ((None, 0.0), (metadata.scale, metadata.offset)):
                raise InputError(
                    f"{self.path}: states how to convert its values to depth ({metadata.source}), "
                    f"but {FILE_NAME} gives a different 'scale' or 'offset'; remove them from "
                    f"{FILE_NAME}"
                )
            return 1.0
        if layout.scale is not None:
            return layout.scale
        if self.numbers.raw_values.dtype == np.uint8:
            raise InputError(
                f"{self.path}: has 8 bits, so it is probably a picture of depth; if it is a "
                f"depth map, give its scale in {FILE_NAME}"
            )
        return 1.0 if self.kind is StoredKind.DISPARITY else self.numbers.guessed_unit

    @property
    def unit(self) -> float | None:
        """Metres of one stored number; None for disparity and for numbers with an offset."""
        if self.kind is StoredKind.DISPARITY or self.layout.offset:
            return None
        return self.scale

    @property
    def sky(self) -> Mask:
        """Mask of the numbers that mean "no surface"."""
        return equals_any(self.numbers.raw_values, self.layout.sky)

    def to_metres(self, camera: Camera | None) -> MaskedValues:
        """Convert the numbers to depth [m], which is 0 where it is unknown.

        Args:
            camera: Camera of the map. Disparity needs a pinhole, and distance needs any camera.

        Raises:
            InputError: If the camera is missing or does not fit the quantity.
        """
        converted = self._metres_without_limits(camera)
        metres = converted.values
        with np.errstate(invalid="ignore"):
            valid = (
                converted.valid & (metres >= self.layout.min_depth) & (metres <= self._max_depth)
            )
        return MaskedValues(np.where(valid, metres, 0).astype(np.float32), valid)

    def left_out(self, camera: Camera | None) -> Iterator["LeftOut"]:
        """Yield what the YAML leaves out of the depth: nearer or farther pixels, or all of them.

        ``camera`` is as for ``to_metres``. Numbers that the YAML calls invalid or sky only count if
        no other number remains, because most files have some.
        """
        converted = self._metres_without_limits(camera)
        known_metres = converted.values[converted.valid]
        if not known_metres.size:
            yield from self._marked_everywhere()
            return
        limits = {
            "min_depth": (self.layout.min_depth, known_metres < self.layout.min_depth),
            "max_depth": (self.layout.max_depth, known_metres > self._max_depth),
        }
        nearest, farthest = known_metres.min(initial=np.inf), known_metres.max(initial=0)
        for key, (limit, is_beyond) in limits.items():
            count = int(np.count_nonzero(is_beyond))
            if count:
                yield LeftOut(
                    rule=f"{key} ({limit:g} m) in {FILE_NAME}",
                    count=count,
                    total=known_metres.size,
                    known_range=f"{nearest:.3g} to {farthest:.3g} m",
                )

    @property
    def _max_depth(self) -> float:
        """Largest valid depth [m], which float32 can hold."""
        largest = float(np.finfo(np.float32).max)
        return largest if self.layout.max_depth is None else self.layout.max_depth

    def _marked_everywhere(self) -> Iterator["LeftOut"]:
        """Yield 'invalid' and 'sky' of the YAML if they leave no number that the file has."""
        marks = {"invalid": self.layout.invalid or (), "sky": self.layout.sky}
        stored, file_mask = self.numbers.raw_values, self.numbers.valid
        has_number = np.isfinite(stored) & (stored != 0)
        stored = stored[has_number if file_mask is None else has_number & file_mask]
        is_marked = equals_any(stored, (*marks["invalid"], *marks["sky"]))
        if self.metadata.is_decodable or not stored.size or not is_marked.all():
            return
        marking_keys = [key for key, numbers in marks.items() if equals_any(stored, numbers).any()]
        rule = f"{' and '.join(marking_keys)} in {FILE_NAME}"
        yield LeftOut(rule=rule, count=stored.size, total=stored.size)

    def _metres_without_limits(self, camera: Camera | None) -> "_MaskedNumbers":
        """Convert the numbers to depth [m], also beyond ``min_depth`` and ``max_depth``.

        ``camera`` and errors are those of ``to_metres``. Invalid pixels have any value.
        """
        scaled = self._scaled_numbers()
        values, valid = scaled.values, scaled.valid
        if self.kind is StoredKind.DISPARITY:
            valid = valid & (values > 0)
            # Invalid pixels get any positive disparity, because they are masked out below.
            values = self._disparity_to_depth(np.where(valid, values, 1), camera)
        elif self.kind is StoredKind.DISTANCE:
            if camera is None:
                raise InputError(
                    f"{self.path}: contains distance along the ray, which can only be converted to "
                    f"depth with a camera; add 'camera' to {FILE_NAME}"
                )
            ray_lengths = np.linalg.norm(camera.points(np.ones(self.size)), axis=0)
            values = values / ray_lengths
        elif camera is not None and camera.lens.has_unit_rays:
            raise InputError(
                f"{self.path}: depth for a {camera.lens.name} lens must be the distance along the "
                f"ray; set 'kind: distance' in {FILE_NAME}"
            )
        with np.errstate(invalid="ignore"):
            return _MaskedNumbers(values=values, valid=valid & (values > 0))

    def _scaled_numbers(self) -> "_MaskedNumbers":
        """Scale the numbers, and mask those that mean sky or "unknown"."""
        stored, scale = self.numbers.raw_values, self.scale
        valid = self.numbers.known_pixels & ~self.sky
        if self.metadata.is_decodable:
            values = self.numbers.values
            return _MaskedNumbers(values=values, valid=valid & np.isfinite(values))
        valid = valid & np.isfinite(stored) & ~equals_any(stored, self.layout.invalid_numbers)
        values = np.where(valid, stored, 1).astype(np.float64) * scale + self.layout.offset
        return _MaskedNumbers(values=values, valid=valid)

    def _disparity_to_depth(self, disparity: AnyPlane, camera: Camera | None) -> AnyPlane:
        """Convert positive disparity [px] to depth focal · baseline / disparity [m]."""
        if camera is None or self.layout.baseline is None:
            raise InputError(
                f"{self.path}: contains disparity, which can only be converted to depth with a "
                f"camera and a baseline; add 'camera' and 'baseline' to {FILE_NAME}"
            )
        focal = camera.needs_pinhole("disparity")[0, 0]
        return focal * self.layout.baseline / disparity


@dataclass(frozen=True, slots=True, kw_only=True)
class _MaskedNumbers:
    values: AnyPlane
    valid: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Pixels with depth or normals that a limit or a mask of the user's leaves out of an image.

    Attributes:
        rule: The limit or the mask, in words.
        count: Number of pixels that it leaves out, of ``total`` that have depth or normals.
        known_range: Range of the depth of these pixels in words; None if it is not known.
    """

    rule: str
    count: int
    total: int
    quantity: str = "depth"
    known_range: str | None = None

    @property
    def fraction(self) -> float:
        """Fraction of the pixels that it leaves out."""
        return self.count / self.total

    def __str__(self) -> str:
        """The sentence for warnings; it names the range of depth if nothing is left."""
        if self.count < self.total:
            pixels = f"{self.count:,} of the {self.total:,} pixels"
            return f"{self.rule} leaves out {pixels} with {self.quantity}"
        text = f"{self.rule} leaves out all {self.total:,} pixels with {self.quantity}"
        if self.known_range is not None:
            text += f", which have a depth of {self.known_range}"
        return text


def read_folder_depth(path: Path, layout: DepthLayout) -> FolderDepth:
    """Read the numbers of a depth file, and what it states about them."""
    numbers = read_stored_depth(
        path,
        array=layout.array,
        encoding=layout.encoding,
        is_scale_given=layout.scale is not None,
        is_offset_given=layout.offset != 0,
    )
    return FolderDepth(path=path, numbers=numbers, layout=layout)
