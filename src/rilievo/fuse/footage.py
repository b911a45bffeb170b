"""Frames of the clip that is fused, with their camera and, where it is known, their pose."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from rilievo.errors import InputError
from rilievo.fuse.options import FuseOptions
from rilievo.fuse.poses import FrameKey, PoseFile
from rilievo.io.frames import open_video
from rilievo.io.limits import printable
from rilievo.odometry.frames import seconds_of
from rilievo.train.video.camera import choose_camera
from rilievo.train.video.config import VideoData
from rilievo.train.video.reading import at_size, frame_or_reason, how_straight
from rilievo.train.video.sequences import FrameSequence
from rilievo.train.video.sources import list_sequences
from rilievo.train.video.trajectory import AUTO
from rilievo.types import Camera, CameraSource


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseFrame:
    """One frame of the clip at its own size, without lens distortion.

    Attributes:
        key: Names of the frame in files of poses and depth.
        pixels: RGB; None for a broken frame.
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
        notes: Warnings, one line each.
    """

    def __init__(self, clip: Path, options: FuseOptions, poses: PoseFile | None) -> None:
        """Find the frames and the camera of a clip.

        Raises:
            InputError: If it is no clip or several, or the camera cannot be that of its frames.
            OptionError: If no camera has the given numbers.
        """
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
        """Yield every ``stride``-th frame.

        Raises:
            InputError: If frames differ in size.
        """
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
