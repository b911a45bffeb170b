"""The user's folder of photographs, depth and normals, described by YAML."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Bool, Field, Mask, Shaped, Size
from rilievo.data.datasets.dataset import Absent, Request, checked_ids, own_card
from rilievo.data.datasets.folder_layout import (
    FILE_NAME,
    SPLITS,
    CameraLayout,
    DepthLayout,
    FolderLayout,
    NormalsLayout,
    StoredKind,
    folder_of_layout,
    read_layout,
)
from rilievo.data.datasets.id_patterns import expected_path, files_by_id
from rilievo.data.datasets.loaders import PhotoFiles
from rilievo.data.datasets.stored_normals import normals_of_stored
from rilievo.data.datasets.text_files import contents_text, text_lines
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.crops import parse_placement
from rilievo.io.depth.encoding import equals_any
from rilievo.io.depth.interpretation import (
    NOT_STATED,
    DepthInterpretation,
    DepthProperty,
    PropertyOrigin,
    unit_property,
)
from rilievo.io.depth.inverse_depth import bent_surface_warnings, straight_surface_warnings
from rilievo.io.depth.pasting import paste_nearest, paste_truth
from rilievo.io.depth.placement import MapPlacement, PlacementWords, place_map
from rilievo.io.depth.statements import DISPARITY, DISTANCE, INVERSE, DepthStatement
from rilievo.io.depth.stored_depth import StoredDepth, read_stored_depth, stored_depth_warnings
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map, read_numbers
from rilievo.io.photographs.decode import StoredOrientation, read_orientation
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Truth

_PARTS = ("depth", "normals", "valid")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    image: Path
    depth: Path | None
    normals: Path | None
    valid: Path | None


class Folder(PhotoFiles[_Files]):
    """Photographs and truth of the user's folder."""

    card = own_card("folder")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._orientations: dict[Path, StoredOrientation] = {}
        described = request.root if request.root.is_file() else request.root / FILE_NAME
        layout, folder = FolderLayout(), request.root
        if described.is_file():
            layout = read_layout(described)
            folder = folder_of_layout(described, layout)
        self._folder = folder
        self._layout = _with_default_parts(layout, folder)
        self._set_files_and_ids(self._ids_of_split(layout, described))

    @property
    def splits(self) -> tuple[str, ...]:
        """``all``, and those of the YAML."""
        return tuple(split for split in SPLITS if split == "all" or split in self._layout.splits)

    @property
    def camera_advice(self) -> str:
        """Advice to state the camera in YAML."""
        return (
            f"; where the camera is known, say so in {FILE_NAME}, such as 'camera: {{fx: 525, "
            "cx: 319.5, cy: 239.5}'"
        )

    @property
    def camera_note(self) -> str | None:
        """What was chosen in the camera file of the first image."""
        layout = self._layout.camera
        if layout is None or layout.file is None or not self.ids:
            return None
        return read_lens(expected_path(self._folder, layout.file, self.ids[0])).note

    def truth(self, id: str) -> Truth:
        """Read depth and normals, if any, at the photograph's size."""
        files, layout = self._entry(id), self._layout
        depth = depth_valid = normals = normals_valid = sky = camera = None
        is_metric = True
        size = self._photo_height_and_width(files.image)
        mask = None if files.valid is None else read_map(files.valid) != 0
        if files.depth is not None and layout.depth is not None:
            numbers = _read_numbers(files.depth, layout.depth)
            stored = numbers.stored
            place = self._place_of_depth(id, numbers, size)
            camera = self._camera_of_image(id, size)
            if camera is None and numbers.statement.camera is not None:
                camera = _camera_of_photograph(numbers.statement.camera, stored.shape, place)
            depth, depth_valid = depth_of_stored(
                numbers, layout.depth, _camera_of_map(camera, stored.shape, place), files.depth
            )
            if layout.depth.sky:
                sky = paste_nearest(sky_of_stored(stored, layout.depth), place, size, False)
            is_metric = numbers.statement.kind != DepthKind.UP_TO_SCALE
            if mask is not None and mask.shape == depth_valid.shape != size:
                depth_valid = depth_valid & mask
                mask = paste_nearest(mask, place, size, False)
            depth, depth_valid = paste_truth(depth, depth_valid, place, size)
        if files.normals is not None and layout.normals is not None:
            vectors = read_numbers(files.normals, name=layout.normals.array)
            normals, normals_valid = normals_of_stored(vectors, layout.normals.axes, files.normals)
            place = self._place_of_normals(id, normals_valid.shape, size)
            normals = paste_nearest(normals, place, size, 0)
            normals_valid = paste_nearest(normals_valid, place, size, False)
            camera = self._camera_of_image(id, size) or camera
        if mask is not None and files.valid is not None:
            depth_valid = _valid_inside_mask(depth_valid, mask, files.valid)
            normals_valid = _valid_inside_mask(normals_valid, mask, files.valid)
        return Truth(
            id=id,
            depth=depth,
            depth_valid=depth_valid,
            normals=normals,
            normals_valid=normals_valid,
            sky=sky,
            camera=camera,
            scene=self.scene(id),
            is_metric=is_metric,
            is_unit_declared=layout.depth is not None and layout.depth.has_declared_unit,
        )

    def _place_of_depth(self, id: str, numbers: StoredDepth, size: Size) -> MapPlacement:
        """Place of depth in the photograph."""
        files, layout = self._entry(id), self._layout.depth
        assert layout is not None, "the caller has read depth"
        # What rilievo saved is upright.
        is_upright = numbers.statement.origin is not None
        orientation = 1 if is_upright else self._orientation(files.image).orientation
        shape = numbers.stored.shape
        values = np.where(numbers.known, numbers.stored, 0)
        return _place_in_photograph(
            files.depth, layout.crop, shape, size, "depth", orientation, values
        )

    def _place_of_normals(self, id: str, shape: tuple[int, ...], size: Size) -> MapPlacement:
        """Place of normals of a shape in the photograph."""
        files, layout = self._entry(id), self._layout.normals
        assert layout is not None, "the caller has read normals"
        orientation = self._orientation(files.image).orientation
        return _place_in_photograph(files.normals, layout.crop, shape, size, "normals", orientation)

    def reading(self, id: str) -> DepthInterpretation | None:
        """Facts and doubts about an image's depth, and doubts about the place of its normals."""
        files, layout = self._entry(id), self._layout.depth
        about_normals = self._notes_on_normals(id)
        if files.depth is None or layout is None:
            return DepthInterpretation(warnings=about_normals)
        numbers = _read_numbers(files.depth, layout)
        truth = self.truth(id)
        assert truth.depth is not None, "there is a file of depth"
        assert truth.depth_valid is not None, "it comes with depth"
        metres = truth.depth[truth.depth_valid].astype(np.float64)
        marks = () if numbers.statement.is_decodable else layout.marks
        doubts = [
            *stored_depth_warnings(
                numbers,
                metres if truth.is_metric else None,
                unit=_unit_of_numbers(numbers, layout, files.depth),
                invalid=(*marks, *layout.sky),
                max_depth=layout.max_depth,
                is_unit_declared=layout.scale is not None,
            )
        ]
        doubts += _doubts_about_surfaces(numbers, layout, truth)
        size = self._photo_height_and_width(files.image)
        doubts += self._place_of_depth(id, numbers, size).notes
        doubts += about_normals
        return DepthInterpretation(
            properties=tuple(_facts_about_depth(numbers, layout, truth, files.depth)),
            warnings=tuple(doubts),
            is_unit_declared=layout.has_declared_unit,
            median=float(np.median(metres)) if metres.size and truth.is_metric else None,
            nearest=float(metres.min()) if metres.size else None,
            farthest=float(metres.max()) if metres.size else None,
        )

    def _notes_on_normals(self, id: str) -> tuple[str, ...]:
        """Notes on the place of an image's normals in the photograph."""
        files, layout = self._entry(id), self._layout.normals
        if files.normals is None or layout is None:
            return ()
        vectors = read_numbers(files.normals, name=layout.array)
        _, valid = normals_of_stored(vectors, layout.axes, files.normals)
        size = self._photo_height_and_width(files.image)
        return self._place_of_normals(id, valid.shape, size).notes

    def wide_camera(self, id: str, shape: tuple[int, int]) -> Camera | None:
        """Camera, if known and no pinhole."""
        camera = self._camera_of_image(id, shape)
        return None if camera is None or isinstance(camera.lens, Pinhole) else camera

    def scene(self, id: str) -> str | None:
        """Scene by the id's folders."""
        names = self._layout.scene
        # "." names the scene where the whole folder is one clip.
        return None if names is None else "/".join(id.split("/")[:-1][:names]) or "."

    def _ids_of_split(self, layout: FolderLayout, described: Path) -> tuple[str, ...] | None:
        """Ids of the list or split; None for all."""
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

    def _set_files_and_ids(self, ids: tuple[str, ...] | None) -> None:
        patterns = _partner_patterns(self._layout)
        if not patterns.keys() & {"depth", "normals"}:
            raise InputError(
                f"{self._folder}: has neither 'depth/' nor 'normals/' and no {FILE_NAME} that says "
                f"where they are; it holds {contents_text(self._folder)}"
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
                f"{contents_text(self._folder)}"
            )
        if ids is None:
            ids = tuple(sorted({*images, *(id for part in partners.values() for id in part)}))
        places = {"photograph": images, **partners}
        files, absent = {}, []
        self._listed_ids = checked_ids(ids, printable(self._folder))
        for id in self._listed_ids:
            lacking = next((part for part, paths in places.items() if id not in paths), None)
            if lacking is None:
                companions = {part: partners.get(part, {}).get(id) for part in _PARTS}
                files[id] = _Files(image=images[id], **companions)
            else:
                pattern = patterns.get(lacking, self._layout.image)
                expected = printable(expected_path(self._folder, pattern, id))
                absent.append(Absent(id=id, reason=f"no {lacking} at {expected}"))
        self._files: Mapping[str, _Files] = files
        self.ids, self.absent = tuple(files), tuple(absent)

    def _photo_height_and_width(self, image: Path) -> Size:
        """Size (height, width) of an upright photograph."""
        return self._orientation(image).upright_size

    def _orientation(self, image: Path) -> StoredOrientation:
        """Orientation of a photograph, read once."""
        if image not in self._orientations:
            self._orientations[image] = read_orientation(image)
        return self._orientations[image]

    def _camera_of_image(self, id: str, size: tuple[int, ...]) -> Camera | None:
        layout = self._layout.camera
        if layout is None:
            return None
        shape = (size[0], size[1])
        camera = Camera(lens=_lens_of_layout(layout, self._folder, id, shape))
        if layout.lens is not None or layout.width is None or layout.height is None:
            return camera
        layout_size = (layout.height, layout.width)
        return camera if layout_size == shape else camera.resized(size=layout_size, new_size=shape)


