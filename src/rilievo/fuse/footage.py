"""Frames of the clip that is fused, with their camera, their depth and, where known, their pose."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from rilievo.datasets.files import found_in, names_in
from rilievo.errors import InputError, OptionError
from rilievo.fuse.options import FuseOptions
from rilievo.fuse.poses import FrameKey, PoseFile, stem_of
from rilievo.fuse.sweep import opencv
from rilievo.io.frames import open_video
from rilievo.io.limits import printable
from rilievo.io.numbers import read_numbers
from rilievo.io.readback import read_prediction
from rilievo.models import load_model
from rilievo.models.quality import model_of
from rilievo.models.sampling import shrink
from rilievo.odometry.frames import seconds_of
from rilievo.train.video.camera import choose_camera
from rilievo.train.video.config import VideoData
from rilievo.train.video.reading import at_size, frame_or_reason, how_straight
from rilievo.train.video.sequences import FrameSequence
from rilievo.train.video.sources import list_sequences
from rilievo.train.video.trajectory import AUTO
from rilievo.types import Camera, CameraSource, DepthKind, DepthMap, Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseFrame:
    """One frame of the clip at its own size, without lens distortion.

    Attributes:
        problem: Error message, one line; None for a good frame.
    """

    key: FrameKey
    pixels: UInt8[np.ndarray, "h w 3"] | None = None
    problem: str | None = None


class Footage:
    """A video or a folder of frames; one frame is decoded at a time.

    Attributes:
        camera: Camera of the frames at their own size.
        count: Number of all frames; for a video an estimate until it was read to its end.
        fault: Problem found in a video, set after it was read; None if there was none.
    """

    def __init__(self, clip: Path, options: FuseOptions, poses: PoseFile | None) -> None:
        """Find the frames and the camera of a clip."""
        beside = options.poses is not None and str(options.poses) == AUTO
        data = VideoData(
            roots=(str(clip),),
            camera=options.camera,
            camera_file=None if options.camera_file is None else str(options.camera_file),
            fov=options.fov,
            poses=AUTO if beside else None,
        )
        found = list_sequences(data)
        if len(found) > 1:
            raise InputError(
                f"{printable(clip)}: holds {len(found)} clips, such as {printable(found[0].id)} "
                f"and {printable(found[1].id)}; name one of them"
            )
        self._sequence = _with_camera(found[0], data, poses)
        self._beside = self._sequence.poses if beside else None
        self.camera: Camera = self._sequence.camera.camera
        note = self._sequence.camera.note
        # What it advises beside --camera and --fov are options of training.
        self.notes = () if note is None else (note.split("; give camera")[0],)
        self.fault: str | None = None
        self.count = len(self._sequence.files)
        if self._sequence.video is not None:
            self.count = open_video(self._sequence.video).frame_estimate or 0

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frames [px]."""
        return self._sequence.shape

    @property
    def poses_file(self) -> Path | None:
        """File of poses beside a video, where poses were asked for as 'auto'."""
        return self._sequence.poses_file

    def walk(self, stride: int) -> Iterator[FuseFrame]:
        """Yield every ``stride``-th frame."""
        if self._sequence.video is not None:
            yield from self._of_video(self._sequence.video, stride)
            return
        how = how_straight(self._sequence)
        for index in range(0, self.count, stride):
            file = self._sequence.files[index]
            found = frame_or_reason(self._sequence, index, self.shape, how)
            key = FrameKey(index=index, name=file.name, seconds=seconds_of(file, index))
            if isinstance(found, str):
                yield FuseFrame(key=key, problem=found)
            else:
                yield FuseFrame(key=key, pixels=found)

    def poses_beside(self) -> Float64[np.ndarray, "n 4 4"] | None:
        """``world_T_cam`` of all frames from files beside them, NaN where unknown; None without."""
        return self._beside

    def _of_video(self, video: Path, stride: int) -> Iterator[FuseFrame]:
        reader, how = open_video(video), how_straight(self._sequence)
        count = 0
        for frame in reader:
            count = frame.index + 1
            if frame.index % stride:
                continue
            key = FrameKey(
                index=frame.index,
                name=f"{frame.index:06d}",
                seconds=float(frame.ticks * reader.time_base),
            )
            yield FuseFrame(key=key, pixels=at_size(frame.photo.pixels, self.shape, how))
        self.count, self.fault = count, reader.fault


def _with_camera(sequence: FrameSequence, data: VideoData, poses: PoseFile | None) -> FrameSequence:
    """Take the camera of the file of poses, where nothing better is known."""
    if poses is None or poses.camera is None:
        return sequence
    if sequence.camera.camera.source is not CameraSource.ASSUMED:
        return sequence
    chosen = choose_camera(data, sequence.shape, sequence.id, beside=poses.camera)
    return replace(sequence, camera=chosen)


