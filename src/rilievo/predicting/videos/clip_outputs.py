"""Write the results of a predicted video: video files, a folder of frames, and the JSON."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import InputError, explain_missing_extra
from rilievo.geometry.borders import Margins
from rilievo.io.checksums import FileSum, compute_file_sum
from rilievo.io.files.commit import FileSet
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import InvalidRecordError, from_json
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import (
    CameraFacts,
    FileFacts,
    Sidecar,
    make_sidecar,
)
from rilievo.io.outputs.video_drawing import ClipDepthRange, Drawing, DrawnFrame, VideoJob
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.videos.frame_source import Coding, Frame, SoundSource, VideoFormat
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS, Need, VideoForm
from rilievo.prediction.saving import make_drawing, prediction_for_output, write_file
from rilievo.records.prediction_record import Anchoring

if TYPE_CHECKING:
    from rilievo.io.videos.video_writer import VideoWriter

Rendered = DrawnFrame | None
"""A rendered frame; None if it has been written already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """Record of a video in the JSON.

    Attributes:
        frames: Number of frames.
        rate: Frames per second.
        time_base: Duration of a tick [s], as a fraction.
        ticks: Time of each frame from ``origin`` [ticks]; Matroska rounds to the millisecond.
        origin: Time in the source that is zero in the results [s], as a fraction.
        shots: First frame of each shot; the scales of shots are unrelated unless metric.
        scales: Factor by which the depth of each frame was multiplied.
        shifts: Value that was added to it after that.
        sound: What was done with the source's sound.
        notes: Notes on the source and the results.
        faults: What was wrong in the source's pictures or sound.
        still: First and last frame of each stretch in which the camera stands still.
        names: Files of a folder of frames; empty for a video.
        borders: Borders of each shot, which have no depth; empty if there are none.
        cameras: Camera of each shot; empty if all have the same.
        anchorings: Anchoring of each shot; empty if depth was not anchored.
    """

    frames: int
    rate: float
    time_base: str
    ticks: tuple[int, ...]
    origin: str
    shots: tuple[int, ...]
    scales: tuple[float, ...]
    shifts: tuple[float, ...]
    sound: str
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    still: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    borders: tuple[Margins, ...] = ()
    cameras: tuple[CameraFacts, ...] = ()
    anchorings: tuple[Anchoring, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSidecar(Sidecar):
    """JSON beside the results of a video."""

    video: VideoFacts


def find_clip_sidecar(path: Path) -> ClipSidecar | None:
    """Read the JSON of a video; None if it does not exist here or cannot be read."""
    try:
        return from_json(ClipSidecar, read_text(path)) if path.exists() else None
    except (InputError, InvalidRecordError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFormat:
    """Properties that all results of a video share.

    Attributes:
        size: Height and width [px].
        time_base: Duration of a tick [s].
        sound: Sound that is copied into videos of pictures, if any.
        depth_range: Range of depth; None if the model predicts no depth.
    """

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    sound: SoundSource | None
    depth_range: ClipDepthRange | None
    options: SaveOptions

    def video(self, coding: Coding) -> VideoFormat:
        """Return the format of a video file with these properties."""
        return VideoFormat(size=self.size, rate=self.rate, time_base=self.time_base, coding=coding)


class Sink(ABC):
    """Writer of one result: ``render`` each frame, ``write`` them in order, then ``finish``."""

    @property
    def fault(self) -> str | None:
        """What was wrong with the source's sound; None if nothing was."""
        return None

    @abstractmethod
    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Render a frame. It is called from several threads, and in any order of frames."""

    @abstractmethod
    def write(self, rendered: Rendered, ticks: int) -> None:
        """Write the next frame, which is shown at ``ticks`` from the origin."""

    @abstractmethod
    def finish(self) -> list[FileFacts]:
        """Complete the result, and return the records of its files for the JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameFile:
    """Record of one frame's file, with the checksum."""

    facts: FileFacts
    sum: FileSum


class FolderSink(Sink):
    """Writer of a folder with the files of all frames: ``000000.depth.npy``, and so on."""

    def __init__(
        self, part: Path, folder: str, outputs: tuple[str, ...], clip_format: ClipFormat
    ) -> None:
        """Write into the temporary folder ``part``, which is renamed to ``folder`` at the end."""
        self._part = part
        self._folder = folder
        self._clip_format = clip_format
        # For each output, its files by the index of their frame.
        self._files_by_output: dict[str, dict[int, _FrameFile]] = {output: {} for output in outputs}

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Write the files of a frame at once, in the thread that renders it."""
        sidecar = make_sidecar(prediction)
        depth = prediction.depth_or_none
        has_no_surface = depth is not None and not depth.valid.any()  # such as a frame of sky
        for output, frame_files in self._files_by_output.items():
            needs_surface = Need.CAMERA in OUTPUTS[output].needs
            if needs_surface and has_no_surface:
                continue
            frame_files[frame.index] = self._write_output(output, prediction, sidecar, frame.stem)
        return None

    def _write_output(
        self, output: str, prediction: Prediction, sidecar: Sidecar, stem: str
    ) -> _FrameFile:
        """Write one output of a frame to a file that begins with ``stem``.

        ``sidecar`` is the JSON of the prediction. It is made again if the output needs another
        prediction, such as one of anchored depth.
        """
        name = stem + OUTPUTS[output].suffix
        path = self._part / name
        output_prediction = prediction_for_output(prediction, output)
        if output_prediction is not prediction:
            sidecar = make_sidecar(output_prediction)
        depth_range = self._clip_format.depth_range
        facts = write_file(
            WriteJob(
                path=path,
                file=name,
                output=output,
                prediction=output_prediction,
                options=self._clip_format.options,
                sidecar=sidecar,
                depth_range=None if depth_range is None else depth_range.ends,
            )
        )
        return _FrameFile(facts=facts, sum=compute_file_sum(path))

    def write(self, rendered: Rendered, ticks: int) -> None:
        """Do nothing, because ``render`` wrote the files."""

    def finish(self) -> list[FileFacts]:
        """Return the record of each output in the folder."""
        return [self._folder_facts(files) for files in self._files_by_output.values() if files]

    def _folder_facts(self, frame_files: Mapping[int, _FrameFile]) -> FileFacts:
        """Combine the records of one output's files, by their frames, to one for the JSON."""
        # Sorted, because threads render frames in any order.
        files = [frame_files[index] for index in sorted(frame_files)]
        facts = files[0].facts
        return replace(
            facts,
            file=self._folder,
            holds=f"{facts.file} and the following files, one per frame: {facts.holds}",
            bytes=sum(file.sum.bytes for file in files),
            crc32=None,
            frames={file.facts.file: file.sum for file in files},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedResult:
    """Result of a video that will be written: a video, or the folder of frames.

    Attributes:
        outputs: Outputs that it holds; a video holds one.
        video: How the output is written as a video; None for the folder.
    """

    path: Path
    outputs: tuple[str, ...]
    video: VideoForm | None = None


def check_videos_can_be_written(results: Sequence[PlannedResult]) -> None:
    """Check before the first pass that the package for the planned videos is installed.

    Raises:
        MissingExtraError: If PyAV is not installed.
    """
    video_outputs = [name for result in results if result.video for name in result.outputs]
    if video_outputs:
        with explain_missing_extra(f"writing {', '.join(video_outputs)} as a video", "video"):
            import_module("av")


def plan_results(
    target: Path, outputs: Sequence[str], *, picture_suffix: str, is_sequence: bool
) -> tuple[PlannedResult, ...]:
    """Decide which outputs become videos, and which become files of the folder of frames.

    ``picture_suffix`` is the suffix of videos of pictures. If the source is a folder of frames
    (``is_sequence``), 16-bit numbers are written as a file for each frame, too.
    """
    results: list[PlannedResult] = []
    folder_outputs: list[str] = []
    for output in outputs:
        video = OUTPUTS[output].video
        if video is None or (video.is_numbers and is_sequence):
            folder_outputs.append(output)
            continue
        stem = OUTPUTS[output].suffix.rpartition(".")[0]
        suffix = stem + (".mkv" if video.is_numbers else picture_suffix)
        path = target.with_name(target.name + suffix)
        results.append(PlannedResult(path=path, outputs=(output,), video=video))
    if folder_outputs:
        path = target.with_name(f"{target.name}.frames")
        results.append(PlannedResult(path=path, outputs=tuple(folder_outputs)))
    return tuple(results)


class VideoSink(Sink):
    """Writer of a video whose frames are drawn from predictions."""

    def __init__(self, writer: "VideoWriter", drawing: Drawing) -> None:
        """Write the frames that are drawn from predictions."""
        self._writer, self._drawing = writer, drawing

    @property
    def fault(self) -> str | None:
        """What was wrong with the source's sound; None if nothing was."""
        return self._writer.fault

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        output = self._drawing.facts.output
        return self._drawing.draw(prediction_for_output(prediction, output))

    def write(self, rendered: Rendered, ticks: int) -> None:
        """Encode the next frame."""
        assert rendered is not None, "a video has a picture of every frame"
        self._writer.write(rendered, ticks)

    def finish(self) -> list[FileFacts]:
        """Close the video, and return the record of its file."""
        self._writer.finish()
        file_sum = compute_file_sum(self._writer.part)
        return [replace(self._drawing.facts, bytes=file_sum.bytes, sha256=file_sum.sha256)]


def open_video_sink(
    result: PlannedResult,
    video: VideoForm,
    clip_format: ClipFormat,
    file_set: FileSet,
    open_writers: ExitStack,
) -> VideoSink:
    """Open a video for writing under a temporary name.

    ``file_set`` renames it at the end, and ``open_writers`` closes it.
    """
    # Imported on demand, because it needs PyAV, which folders of frames do not need.
    from rilievo.io.videos.video_writer import writing_part

    [output] = result.outputs
    drawing = make_drawing(
        VideoJob(
            file=result.path.name,
            output=output,
            size=clip_format.size,
            depth_range=clip_format.depth_range,
            options=clip_format.options,
        )
    )
    video_format = clip_format.video(Coding.NUMBERS if video.is_numbers else Coding.PICTURE)
    if drawing.size is not None:
        video_format = replace(video_format, size=drawing.size)
    part = file_set.create_part(result.path)
    sound = None if video.is_numbers else clip_format.sound
    writer = open_writers.enter_context(writing_part(result.path, part, video_format, sound=sound))
    return VideoSink(writer, drawing)
