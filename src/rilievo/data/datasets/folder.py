"""The user's own folder: photographs with depth, normals or both, described by a small YAML."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.data.datasets.base import Absent, Request, checked_ids, own_card
from rilievo.data.datasets.files import found_in, text_lines
from rilievo.data.datasets.folder_layout import (
    FILE_NAME,
    SPLITS,
    CameraLayout,
    DepthLayout,
    FolderLayout,
    NormalsLayout,
    StoredKind,
    described_folder,
    read_layout,
)
from rilievo.data.datasets.path_patterns import expected_path, files_by_id
from rilievo.data.datasets.photo_files import PhotoFiles
from rilievo.data.datasets.stored import normals_of_stored
from rilievo.errors import InputError, OptionError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.cameras.spelling import spelled
from rilievo.io.files.limits import printable
from rilievo.io.lens_files import pinhole_K, read_lens
from rilievo.io.numbers import read_map, read_numbers
from rilievo.shapes import Bool, Field, Mask, Shaped
from rilievo.types import Camera, Truth

_PARTS = ("depth", "normals", "valid")


@frozen
class _Files:
    """Files of one image; None for parts that the folder lacks."""

    image: Path
    depth: Path | None
    normals: Path | None
    valid: Path | None


class Folder(PhotoFiles[_Files]):
    """Photographs and ground truth from the user's own folder."""

    card = own_card("folder")

    def __init__(self, request: Request) -> None:
        self.request = request
        described = request.root if request.root.is_file() else request.root / FILE_NAME
        layout, folder = FolderLayout(), request.root
        if described.is_file():
            layout = read_layout(described)
            folder = described_folder(described, layout)
        self._folder = folder
        self._layout = _with_default_parts(layout, folder)
        self._find(self._asked(layout, described))

    @property
    def splits(self) -> tuple[str, ...]:
        """``all``, and the splits that the YAML declares."""
        return tuple(split for split in SPLITS if split == "all" or split in self._layout.splits)

    @property
    def camera_advice(self) -> str:
        """The line of YAML that declares a camera."""
        return (
            f"; where the camera is known, say so in {FILE_NAME}, such as 'camera: {{fx: 525, "
            "cx: 319.5, cy: 239.5}'"
        )

    def truth(self, id: str) -> Truth:
        """Depth and normals, as far as the folder has them."""
        files, layout = self._entry(id), self._layout
        depth = depth_valid = normals = normals_valid = sky = camera = None
        if files.depth is not None and layout.depth is not None:
            stored = read_map(files.depth, name=layout.depth.array)
            camera = self._camera(id, stored.shape)
            depth, depth_valid = depth_of_stored(stored, layout.depth, camera, files.depth)
            sky = sky_of_stored(stored, layout.depth) if layout.depth.sky else None
        if files.normals is not None and layout.normals is not None:
            vectors = read_numbers(files.normals, name=layout.normals.array)
            normals, normals_valid = normals_of_stored(vectors, layout.normals.axes, files.normals)
            camera = self._camera(id, normals_valid.shape)
        if files.valid is not None:
            mask = read_map(files.valid) != 0
            depth_valid = _both(depth_valid, mask, files.valid)
            normals_valid = _both(normals_valid, mask, files.valid)
        return Truth(
            id=id,
            depth=depth,
            depth_valid=depth_valid,
            normals=normals,
            normals_valid=normals_valid,
            sky=sky,
            camera=camera,
            scene=self._scene(id),
        )

    def wide_camera(self, id: str, shape: tuple[int, int]) -> Camera | None:
        """Camera of an image (height, width) whose lens is no pinhole; else None."""
        camera = self._camera(id, shape)
        return None if camera is None or isinstance(camera.lens, Pinhole) else camera

    def _scene(self, id: str) -> str | None:
        names = self._layout.scene
        # "." names the scene where the whole folder is one clip.
        return None if names is None else "/".join(id.split("/")[:-1][:names]) or "."

    def _asked(self, layout: FolderLayout, described: Path) -> tuple[str, ...] | None:
        """Ids of the list file or split; None for all images."""
        listing = self.request.list_file
        if listing is None and self.request.split != "all":
            if self.request.split not in layout.splits:
                raise OptionError(
                    f"{self.request.root}: no split '{self.request.split}': name its list of ids "
                    f"under 'splits' in {FILE_NAME}, or take 'all'"
                )
            beside = described.parent / layout.splits[self.request.split]
            listing = beside if beside.is_file() else self._folder / beside.name
        if listing is None:
            return None
        return checked_ids([line.text for line in text_lines(listing)], printable(listing))

    def _find(self, ids: tuple[str, ...] | None) -> None:
        """Find every image of the split with its other files; images that lack one are absent."""
        patterns = _partner_patterns(self._layout)
        if not patterns.keys() & {"depth", "normals"}:
            raise InputError(
                f"{self._folder}: has neither 'depth/' nor 'normals/' and no {FILE_NAME} that says "
                f"where they are; it holds {found_in(self._folder)}"
            )
        partners = {part: files_by_id(self._folder, glob) for part, glob in patterns.items()}
        taken = {path for paths in partners.values() for path in paths.values()}
        images = {
            id: path
            for id, path in files_by_id(self._folder, self._layout.image).items()
            if path not in taken
        }
        if not images:
            raise InputError(
                f"{self._folder}: no photograph fits '{self._layout.image}'; it holds "
                f"{found_in(self._folder)}"
            )
        if ids is None:
            ids = tuple(sorted({*images, *(id for part in partners.values() for id in part)}))
        places = {"photograph": images, **partners}
        files, absent = {}, []
        self._order = checked_ids(ids, printable(self._folder))
        for id in self._order:
            lacking = next((part for part, paths in places.items() if id not in paths), None)
            if lacking is None:
                known = {part: partners.get(part, {}).get(id) for part in _PARTS}
                files[id] = _Files(image=images[id], **known)
            else:
                pattern = patterns.get(lacking, self._layout.image)
                expected = printable(expected_path(self._folder, pattern, id))
                absent.append(Absent(id=id, reason=f"no {lacking} at {expected}"))
        self._files: Mapping[str, _Files] = files
        self.ids, self.absent = tuple(files), tuple(absent)

    def _camera(self, id: str, size: tuple[int, ...]) -> Camera | None:
        layout = self._layout.camera
        if layout is None:
            return None
        shape = (size[0], size[1])
        camera = Camera(lens=_lens(layout, self._folder, id, shape))
        if layout.lens is not None or layout.width is None or layout.height is None:
            return camera
        known = (layout.height, layout.width)
        return camera if known == shape else camera.resized(size=known, new_size=shape)