DepthOf = Callable[[FrameKey, UInt8[np.ndarray, "h w 3"], Camera, tuple[int, int]], DepthMap | str]
"""Function from a frame, its pixels, its camera and a size to its depth at that size, or to one
line on why it has none."""

_SUFFIXES = (".npz", ".npy", ".png", ".tiff", ".tif", ".exr", ".pfm", ".pgm")


def depth_of_options(options: FuseOptions) -> DepthOf:
    """Find where depth comes from."""
    if options.depth is not None:
        return _FileDepth(options.depth, options.depth_unit)
    return _ModelDepth(model_of(options.quality, options.model or None))


class _ModelDepth:
    def __init__(self, name: str) -> None:
        self._model = load_model(name)
        kind = self._model.card.kind
        if kind is None or not kind.is_depth:
            what = "normals alone" if kind is None else f"depth of kind '{kind}'"
            raise OptionError(
                f"{name}: gives {what}, of which no surface can be fused: take a model of kind "
                "'metric' or 'up_to_scale' (rilievo models)"
            )

    def __call__(
        self,
        key: FrameKey,
        pixels: UInt8[np.ndarray, "h w 3"],
        camera: Camera,
        size: tuple[int, int],
    ) -> DepthMap | str:
        [answer] = self._model.infer([Photo(pixels=pixels, name=key.name, camera=camera)])
        small = Photo(pixels=shrink(pixels, size), name=key.name)
        return self._model.finish(answer, small).depth


class _FileDepth:
    def __init__(self, folder: Path, unit: float) -> None:
        names = sorted(name for name in names_in(folder) if Path(name).suffix.lower() in _SUFFIXES)
        depths = [name for name in names if ".depth" in name.lower()]
        self._folder, self._unit = folder, unit
        self._files: dict[str, str] = {}
        # Where a frame has several files, npz is the most exact.
        for name in sorted(depths or names, key=_exactness):
            self._files.setdefault(stem_of(name), name)
        if not self._files:
            raise InputError(
                f"{printable(folder)}: has no depth files ({', '.join(_SUFFIXES)}), found "
                f"{found_in(folder)}"
            )

    def __call__(
        self,
        key: FrameKey,
        pixels: UInt8[np.ndarray, "h w 3"],
        camera: Camera,
        size: tuple[int, int],
    ) -> DepthMap | str:
        name = self._files.get(stem_of(key.name), self._files.get(f"{key.index:06d}"))
        if name is None:
            return f"{key.name}: has no depth file in {printable(self._folder)}"
        depth = self._read(self._folder / name)
        if not depth.is_depth:
            raise InputError(
                f"{printable(self._folder / name)}: has values of kind '{depth.kind}', of which no "
                "surface can be fused: predict with a model of kind 'metric' or 'up_to_scale'"
            )
        return _resized(depth, size)

    def _read(self, path: Path) -> DepthMap:
        if path.suffix != ".npy" or not path.with_suffix("").suffix:
            try:
                return read_prediction(path).depth
            except InputError:
                if path.suffix == ".npz":
                    raise
        stored = read_numbers(path)
        if stored.ndim != 2 or stored.dtype == np.uint8:
            raise InputError(
                f"{printable(path)}: has {stored.dtype} numbers of shape {stored.shape}; depth is "
                "(height, width), of 16 bits or of floats"
            )
        factor = self._unit if stored.dtype.kind in "ui" else 1.0
        values = stored.astype(np.float32) * np.float32(factor)
        valid = np.isfinite(values) & (values > 0)
        if stored.dtype == np.uint16:
            valid &= stored < np.iinfo(np.uint16).max
        return DepthMap(values=np.where(valid, values, 1), kind=DepthKind.METRIC, valid=valid)


def _exactness(name: str) -> int:
    return _SUFFIXES.index(Path(name).suffix.lower())


def _resized(depth: DepthMap, size: tuple[int, int]) -> DepthMap:
    """Take the nearest pixel's depth: a mean over an edge lies on no surface."""
    if depth.shape == size:
        return depth
    cv2 = opencv()
    to = (size[1], size[0])
    values = cv2.resize(depth.values, to, interpolation=cv2.INTER_NEAREST_EXACT)
    valid = cv2.resize(depth.valid.astype(np.uint8), to, interpolation=cv2.INTER_NEAREST_EXACT)
    return DepthMap(values=values, kind=depth.kind, valid=valid > 0)