def _place_in_photograph(
    path: Path | None,
    crop: str | None,
    shape: tuple[int, ...],
    size: Size,
    what: str,
    orientation: int,
    values: AnyPlane | None = None,
) -> MapPlacement:
    name = "depth" if what == "depth" else f"the map of {what}"
    words = PlacementWords(map=name, picture="the photograph", file=f"'{what}:' of {FILE_NAME}")
    stated = None if crop is None else parse_placement(crop, "'crop'")
    try:
        return place_map(
            (shape[0], shape[1]), size, stated, words, orientation=orientation, values=values
        )
    except InputError as error:
        raise InputError(problem=Text(error), path=path) from error


def _camera_of_photograph(camera: Camera, shape: tuple[int, ...], place: MapPlacement) -> Camera:
    """Camera of the photograph, by that of a map in it."""
    crop = place.crop
    resized = camera.resized(size=(shape[0], shape[1]), new_size=crop.shape)
    return resized.cropped(top=-crop.top, left=-crop.left)


def _camera_of_map(
    camera: Camera | None, shape: tuple[int, ...], place: MapPlacement
) -> Camera | None:
    """Camera of a map that lies in the photograph, by the photograph's."""
    crop, size = place.crop, (shape[0], shape[1])
    if camera is None:
        return None
    if (crop.top, crop.left) != (0, 0):
        camera = camera.cropped(top=crop.top, left=crop.left)
    return camera if crop.shape == size else camera.resized(size=crop.shape, new_size=size)


