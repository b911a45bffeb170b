"""The user's folder of photographs, depth and normals, described by ``rilievo.yaml``."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Bool, Mask, Size
from rilievo.data.datasets.dataset import Absent, DatasetCard, Request, checked_ids
from rilievo.data.datasets.folder_camera import (
    camera_of_map,
    camera_of_photograph,
    read_image_camera,
)
from rilievo.data.datasets.folder_depth import FolderDepth, LeftOut, read_folder_depth
from rilievo.data.datasets.folder_files import ImageFiles, find_image_files
from rilievo.data.datasets.folder_interpretation import interpret_folder_depth
from rilievo.data.datasets.folder_layout import (
    FILE_NAME,
    SPLITS,
    DepthLayout,
    FolderLayout,
    NormalsLayout,
    folder_of_layout,
    read_layout,
)
from rilievo.data.datasets.id_patterns import expected_path
from rilievo.data.datasets.loaders import MaskedValues, PhotoFiles
from rilievo.data.datasets.pasting import paste_nearest, paste_truth
from rilievo.data.datasets.stored_normals import decode_normals
from rilievo.data.datasets.text_files import text_lines
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.depth.placement import MapPlacement, PlacementNames, place_map
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map, read_numbers
from rilievo.io.photographs.photo import StoredOrientation, read_orientation
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Truth

_CARD = DatasetCard(
    name="folder",
    title="Your own folder",
    summary="photographs with depth, normals or both, in any common file format",
    homepage="docs/datasets.md",
    licence="yours",
    commercial=True,
    layout="""\
images/ID.jpg|png|...           photographs
depth/ID.png|npy|npz|exr|...    integers are mm, others m; 0 is unknown
normals/ID.png|npy|...          x right, y down, z forward, towards the camera
rilievo.yaml                    says what is different: patterns, scale, invalid
                                values, kind, K, axes, masks, splits
