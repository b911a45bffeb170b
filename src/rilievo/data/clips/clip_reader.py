"""Frames of a single clip in order, for fusing and for trajectories."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transforms
from rilievo.data.clips.footage import ClipCamera, SourceKind, VideoData
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera
from rilievo.data.clips.sequences import ClipFrame, FrameReader
from rilievo.data.clips.sources import list_sequences, with_counted_frames
from rilievo.data.datasets.text_files import parse_numbers
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.files.names import printable
from rilievo.io.videos import open_video


class ClipReader:
    """Reads the frames of a video, a folder of frames, or a sequence of KITTI odometry.

    Args:
        place: The video or the folder.
        poses: File of true poses, or ``auto`` for the one beside the frames.
        camera: Camera given by the user.
        file_calibration: Calibration stated in a file of poses, used if nothing else is known.

    Attributes:
        clip: The clip.
        count: Number of frames; of a video, an estimate until ``walk`` has finished, or 0.
        fault: Why a video ends too early, after ``walk``; None if it does not.
    """

    def __init__(
        self,
        place: Path,
        poses: Path | None = None,
        camera: ClipCamera | None = None,
        *,
        file_calibration: FrameCalibration | None = None,
    ) -> None:
        data = _video_data(place, poses, camera or ClipCamera())
        clips = list_sequences(data)
        if len(clips) > 1:
            raise InputError(
                f"{printable(place)}: contains {len(clips)} clips, such as "
                f"{printable(clips[0].id)} and {printable(clips[1].id)}; give the path of one of "
                "them"
            )
        [clip] = clips
        if file_calibration is not None and clip.camera.camera.source is CameraSource.ASSUMED:
            clip = replace(
                clip,
                camera=choose_camera(data, clip.shape, clip.id, file_calibration=file_calibration),
            )
        self.clip = clip
        self.count = len(clip.files)
        if clip.video is not None:
            self.count = open_video(clip.video).frame_estimate or 0
        self.fault: str | None = None

    def walk(self, size: tuple[int, int], stride: int) -> Iterator[ClipFrame]:
        """Yield every ``stride``-th frame at a size, without lens distortion.

        A frame that cannot be read has a problem in place of pixels.
        """
        if self.clip.video is not None:
            yield from self._walk_video(self.clip.video, size, stride)
            return
        frames = FrameReader(self.clip, size)
        for index in range(0, len(self.clip.files), stride):
            file = self.clip.files[index]
            pixels_or_problem = frames.read(index)
            is_broken = isinstance(pixels_or_problem, str)
            yield ClipFrame(
                index=index,
                name=self.clip.frame_name(index),
                seconds=_seconds_by_name_or_number(file, self.clip.frame_numbers[index]),
                pixels=None if is_broken else pixels_or_problem,
                problem=pixels_or_problem if is_broken else None,
            )

    def true_poses(self) -> Transforms | None:
        """Return true ``world_T_cam`` of all frames, NaN where unknown; None if there are none.

        Poses of a video are known after ``walk``, which counts its frames.
        """
        if self.clip.video is None:
            return self.clip.poses
        return with_counted_frames(self.clip, self.count).poses

    def _walk_video(self, video: Path, size: tuple[int, int], stride: int) -> Iterator[ClipFrame]:
        """Yield every ``stride``-th frame of a video, and count all frames on the way."""
        reader = open_video(video)
        frames = FrameReader(self.clip, size)
        count = 0
        for frame in reader:
            count = frame.index + 1
            if frame.index % stride:
                continue
            yield ClipFrame(
                index=frame.index,
                name=self.clip.frame_name(frame.index),
                seconds=float(frame.ticks * reader.time_base),
                pixels=frames.resize(frame.photo.pixels),
            )
        self.count = count
        self.fault = reader.fault


def _video_data(clip: Path, poses: Path | None, camera: ClipCamera) -> VideoData:
    """Options that list one clip: a sequence of KITTI odometry by its layout, or any footage."""
    has_kitti_files = (clip / "calib.txt").is_file() and (clip / "image_2").is_dir()
    folder = clip.resolve()
    is_odometry = has_kitti_files and folder.parent.name == "sequences"
    root = folder.parent.parent if is_odometry else clip
    return VideoData(
        kind=SourceKind.KITTI_ODOMETRY if is_odometry else SourceKind.FRAMES,
        roots=(str(root),),
        split=folder.name if is_odometry else None,
        poses=None if poses is None else str(poses),
        camera=camera.camera,
        camera_file=None if camera.camera_file is None else str(camera.camera_file),
        fov=camera.fov,
    )


def _seconds_by_name_or_number(file: Path, number: int) -> float:
    """Time in the name of a file, as in TUM RGB-D; without one, the number of the frame."""
    times = parse_numbers(file.stem) if "." in file.stem else None
    if times and len(times) == 1 and np.isfinite(times[0]):
        return times[0]
    return float(number)
