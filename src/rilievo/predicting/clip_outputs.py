"""Outputs of a video: pictures and 16-bit depth as videos, the rest as files for each frame."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16

from rilievo.io.checksums import sum_of
from rilievo.io.colour import ColourRange, Drawn, drawn, widened
from rilievo.io.facts import FileFacts, FileSum
from rilievo.io.frames import Coding, SoundSource, VideoFormat
from rilievo.io.output_table import OUTPUTS, Need
from rilievo.io.placement import Placement
from rilievo.io.sidecar import describe
from rilievo.io.writing import SaveOptions, WriteJob, write_file
from rilievo.types import DepthKind, DepthMap, Prediction

_FRAMES = 1024
_PIXELS = 2048
_PERCENTILES = (2.0, 98.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Range of the depth of a whole video."""

    kind: DepthKind
    low: float
    high: float
    colours: ColourRange


def measure(depths: Iterable[DepthMap], *, count: int, what: Drawn) -> Extent:
    """Measure the depth of a video in one pass.

    Args:
        depths: Depth maps, all of one kind, at any resolution; at least one.
        count: Number of depth maps. Percentiles use at most 1,024 of them, evenly spread, and about
            2,048 pixels of each.
        what: Numbers that pictures show.
    """
    low, high, kind = np.inf, -np.inf, DepthKind.METRIC
    stride = -(-count // _FRAMES)
    samples: list[np.ndarray] = []
    for index, depth in enumerate(depths):
        kind = depth.kind
        inside = depth.values[depth.valid]
        if not inside.size:
            continue
        low, high = min(low, float(inside.min())), max(high, float(inside.max()))
        if index % stride == 0:
            samples.append(_sample(depth, what))
    if not samples or not (shown := np.concatenate(samples)).size:
        return Extent(kind=kind, low=0.0, high=0.0, colours=ColourRange(low=0.0, high=1.0))
    first, last = np.percentile(shown, _PERCENTILES)
    colours = widened(ColourRange(low=float(first), high=float(last)), kind)
    return Extent(kind=kind, low=low, high=high, colours=colours)


def _sample(depth: DepthMap, what: Drawn) -> np.ndarray:
    stride = max(1, round((depth.values.size / _PIXELS) ** 0.5))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    some = DepthMap(values=depth.values[grid], kind=depth.kind, valid=depth.valid[grid])
    return drawn(some, what)[some.valid]


AS_PICTURES = ("colour", "normals", "stereo")
AS_NUMBERS = "png16"

Rendered = UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFiles:
    """Paths of the results of one video."""

    target: Path
    outputs: tuple[str, ...]
    picture_suffix: str

    def path(self, output: str) -> Path:
        """Path of the video, or of the folder of files, of one output."""
        stem = OUTPUTS[output].suffix.rpartition(".")[0]
        if output in AS_PICTURES:
            suffix = stem + self.picture_suffix
        elif output == AS_NUMBERS:
            suffix = stem + ".mkv"
        else:
            suffix = ".frames"
        return self.target.with_name(self.target.name + suffix)

    @property
    def names(self) -> list[str]:
        """Names of all videos and folders."""
        return list(dict.fromkeys(self.path(output).name for output in self.outputs))


@dataclass(frozen=True, slots=True, kw_only=True)
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
    def render(self, prediction: Prediction, index: int) -> Rendered:
        """Make the data to write for a frame; called in any order, from several threads."""

    @abstractmethod
    def write(self, rendered: Rendered, ticks: int) -> None:
        """Write the next frame, shown at ``ticks``."""

    @abstractmethod
    def finish(self) -> list[FileFacts]:
        """Complete the files and return the facts about them."""


class FolderSink(Sink):
    """A folder of files for each frame, ``000000.depth.npy`` and on."""

    def __init__(self, part: Path, folder: str, outputs: tuple[str, ...], form: ClipForm) -> None:
        self._part, self._folder, self._outputs, self._form = part, folder, outputs, form
        self._facts: dict[str, dict[str, FileFacts]] = {output: {} for output in outputs}
        self._sums: dict[str, dict[str, FileSum]] = {output: {} for output in outputs}

    def render(self, prediction: Prediction, index: int) -> Rendered:
        """Write the files of a frame."""
        about = describe(prediction)
        depth = prediction.depth_or_none
        is_empty = depth is not None and not depth.valid.any()
        for output in self._outputs:
            if is_empty and Need.CAMERA in OUTPUTS[output].needs:
                continue  # no pixel has depth (only sky, say), so there is no surface to write
            name = f"{index:06d}{OUTPUTS[output].suffix}"
            self._facts[output][name] = write_file(
                WriteJob(
                    path=self._part / name,
                    file=name,
                    output=output,
                    prediction=prediction,
                    options=self._form.options,
                    about=about,
                )
            )
            self._sums[output][name] = sum_of(self._part / name)
        return None

    def write(self, rendered: Rendered, ticks: int) -> None:
        """Do nothing: ``render`` has written the files."""

    def finish(self) -> list[FileFacts]:
        """Return the facts about the files, which are those of the first frame."""
        return [self._total(output) for output, sums in self._sums.items() if sums]

    def _total(self, output: str) -> FileFacts:
        sums = self._sums[output]
        first = min(sums)  # frames are drawn by several threads, so any may have come first
        facts = self._facts[output][first]
        return replace(
            facts,
            file=self._folder,
            holds=f"{first} and on, one a frame: {facts.holds}",
            bytes=sum(each.bytes for each in sums.values()),
            frames=dict(sorted(sums.items())),
        )


def has_videos(outputs: Iterable[str]) -> bool:
    """Whether any of these outputs is written as a video."""
    return any(output in (*AS_PICTURES, AS_NUMBERS) for output in outputs)


def open_sinks(
    files: ClipFiles, form: ClipForm, placement: Placement, parts: ExitStack
) -> list[Sink]:
    """Open all outputs as parts of a placement; ``parts`` closes them."""
    sinks: list[Sink] = []
    if has_videos(files.outputs):
        from rilievo.predicting.clip_videos import open_video_sinks

        sinks += open_video_sinks(files, form, placement, parts)
    in_folder = tuple(
        output for output in files.outputs if output not in (*AS_PICTURES, AS_NUMBERS)
    )
    if in_folder:
        folder = files.path(in_folder[0])
        part = placement.part_folder(folder)
        sinks.append(FolderSink(part, folder.name, in_folder, form))
    return sinks
