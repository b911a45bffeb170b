"""Depth of frames by a model or from files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Size, Values
from rilievo.data.clips.pose_files import frame_stem
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.data.datasets.text_files import contents_text, names_in
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.data.fuse.plane_sweep import import_opencv
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Text
from rilievo.extensions.trust import trust
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.crops import parse_placement
from rilievo.io.depth.encoding import NumberEncoding, parse_encoding
from rilievo.io.depth.inverse_depth import straight_surface_warnings
from rilievo.io.depth.pasting import paste_nearest
from rilievo.io.depth.placement import PlacementWords, place_map
from rilievo.io.depth.statements import DISTANCE, DepthStatement
from rilievo.io.depth.stored_depth import StoredDepth, read_stored_depth, stored_depth_warnings
from rilievo.io.files.names import printable
from rilievo.models import FAST_MODEL, load_model
from rilievo.models.resampling.preparation import shrink
from rilievo.prediction.readback import read_prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

_MAP_SUFFIXES = (".npz", ".npy", ".png", ".tiff", ".tif", ".exr", ".pfm", ".pgm")

_FRAMES_LOOKED_AT = 12  # of a clip, whose surfaces show whether its files hold inverse depth
_GUESSED_UNIT = 0.001  # [m], of whole numbers of no stated unit: millimetres


@runtime_checkable
class ClipDepth(Protocol):
    """Source of the depth of frames."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on how the numbers of its files were read."""
        ...

    def __call__(self, frame: ClipFrame, camera: Camera, size: Size) -> DepthMap | str:
        """Depth of a frame, or a line on why it has none."""
        ...


def choose_depth_source(options: FuseOptions) -> ClipDepth:
    """Source that predicts depth, or reads files."""
    if options.depth is not None:
        return _FileDepth(
            options.depth, options.depth_unit, options.depth_crop, options.depth_encoding
        )
    trust(options.trust_code)
    return _ModelDepth(options.model or FAST_MODEL)


class _ModelDepth:
    notes: Sequence[str] = ()

    def __init__(self, name: str) -> None:
        self._model = load_model(name)
        kind = self._model.card.kind
        if kind is None or not kind.is_depth:
            what = "normals alone" if kind is None else f"depth of kind '{kind}'"
            raise OptionError(
                f"{name}: gives {what}, of which no surface can be fused: take a model of kind "
                "'metric' or 'up_to_scale' (rilievo models)"
            )

    def __call__(self, frame: ClipFrame, camera: Camera, size: tuple[int, int]) -> DepthMap | str:
        pixels = frame.pixels
        assert pixels is not None, "broken frames have no depth"
        [answer] = self._model.infer([Photo(pixels=pixels, name=frame.name, camera=camera)])
        small = Photo(pixels=shrink(pixels, size), name=frame.name)
        return self._model.finish(answer, small).depth


