"""Depth of the frames of a clip, which a model predicts or files hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Size, Values
from rilievo.data.clips.pose_files import frame_stem
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.data.datasets.pasting import paste_nearest
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.data.fuse.plane_sweep import import_opencv
from rilievo.errors import InputError, OptionError
from rilievo.extensions.trust import trust
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.depth_metadata import DISTANCE, DepthMetadata
from rilievo.io.depth.encoding import NumberEncoding, parse_encoding
from rilievo.io.depth.placement import PlacementNames, place_map
from rilievo.io.depth.plausibility import straight_surface_warning
from rilievo.io.depth.stored_depth import StoredDepth, read_stored_depth, stored_depth_warnings
from rilievo.io.files.names import printable
from rilievo.models import FAST_MODEL, load_model
from rilievo.models.resampling.preparation import shrink
from rilievo.prediction.readback import read_prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

_SUFFIXES = (".npz", ".npy", ".png", ".tiff", ".tif", ".exr", ".pfm", ".pgm")
"""Suffixes of depth files, the most exact first."""
_MAX_CHECKED_FILES = 12  # whose surfaces show whether the files of a clip hold inverse depth


@runtime_checkable
class ClipDepth(Protocol):
    """Source of the depth of frames."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on how the numbers of its files were read."""
        ...

    def __call__(self, frame: ClipFrame, camera: Camera, size: Size) -> DepthMap | str:
        """Return the depth of a frame at a size, or a line on why it has none."""
        ...


def choose_depth_source(options: FuseOptions) -> ClipDepth:
    """Read depth from the files that the options name, or predict it if they name none.

    Raises:
        InputError: If the folder has no depth files.
        OptionError: If the model predicts no depth that can be fused.
    """
    if options.depth is not None:
        return _FileDepth(options, options.depth)
    trust(options.trust_code)
    return _ModelDepth(options.model or FAST_MODEL)


class _ModelDepth:
    """Depth that a model predicts."""

    notes: Sequence[str] = ()

    def __init__(self, name: str) -> None:
        self._model = load_model(name)
        kind = self._model.card.kind
        if kind is None or not kind.is_depth:
            prediction = "normals alone" if kind is None else f"depth of kind '{kind}'"
            raise OptionError(
                f"{name}: predicts {prediction}, which cannot be fused into a surface; choose a "
                "model of kind 'metric' or 'up_to_scale' (see 'rilievo models')"
            )

    def __call__(self, frame: ClipFrame, camera: Camera, size: Size) -> DepthMap | str:
        """Predict the depth of a frame at its own size, and resize the prediction."""
        pixels = frame.pixels
        assert pixels is not None, "broken frames have no depth"
        [inference] = self._model.infer([Photo(pixels=pixels, name=frame.name, camera=camera)])
        resized_photo = Photo(pixels=shrink(pixels, size), name=frame.name)
        return self._model.finish(inference, resized_photo).depth