def _with_default_parts(layout: FolderLayout, folder: Path) -> FolderLayout:
    depth, normals = layout.depth, layout.normals
    if depth is None and (folder / "depth").is_dir():
        depth = DepthLayout()
    if normals is None and (folder / "normals").is_dir():
        normals = NormalsLayout()
    return replace(layout, depth=depth, normals=normals)


def _read_numbers(path: Path, layout: DepthLayout) -> StoredDepth:
    return read_stored_depth(
        path,
        array=layout.array,
        encoding=layout.encoding,
        is_scaled=layout.scale is not None,
        is_shifted=layout.offset != 0,
    )


def _unit_of_numbers(numbers: StoredDepth, layout: DepthLayout, path: Path) -> float | None:
    """Metres of one stored number; None for disparity and for numbers with an offset."""
    kind = _check_stored_kind(layout, numbers.statement, path)
    if kind is StoredKind.DISPARITY or layout.offset:
        return None
    return _scale_or_guess(numbers.stored, layout, numbers.statement, kind, path)


def _partner_patterns(layout: FolderLayout) -> dict[str, str]:
    patterns = {
        "depth": None if layout.depth is None else layout.depth.file,
        "normals": None if layout.normals is None else layout.normals.file,
        "valid": layout.valid,
    }
    return {part: pattern for part, pattern in patterns.items() if pattern is not None}