The root may also be a YAML file elsewhere, whose key 'folder' says where the files are.""",
    splits=("all", "train", "valid", "test"),
    normals="its own files",
    extra="evaluate",
    caveats=(
        "rilievo trusts the scale, kind and axes in the YAML: check them in the contact sheet.",
    ),
)

_MIN_WARNED_FRACTION = 0.5
"""Fraction of the pixels with depth of an image from which on a limit or a mask causes a warning. A
limit often leaves out the sky or another background on purpose."""


class Folder(PhotoFiles[ImageFiles]):
    """Photographs with ground truth in the user's own folder."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        self._orientations: dict[Path, StoredOrientation] = {}
        yaml_path = request.root if request.root.is_file() else request.root / FILE_NAME
        layout, folder = FolderLayout(), request.root
        if yaml_path.is_file():
            layout = read_layout(yaml_path)
            folder = folder_of_layout(yaml_path, layout)
        self._folder = folder
        self._layout = _with_default_sections(layout, folder)

        entries = find_image_files(folder, self._layout, self._read_listed_ids(yaml_path))
        self._listed_ids = tuple(entries)
        self._files = {
            image_id: entry for image_id, entry in entries.items() if isinstance(entry, ImageFiles)
        }
        self.ids = tuple(self._files)
        self.absent = tuple(entry for entry in entries.values() if isinstance(entry, Absent))

    def _read_listed_ids(self, yaml_path: Path) -> tuple[str, ...] | None:
        """Read the ids in the user's list, or in the list of the split; None for all images."""
        list_file, split = self.request.list_file, self.request.split
        if list_file is None and split == "all":
            return None
        if list_file is None:
            if split not in self._layout.splits:
                raise OptionError(
                    f"{self.request.root}: has no split '{split}'; add its list of ids under "
                    f"'splits' in {FILE_NAME}, or choose the split 'all'"
                )
            list_file = yaml_path.parent / self._layout.splits[split]
            if not list_file.is_file():
                list_file = self._folder / list_file.name
        return checked_ids([line.text for line in text_lines(list_file)], printable(list_file))

    @property
    def splits(self) -> tuple[str, ...]:
        """``all``, and those that the YAML names."""
        return tuple(split for split in SPLITS if split == "all" or split in self._layout.splits)

    @property
    def camera_advice(self) -> str:
        """Advice to state the camera in the YAML."""
        return (
            f"; if you know the camera, add it to {FILE_NAME}, for example 'camera: {{fx: 525, cx: "
            "319.5, cy: 239.5}'"
        )

    @property
    def camera_note(self) -> str | None:
        """Sentence on which of several cameras was chosen in the first image's camera file."""
        layout = self._layout.camera
        if layout is None or layout.file is None or not self.ids:
            return None
        return read_lens(expected_path(self._folder, layout.file, self.ids[0])).note

    def wide_camera(self, id: str, shape: tuple[int, int]) -> Camera | None:
        """Camera of an image whose lens is no pinhole; None for a pinhole or an unknown camera."""
        camera = self._read_camera(id, shape)
        return None if camera is None or isinstance(camera.lens, Pinhole) else camera

    def scene(self, id: str) -> str | None:
        """Scene, which is the first folders of the id; None if the YAML names none."""
        num_folders = self._layout.scene
        if num_folders is None:
            return None
        return _first_folders(id, num_folders) or self._root_scene

    @functools.cached_property
    def _root_scene(self) -> str:
        """Scene of the images that lie in no subfolder, named after the whole folder."""
        name = os.path.basename(os.path.abspath(self._folder)) or "."
        num_folders = self._layout.scene or 0
        subfolders = {_first_folders(image_id, num_folders) for image_id in self._listed_ids}
        return f"{name} (top level)" if name in subfolders else name

    def truth(self, id: str) -> Truth:
        """Read depth and normals, whichever the folder has, at the photograph's size."""
        files = self._entry(id)
        mask = None if files.valid is None else read_map(files.valid) != 0
        return self._read_truth(id, files, mask)

    def _read_truth(self, id: str, files: ImageFiles, mask: Mask | None) -> Truth:
        """Read depth and normals; where ``mask`` is false, they are invalid."""
        layout, size = self._layout, self._photo_size(files.image)
        truth = Truth(
            id=id,
            scene=self.scene(id),
            is_unit_given=layout.depth is not None and layout.depth.has_declared_unit,
        )
        if files.depth is not None and layout.depth is not None:
            placed = self._read_placed_depth(files, files.depth, layout.depth)
            depth_mask = None
            # A mask may have the size of the depth map in place of the photograph's.
            if mask is not None and mask.shape == placed.depth.size != size:
                depth_mask = mask
                mask = paste_nearest(mask, placed.placement, size, False)
            truth = self._add_depth(truth, placed, depth_mask, size)
        if files.normals is not None and layout.normals is not None:
            truth = self._add_normals(truth, files, files.normals, layout.normals)
        if files.valid is not None and mask is not None:
            truth = _truth_inside_mask(truth, mask, files.valid)
        return truth

    def _add_depth(
        self, truth: Truth, placed: "_PlacedDepth", mask: Mask | None, size: Size
    ) -> Truth:
        """Add depth, sky and camera at the photograph's size.

        ``mask`` has the size of the depth map. Its false pixels have no depth.
        """
        depth, placement = placed.depth, placed.placement
        camera = self._find_camera(truth.id, placed, size)
        values, valid = depth.to_metres(_camera_of_depth(camera, placed))
        if mask is not None:
            valid = valid & mask
        values, valid = paste_truth(values, valid, placement, size)
        sky = paste_nearest(depth.sky, placement, size, False) if depth.layout.sky else None
        return replace(
            truth,
            depth=values,
            depth_valid=valid,
            sky=sky,
            camera=camera,
            is_metric=depth.metadata.kind != DepthKind.UP_TO_SCALE,
        )

    def _find_camera(self, image_id: str, placed: "_PlacedDepth", size: Size) -> Camera | None:
        """Camera of a photograph that the YAML states, or else its depth file; None if neither."""
        camera = self._read_camera(image_id, size)
        stated_camera = placed.depth.metadata.camera
        if camera is not None or stated_camera is None:
            return camera
        return camera_of_photograph(stated_camera, placed.depth.size, placed.placement)

    def _add_normals(
        self, truth: Truth, files: ImageFiles, path: Path, layout: NormalsLayout
    ) -> Truth:
        """Add normals and the camera at the photograph's size."""
        size = self._photo_size(files.image)
        values, valid = _read_normals(path, layout)
        placement = self._place_normals(files, layout, valid)
        camera = truth.camera
        if camera is None:
            camera = self._read_camera(truth.id, size)
        return replace(
            truth,
            normals=paste_nearest(values, placement, size, 0),
            normals_valid=paste_nearest(valid, placement, size, False),
            camera=camera,
        )

    def reading(self, id: str) -> DepthInterpretation | None:
        """Describe how the numbers of the depth file were interpreted.

        The warnings also say how depth and normals were placed in the photograph, and whether
        limits or masks leave out much of them.
        """
        files, layout = self._entry(id), self._layout
        left_out = [text for text in self._left_out(id) if text.fraction >= _MIN_WARNED_FRACTION]
        normals_notes: tuple[str, ...] = ()
        if files.normals is not None and layout.normals is not None:
            _, valid = _read_normals(files.normals, layout.normals)
            normals_notes = self._place_normals(files, layout.normals, valid).notes
        if files.depth is None or layout.depth is None:
            return DepthInterpretation(warnings=(*normals_notes, *map(str, left_out)))

        placed = self._read_placed_depth(files, files.depth, layout.depth)
        interpretation = interpret_folder_depth(placed.depth, self.truth(id))
        warnings = (*interpretation.warnings, *placed.placement.notes, *normals_notes)
        warnings += tuple(map(str, left_out))
        return replace(interpretation, warnings=warnings)

    def left_out_notes(self, id: str) -> tuple[str, ...]:
        """Sentences on depth and normals that the YAML or a mask leaves out."""
        return tuple(map(str, self._left_out(id)))

    def _left_out(self, id: str) -> list[LeftOut]:
        """Pixels with depth and normals that the YAML or a mask leaves out."""
        files, layout = self._entry(id), self._layout
        left_out: list[LeftOut] = []
        if files.depth is not None and layout.depth is not None:
            placed = self._read_placed_depth(files, files.depth, layout.depth)
            camera = self._find_camera(id, placed, self._photo_size(files.image))
            left_out += placed.depth.left_out(_camera_of_depth(camera, placed))
        if files.valid is not None:
            masked, unmasked = self.truth(id), self._read_truth(id, files, mask=None)
            left_out += _masked_out(unmasked.depth_valid, masked.depth_valid, "depth")
            left_out += _masked_out(unmasked.normals_valid, masked.normals_valid, "normals")
        return left_out

    def _read_placed_depth(
        self, files: ImageFiles, path: Path, layout: DepthLayout
    ) -> "_PlacedDepth":
        """Read a depth file, and find where its map lies in the photograph."""
        depth = read_folder_depth(path, layout)
        photo = self._orientation(files.image)
        is_saved_by_rilievo = depth.metadata.origin is not None
        if is_saved_by_rilievo:
            photo = replace(photo, orientation=1)  # maps that rilievo saves are upright
        names = PlacementNames(
            map="depth", picture="the photograph", yaml_section=f"'depth:' of {FILE_NAME}"
        )
        values = np.where(depth.numbers.known_pixels, depth.numbers.raw_values, 0)
        placement = place_map(
            depth.size,
            photo.upright_size,
            layout.crop,
            names,
            file=path,
            orientation=photo.orientation,
            values=values,
        )
        return _PlacedDepth(depth=depth, placement=placement)

    def _place_normals(self, files: ImageFiles, layout: NormalsLayout, valid: Mask) -> MapPlacement:
        """Find where the map of normals lies in the photograph."""
        names = PlacementNames(
            map="the map of normals",
            picture="the photograph",
            yaml_section=f"'normals:' of {FILE_NAME}",
        )
        size = (valid.shape[0], valid.shape[1])
        photo = self._orientation(files.image)
        return place_map(
            size,
            photo.upright_size,
            layout.crop,
            names,
            file=files.normals,
            orientation=photo.orientation,
        )

    def _read_camera(self, image_id: str, size: Size) -> Camera | None:
        """Read the camera that the YAML states for an image of a size; None if it states none."""
        layout = self._layout.camera
        return None if layout is None else read_image_camera(layout, self._folder, image_id, size)

    def _photo_size(self, image: Path) -> Size:
        """Size of an upright photograph."""
        return self._orientation(image).upright_size

    def _orientation(self, image: Path) -> StoredOrientation:
        """Orientation and size of a photograph, which are read once."""
        if image not in self._orientations:
            self._orientations[image] = read_orientation(image)
        return self._orientations[image]


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedDepth:
    """A depth file, and where its map lies in the photograph."""

    depth: FolderDepth
    placement: MapPlacement


