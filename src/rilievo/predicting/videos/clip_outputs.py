"""Outputs of a video: folders, videos, facts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rilievo.arrays.shapes import Pixels, UInt16
from rilievo.geometry.borders import Margins
from rilievo.io.checksums import FileSum, sum_of
from rilievo.io.files.commit import FileSet
from rilievo.io.map_pictures import (
    NORMALS_AXES,
    ColourRange,
    Drawn,
    colour_range_from_depths,
    normals_picture,
)
from rilievo.io.outputs.formats.colour_files import colour_facts, depth_picture
from rilievo.io.outputs.formats.picture_files import stereo_range, stereo_words
from rilievo.io.outputs.formats.png16 import choose_quantisation, count_note, encode
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import (
    MEANINGS,
    UNITS,
    CameraFacts,
    FileFacts,
    Sidecar,
    make_sidecar,
)
from rilievo.io.outputs.sky import normals_mask
from rilievo.io.outputs.stereo import stereo_picture, stereo_size
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.videos.frame_source import Coding, Frame, SoundSource, VideoFormat
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_record import Need, VideoForm, import_function
from rilievo.prediction.saving import needed_parts, prediction_for_output, write_file
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring
from rilievo.records.sample import Photo

if TYPE_CHECKING:
    from rilievo.io.videos.video_writer import VideoWriter

Rendered = Pixels | UInt16[np.ndarray, "h w"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """Facts about a video.

    Attributes:
        rate: Frames per second.
        time_base: Seconds of a tick, as a fraction.
        ticks: Time from ``origin`` [ticks]; Matroska rounds to the millisecond.
        origin: Time in the source [s], as a fraction.
        shots: First frames; scales of shots are unrelated unless metric.
        borders: Borders left out of each shot.
        cameras: Camera of each shot; empty if one.
        anchorings: Anchoring of each shot.
        scales: Factor of each frame's numbers.
        shifts: Number added after that.
        names: Files of a sequence.
        still: First and last frame of still stretches.
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
    """Facts for readers of a video's results."""

    video: VideoFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Range of the depth of a video."""

    kind: DepthKind
    low: float
    high: float
    colours: ColourRange
    has_sky: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """Range that 16-bit numbers can state."""
        return self.low, self.high or 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipForm:
    """Properties that a video's results share."""

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    sound: SoundSource | None
    extent: Extent | None
    options: SaveOptions

    def video(self, coding: Coding) -> VideoFormat:
        """Format of a video file with these."""
        return VideoFormat(size=self.size, rate=self.rate, time_base=self.time_base, coding=coding)