def _doubts_about_surfaces(
    numbers: StoredDepth, layout: DepthLayout, truth: Truth
) -> tuple[str, ...]:
    """Doubt that numbers are of the kind as which they are read, by the shape of surfaces."""
    assert truth.depth is not None, "the caller has read depth"
    assert truth.depth_valid is not None, "it comes with depth"
    # Distances along the rays of a wide lens bend where depth does not.
    is_wide = truth.camera is not None and truth.camera.lens.has_unit_rays
    if numbers.statement.origin is not None or is_wide:
        return ()
    depth = truth.depth.astype(np.float64)
    if StoredKind.DISPARITY in (layout.kind, numbers.statement.kind):
        return bent_surface_warnings(depth, truth.depth_valid)
    return straight_surface_warnings(depth, truth.depth_valid)


def _facts_about_depth(
    numbers: StoredDepth, layout: DepthLayout, truth: Truth, path: Path
) -> Iterator[DepthProperty]:
    statement, stored = numbers.statement, numbers.stored
    kind = _check_stored_kind(layout, statement, path)
    yield unit_property(
        stored,
        statement,
        unit=layout.scale,
        source=FILE_NAME,
        guess=_scale_or_guess(stored, layout, statement, kind, path),
        is_disparity=kind is StoredKind.DISPARITY,
    )
    stated = statement.kind is not None
    origin = (
        PropertyOrigin.STATED
        if stated
        else PropertyOrigin.GIVEN
        if layout.kind
        else PropertyOrigin.GUESSED
    )
    place = {PropertyOrigin.STATED: statement.source, PropertyOrigin.GIVEN: FILE_NAME}.get(
        origin, NOT_STATED
    )
    yield DepthProperty(name="kind", value=statement.kind or kind.value, origin=origin, place=place)
    coded = statement.is_decodable
    empty = statement.invalid if coded else layout.marks
    yield DepthProperty(
        name="invalid",
        value=", ".join(["NaN", *(f"{number:g}" for number in empty)]),
        origin=PropertyOrigin.STATED if coded else PropertyOrigin.GIVEN,
        place=statement.source if coded else FILE_NAME,
    )
    height, width = stored.shape
    crop = "" if layout.crop is None else f" at {layout.crop}"
    yield DepthProperty(
        name="size",
        value=f"{height} x {width}{crop}",
        origin=PropertyOrigin.STATED,
        place="its pixels",
    )
    has_camera = truth.camera is not None
    its = has_camera and statement.camera is not None
    yield DepthProperty(
        name="camera",
        value="known" if has_camera else "none",
        origin=PropertyOrigin.STATED
        if its
        else PropertyOrigin.GIVEN
        if has_camera
        else PropertyOrigin.GUESSED,
        place=statement.source if its else FILE_NAME if has_camera else NOT_STATED,
    )


def _lens_of_layout(layout: CameraLayout, folder: Path, id: str, shape: tuple[int, int]) -> Lens:
    if layout.lens is not None:
        return read_spelling(layout.lens).lens(shape, id)
    if layout.file is not None:
        size = (layout.height or shape[0], layout.width or shape[1])
        return read_lens(expected_path(folder, layout.file, id)).lens(size, id)
    assert layout.fx is not None, "a layout is checked when it is read"
    assert layout.cx is not None, "the same"
    assert layout.cy is not None, "the same"
    fy = layout.fx if layout.fy is None else layout.fy
    return Pinhole(pinhole_K(layout.fx, fy, layout.cx, layout.cy))


