"""``rilievo train video``: depth and camera motion from videos alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from rilievo.cli.parsing import fields_in_arguments, parse
from rilievo.cli.streams import printing, say
from rilievo.data.clips.sequences import Clip
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import MissingExtraError, explain_missing_extra
from rilievo.errors.messages import count_text, for_terminal
from rilievo.io.files.machine import format_bytes, free_memory
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.schema.fields import option
from rilievo.training.engine.progress import is_first_process
from rilievo.training.networks.blueprint import TIMM
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_defaults import UncheckedVideoConfig, complete_video_config
from rilievo.training.video.video_presets import preset_differences

if TYPE_CHECKING:
    from rilievo.training.video.video_records import VideoRecord

_MAX_LISTED_CLIPS = 5
"""Sequences, and notes about their cameras, that a dry run lists."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of ``rilievo train video``."""

    HELP_TITLE: ClassVar[str] = "Output"

    output: Annotated[Path, option(in_short_help=True, aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dry_run: Annotated[bool, option(in_short_help=True)] = False
    """List the footage, and print what would be trained and how it differs from the preset default,
    without training.
    """
    config: Annotated[UncheckedVideoConfig, option(inline=True)]
    run: Annotated[VideoRunOptions, option(inline=True)] = field(
        default_factory=lambda: VideoRunOptions(workers=2)
    )


def parse_and_complete(arguments: Sequence[str]) -> tuple[Arguments, VideoConfig]:
    """Parse the arguments, and fill in the configuration of the preset."""
    request = parse(
        Arguments,
        arguments,
        prog="rilievo train video",
        description="Learn depth and camera motion from videos alone. If ground truth lies beside "
        "the frames, as in 7-Scenes, KITTI and datasets in rilievo's own layout, rilievo does not "
        "train on it, but uses it to score the held-out frames.",
        examples=(
            "rilievo train video clip.mp4 --fov 60 -o run --prior moge-2/small --minutes 30",
            "rilievo train video kitti/ --kind kitti-odometry -o run --resume",
        ),
    )
    fields = fields_in_arguments(Arguments, arguments, "config")
    return request, complete_video_config(request.config, fields)


def main(arguments: Sequence[str]) -> int:
    """Train on videos; return 1 if nothing was learned, else 0."""
    request, config = parse_and_complete(arguments)
    # Before torch is imported, which takes seconds: most mistakes are in the paths.
    clips = list_sequences(config.data)
    if request.dry_run:
        _check_timm_encoder(config.blueprint.encoder)
        _print_config_and_footage(config, clips)
        _print_disk_and_memory(config, clips)
        with printing():
            say("nothing was trained")
        return 0

    with explain_missing_extra("training on video", "train"):
        from rilievo.training.video.video_run import train_video
    record = train_video(config, request.output, request.run)
    assert record is not None, "training without stop_at ends with a record"
    if is_first_process():
        with printing():
            say("\n".join(_result_lines(request.output, record)))
        _write_page_and_print_path(request.output, record)
    return 1 if record.quality_warnings else 0


def _check_timm_encoder(encoder: str) -> None:
    """Check that timm has an encoder, if it is one of timm's."""
    if encoder.startswith(TIMM):
        with explain_missing_extra("a timm encoder", "train"):
            from rilievo.training.networks.video.encoders import timm_model_name
        timm_model_name(encoder)


def _print_config_and_footage(config: VideoConfig, clips: Sequence[Clip]) -> None:
    """Print the configuration, how it differs from its preset, and what is known of the clips."""
    camera_notes = [clip.camera.note for clip in clips if clip.camera.note]
    with printing():
        print(to_json(config, indent=2))
        for difference in preset_differences(config):
            why = "" if difference.reason is None else f": {difference.reason}"
            default = "not set" if difference.default == "None" else difference.default
            say(f"{difference.field} is {difference.value} (default: {default}){why}")
        for clip in clips[:_MAX_LISTED_CLIPS]:
            say(f"footage: {_describe_clip(clip)}")
        if len(clips) > _MAX_LISTED_CLIPS:
            say(f"footage: {count_text(len(clips) - _MAX_LISTED_CLIPS, 'more sequence')}")
        for note in camera_notes[:_MAX_LISTED_CLIPS]:
            say(f"note: {for_terminal(note)}")


def _describe_clip(clip: Clip) -> str:
    height, width = clip.shape
    kind = "a video" if clip.video is not None else count_text(len(clip.files), "frame")
    camera = clip.camera.camera
    focal = f"focal length {camera.focal:.4g} px ({camera.source})"
    targets = ""
    if clip.listed_targets is not None:
        targets = f", {count_text(len(clip.listed_targets.training), 'target')} to train on"
    return f"{printable(clip.id)}: {kind} of {width}x{height}, {focal}{targets}"


def _print_disk_and_memory(config: VideoConfig, clips: Sequence[Clip]) -> None:
    """Print the disk space of decoded images, and the memory of a step."""
    lines = []
    num_images = sum(len(clip.files) for clip in clips)
    if num_images:
        height, width = config.blueprint.size
        size = format_bytes(num_images * height * width * 3)
        frames = count_text(num_images, "decoded frame")
        lines.append(f"disk: about {size} for {frames} of {width}x{height}")
    lines.append(f"memory: {_describe_memory(config)}")
    with printing():
        say("\n".join(lines))


def _describe_memory(config: VideoConfig) -> str:
    """Describe the memory of a step, if torch is installed, and warn if it is too small."""
    try:
        from rilievo.training.video.video_run import (
            LESS_MEMORY_HINT,
            describe_step,
            required_memory,
        )
    except ModuleNotFoundError:
        return "an estimate needs the extra 'train': pip install 'rilievo[train]'"

    required_bytes = required_memory(config)
    free_bytes = free_memory()
    text = f"{describe_step(config)} take about {format_bytes(required_bytes)}"
    if free_bytes is None:
        return text
    if required_bytes <= free_bytes:
        return f"{text}, and {format_bytes(free_bytes)} is free"
    return (
        f"{text}, but only {format_bytes(free_bytes)} is free, which is not enough on a CPU: "
        f"{for_terminal(LESS_MEMORY_HINT)}"
    )


def _result_lines(run: Path, record: "VideoRecord") -> list[str]:
    """Lines that say how long a run took, what it learned, and what to do next."""
    steps = count_text(record.steps, "step")
    targets = count_text(record.targets, "target")
    lines = [f"{run}: {steps} on {targets}, {record.seconds:.0f} s"]
    if record.warp_error is not None and record.identity_error is not None:
        lines.append(
            f"photometric error of {count_text(record.held_out, 'held-out target')}: "
            f"{record.warp_error:.4f} with warping, {record.identity_error:.4f} without"
        )
    if record.start_error is not None and record.best_error is not None:
        kept_weights = _describe_kept_weights(record, record.start_error, record.best_error)
        lines.append(f"held-out targets: {kept_weights}")
    if record.elsewhere is not None:
        lines.append(
            "other scenes: the predicted depth of the bundled pictures has changed by "
            f"{record.elsewhere:.1%}"
        )
    if record.abs_rel is not None and record.constant_abs_rel is not None:
        lines.append(
            f"compared with the ground truth beside the frames: AbsRel {record.abs_rel:.3f} after "
            f"median scaling, {record.constant_abs_rel:.3f} for a constant depth"
        )
    lines += [f"warning: {warning}" for warning in record.quality_warnings]
    if record.quality_warnings:
        lines.append(
            "next: try more steps or other frames, as docs/video-training.md explains (the exit "
            "code is 1)"
        )
    else:
        lines.append(f"next: rilievo predict VIDEO --model {run}")
    return lines


def _describe_kept_weights(record: "VideoRecord", start_error: float, best_error: float) -> str:
    """Say whether the run keeps its start or learned weights, and how their errors compare."""
    start = f"{record.error_name} {start_error:.4f} at the start"
    if record.kept_start:
        return f"{start}, whose weights the run keeps"
    gain = "" if record.gain is None else f": {record.gain.words}"
    return (
        f"{start}, {best_error:.4f} at step {record.best_step}, whose weights the run keeps{gain}"
    )


def _write_page_and_print_path(run: Path, record: "VideoRecord") -> None:
    from rilievo.training.video.video_summary import write_video_run_page

    with printing():
        try:
            say(f"page: {write_video_run_page(run, record)}")
        except MissingExtraError as missing:
            # The run is whole without its page.
            say(f"note: {missing}")
