"""Results of a predicted video: video files, a folder of frames, and the JSON beside them."""

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
from rilievo.io.outputs.formats.picture_files import describe_stereo, stereo_range
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
"""What is written of a frame: a picture or 16-bit numbers; None if it is written already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What the JSON says about a video.

    Attributes:
        frames: Number of frames.
        rate: Frames per second.
        time_base: Seconds of a tick, as a fraction.
        ticks: Time of each frame from ``origin`` [ticks]; Matroska rounds to the millisecond.
        origin: Time in the source from which the results count [s], as a fraction.
        shots: First frame of each shot; the scales of shots are unrelated unless metric.
        scales: Factor by which the depth of each frame was corrected.
        shifts: Number that was added to it after that.
        sound: What became of the source's sound.
        notes: Notes on the source and the results.
        faults: What was wrong in the source's pictures or sound.
        still: First and last frame of each stretch in which the camera stands still.
        names: Files of a folder of frames; empty for a video.
        borders: Borders that were left out of each shot; empty if there are none.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Range of the depth of a video, which all its frames share.

    Attributes:
        kind: Kind of the depth.
        low: Least depth.
        high: Largest depth; both are 0 if no frame has depth.
        colours: Range of the colours in which depth is drawn.
        has_sky: Whether sky is drawn in a colour of its own.
    """

    kind: DepthKind
    low: float
    high: float
    colours: ColourRange
    has_sky: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest depth, never both 0, so that 16-bit numbers can be scaled to them."""
        return self.low, self.high or 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipForm:
    """Properties that all results of a video share.

    Attributes:
        size: Height and width [px].
        rate: Frames per second.
        time_base: Seconds of a tick.
        sound: Sound that is copied into pictures; None for none.
        extent: Range of depth; None without depth.
        options: Options of writing files.
    """

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    sound: SoundSource | None
    extent: Extent | None
    options: SaveOptions

    def video(self, coding: Coding) -> VideoFormat:
        """Format of a video file with these properties."""
        return VideoFormat(size=self.size, rate=self.rate, time_base=self.time_base, coding=coding)


class Sink(ABC):
    """Writer of one result: ``render`` each frame, ``write`` them in order, then ``finish``."""

    @property
    def fault(self) -> str | None:
        """What was wrong with the source's sound; None if nothing was."""
        return None

    @abstractmethod
    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Make what is written of a frame. Several threads call it, in any order of frames."""

    @abstractmethod
    def write(self, rendered: Rendered, ticks: int) -> None:
        """Write the next frame, which is shown at ``ticks`` from the origin."""

    @abstractmethod
    def finish(self) -> list[FileFacts]:
        """Complete the result, and return what the JSON says about its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameFile:
    """File of one frame that was written, with its checksum."""

    facts: FileFacts
    sum: FileSum


class FolderSink(Sink):
    """Folder with the files of all frames, ``000000.depth.npy`` and on."""

    def __init__(self, part: Path, folder: str, outputs: tuple[str, ...], form: ClipForm) -> None:
        """Write into ``part``, which later gets the name ``folder``."""
        self._part, self._folder, self._form = part, folder, form
        # Files of each output, by the index of the frame.
        self._written: dict[str, dict[int, _FrameFile]] = {output: {} for output in outputs}

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Write the files of a frame."""
        sidecar, extent = make_sidecar(prediction), self._form.extent
        depth = prediction.depth_or_none
        is_empty = depth is not None and not depth.valid.any()
        for output, written in self._written.items():
            if is_empty and Need.CAMERA in OUTPUTS[output].needs:
                continue  # no pixel has depth (only sky, say), so there is no surface to write
            name = frame.stem + OUTPUTS[output].suffix
            shown = prediction_for_output(prediction, output)
            facts = write_file(
                WriteJob(
                    path=self._part / name,
                    file=name,
                    output=output,
                    prediction=shown,
                    options=self._form.options,
                    about=sidecar if shown is prediction else make_sidecar(shown),
                    extent=None if extent is None else extent.ends,
                )
            )
            written[frame.index] = _FrameFile(facts=facts, sum=sum_of(self._part / name))
        return None

    def write(self, rendered: Rendered, ticks: int) -> None:
        """Do nothing, because ``render`` wrote the files."""

    def finish(self) -> list[FileFacts]:
        """Return what the JSON says about the files of each output."""
        return [self._folder_facts(written) for written in self._written.values() if written]

    def _folder_facts(self, written: Mapping[int, _FrameFile]) -> FileFacts:
        # Several threads render frames, so any of them may have come first.
        """What the JSON says about one output in the folder, by the files of all frames."""
        files = [written[index] for index in sorted(written)]
        facts = files[0].facts
        return replace(
            facts,
            file=self._folder,
            holds=f"{facts.file} and on, one a frame: {facts.holds}",
            bytes=sum(file.sum.bytes for file in files),
            crc32=None,
            frames={file.facts.file: file.sum for file in files},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedResult:
    """Result of a video that will be written: a video, or the folder of frames.

    Attributes:
        path: Video or folder.
        outputs: Outputs that it holds; a video holds one.
        video: How the output is written as a video; None for the folder.
    """

    path: Path
    outputs: tuple[str, ...]
    video: VideoForm | None = None


def plan_results(
    target: Path, outputs: Sequence[str], *, picture_suffix: str, is_sequence: bool
) -> tuple[PlannedResult, ...]:
    """Decide which outputs are videos, and which lie in the folder of frames, which comes last.

    Args:
        target: Path of the results without suffix.
        outputs: Names in ``OUTPUTS``.
        picture_suffix: Suffix of videos that are pictures.
        is_sequence: Whether the source is a folder of frames; numbers then are files of frames.
    """
    results: list[PlannedResult] = []
    in_folder: list[str] = []
    for output in outputs:
        video = OUTPUTS[output].video
        if video is None or (video.is_numbers and is_sequence):
            in_folder.append(output)
            continue
        stem = OUTPUTS[output].suffix.rpartition(".")[0]
        suffix = stem + (".mkv" if video.is_numbers else picture_suffix)
        path = target.with_name(target.name + suffix)
        results.append(PlannedResult(path=path, outputs=(output,), video=video))
    if in_folder:
        path = target.with_name(f"{target.name}.frames")
        results.append(PlannedResult(path=path, outputs=tuple(in_folder)))
    return tuple(results)


class VideoSink(Sink):
    """Video whose frames are drawn from predictions."""

    def __init__(
        self, writer: "VideoWriter", facts: FileFacts, draw: Callable[..., Rendered]
    ) -> None:
        """Write what ``draw`` makes of those parts of a prediction that the output needs."""
        self._writer, self._facts, self._draw = writer, facts, draw

    @property
    def fault(self) -> str | None:
        """What was wrong with the source's sound; None if nothing was."""
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
        """End the video, and return what the JSON says about its file."""
        self._writer.finish()
        file_sum = sum_of(self._writer.part)
        return [replace(self._facts, bytes=file_sum.bytes, sha256=file_sum.sha256)]


