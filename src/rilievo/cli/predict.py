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
from rilievo.cli.streams import complain, printing, say
from rilievo.errors import InputError, OptionError, needing
from rilievo.errors.messages import Note, OptionName, Text, for_terminal
from rilievo.extensions.subpackages import load_service
from rilievo.models import DEFAULT_MODEL, FAST_MODEL
from rilievo.models.model_options import better_model_hint, load_as
from rilievo.options.live_options import LIVE_DEFAULTS, reason_not_live
from rilievo.options.run_options import Saving
from rilievo.predicting.options import BatchOptions, PredictOptions, StreamOptions
from rilievo.predicting.run import predict_files
from rilievo.schema.fields import Groups, option, options_of


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    GROUP: ClassVar[str] = "Messages"
    GROUPS: ClassVar[Groups] = {"Video": ("live",), "Model": ("offline",)}

    inputs: Annotated[tuple[str, ...], option(positional=True, metavar="PHOTO|FOLDER|VIDEO")] = ()
    """Photographs, folders (recursive), videos, or quoted patterns such as 'photos/**/*.jpg'; -
    reads one photograph from standard input, whose results begin with stdin.
    """
    options: Annotated[PredictOptions, option(name="")]
    batch: Annotated[BatchOptions, option(name="")]
    quiet: Annotated[bool, option(in_short_help=True, aliases=("-q",))] = False
    """Print errors only."""
    verbose: Annotated[bool, option(aliases=("-v",))] = False
    """Print also what the model ran with, the size of its answers, and the time of every stage."""
    live: Annotated[str | None, option(in_short_help=True, metavar="CAMERA|URL|VIDEO")] = None
    """Show depth live on a local page, instead of inputs; nothing is written. Give the number of a
    camera (0 is the first; Linux), the address of a stream (http, https, rtsp, rtmp, udp, srt;
    always its newest frame), or a video file.
    """
    offline: bool = False
    """Refuse downloads of models, as HF_HUB_OFFLINE=1 does."""
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
        description="Depth, normals and surfaces of photographs, folders and videos.",
        examples=(
            "rilievo predict photo.jpg --save colour,glb",
            "rilievo predict photos/ -o results --save png16 --quality good",
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
            hint=Text("name photographs, folders or videos, or ", OptionName("live")),
        )
    with _save_stdin(request.inputs) as inputs:
        is_remote = any(map(_is_address, (*inputs, request.options.saving.output)))
        if request.batch == BatchOptions() and not is_remote:
            summary = predict_files(inputs, request.options, show=not request.quiet)
        else:
            from rilievo.predicting.predict_across import predict_across

            summary = predict_across(inputs, request.options, request.batch, show=not request.quiet)
    if summary.exit_code or not request.quiet:
        complain(summary.worded(label))
    if request.verbose:
        complain(str(summary.spent))
    if request.json:
        with printing():
            print(json.dumps(asdict(summary) | {"exit_code": summary.exit_code}, default=str))
    if request.quiet:
        return summary.exit_code
    if summary.done and request.options.network.model in ("", DEFAULT_MODEL):
        tip = better_model_hint()
        if tip is not None:
            complain(for_terminal(tip))
    return summary.exit_code


def _show_live(arguments: _Arguments, source: str, option_paths: Collection[str]) -> int:
    """Show the depth of a stream on a local page until the user stops it.

    Args:
        arguments: Arguments of the command.
        source: Camera, address or video.
        option_paths: Paths of the options that the user gave.

    Returns:
        The exit code.
    """
    from rilievo.models.base import PaidModel
    from rilievo.predicting.videos.stream import predicted_frames

    if arguments.inputs:
        raise OptionError(
            option="live", problem="takes the place of inputs", hint="give one of the two"
        )
    _refuse_options_not_live(option_paths)

    def print_note(note: str) -> None:
        if not arguments.quiet:
            complain(for_terminal(note))

    options = _live_options(arguments.options, option_paths)
    name = options.network.model or FAST_MODEL
    model = load_as(name, options.network, options.speed)
    if isinstance(model, PaidModel):
        raise OptionError(
            option="live", problem=f"takes no model that is paid for each frame: '{name}'"
        )
    predictions = predicted_frames(
        int(source) if source.isdecimal() else source,
        model,
        options,
        newest=not Path(source).is_file(),
        tell=print_note,
    )
    for note in _notes_on_hidden_options(options, arguments.options.saving):
        print_note(note)
    with needing("", "serve", option="live"):
        live_page = load_service("live-page")
    with live_page() as page:
        with printing():
            say(f"live: {page.address} (Ctrl-C ends it)", flush=True)
        page.show(predictions, arguments.options.saving)
    if not arguments.quiet:
        complain(f"{page.count} frames, {page.rate:.1f} a second")
    return 0


def _refuse_options_not_live(option_paths: Collection[str]) -> None:
    for field in options_of(_Arguments):
        reason = reason_not_live(field, draws=True)
        if field.flag and field.path in option_paths and reason is not None:
            raise OptionError(
                option="live", problem=Text("takes no ", OptionName(field.name), f": {reason}")
            )


def _live_options(options: PredictOptions, option_paths: Collection[str]) -> StreamOptions:
    """Options of the stream, with the defaults of live streams for those that were not given."""
    records = {name: getattr(options, name) for name in StreamOptions.RECORDS}
    is_trim_given = "options.refine.trim" in option_paths
    trim = options.refine.trim if is_trim_given else LIVE_DEFAULTS["trim"]
    return StreamOptions(**records, trim=trim)


def _notes_on_hidden_options(options: StreamOptions, saving: Saving) -> Iterator[str]:
    """Yield notes on options whose effect the page does not show."""
    sizes = options.sizes
    if options.refine.mirrors:
        yield Note("is about confidence, and the page shows depth alone", option="confidence")
    is_metric = sizes.makes_metric or sizes.camera_height is not None
    if is_metric and saving.colour_range is None:
        yield Note(
            Text(
                "depth is in metres, which the page shows with ",
                OptionName("colour_range", "NEAR,FAR"),
                " alone; rilievo.stream gives the numbers",
            )
        )


@contextmanager
def _save_stdin(inputs: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the inputs with a temporary file in place of ``-``, standard input."""
    if "-" not in inputs:
        yield inputs
        return
    content = b"" if sys.stdin is None else sys.stdin.buffer.read()
    if not content:
        raise InputError("standard input holds nothing; a photograph is expected: < photo.jpg")
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="rilievo-") as folder:
        # No suffix is needed: formats are recognised by content.
        path = Path(folder, "stdin.jpg")
        path.write_bytes(content)
        # Finished results are recognised by size and time of their input. The time is made from the
        # content, so that the same photograph is recognised again.
        time = crc32(content)
        os.utime(path, (time, time))
        yield [str(path) if argument == "-" else argument for argument in inputs]


def _is_address(name: str | Path) -> bool:
    """Whether a name is an address such as s3://..., and no path with a drive letter."""
    return ":/" in str(name)[2:]
