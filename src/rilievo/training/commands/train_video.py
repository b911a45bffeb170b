"""``rilievo train video``: depth and camera motion from videos alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from rilievo.cli.parsing import fields_in_arguments, parse
from rilievo.cli.streams import printing, say
from rilievo.data.clips.sequences import Clip
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import MissingExtraError, needing
from rilievo.errors.messages import for_terminal
from rilievo.io.files.machine import format_bytes, free_memory
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.schema.fields import option
from rilievo.training.engine.progress import is_first_process
from rilievo.training.networks.blueprint import TIMM
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_presets import (
    UncheckedVideoConfig,
    complete_config,
    preset_differences,
)

if TYPE_CHECKING:
    from rilievo.training.video.video_records import VideoRecord

_MAX_LISTED = 5
"""Sequences, and notes about their cameras, that a dry run lists."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of ``rilievo train video``."""

    GROUP: ClassVar[str] = "Output"

    output: Annotated[Path, option(in_short_help=True, aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dry_run: Annotated[bool, option(in_short_help=True)] = False
    """List the footage, print what would be trained and how it differs from the preset default, and
    train nothing.
    """
    config: Annotated[UncheckedVideoConfig, option(name="")]
    run: Annotated[VideoRunOptions, option(name="")] = field(
        default_factory=lambda: VideoRunOptions(workers=2)
    )


def parse_and_complete(arguments: Sequence[str]) -> tuple[Arguments, VideoConfig]:
    """Parse the arguments, and fill in the configuration of the preset."""
    request = parse(
        Arguments,
        arguments,
        prog="rilievo train video",
        description="Learn depth and camera motion from videos alone.",
        examples=(
            "rilievo train video clip.mp4 --fov 60 -o run --prior moge-2/small --minutes 30",
            "rilievo train video kitti/ --kind kitti-odometry -o run --resume",
        ),
    )
    fields = fields_in_arguments(Arguments, arguments, "config")
    return request, complete_config(request.config, fields)


def main(arguments: Sequence[str]) -> int:
    """Train on videos; return 1 if nothing was learned, else 0."""
    request, config = parse_and_complete(arguments)
    # Before torch is imported, which takes seconds: most mistakes are in the paths.
    footage = list_sequences(config.data)
    if request.dry_run:
        _check_timm_encoder(config.blueprint.encoder)
        _say_config_and_footage(config, footage)
        _say_disk_and_memory(config, footage)
        return 0

    with needing("training on video", "train"):
        from rilievo.training.video.video_run import train_video
    record = train_video(config, request.output, request.run)
    assert record is not None, "nothing stops it before its end"
    if is_first_process():
        _say_results(request.output, record)
        _write_page_and_say_where(request.output, record)
    return 1 if record.doubts else 0


def _check_timm_encoder(encoder: str) -> None:
    """Check that timm has an encoder, if it is one of timm's."""
    if encoder.startswith(TIMM):
        with needing("an encoder of timm", "train"):
            from rilievo.training.networks.video.encoders import timm_model_name
        timm_model_name(encoder)


def _say_config_and_footage(config: VideoConfig, footage: Sequence[Clip]) -> None:
    camera_notes = [clip.camera.note for clip in footage if clip.camera.note]
    with printing():
        print(to_json(config, indent=2))
        for difference in preset_differences(config):
            why = "" if difference.reason is None else f": {difference.reason}"
            say(f"{difference.field} is {difference.value}, usually {difference.default}{why}")
        for clip in footage[:_MAX_LISTED]:
            say(f"footage: {_describe_clip(clip)}")
        if len(footage) > _MAX_LISTED:
            say(f"footage: {len(footage) - _MAX_LISTED:,} more sequences")
        for note in camera_notes[:_MAX_LISTED]:
            say(f"note: {for_terminal(note)}")


def _describe_clip(clip: Clip) -> str:
    height, width = clip.shape
    kind = "a video" if clip.video is not None else f"{len(clip.files):,} frames"
    camera = clip.camera.camera
    focal = f"focal length {camera.focal:.4g} px ({camera.source})"
    targets = ""
    if clip.listed is not None:
        targets = f", {len(clip.listed.training):,} targets to train on"
    return f"{printable(clip.id)}: {kind} of {width}x{height}, {focal}{targets}"


def _say_disk_and_memory(config: VideoConfig, footage: Sequence[Clip]) -> None:
    lines = []
    frame_count = sum(len(clip.files) for clip in footage)
    if frame_count:
        height, width = config.blueprint.size
        size = format_bytes(frame_count * height * width * 3)
        lines.append(f"disk: {frame_count:,} decoded frames of {width}x{height} take about {size}")
    lines.append(f"memory: {_describe_memory(config)}")
    with printing():
        say("\n".join(lines))


def _describe_memory(config: VideoConfig) -> str:
    try:
        from rilievo.training.video.video_plan import (
            LESS_MEMORY_HINT,
            describe_step,
            required_memory,
        )
    except ModuleNotFoundError:
        return "is computed where the extra 'train' is installed"

    required, free = required_memory(config), free_memory()
    text = f"{describe_step(config)} take about {format_bytes(required)}"
    if free is None:
        return text
    text += f", {format_bytes(free)} are free here"
    if required > free:
        text += f": too little on a CPU: {for_terminal(LESS_MEMORY_HINT)}"
    return text


def _say_results(run: Path, record: "VideoRecord") -> None:
    with printing():
        for line in _result_lines(run, record):
            say(line)


def _result_lines(run: Path, record: "VideoRecord") -> list[str]:
    lines = [
        f"{run}: {record.steps} steps on {record.targets} targets, {record.seconds:.0f} seconds"
    ]
    if record.warp_error is not None and record.identity_error is not None:
        lines.append(
            f"{record.held_out} targets held out: photometric error {record.warp_error:.4f} "
            f"warped, {record.identity_error:.4f} as they are"
        )
    if record.start_error is not None and record.best_error is not None:
        gain = ""
        if record.gain is not None and not record.kept_start:
            gain = f": {record.gain.words}"
        lines.append(
            f"held out: {record.judged_by} {record.start_error:.4f} at the start, "
            f"{record.best_error:.4f} at step {record.best_step}, whose weights are the run's{gain}"
        )
    if record.elsewhere is not None:
        lines.append(
            f"other places: depth of shipped pictures has changed by {record.elsewhere:.1%}"
        )
    if record.abs_rel is not None and record.constant_abs_rel is not None:
        lines.append(
            f"against the true depth beside them: AbsRel {record.abs_rel:.3f} scaled by the "
            f"median, {record.constant_abs_rel:.3f} of a constant"
        )
    lines += [f"warning: {doubt}" for doubt in record.doubts]
    if record.doubts:
        lines.append("next: more steps, or other frames (docs/video-training.md); exit code 1")
    else:
        lines.append(f"next: rilievo predict VIDEO --model {run}")
    return lines


def _write_page_and_say_where(run: Path, record: "VideoRecord") -> None:
    from rilievo.training.video.video_summary import write_video_run_page

    with printing():
        try:
            say(f"page: {write_video_run_page(run, record)}")
        except MissingExtraError as missing:
            # The run is whole without its page.
            say(f"note: {missing}")