class ColourSink(VideoSink):
    """Video of depth in colours, in which sky has a colour of its own."""

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame; the whole prediction says where sky is."""
        rendered: Rendered = self._draw(prediction_for_output(prediction, "colour"))
        return rendered


class NormalsSink(VideoSink):
    """Video of normals, grey where there are none."""

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        [normals] = needed_parts(prediction_for_output(prediction, "normals"), "normals")
        return self._draw(normals, normals_mask(prediction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How the frames of a video are drawn.

    Attributes:
        facts: What the JSON says about the file.
        draw: Function of those parts of a prediction that the output needs.
        sink: Class that calls it.
        size: Height and width of its pictures [px]; None for those of the source.
    """

    facts: FileFacts
    draw: Callable[..., Rendered]
    sink: type[VideoSink] = VideoSink
    size: tuple[int, int] | None = None


def open_video_sink(
    result: PlannedResult, video: VideoForm, form: ClipForm, placement: FileSet, parts: ExitStack
) -> VideoSink:
    """Open a video for writing, as a part that ``placement`` gives its name at the end.

    ``parts`` closes it.
    """
    # Imported on demand: it needs PyAV, and folders of frames do not.
    from rilievo.io.videos.video_writer import writing_part

    this_package = __name__.rpartition(".")[0]
    make_drawing = import_function(video.drawing, this_package)
    drawing: Drawing = make_drawing(result.path.name, form)
    video_format = form.video(Coding.NUMBERS if video.is_numbers else Coding.PICTURE)
    if drawing.size is not None:
        video_format = replace(video_format, size=drawing.size)
    part = placement.create_part(result.path)
    sound = None if video.is_numbers else form.sound
    writer = parts.enter_context(writing_part(result.path, part, video_format, sound=sound))
    return drawing.sink(writer, drawing.facts, drawing.draw)


def colour(name: str, form: ClipForm) -> Drawing:
    """Drawing of depth in colours, with one range for the whole video."""
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
    """Drawing of normals as colours."""
    axes = form.options.normals_axes
    _, axes_text = NORMALS_AXES[axes]
    facts = FileFacts(file=name, output="normals", holds="picture of normals", axes=axes_text)
    return Drawing(facts=facts, draw=partial(normals_picture, axes=axes), sink=NormalsSink)


def stereo(name: str, form: ClipForm) -> Drawing:
    """Drawing of stereo pictures."""
    assert form.extent is not None, "outputs that need depth are refused before"
    options = form.options.stereo_options
    depth_range = stereo_range(form.extent.kind, form.options)
    if depth_range is None and form.options.draw is Drawn.INVERSE_DEPTH:
        depth_range = form.extent.colours

    def draw(depth: DepthMap, photo: Photo) -> Rendered:
        return stereo_picture(photo.pixels, depth, options, depth_range)

    facts = FileFacts(file=name, output="stereo", holds=describe_stereo(options))
    return Drawing(facts=facts, draw=draw, size=stereo_size(form.size, options))


def numbers_note(name: str, form: ClipForm) -> str | None:
    """Note on 16-bit numbers of metric depth that are not millimetres; None if they are."""
    if form.extent is None or form.extent.kind is not DepthKind.METRIC:
        return None
    return count_note(name, *form.extent.ends)


def numbers(name: str, form: ClipForm) -> Drawing:
    """Drawing of depth as 16-bit numbers, with one scale and offset for the whole video."""
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
    """Range of the colours: the user's, or that of the video."""
    if options.colour_limits is None:
        return extent.colours
    near, far = options.colour_limits
    return colour_range_from_depths(near, far, extent.kind, options.draw)
