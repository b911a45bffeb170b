"""Outputs that are videos."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from rilievo.depth_map import DepthMap
from rilievo.frozen import frozen
from rilievo.io.checksums import sum_of
from rilievo.io.files.commit import FileSet
from rilievo.io.map_pictures import (
    NORMALS_AXES,
    ColourRange,
    Drawn,
    normals_picture,
    range_of,
)
from rilievo.io.outputs.formats.colour_files import colour_facts, depth_picture
from rilievo.io.outputs.formats.picture_files import (
    stereo_picture,
    stereo_range,
    stereo_size,
    stereo_words,
)
from rilievo.io.outputs.formats.png16 import coding_of, encode
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import MEANINGS, UNITS, FileFacts
from rilievo.io.outputs.skyline import normals_mask
from rilievo.io.videos.frame_source import Coding, Frame
from rilievo.io.videos.video_writer import VideoWriter, writing_part
from rilievo.predicting.videos.clip_outputs import ClipForm, Extent, Rendered, Sink, SinkRow
from rilievo.prediction import Prediction
from rilievo.prediction.output_record import VideoForm, load
from rilievo.prediction.saving import needed_parts, surface_for
from rilievo.sample import Photo

_HOME = __name__.rpartition(".")[0]


class VideoSink(Sink):
    """Video drawn from predictions."""

    def __init__(
        self, writer: VideoWriter, facts: FileFacts, draw: Callable[..., Rendered]
    ) -> None:
        self._writer, self._facts, self._draw = writer, facts, draw

    @property
    def fault(self) -> str | None:
        """Fault in the sound, one line."""
        return self._writer.fault

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        output = self._facts.output
        return self._draw(*needed_parts(surface_for(prediction, output), output))

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
        rendered: Rendered = self._draw(surface_for(prediction, "colour"))
        return rendered


class NormalsSink(VideoSink):
    """Video of normals, grey where missing."""

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        [normals] = needed_parts(surface_for(prediction, "normals"), "normals")
        return self._draw(normals, normals_mask(prediction))


@frozen
class Drawing:
    """Frames of a video; ``draw`` takes the parts that it needs."""

    facts: FileFacts
    draw: Callable[..., Rendered]
    sink: type[VideoSink] = VideoSink
    size: tuple[int, int] | None = None


def open_video(
    row: SinkRow, video: VideoForm, form: ClipForm, placement: FileSet, parts: ExitStack
) -> VideoSink:
    """Open a video as a part of a placement."""
    drawing: Drawing = load(video.drawing, _HOME)(row.path.name, form)
    like = form.video(Coding.NUMBERS if video.is_numbers else Coding.PICTURE)
    if drawing.size is not None:
        like = replace(like, size=drawing.size)
    part, sound = placement.part(row.path), None if video.is_numbers else form.sound
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


def numbers(name: str, form: ClipForm) -> Drawing:
    """Depth as 16-bit numbers in one coding."""
    assert form.extent is not None, "outputs that need depth are refused before"
    kind = form.extent.kind
    coding = coding_of(kind, *form.extent.ends)
    facts = FileFacts(
        file=name,
        output="png16",
        holds=f"16-bit grey video without loss (FFV1): {MEANINGS[kind]}",
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
    return range_of(near, far, extent.kind, options.draw)