def _camera_of_depth(camera: Camera | None, placed: _PlacedDepth) -> Camera | None:
    """Camera of a depth map, by the camera of its photograph; None if that is unknown."""
    if camera is None:
        return None
    return camera_of_map(camera, placed.depth.size, placed.placement)


def _masked_out(unmasked: Mask | None, masked: Mask | None, quantity: str) -> Iterator[LeftOut]:
    """Yield what a mask leaves out of the valid pixels, if it leaves out any."""
    if unmasked is None or masked is None:
        return
    total = int(np.count_nonzero(unmasked))
    count = total - int(np.count_nonzero(masked))
    if count > 0:
        yield LeftOut(rule="its mask", count=count, total=total, quantity=quantity)


def _first_folders(image_id: str, count: int) -> str:
    """Join the first folders of an id; empty if it has none."""
    return "/".join(image_id.split("/")[:-1][:count])


def _with_default_sections(layout: FolderLayout, folder: Path) -> FolderLayout:
    """Add sections for the subfolders "depth" and "normals" if the YAML does not mention them."""
    depth, normals = layout.depth, layout.normals
    if depth is None and (folder / "depth").is_dir():
        depth = DepthLayout()
    if normals is None and (folder / "normals").is_dir():
        normals = NormalsLayout()
    return replace(layout, depth=depth, normals=normals)


def _read_normals(path: Path, layout: NormalsLayout) -> MaskedValues:
    stored = read_numbers(path, name=layout.array)
    return MaskedValues(*decode_normals(stored, layout.axes, path))


def _truth_inside_mask(truth: Truth, mask: Bool[np.ndarray, "..."], path: Path) -> Truth:
    """Make depth and normals invalid where a mask is false; ``path`` is its file."""
    return replace(
        truth,
        depth_valid=_valid_inside_mask(truth.depth_valid, mask, path),
        normals_valid=_valid_inside_mask(truth.normals_valid, mask, path),
    )


def _valid_inside_mask(
    valid: Mask | None, mask: Bool[np.ndarray, "..."], path: Path
) -> Mask | None:
    if valid is None:
        return None
    if mask.shape != valid.shape:
        raise InputError(
            f"{path}: the mask has the shape {mask.shape}, but the ground truth has {valid.shape} "
            "(height, width)"
        )
    return valid & mask