def _valid_inside_mask(
    valid: Mask | None, mask: Bool[np.ndarray, "..."], path: Path
) -> Mask | None:
    if valid is None:
        return None
    if mask.shape != valid.shape:
        raise InputError(f"{path}: the mask is {mask.shape}, depth and normals {valid.shape}")
    return valid & mask


def depth_of_stored(
    numbers: StoredDepth,
    layout: DepthLayout,
    camera: Camera | None,
    path: Path,
) -> tuple[Field, Mask]:
    """Convert numbers to depth [m], 0 where unknown; disparity needs a pinhole."""
    stored, statement = numbers.stored, numbers.statement
    kind = _check_stored_kind(layout, statement, path)
    scale = _scale_or_guess(stored, layout, statement, kind, path)
    valid = numbers.known & ~sky_of_stored(stored, layout)
    if statement.is_decodable:
        values = numbers.values
        valid &= np.isfinite(values)
    else:
        valid &= np.isfinite(stored) & ~equals_any(stored, layout.marks)
        values = np.where(valid, stored, 1).astype(np.float64) * scale + layout.offset
    if kind is StoredKind.DISPARITY:
        if camera is None or layout.baseline is None:
            raise InputError(
                f"{path}: holds disparity, which needs a camera and 'baseline' in {FILE_NAME}"
            )
        valid &= values > 0
        focal = camera.needs_pinhole("disparity")[0, 0]
        values = focal * layout.baseline / np.where(valid, values, 1)
    elif kind is StoredKind.DISTANCE:
        if camera is None:
            raise InputError(f"{path}: holds distance along the ray, which needs a camera")
        values = values / np.linalg.norm(camera.points(np.ones(stored.shape)), axis=0)
    elif camera is not None and camera.lens.has_unit_rays:
        raise InputError(
            f"{path}: depth of a {camera.lens.name} lens is the distance along the ray: say "
            "'kind: distance' in the layout"
        )
    with np.errstate(invalid="ignore"):
        valid &= (values > 0) & (values >= layout.min_depth)
        most = np.finfo(np.float32).max if layout.max_depth is None else layout.max_depth
        valid &= values <= most
    return np.where(valid, values, 0).astype(np.float32), valid


def sky_of_stored(stored: Shaped[np.ndarray, "h w"], layout: DepthLayout) -> Mask:
    """Mask of numbers without surface."""
    return equals_any(stored, layout.sky)


def _check_stored_kind(layout: DepthLayout, statement: DepthStatement, path: Path) -> StoredKind:
    """Kind by file or YAML; a conflict is refused."""
    stated = statement.kind
    if stated in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        raise InputError(
            f"{path}: states depth of kind '{stated}' ({statement.source}), whose shift is "
            "unknown, so it is no truth; calibrate it first"
        )
    if stated == INVERSE:
        raise InputError(
            f"{path}: states inverse depth ({statement.source}), and truth is depth or disparity: "
            "write 1 over its numbers"
        )
    words = {DISTANCE: StoredKind.DISTANCE, DISPARITY: StoredKind.DISPARITY}
    own = None if stated is None else words.get(stated, StoredKind.DEPTH)
    if own is not None and layout.kind not in (None, own):
        raise InputError(
            f"{path}: states its kind as '{stated}' ({statement.source}), but {FILE_NAME} says "
            f"'{layout.kind}'; leave 'kind' out"
        )
    return own or layout.kind or StoredKind.DEPTH


def _scale_or_guess(
    stored: np.ndarray, layout: DepthLayout, statement: DepthStatement, kind: StoredKind, path: Path
) -> float:
    """Scale by file or YAML, else a guess."""
    if statement.is_decodable:
        if (layout.scale, layout.offset) not in ((None, 0.0), (statement.scale, statement.offset)):
            raise InputError(
                f"{path}: states how its numbers become depth ({statement.source}), and "
                f"{FILE_NAME} says another 'scale' or 'offset'; leave them out"
            )
        return 1.0
    if layout.scale is not None:
        return layout.scale
    if stored.dtype == np.uint8:
        raise InputError(
            f"{path}: has 8 bits, which are mostly a picture of depth; if they are depth, say "
            "their scale in the YAML"
        )
    return 0.001 if stored.dtype.kind in "ui" and kind is not StoredKind.DISPARITY else 1.0