def _with_default_parts(layout: FolderLayout, folder: Path) -> FolderLayout:
    """Add default layouts for depth and normals that are not described but whose folders exist."""
    depth, normals = layout.depth, layout.normals
    if depth is None and (folder / "depth").is_dir():
        depth = DepthLayout()
    if normals is None and (folder / "normals").is_dir():
        normals = NormalsLayout()
    return replace(layout, depth=depth, normals=normals)


def _partner_patterns(layout: FolderLayout) -> dict[str, str]:
    patterns = {
        "depth": None if layout.depth is None else layout.depth.file,
        "normals": None if layout.normals is None else layout.normals.file,
        "valid": layout.valid,
    }
    return {part: pattern for part, pattern in patterns.items() if pattern is not None}


def _lens(layout: CameraLayout, folder: Path, id: str, shape: tuple[int, int]) -> Lens:
    if layout.lens is not None:
        return spelled(layout.lens).lens(shape, id)
    if layout.file is not None:
        known = (layout.height or shape[0], layout.width or shape[1])
        return read_lens(expected_path(folder, layout.file, id)).lens(known, id)
    assert layout.fx is not None, "a layout is checked when it is read"
    assert layout.cx is not None, "the same"
    assert layout.cy is not None, "the same"
    fy = layout.fx if layout.fy is None else layout.fy
    return Pinhole(pinhole_K(layout.fx, fy, layout.cx, layout.cy))


def _both(valid: Mask | None, mask: Bool[np.ndarray, "..."], path: Path) -> Mask | None:
    if valid is None:
        return None
    if mask.shape != valid.shape:
        raise InputError(f"{path}: the mask is {mask.shape}, depth and normals {valid.shape}")
    return valid & mask


def depth_of_stored(
    stored: Shaped[np.ndarray, "h w"],
    layout: DepthLayout,
    camera: Camera | None,
    path: Path,
) -> tuple[Field, Mask]:
    """Convert stored numbers to depth [m], zero where unknown, and a mask of known pixels.

    Args:
        stored: Numbers as stored in the file.
        layout: Description of the numbers.
        camera: Camera at this size; required for distance, and a pinhole for disparity.
        path: Path for error messages.
    """
    if stored.dtype == np.uint8 and layout.scale is None:
        raise InputError(
            f"{path}: has 8 bits, which are mostly a picture of depth; if they are depth, say "
            "their scale in the YAML"
        )
    known = np.isfinite(stored) & ~np.isin(stored, layout.invalid) & ~sky_of_stored(stored, layout)
    values = np.where(known, stored, 1).astype(np.float64) * _scale(stored, layout) + layout.offset
    if layout.kind is StoredKind.DISPARITY:
        assert camera is not None, "a layout is checked when it is read"
        assert layout.baseline is not None, "the same"
        known &= values > 0
        focal = camera.needs_pinhole("disparity")[0, 0]
        values = focal * layout.baseline / np.where(known, values, 1)
    elif layout.kind is StoredKind.DISTANCE:
        assert camera is not None, "a layout is checked when it is read"
        values = values / np.linalg.norm(camera.points(np.ones(stored.shape)), axis=0)
    elif camera is not None and camera.lens.has_unit_rays:
        raise InputError(
            f"{path}: depth of a {camera.lens.name} lens is the distance along the ray: say "
            "'kind: distance' in the layout"
        )
    known &= (values > 0) & (values >= layout.min_depth)
    most = np.finfo(np.float32).max if layout.max_depth is None else layout.max_depth
    known &= values <= most
    return np.where(known, values, 0).astype(np.float32), known


def sky_of_stored(stored: Shaped[np.ndarray, "h w"], layout: DepthLayout) -> Mask:
    """Mask of pixels whose stored numbers mean that there is no surface."""
    return np.isin(stored, layout.sky)


def _scale(stored: np.ndarray, layout: DepthLayout) -> float:
    if layout.scale is not None:
        return layout.scale
    millimetres = stored.dtype.kind in "ui" and layout.kind is not StoredKind.DISPARITY
    return 0.001 if millimetres else 1.0
