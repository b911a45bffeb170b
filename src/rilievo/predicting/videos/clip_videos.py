"""Outputs of a video that are videos themselves: pictures, and depth as 16-bit numbers."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from rilievo.io.checks import sum_of
from rilievo.io.colour_pictures import ColourRange, Drawn, normals_picture, range_of
from rilievo.io.files.placement import Placement
from rilievo.io.outputs.dropping import known_normals
from rilievo.io.outputs.formats.colour_files import colour_facts, depth_picture
from rilievo.io.outputs.formats.picture_files import stereo_range, stereo_words
from rilievo.io.outputs.formats.png16 import coding_of, encode
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import MEANINGS, PICTURE_AXES, UNITS, FileFacts
from rilievo.io.outputs.stereo import stereo_picture, stereo_size
from rilievo.io.videos.frame_source import Frame
from rilievo.io.videos.video_format import Coding
from rilievo.io.videos.video_writer import VideoWriter, writing_part
from rilievo.predicting.videos.clip_outputs import (
    AS_NUMBERS,
    AS_PICTURES,
    ClipFiles,
    ClipForm,
    Extent,
    Rendered,
    Sink,
)
from rilievo.prediction import Prediction
from rilievo.prediction.saving import needed_parts, surface_for
from rilievo.types import DepthMap, Photo


class VideoSink(Sink):
    """A video whose frames are drawn from the predictions."""

    def __init__(
        self, writer: VideoWriter, facts: FileFacts, draw: Callable[..., Rendered]
    ) -> None:
        self._writer, self._facts, self._draw = writer, facts, draw

    @property
    def fault(self) -> str | None:
        """Fault in the sound, one line; None if there is none."""
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
        found = sum_of(self._writer.part)
        return [replace(self._facts, bytes=found.bytes, sha256=found.sha256)]


class ColourSink(VideoSink):
    """A video of depth in colours, its sky in one of its own."""

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        rendered: Rendered = self._draw(surface_for(prediction, "colour"))
        return rendered


class NormalsSink(VideoSink):
    """A video of normals, grey where there are none."""

    def render(self, prediction: Prediction, frame: Frame) -> Rendered:
        """Draw a frame."""
        [normals] = needed_parts(surface_for(prediction, "normals"), "normals")
        return normals_picture(normals, known_normals(prediction))


def open_video_sinks(
    files: ClipFiles, form: ClipForm, placement: Placement, parts: ExitStack
) -> list[Sink]:
    """Open the outputs that are videos, as parts of a placement; ``parts`` closes them."""
    sinks: list[Sink] = []
    for output in files.videos:
        path = files.path(output)
        if output in AS_PICTURES:
            like = form.video(Coding.PICTURE)
            if output == "stereo":
                like = replace(like, size=stereo_size(form.size, form.options.stereo))
            writer = parts.enter_context(
                writing_part(path, placement.part(path), like, sound=form.sound)
            )
            sinks.append(_DRAWN[output](writer, path.name, form))
        else:
            like = form.video(Coding.NUMBERS)
            writer = parts.enter_context(writing_part(path, placement.part(path), like))
            sinks.append(_numbers(writer, path.name, form))
    return sinks


def _colour(writer: VideoWriter, name: str, form: ClipForm) -> Sink:
    assert form.extent is not None, "outputs that need depth are refused before"
    limits, options = _limits(form.extent, form.options), form.options
    draw = partial(depth_picture, options=options, limits=limits)
    facts = FileFacts(
        file=name,
        output="colour",
        holds="picture of depth, one range for the whole video",
        colour=colour_facts(form.extent.kind, limits, options, has_sky=form.extent.has_sky),
    )
    return ColourSink(writer, facts, draw)


def _normals(writer: VideoWriter, name: str, form: ClipForm) -> Sink:
    facts = FileFacts(file=name, output="normals", holds="picture of normals", axes=PICTURE_AXES)
    return NormalsSink(writer, facts, normals_picture)


def _stereo(writer: VideoWriter, name: str, form: ClipForm) -> Sink:
    assert form.extent is not None, "outputs that need depth are refused before"
    options = form.options.stereo
    asked = stereo_range(form.extent.kind, form.options)
    drawn = form.extent.colours if form.options.draw is Drawn.INVERSE_DEPTH else None

    def draw(depth: DepthMap, photo: Photo) -> Rendered:
        return stereo_picture(photo.pixels, depth, options, asked or drawn)

    facts = FileFacts(file=name, output="stereo", holds=stereo_words(options))
    return VideoSink(writer, facts, draw)


def _numbers(writer: VideoWriter, name: str, form: ClipForm) -> Sink:
    assert form.extent is not None, "outputs that need depth are refused before"
    kind = form.extent.kind
    coding = coding_of(kind, *form.extent.ends)
    facts = FileFacts(
        file=name,
        output=AS_NUMBERS,
        holds=f"16-bit grey video without loss (FFV1): {MEANINGS[kind]}",
        unit=UNITS.get(kind, "arbitrary"),
        scale=coding.scale,
        offset=coding.offset,
        invalid=0,
    )
    return VideoSink(writer, facts, partial(encode, coding=coding))


def _limits(extent: Extent, options: SaveOptions) -> ColourRange:
    if options.colour_limits is None:
        return extent.colours
    near, far = options.colour_limits
    return range_of(near, far, extent.kind, options.draw)


_DRAWN: Mapping[str, Callable[[VideoWriter, str, ClipForm], Sink]] = {
    "colour": _colour,
    "normals": _normals,
    "stereo": _stereo,
}
