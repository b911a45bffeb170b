"""``rilievo train video``."""

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

_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of ``rilievo train video``."""

    GROUP: ClassVar[str] = "Output"

    output: Annotated[Path, option(first=True, aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dry_run: Annotated[bool, option(first=True)] = False
    """List the footage, print what would be trained and how it differs from the preset default, and
    train nothing.
    """
    config: Annotated[UncheckedVideoConfig, option(name="")]
    run: Annotated[VideoRunOptions, option(name="")] = field(
        default_factory=lambda: VideoRunOptions(workers=2)
    )


def parse_and_complete(arguments: Sequence[str]) -> tuple[Arguments, VideoConfig]:
    """Parse arguments; complete the configuration by its preset."""
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
    return request, complete_config(
        request.config, fields_in_arguments(Arguments, arguments, "config")
    )


def main(arguments: Sequence[str]) -> int:
    """Train on videos; returns 1 when nothing was learned."""
    request, config = parse_and_complete(arguments)
    # Before torch is imported, which takes seconds: most slips are in the paths.
    footage = list_sequences(config.data)
    if request.dry_run:
        if config.blueprint.encoder.startswith(TIMM):
            with needing("an encoder of timm", "train"):
                from rilievo.training.networks.video.encoders import timm_model_name
            timm_model_name(config.blueprint.encoder)
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


def _say_config_and_footage(config: VideoConfig, footage: Sequence[Clip]) -> None:
    with printing():
        print(to_json(config, indent=2))
        for item in preset_differences(config):
            why = "" if item.reason is None else f": {item.reason}"
            say(f"{item.field} is {item.value}, usually {item.default}{why}")
        for sequence in footage[:_LISTED]:
            say(f"footage: {_describe_clip(sequence)}")
        if len(footage) > _LISTED:
            say(f"footage: {len(footage) - _LISTED:,} more sequences")
        for note in [item.camera.note for item in footage if item.camera.note][:_LISTED]:
            say(f"note: {for_terminal(note)}")


def _say_disk_and_memory(config: VideoConfig, footage: Sequence[Clip]) -> None:
    height, width = config.blueprint.size
    lines, frames = [], sum(len(clip.files) for clip in footage)
    if frames:
        room = format_bytes(frames * height * width * 3)
        lines.append(f"disk: {frames:,} decoded frames of {width}x{height} take about {room}")
    try:
        from rilievo.training.video.video_plan import (
            LESS_MEMORY_HINT,
            describe_step,
            required_memory,
        )
    except ModuleNotFoundError:
        lines.append("memory: is computed where the extra 'train' is installed")
    else:
        needed, free = required_memory(config), free_memory()
        line = f"memory: {describe_step(config)} take about {format_bytes(needed)}"
        if free is not None:
            line += f", {format_bytes(free)} are free here"
            line += (
                f": too little on a CPU: {for_terminal(LESS_MEMORY_HINT)}" if needed > free else ""
            )
        lines.append(line)
    with printing():
        say("\n".join(lines))


def _describe_clip(sequence: Clip) -> str:
    height, width = sequence.shape
    kind = "a video" if sequence.video is not None else f"{len(sequence.files):,} frames"
    camera, listed = sequence.camera.camera, sequence.listed
    targets = "" if listed is None else f", {len(listed.training):,} targets to train on"
    focal = f"focal length {camera.focal:.4g} px ({camera.source})"
    return f"{printable(sequence.id)}: {kind} of {width}x{height}, {focal}{targets}"


def _write_page_and_say_where(run: Path, record: "VideoRecord") -> None:
    from rilievo.training.video.video_summary import write_video_run_page

    with printing():
        try:
            say(f"page: {write_video_run_page(run, record)}")
        except MissingExtraError as missing:
            # The run is whole without its page.
            say(f"note: {missing}")


def _say_results(run: Path, record: "VideoRecord") -> None:
    with printing():
        say(
            f"{run}: {record.steps} steps on {record.targets} targets, {record.seconds:.0f} seconds"
        )
        if record.warp_error is not None and record.identity_error is not None:
            say(
                f"{record.held_out} targets held out: photometric error {record.warp_error:.4f} "
                f"warped, {record.identity_error:.4f} as they are"
            )
        if record.start_error is not None and record.best_error is not None:
            better = record.gain is not None and not record.kept_start
            say(
                f"held out: {record.judged_by} {record.start_error:.4f} at the start, "
                f"{record.best_error:.4f} at step {record.best_step}, whose weights are the run's"
                + (f": {record.gain.words}" if better and record.gain else "")
            )
        if record.elsewhere is not None:
            say(f"other places: depth of shipped pictures has changed by {record.elsewhere:.1%}")
        if record.abs_rel is not None and record.constant_abs_rel is not None:
            say(
                f"against the true depth beside them: AbsRel {record.abs_rel:.3f} scaled by the "
                f"median, {record.constant_abs_rel:.3f} of a constant"
            )
        for doubt in record.doubts:
            say(f"warning: {doubt}")
        if record.doubts:
            say("next: more steps, or other frames (docs/video-training.md); exit code 1")
        else:
            say(f"next: rilievo predict VIDEO --model {run}")