class _FileDepth:
    """Depth of frames from files in a folder, which have the names or the indices of the frames."""

    def __init__(self, options: FuseOptions, folder: Path) -> None:
        self._folder, self._unit = folder, options.depth_unit
        self._crop, encoding = options.depth_crop, options.depth_encoding
        self._encoding = None if encoding is None else parse_encoding(encoding, "depth_encoding")
        self._files_by_warning: dict[str, list[str]] = {}
        self._files = _depth_files_by_stem(folder)
        self._checked_files = evenly_spread(sorted(self._files.values()), _MAX_CHECKED_FILES)

    @property
    def notes(self) -> Sequence[str]:
        """Warnings about the files, each once, with the first file that has it."""
        notes = []
        for warning, names in self._files_by_warning.items():
            more = "" if len(names) == 1 else f" and {len(names) - 1:,} more"
            notes.append(f"{printable(names[0])}{more}: {warning}")
        return notes

    def __call__(self, frame: ClipFrame, camera: Camera, size: Size) -> DepthMap | str:
        """Read the file of a frame, paste a crop into the frame, and resize."""
        name = self._files.get(frame_stem(frame.name), self._files.get(f"{frame.index:06d}"))
        if name is None:
            return f"{frame.name}: has no depth file in {printable(self._folder)}"
        path = self._folder / name
        depth = self._read_depth(path)
        _require_fusible(depth, path)
        pixels = frame.pixels
        if pixels is not None:
            depth = self._paste_into_frame(depth, (pixels.shape[0], pixels.shape[1]), name)
        return _resize_nearest(depth, size)

    def _read_depth(self, path: Path) -> DepthMap:
        """Read a prediction of rilievo, or decode another file by what it and the user state."""
        # An array such as "a.depth.npy" holds depth alone and is no prediction.
        may_be_prediction = path.suffix != ".npy" or not path.with_suffix("").suffix
        if may_be_prediction and self._encoding is None:
            try:
                return read_prediction(path).depth
            except InputError:
                if path.suffix == ".npz":
                    raise
        is_scaled = self._unit is not None
        numbers = read_stored_depth(path, encoding=self._encoding, is_scale_given=is_scaled)
        return self._decode_numbers(numbers, path)

    def _decode_numbers(self, numbers: StoredDepth, path: Path) -> DepthMap:
        """Convert numbers of another program to depth, and collect warnings about them."""
        stored, metadata = numbers.raw_values, numbers.metadata
        self._require_clear_unit(numbers, path)
        unit = numbers.guessed_unit if self._unit is None else self._unit
        # Values of a file that states its unit are in metres already.
        factor = 1 if metadata.is_decodable else unit
        values = numbers.values.astype(np.float32) * np.float32(factor)

        encoding = NumberEncoding() if self._encoding is None else self._encoding
        valid = np.isfinite(values) & (values > 0)
        if stored.dtype == np.uint16 and not metadata.is_decodable:
            valid &= stored < np.iinfo(np.uint16).max  # 65535 commonly means "no depth"
        valid &= encoding.is_within_limits(values)

        is_distance = metadata.kind == DISTANCE
        kind = DepthKind.METRIC
        if metadata.kind is not None and not is_distance:
            kind = _depth_kind(metadata, path)
        self._collect_number_warnings(numbers, values[valid], unit, path.name)
        if path.name in self._checked_files and not is_distance:
            warning = straight_surface_warning(values.astype(np.float64), valid)
            if warning is not None:
                self._add_warning(warning, path.name)
        return DepthMap(
            values=np.where(valid, values, np.float32(1)),  # any finite depth; it is invalid
            kind=kind,
            valid=valid,
            is_distance=is_distance,
        )

    def _require_clear_unit(self, numbers: StoredDepth, path: Path) -> None:
        """Check that 8-bit numbers have a stated scale, and that it is stated only once."""
        metadata = numbers.metadata
        if numbers.raw_values.dtype == np.uint8 and not metadata.is_decodable:
            raise InputError(
                "has 8-bit values, so it is probably a picture of depth; expected 16-bit or "
                "floating-point depth",
                path=printable(path),
            )
        if self._unit is not None and metadata.is_decodable:
            raise OptionError(
                option="depth_unit",
                problem=(
                    f"only applies to files that do not state their unit, but {printable(path)} "
                    f"states it ({metadata.source})"
                ),
                hint="leave out the option",
            )

    def _paste_into_frame(self, depth: DepthMap, frame: Size, name: str) -> DepthMap:
        """Paste a map of a part of the frame into the frame; depth outside of it is unknown."""
        names = PlacementNames(map="depth", picture="the frame", option="depth_crop")
        placement = place_map(
            depth.shape,
            frame,
            self._crop,
            names,
            file=printable(self._folder / name),
            values=np.where(depth.valid, depth.values, 0),
        )
        for note in placement.notes:
            self._add_warning(note, name)
        if placement.crop.shape == frame:
            return depth
        values = paste_nearest(depth.values, placement, frame, 1)
        valid = paste_nearest(depth.valid, placement, frame, False)
        return replace(depth, values=values, valid=valid)

    def _collect_number_warnings(
        self, numbers: StoredDepth, depth: Values, unit: float, name: str
    ) -> None:
        """Collect warnings about numbers that look like another unit or another encoding."""
        is_metric = numbers.metadata.kind in (None, DepthKind.METRIC)
        for warning in stored_depth_warnings(
            numbers,
            depth.astype(np.float64) if is_metric else None,
            unit=unit,
            max_depth=None if self._encoding is None else self._encoding.max_depth,
            is_unit_given=self._unit is not None,
            are_marks_stated=self._encoding is not None and self._encoding.invalid is not None,
        ):
            self._add_warning(warning, name)

    def _add_warning(self, warning: str, name: str) -> None:
        self._files_by_warning.setdefault(warning, []).append(name)


def _depth_files_by_stem(folder: Path) -> dict[str, str]:
    """List the depth file of each frame by the frame's stem, in the most exact format.

    If some names contain ".depth", the other files are ignored.
    """
    names = sorted(name for name in names_in(folder) if _suffix(name) in _SUFFIXES)
    marked_names = [name for name in names if ".depth" in name.lower()]
    files: dict[str, str] = {}
    for name in sorted(marked_names or names, key=lambda name: _SUFFIXES.index(_suffix(name))):
        files.setdefault(frame_stem(name), name)
    if not files:
        raise InputError(
            f"{printable(folder)}: contains no depth files ({', '.join(_SUFFIXES)}), found "
            f"{contents_text(folder)}"
        )
    return files


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _require_fusible(depth: DepthMap, path: Path) -> None:
    """Check that a map is metric depth, or depth up to scale, along the optical axis."""
    if not depth.is_depth:
        raise InputError(
            f"{printable(path)}: contains depth of kind '{depth.kind}', which cannot be fused into "
            "a surface; predict with a model of kind 'metric' or 'up_to_scale'"
        )
    if depth.is_distance:
        raise InputError(
            f"{printable(path)}: contains distances along the ray, but fusing needs depth along "
            "the optical axis of an undistorted camera; undistort the frames and predict "
            "their depth again"
        )


def _depth_kind(metadata: DepthMetadata, path: Path) -> DepthKind:
    """Return the kind of depth that a file states, if it can be fused."""
    if metadata.kind not in list(DepthKind):
        raise InputError(
            f"contains depth of kind '{metadata.kind}', which cannot be fused into a surface; "
            "convert the file to depth along the optical axis",
            path=printable(path),
        )
    return DepthKind(metadata.kind)


def _resize_nearest(depth: DepthMap, size: Size) -> DepthMap:
    """Resize to the nearest pixels, since a mean across an occluding edge lies on no surface."""
    if depth.shape == size:
        return depth
    cv2 = import_opencv()
    width_and_height = (size[1], size[0])
    nearest = cv2.INTER_NEAREST_EXACT
    values = cv2.resize(depth.values, width_and_height, interpolation=nearest)
    valid = cv2.resize(depth.valid.astype(np.uint8), width_and_height, interpolation=nearest)
    return DepthMap(values=values, kind=depth.kind, valid=valid > 0)
