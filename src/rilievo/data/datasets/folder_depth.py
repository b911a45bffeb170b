"""Depth files of a user's folder: what their numbers mean, and their depth in metres."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Mask, Size
from rilievo.data.datasets.folder_layout import FILE_NAME, DepthLayout, StoredKind
from rilievo.data.datasets.loaders import MaskedValues
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.encoding import equals_any
from rilievo.io.depth.statements import DISPARITY, DISTANCE, INVERSE, DepthStatement
from rilievo.io.depth.stored_depth import StoredDepth, read_stored_depth
from rilievo.records.depth_map import DepthKind

_STORED_KINDS = {DISTANCE: StoredKind.DISTANCE, DISPARITY: StoredKind.DISPARITY}
"""Kinds that a file may state; every other one is depth along the optical axis."""
_INTEGER_UNIT = 0.001  # [m], where nobody states the unit of whole numbers: millimetres


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDepth:
    """One depth file, with what the file and the YAML say about its numbers."""

    path: Path
    numbers: StoredDepth
    layout: DepthLayout

    @property
    def size(self) -> Size:
        """Size of the map."""
        return self.numbers.stored.shape[0], self.numbers.stored.shape[1]

    @property
    def statement(self) -> DepthStatement:
        """What the file states about its numbers."""
        return self.numbers.statement

    @property
    def kind(self) -> StoredKind:
        """Quantity that the file states, else that of the YAML, else depth.

        Raises:
            InputError: If the two differ, or the file states what cannot be ground truth.
        """
        stated, source = self.statement.kind, self.statement.source
        if stated in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
            raise InputError(
                f"{self.path}: states depth of kind '{stated}' ({source}), whose shift is "
                "unknown, so it is no truth; calibrate it first"
            )
        if stated == INVERSE:
            raise InputError(
                f"{self.path}: states inverse depth ({source}), and truth is depth or disparity: "
                "write 1 over its numbers"
            )
        declared = self.layout.kind
        if stated is None:
            return StoredKind.DEPTH if declared is None else declared
        stored_kind = _STORED_KINDS.get(stated, StoredKind.DEPTH)
        if declared not in (None, stored_kind):
            raise InputError(
                f"{self.path}: states its kind as '{stated}' ({source}), but {FILE_NAME} says "
                f"'{declared}'; leave 'kind' out"
            )
        return stored_kind

    @property
    def scale(self) -> float:
        """Factor from a number to metres, or to pixels of disparity, by the YAML or as a guess.

        It is 1 if the file states how its numbers become depth.

        Raises:
            InputError: If file and YAML state different scales, or 8 bits have no scale.
        """
        layout, statement = self.layout, self.statement
        if statement.is_decodable:
            declared = (layout.scale, layout.offset)
            if declared not in ((None, 0.0), (statement.scale, statement.offset)):
                raise InputError(
                    f"{self.path}: states how its numbers become depth ({statement.source}), and "
                    f"{FILE_NAME} says another 'scale' or 'offset'; leave them out"
                )
            return 1.0
        if layout.scale is not None:
            return layout.scale
        dtype = self.numbers.stored.dtype
        if dtype == np.uint8:
            raise InputError(
                f"{self.path}: has 8 bits, which are mostly a picture of depth; if they are depth, "
                "say their scale in the YAML"
            )
        has_integers = dtype.kind in "ui"
        return _INTEGER_UNIT if has_integers and self.kind is not StoredKind.DISPARITY else 1.0

    @property
    def unit(self) -> float | None:
        """Metres of one stored number; None for disparity and for numbers with an offset."""
        if self.kind is StoredKind.DISPARITY or self.layout.offset:
            return None
        return self.scale

    @property
    def sky(self) -> Mask:
        """Mask of the numbers that mean "no surface"."""
        return equals_any(self.numbers.stored, self.layout.sky)

    def to_metres(self, camera: Camera | None) -> MaskedValues:
        """Convert the numbers to depth [m], which is 0 where it is unknown.

        Args:
            camera: Camera of the map. Disparity needs that of a pinhole, and distance needs any.

        Raises:
            InputError: If the camera is missing or does not fit the quantity.
        """
        kind = self.kind
        known = self._known_numbers()
        values, valid = known.values, known.valid
        if kind is StoredKind.DISPARITY:
            valid = valid & (values > 0)
            values = self._depth_of_disparity(np.where(valid, values, 1), camera)
        elif kind is StoredKind.DISTANCE:
            if camera is None:
                raise InputError(f"{self.path}: holds distance along the ray, which needs a camera")
            ray_lengths = np.linalg.norm(camera.points(np.ones(self.size)), axis=0)
            values = values / ray_lengths
        elif camera is not None and camera.lens.has_unit_rays:
            raise InputError(
                f"{self.path}: depth of a {camera.lens.name} lens is the distance along the ray: "
                "say 'kind: distance' in the layout"
            )

        max_depth = self.layout.max_depth
        if max_depth is None:
            max_depth = np.finfo(np.float32).max
        with np.errstate(invalid="ignore"):
            valid = valid & (values > 0) & (values >= self.layout.min_depth)
            valid = valid & (values <= max_depth)
        return MaskedValues(np.where(valid, values, 0).astype(np.float32), valid)

    def _known_numbers(self) -> "_KnownNumbers":
        """Scaled numbers, and the mask of those that are neither sky nor marked as invalid."""
        stored, scale = self.numbers.stored, self.scale
        valid = self.numbers.known & ~self.sky
        if self.statement.is_decodable:
            values = self.numbers.values
            return _KnownNumbers(values=values, valid=valid & np.isfinite(values))
        valid = valid & np.isfinite(stored) & ~equals_any(stored, self.layout.marks)
        values = np.where(valid, stored, 1).astype(np.float64) * scale + self.layout.offset
        return _KnownNumbers(values=values, valid=valid)

    def _depth_of_disparity(self, disparity: AnyPlane, camera: Camera | None) -> AnyPlane:
        """Depth [m] of positive disparity [px]."""
        if camera is None or self.layout.baseline is None:
            raise InputError(
                f"{self.path}: holds disparity, which needs a camera and 'baseline' in {FILE_NAME}"
            )
        focal = camera.needs_pinhole("disparity")[0, 0]
        return focal * self.layout.baseline / disparity


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownNumbers:
    values: AnyPlane
    valid: Mask


def read_folder_depth(path: Path, layout: DepthLayout) -> FolderDepth:
    """Read the numbers of a depth file, and what it states about them."""
    numbers = read_stored_depth(
        path,
        array=layout.array,
        encoding=layout.encoding,
        is_scaled=layout.scale is not None,
        is_shifted=layout.offset != 0,
    )
    return FolderDepth(path=path, numbers=numbers, layout=layout)