class _FileDepth:
    def __init__(
        self,
        folder: Path,
        unit: float | None,
        crop: str | None = None,
        encoding: str | None = None,
    ) -> None:
        names = sorted(
            name for name in names_in(folder) if Path(name).suffix.lower() in _MAP_SUFFIXES
        )
        depths = [name for name in names if ".depth" in name.lower()]
        self._folder, self._unit = folder, unit
        self._place = None if crop is None else parse_placement(crop, "depth_crop")
        self._declared = None if encoding is None else parse_encoding(encoding, "depth_encoding")
        self._doubts: dict[str, list[str]] = {}
        self._files: dict[str, str] = {}
        # Where a frame has several files, npz is the most exact.
        for name in sorted(
            depths or names, key=lambda name: _MAP_SUFFIXES.index(Path(name).suffix.lower())
        ):
            self._files.setdefault(frame_stem(name), name)
        if not self._files:
            raise InputError(
                f"{printable(folder)}: has no depth files ({', '.join(_MAP_SUFFIXES)}), found "
                f"{contents_text(folder)}"
            )

        self._looked_at = evenly_spread(sorted(self._files.values()), _FRAMES_LOOKED_AT)

    @property
    def notes(self) -> Sequence[str]:
        """What the numbers of the files look like besides depth, each once."""
        notes = []
        for doubt, names in self._doubts.items():
            more = "" if len(names) == 1 else f" and {len(names) - 1:,} more"
            notes.append(f"{printable(names[0])}{more}: {doubt}")
        return notes

    def __call__(self, frame: ClipFrame, camera: Camera, size: tuple[int, int]) -> DepthMap | str:
        name = self._files.get(frame_stem(frame.name), self._files.get(f"{frame.index:06d}"))
        if name is None:
            return f"{frame.name}: has no depth file in {printable(self._folder)}"
        depth = self._read_depth(self._folder / name)
        if not depth.is_depth:
            raise InputError(
                f"{printable(self._folder / name)}: has values of kind '{depth.kind}', of which no "
                "surface can be fused: predict with a model of kind 'metric' or 'up_to_scale'"
            )
        if depth.is_distance:
            raise InputError(
                f"{printable(self._folder / name)}: has distances along the ray, and fusing takes "
                "depth along the optical axis, of a camera without distortion: predict frames of "
                "such a camera"
            )
        pixels = frame.pixels
        if pixels is not None:
            depth = self._put_into_frame(depth, (pixels.shape[0], pixels.shape[1]), name)
        return _resize_nearest(depth, size)

    def _put_into_frame(self, depth: DepthMap, frame: Size, name: str) -> DepthMap:
        """Depth of all of the frame; depth of a part is unknown elsewhere."""
        words = PlacementWords(map="depth", picture="the frame", option="depth_crop")
        try:
            values = np.where(depth.valid, depth.values, 0)
            place = place_map(depth.shape, frame, self._place, words, values=values)
        except InputError as error:
            raise InputError(problem=Text(error), path=printable(self._folder / name)) from error
        for note in place.notes:
            self._doubts.setdefault(note, []).append(name)
        if place.crop.shape == frame:
            return depth
        values = paste_nearest(depth.values, place, frame, 1)
        valid = paste_nearest(depth.valid, place, frame, False)
        return replace(depth, values=values, valid=valid)

    def _read_depth(self, path: Path) -> DepthMap:
        is_own = path.suffix != ".npy" or not path.with_suffix("").suffix
        if is_own and self._declared is None:
            try:
                return read_prediction(path).depth
            except InputError:
                if path.suffix == ".npz":
                    raise
        numbers = read_stored_depth(path, encoding=self._declared, is_scaled=self._unit is not None)
        return self._depth_of_numbers(numbers, path)

    def _depth_of_numbers(self, numbers: StoredDepth, path: Path) -> DepthMap:
        """Depth of numbers, as the file and the user say what they mean."""
        stored, stated = numbers.stored, numbers.statement
        is_whole = stored.dtype.kind in "ui"
        if stored.dtype == np.uint8 and not stated.is_decodable:
            raise InputError(
                "has numbers of 8 bits, which are mostly a picture of depth; depth has 16 bits, or "
                "is floating-point",
                path=printable(path),
            )
        if self._unit is not None and stated.is_decodable:
            raise OptionError(
                option="depth_unit",
                problem="is for numbers that do not state theirs",
                hint=f"{printable(path)} does ({stated.source})",
            )
        unit = self._unit
        if unit is None:
            unit = _GUESSED_UNIT if is_whole else 1.0
        values = numbers.values.astype(np.float32) * np.float32(1 if stated.is_decodable else unit)
        valid = np.isfinite(values) & (values > 0)
        if stored.dtype == np.uint16 and not stated.is_decodable:
            valid &= stored < np.iinfo(np.uint16).max
        declared = NumberEncoding() if self._declared is None else self._declared
        farthest = np.inf if declared.max_depth is None else declared.max_depth
        valid &= (values >= declared.min_depth) & (values <= farthest)
        kind = DepthKind.METRIC if stated.kind in (None, DISTANCE) else _known_kind(stated, path)
        self._collect_doubts(numbers, values[valid], unit, path.name)
        if path.name in self._looked_at and stated.kind != DISTANCE:
            for doubt in straight_surface_warnings(values.astype(np.float64), valid):
                self._doubts.setdefault(doubt, []).append(path.name)
        return DepthMap(
            values=np.where(valid, values, np.float32(1)),
            kind=kind,
            valid=valid,
            is_distance=stated.kind == DISTANCE,
        )

    def _collect_doubts(self, numbers: StoredDepth, depth: Values, unit: float, name: str) -> None:
        is_metric = numbers.statement.kind in (None, DepthKind.METRIC)
        for doubt in stored_depth_warnings(
            numbers,
            depth.astype(np.float64) if is_metric else None,
            unit=unit,
            invalid=(0.0,) if numbers.statement.linear_range is None else (),
            max_depth=None if self._declared is None else self._declared.max_depth,
            is_unit_declared=self._unit is not None,
        ):
            self._doubts.setdefault(doubt, []).append(name)


def _known_kind(stated: DepthStatement, path: Path) -> DepthKind:
    """Return the kind of depth that a file states.

    Raises:
        InputError: If frames of this kind cannot be fused.
    """
    if stated.kind not in list(DepthKind):
        raise InputError(
            f"states the kind '{stated.kind}', which cannot be fused; convert the file to depth "
            "along the optical axis",
            path=printable(path),
        )
    return DepthKind(stated.kind)


def _resize_nearest(depth: DepthMap, size: tuple[int, int]) -> DepthMap:
    """Nearest depth, since a mean lies on no surface."""
    if depth.shape == size:
        return depth
    cv2 = import_opencv()
    to = (size[1], size[0])
    values = cv2.resize(depth.values, to, interpolation=cv2.INTER_NEAREST_EXACT)
    valid = cv2.resize(depth.valid.astype(np.uint8), to, interpolation=cv2.INTER_NEAREST_EXACT)
    return DepthMap(values=values, kind=depth.kind, valid=valid > 0)
