"""``rilievo predict``: depth, normals and surfaces of photographs and videos."""

import json
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar
from zlib import crc32

from rilievo.cli.parsing import label, parse, parse_words
from rilievo.cli.streams import print_to_stderr, printing, say
from rilievo.errors import InputError, OptionError, explain_missing_extra
from rilievo.errors.messages import Note, OptionName, Text, count_text, for_terminal
from rilievo.extensions.subpackages import load_service
from rilievo.models import DEFAULT_MODEL, FAST_MODEL
from rilievo.models.model_options import better_model_hint, load_as
from rilievo.options.live_options import LIVE_DEFAULTS, reason_not_live
from rilievo.options.run_options import Saving
from rilievo.predicting.options import BatchOptions, PredictOptions, StreamOptions
from rilievo.predicting.run import predict_files
from rilievo.predicting.summary import RunSummary
from rilievo.schema.fields import FieldsByTitle, list_options, option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    HELP_TITLE: ClassVar[str] = "Messages"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {"Video": ("live",), "Model": ("offline",)}

    inputs: Annotated[tuple[str, ...], option(positional=True, metavar="PHOTO|FOLDER|VIDEO")] = ()
    """Photographs, folders (recursive), videos, or quoted patterns such as 'photos/**/*.jpg'
    or shot.%04d.png (numbered files; also shot.####.png). Use -
    to read one photograph from standard input; its results are named stdin.
    """
    options: Annotated[PredictOptions, option(inline=True)]
    batch: Annotated[BatchOptions, option(inline=True)]
    quiet: Annotated[bool, option(in_short_help=True, aliases=("-q",))] = False
    """Print only errors."""
    verbose: Annotated[bool, option(aliases=("-v",))] = False
    """Also print how the model ran, the size of its results, and the time of each stage."""
    live: Annotated[str | None, option(in_short_help=True, metavar="CAMERA|URL|VIDEO")] = None
    """Show depth live on a local page, instead of predicting inputs; nothing is written. Give the
    number of a camera (0 is the first; Linux), the address of a stream (http, https, rtsp, rtmp,
    udp, srt; always its newest frame), or a video file.
    """
    offline: bool = False
    """Never download models, as with HF_HUB_OFFLINE=1."""
    json: Annotated[bool, option(in_short_help=True)] = False
    """Print a summary as JSON on standard output: counts, failures, notes, model, seconds."""


def main(arguments: Sequence[str]) -> int:
    """Predict photographs and videos; return 1 if some inputs failed, else 0."""
    # Pillow warns of corrupt metadata that does not affect the pixels.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo predict",
        description="Predict depth, normals and surfaces of photographs, folders and videos.",
        examples=(
            "rilievo predict photo.jpg --save colour,glb",
            "rilievo predict photo.jpg --known 320,240,2.35 --save npy,ply",
            "rilievo predict photos/ -o results --save png16 --quality good",
            "rilievo predict clip.mp4 --fps 10 -o frames",
            "rilievo predict --live 0",
        ),
    )
    if request.quiet and request.verbose:
        raise OptionError(option="quiet", without="verbose")
    if request.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # processes that this one starts inherit it
    if request.live is not None:
        option_paths = frozenset(parse_words(_Arguments, arguments, "rilievo predict"))
        return _show_live(request, request.live, option_paths)
    if not request.inputs:
        raise OptionError(
            "nothing to predict",
            hint=Text("give photographs, folders or videos, or use ", OptionName("live")),
        )
    with _replace_stdin_by_file(request.inputs) as inputs:
        summary = _predict_inputs(request, inputs)
    _print_summary(request, summary)
    return summary.exit_code


def _predict_inputs(request: _Arguments, inputs: Sequence[str]) -> RunSummary:
    """Predict in this process, or in several ones, on a cluster or from and to addresses."""
    show = not request.quiet
    is_remote = any(map(_is_address, (*inputs, request.options.saving.output)))
    if request.batch == BatchOptions() and not is_remote:
        return predict_files(inputs, request.options, show=show)
    # Imported on demand, because most runs are on this machine and in one process.
    from rilievo.predicting.predict_across import predict_across

    return predict_across(inputs, request.options, request.batch, show=show)


def _print_summary(request: _Arguments, summary: RunSummary) -> None:
    """Print the summary of a run, and perhaps a tip about a better model."""
    if summary.exit_code or not request.quiet:
        print_to_stderr(summary.worded(label))
    if request.verbose:
        print_to_stderr(str(summary.spent))
    if request.json:
        with printing():
            print(json.dumps(_summary_record(summary), default=str))
    uses_default_model = request.options.network.model in ("", DEFAULT_MODEL)
    if summary.done and uses_default_model and not request.quiet:
        tip = better_model_hint()
        if tip is not None:
            print_to_stderr(for_terminal(tip))