class Sink(ABC):
    """Writer of a video's predictions."""

    @property
    def fault(self) -> str | None:
        """Fault in the sound, one line."""
        return None

    @abstractmethod
    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Make a frame's data, in any order, from several threads."""

    @abstractmethod
    def write(self, rendered: Rendered, ticks: int) -> None:
        """Write the next frame, shown at ``ticks``."""

    @abstractmethod
    def finish(self) -> list[FileFacts]:
        """Complete the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameFile:
    facts: FileFacts
    sum: FileSum


class FolderSink(Sink):
    """Folder of each frame's files, ``000000.depth.npy`` and on."""

    def __init__(self, part: Path, folder: str, outputs: tuple[str, ...], form: ClipForm) -> None:
        self._part, self._folder, self._form = part, folder, form
        self._written: dict[str, dict[int, _FrameFile]] = {output: {} for output in outputs}

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Write the files of a frame."""
        about, extent = make_sidecar(prediction), self._form.extent
        depth = prediction.depth_or_none
        is_empty = depth is not None and not depth.valid.any()
        for output, written in self._written.items():
            if is_empty and Need.CAMERA in OUTPUTS[output].needs:
                continue  # no pixel has depth (only sky, say), so there is no surface to write
            name = frame.stem + OUTPUTS[output].suffix
            made_of = prediction_for_output(prediction, output)
            facts = write_file(
                WriteJob(
                    path=self._part / name,
                    file=name,
                    output=output,
                    prediction=made_of,
                    options=self._form.options,
                    about=about if made_of is prediction else make_sidecar(made_of),
                    extent=None if extent is None else extent.ends,
                )
            )
            written[frame.index] = _FrameFile(facts=facts, sum=sum_of(self._part / name))
        return None

    def write(self, rendered: Rendered, ticks: int) -> None:
        """Do nothing: ``render`` wrote the files."""

    def finish(self) -> list[FileFacts]:
        """Facts of the first frame's files."""
        return [self._folder_facts(written) for written in self._written.values() if written]

    def _folder_facts(self, written: Mapping[int, _FrameFile]) -> FileFacts:
        # Frames are drawn by several threads, so any may have come first.
        files = [written[index] for index in sorted(written)]
        facts = files[0].facts
        return replace(
            facts,
            file=self._folder,
            holds=f"{facts.file} and on, one a frame: {facts.holds}",
            bytes=sum(file.sum.bytes for file in files),
            crc32=None,
            frames={frame.facts.file: frame.sum for frame in files},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRow:
    """Video, or folder of files."""

    path: Path
    outputs: tuple[str, ...]
    video: VideoForm | None = None


def sink_rows(
    target: Path, outputs: Sequence[str], *, picture_suffix: str, is_sequence: bool
) -> tuple[SinkRow, ...]:
    """Rows of a video's results, the folder last."""
    rows: list[SinkRow] = []
    in_folder: list[str] = []
    for output in outputs:
        video, stem = OUTPUTS[output].video, OUTPUTS[output].suffix.rpartition(".")[0]
        if video is None or (video.is_numbers and is_sequence):
            in_folder.append(output)
            continue
        suffix = stem + (".mkv" if video.is_numbers else picture_suffix)
        path = target.with_name(target.name + suffix)
        rows.append(SinkRow(path=path, outputs=(output,), video=video))
    if in_folder:
        path = target.with_name(f"{target.name}.frames")
        rows.append(SinkRow(path=path, outputs=tuple(in_folder)))
    return tuple(rows)


_HOME = __name__.rpartition(".")[0]


class VideoSink(Sink):
    """Video drawn from predictions."""

    def __init__(
        self, writer: "VideoWriter", facts: FileFacts, draw: Callable[..., Rendered]
    ) -> None:
        self._writer, self._facts, self._draw = writer, facts, draw

    @property
    def fault(self) -> str | None:
        """Fault in the sound, one line."""
        return self._writer.fault

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        output = self._facts.output
        return self._draw(*needed_parts(prediction_for_output(prediction, output), output))

    def write(self, rendered: Rendered, ticks: int) -> None:
        """Encode the next frame."""
        assert rendered is not None, "a video has a picture of every frame"
        self._writer.write(rendered, ticks)

    def finish(self) -> list[FileFacts]:
        """End the video."""
        self._writer.finish()
        file_sum = sum_of(self._writer.part)
        return [replace(self._facts, bytes=file_sum.bytes, sha256=file_sum.sha256)]


class ColourSink(VideoSink):
    """Video of depth in colours, sky apart."""

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        rendered: Rendered = self._draw(prediction_for_output(prediction, "colour"))
        return rendered


class NormalsSink(VideoSink):
    """Video of normals, grey where missing."""

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        [normals] = needed_parts(prediction_for_output(prediction, "normals"), "normals")
        return self._draw(normals, normals_mask(prediction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Frames of a video; ``draw`` takes the parts that it needs."""

    facts: FileFacts
    draw: Callable[..., Rendered]
    sink: type[VideoSink] = VideoSink
    size: tuple[int, int] | None = None


def open_video_sink(
    row: SinkRow, video: VideoForm, form: ClipForm, placement: FileSet, parts: ExitStack
) -> VideoSink:
    """Open a video as a part of a placement."""
    # Imported on demand: it needs PyAV, and folders of frames do not.
    from rilievo.io.videos.video_writer import writing_part

    drawing: Drawing = import_function(video.drawing, _HOME)(row.path.name, form)
    like = form.video(Coding.NUMBERS if video.is_numbers else Coding.PICTURE)
    if drawing.size is not None:
        like = replace(like, size=drawing.size)
    part, sound = placement.create_part(row.path), None if video.is_numbers else form.sound
    writer = parts.enter_context(writing_part(row.path, part, like, sound=sound))
    return drawing.sink(writer, drawing.facts, drawing.draw)


def colour(name: str, form: ClipForm) -> Drawing:
    """Depth in colours, in one range."""
    assert form.extent is not None, "outputs that need depth are refused before"
    limits, options = _colour_limits(form.extent, form.options), form.options
    draw = partial(depth_picture, options=options, limits=limits)
    facts = FileFacts(
        file=name,
        output="colour",
        holds="picture of depth, one range for the whole video",
        colour=colour_facts(form.extent.kind, limits, options, has_sky=form.extent.has_sky),
    )
    return Drawing(facts=facts, draw=draw, sink=ColourSink)


def normals(name: str, form: ClipForm) -> Drawing:
    """Normals as pictures."""
    axes = form.options.normals_axes
    words = NORMALS_AXES[axes][1]
    facts = FileFacts(file=name, output="normals", holds="picture of normals", axes=words)
    return Drawing(facts=facts, draw=partial(normals_picture, axes=axes), sink=NormalsSink)


def stereo(name: str, form: ClipForm) -> Drawing:
    """Stereo pictures."""
    assert form.extent is not None, "outputs that need depth are refused before"
    options = form.options.stereo_options
    colour_range = stereo_range(form.extent.kind, form.options)
    drawn = form.extent.colours if form.options.draw is Drawn.INVERSE_DEPTH else None

    def draw(depth: DepthMap, photo: Photo) -> Rendered:
        return stereo_picture(photo.pixels, depth, options, colour_range or drawn)

    facts = FileFacts(file=name, output="stereo", holds=stereo_words(options))
    return Drawing(facts=facts, draw=draw, size=stereo_size(form.size, options))


def numbers_note(name: str, form: ClipForm) -> str | None:
    """Note on counts of 16 bits that are not millimetres; None if they are, or are no metres."""
    if form.extent is None or form.extent.kind is not DepthKind.METRIC:
        return None
    return count_note(name, *form.extent.ends)


def numbers(name: str, form: ClipForm) -> Drawing:
    """Depth as 16-bit numbers in one coding."""
    assert form.extent is not None, "outputs that need depth are refused before"
    kind = form.extent.kind
    coding = choose_quantisation(kind, *form.extent.ends)
    note = numbers_note("it", form)
    meaning = MEANINGS[kind] if note is None else f"{MEANINGS[kind]}; {note}"
    facts = FileFacts(
        file=name,
        output="png16",
        holds=f"16-bit grey video without loss (FFV1): {meaning}",
        unit=UNITS.get(kind, "arbitrary"),
        scale=coding.scale,
        offset=coding.offset,
        invalid=0,
    )
    return Drawing(facts=facts, draw=partial(encode, coding=coding))


def _colour_limits(extent: Extent, options: SaveOptions) -> ColourRange:
    if options.colour_limits is None:
        return extent.colours
    near, far = options.colour_limits
    return colour_range_from_depths(near, far, extent.kind, options.draw)
