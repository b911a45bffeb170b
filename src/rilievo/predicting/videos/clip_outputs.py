"""Outputs of a video: files that frames go to, what these share, and the facts recorded."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from rilievo.frozen import frozen
from rilievo.io.checks import FileSum, sum_of
from rilievo.io.colour_pictures import ColourRange
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import CameraFacts, FileFacts, Sidecar, describe
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.videos.frame_source import Frame
from rilievo.io.videos.video_format import Coding, SoundSource, VideoFormat
from rilievo.margins import Margins
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS, Need, VideoForm
from rilievo.prediction.saving import surface_for, write_file
from rilievo.shapes import Pixels, UInt16
from rilievo.types import Anchoring, DepthKind

Rendered = Pixels | UInt16[np.ndarray, "h w"] | None


@frozen
class VideoFacts:
    """Facts about a video.

    Attributes:
        frames: Number of frames read and written.
        rate: Average frames per second.
        time_base: Seconds of one tick, as a fraction.
        ticks: Time at which each frame is shown, from ``origin`` [ticks]; videos in Matroska are
            rounded to the millisecond.
        origin: Time in the source that is zero here [s], as a fraction.
        shots: Indices of the frames at which a shot begins; the ratio of the scales of different
            shots is unknown, unless depth is metric.
        borders: Rows and columns on each side that were left out of each shot; empty if nothing
            was.
        cameras: Camera of each shot; empty if the video's camera is that of all.
        anchorings: Anchoring of each shot, where something is made of anchored depth.
        scales: Factor of each frame's numbers from the model, which aligns the frames.
        shifts: Number added after that; all zero except for the affine kinds.
        names: File names of the frames of a sequence; empty for a video.
        still: First and last frame of each stretch in which the camera stands still, and depth is
            averaged over time.
        sound: Treatment of the sound, in words.
        notes: Treatment of all frames, in words.
        faults: Faults in the source, one line each.
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


@frozen
class ClipSidecar(Sidecar):
    """Everything that a reader of a video's results must know."""

    video: VideoFacts


@frozen
class Extent:
    """Range of the depth of a whole video.

    Attributes:
        colours: Range of the numbers that pictures draw.
        has_sky: Whether pictures draw a sky.
    """

    kind: DepthKind
    low: float
    high: float
    colours: ColourRange
    has_sky: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """Range that numbers of 16 bits can state; also where no pixel has depth."""
        return self.low, self.high or 1.0


@frozen
class ClipForm:
    """Properties that the results of one video share."""

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
    """Writer of a video's predictions for one or more outputs."""

    @property
    def fault(self) -> str | None:
        """Fault in the sound, one line; None if there is none."""
        return None

    @abstractmethod
    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Make the data to write for a frame; called in any order, from several threads."""

    @abstractmethod
    def write(self, rendered: Rendered, ticks: int) -> None:
        """Write the next frame, shown at ``ticks``."""

    @abstractmethod
    def finish(self) -> list[FileFacts]:
        """Complete the files and return the facts about them."""


@frozen
class _FrameFile:
    facts: FileFacts
    sum: FileSum


class FolderSink(Sink):
    """A folder of files for each frame: ``000000.depth.npy`` and on, or the names of a sequence."""

    def __init__(self, part: Path, folder: str, outputs: tuple[str, ...], form: ClipForm) -> None:
        self._part, self._folder, self._form = part, folder, form
        self._written: dict[str, dict[int, _FrameFile]] = {output: {} for output in outputs}

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Write the files of a frame."""
        about, extent = describe(prediction), self._form.extent
        depth = prediction.depth_or_none
        is_empty = depth is not None and not depth.valid.any()
        for output, written in self._written.items():
            if is_empty and Need.CAMERA in OUTPUTS[output].needs:
                continue  # no pixel has depth (only sky, say), so there is no surface to write
            name = frame.stem + OUTPUTS[output].suffix
            made_of = surface_for(prediction, output)
            facts = write_file(
                WriteJob(
                    path=self._part / name,
                    file=name,
                    output=output,
                    prediction=made_of,
                    options=self._form.options,
                    about=about if made_of is prediction else describe(made_of),
                    extent=None if extent is None else extent.ends,
                )
            )
            written[frame.index] = _FrameFile(facts=facts, sum=sum_of(self._part / name))
        return None

    def write(self, rendered: Rendered, ticks: int) -> None:
        """Do nothing: ``render`` has written the files."""

    def finish(self) -> list[FileFacts]:
        """Return the facts about the files, which are those of the first frame."""
        return [self._total(written) for written in self._written.values() if written]

    def _total(self, written: Mapping[int, _FrameFile]) -> FileFacts:
        # Frames are drawn by several threads, so any may have come first.
        files = [written[index] for index in sorted(written)]
        facts = files[0].facts
        return replace(
            facts,
            file=self._folder,
            holds=f"{facts.file} and on, one a frame: {facts.holds}",
            bytes=sum(file.sum.bytes for file in files),
            frames={frame.facts.file: frame.sum for frame in files},
        )


@frozen
class SinkRow:
    """A video, or the folder of files, among the results of one video.

    Attributes:
        path: Path of the video or the folder.
        outputs: Outputs that it holds: one, or those that are files of frames.
        video: Form of its output as a video; None for a folder.
    """

    path: Path
    outputs: tuple[str, ...]
    video: VideoForm | None = None


def sink_rows(
    target: Path, outputs: Sequence[str], *, picture_suffix: str, is_sequence: bool
) -> tuple[SinkRow, ...]:
    """Rows of the results of one video, the folder last.

    16-bit numbers of a sequence are files, as its frames are.
    """
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