def _summary_record(summary: RunSummary) -> dict[str, object]:
    """Collect the fields of a summary for JSON, with options spelled as on the command line."""
    record: dict[str, object] = {**asdict(summary)}
    del record["shared_failures"]  # they are among the failures, too
    for name in ("failures", "notes"):
        record[name] = [for_terminal(message) for message in getattr(summary, name)]
    record["exit_code"] = summary.exit_code
    return record


def _show_live(arguments: _Arguments, source: str, option_paths: Collection[str]) -> int:
    """Show the depth of a stream on a local page until the user stops it; return the exit code."""
    from rilievo.models.base import PaidModel
    from rilievo.predicting.videos.stream import predicted_frames

    if arguments.inputs:
        raise OptionError(
            option="live",
            problem="cannot be combined with inputs",
            hint="give either a live source or inputs",
        )
    _check_live_options(option_paths)

    def print_note(note: str) -> None:
        if not arguments.quiet:
            print_to_stderr(for_terminal(note))

    options = _live_options(arguments.options, option_paths)
    model_name = options.network.model or FAST_MODEL
    model = load_as(model_name, options.network, options.speed)
    if isinstance(model, PaidModel):
        raise OptionError(
            option="live",
            problem=f"cannot use the paid model '{model_name}', because it charges for each frame",
            hint="choose another model",
        )
    predictions = predicted_frames(
        int(source) if source.isdecimal() else source,
        model,
        options,
        newest=not Path(source).is_file(),
        notify=print_note,
    )
    for note in _notes_on_ignored_options(options, arguments.options.saving):
        print_note(note)
    with explain_missing_extra("", "serve", option="live"):
        live_page = load_service("live-page")
    with live_page() as page:
        with printing():
            say(f"live: {page.address} (press Ctrl-C to stop)", flush=True)
        page.show(predictions, arguments.options.saving)
    if not arguments.quiet:
        print_to_stderr(f"{count_text(page.count, 'frame')}, {page.rate:.1f} per second")
    return 0


def _check_live_options(option_paths: Collection[str]) -> None:
    """Raise OptionError if the user gave an option that live streams do not have."""
    for field in list_options(_Arguments):
        reason = reason_not_live(field, draws_pictures=True)
        if field.flag and field.path in option_paths and reason is not None:
            raise OptionError(
                option="live",
                problem=Text("cannot be combined with ", OptionName(field.name), f": {reason}"),
            )


def _live_options(options: PredictOptions, option_paths: Collection[str]) -> StreamOptions:
    """Options of the stream, with the defaults of live streams for those that were not given."""
    records = {name: getattr(options, name) for name in StreamOptions.RECORDS}
    sets_trim = "options.refine.trim" in option_paths
    trim = options.refine.trim if sets_trim else LIVE_DEFAULTS["trim"]
    return StreamOptions(**records, trim=trim)


def _notes_on_ignored_options(options: StreamOptions, saving: Saving) -> Iterator[str]:
    """Yield notes on options whose effect the live page does not show."""
    sizes = options.sizes
    if options.refine.compares_mirror_image:
        yield Note("has no effect, because the page shows only depth", option="confidence")
    is_metric = sizes.makes_metric or sizes.camera_height is not None
    if is_metric and saving.colour_range is None:
        yield Note(
            Text(
                "depth is in metres, but the page shows metres only with ",
                OptionName("colour_range", "NEAR,FAR"),
                "; rilievo.stream returns the numbers",
            )
        )


@contextmanager
def _replace_stdin_by_file(inputs: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the inputs with a temporary file in place of ``-``, which stands for standard input."""
    if "-" not in inputs:
        yield inputs
        return
    content = b"" if sys.stdin is None else sys.stdin.buffer.read()
    if not content:
        raise InputError(
            "standard input is empty; redirect a photograph to it, as in "
            "'rilievo predict - < photo.jpg'"
        )
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="rilievo-") as folder:
        # Formats are recognised by content, so the suffix does not matter.
        path = Path(folder, "stdin.jpg")
        path.write_bytes(content)
        # Finished results are recognised by size and time of their input. A time that is computed
        # from the content lets a later run recognise the same photograph.
        content_time = crc32(content)
        os.utime(path, (content_time, content_time))
        yield [str(path) if argument == "-" else argument for argument in inputs]


def _is_address(name: str | Path) -> bool:
    """Whether a name is an address such as s3://..., and not a path with a drive letter (C:/)."""
    after_drive_letter = str(name)[2:]
    # A ``Path`` writes the two slashes of an address as one.
    return ":/" in after_drive_letter
