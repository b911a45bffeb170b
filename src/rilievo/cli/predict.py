"""``rilievo predict``."""

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
    quiet: Annotated[bool, option(first=True, aliases=("-q",))] = False
    """Print errors only."""
    verbose: Annotated[bool, option(aliases=("-v",))] = False
    """Print also what the model ran with, the size of its answers, and the time of every stage."""
    live: Annotated[str | None, option(first=True, metavar="CAMERA|URL|VIDEO")] = None
    """Show depth live on a local page, instead of inputs; nothing is written. Give the number of a
    camera (0 is the first; Linux), the address of a stream (http, https, rtsp, rtmp, udp, srt;
    always its newest frame), or a video file.
    """
    offline: bool = False
    """Refuse downloads of models, as HF_HUB_OFFLINE=1 does."""
    json: Annotated[bool, option(first=True)] = False
    """Print a summary as JSON on standard output: counts, failures, notes, model, seconds."""


def main(arguments: Sequence[str]) -> int:
    """Predict photographs and videos; returns 1 when some inputs failed."""
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
        written = frozenset(parse_words(_Arguments, arguments, "rilievo predict"))
        return _show_live(request, request.live, written)
    if not request.inputs:
        raise OptionError(
            "nothing to predict",
            hint=Text("name photographs, folders or videos, or ", OptionName("live")),
        )
    with _save_stdin(request.inputs) as inputs:
        is_elsewhere = any(map(_is_address, (*inputs, request.options.saving.output)))
        if request.batch == BatchOptions() and not is_elsewhere:
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


def _show_live(arguments: _Arguments, source: str, written: Collection[str]) -> int:
    """Show a stream on a page; ``written`` has the paths of the options that the user wrote."""
    from rilievo.models.base import PaidModel
    from rilievo.predicting.videos.stream import predicted_frames

    if arguments.inputs:
        raise OptionError(
            option="live", problem="takes the place of inputs", hint="give one of the two"
        )
    _refuse_options_not_live(written)

    def tell(note: str) -> None:
        if not arguments.quiet:
            complain(for_terminal(note))

    options = _live_options(arguments.options, written)
    name = options.network.model or FAST_MODEL
    loaded = load_as(name, options.network, options.speed)
    if isinstance(loaded, PaidModel):
        raise OptionError(
            option="live", problem=f"takes no model that is paid for each frame: '{name}'"
        )
    predictions = predicted_frames(
        int(source) if source.isdecimal() else source,
        loaded,
        options,
        newest=not Path(source).is_file(),
        tell=tell,
    )
    for note in _notes_on_page(options, arguments.options.saving):
        tell(note)
    with needing("", "serve", option="live"):
        live_page = load_service("live-page")
    with live_page() as page:
        with printing():
            say(f"live: {page.address} (Ctrl-C ends it)", flush=True)
        page.show(predictions, arguments.options.saving)
    if not arguments.quiet:
        complain(f"{page.count} frames, {page.rate:.1f} a second")
    return 0


def _refuse_options_not_live(written: Collection[str]) -> None:
    for one in options_of(_Arguments):
        reason = reason_not_live(one, draws=True)
        if one.flag and one.path in written and reason is not None:
            raise OptionError(
                option="live", problem=Text("takes no ", OptionName(one.name), f": {reason}")
            )


def _live_options(options: PredictOptions, written: Collection[str]) -> StreamOptions:
    records = {name: getattr(options, name) for name in StreamOptions.RECORDS}
    trim = options.refine.trim if "options.refine.trim" in written else LIVE_DEFAULTS["trim"]
    return StreamOptions(**records, trim=trim)


def _notes_on_page(options: StreamOptions, saving: Saving) -> Iterator[str]:
    """Notes on options that the page does not show."""
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
        # Earlier results are recognised by size and time of the file; here by its content.
        os.utime(path, (crc32(content), crc32(content)))
        yield [str(path) if argument == "-" else argument for argument in inputs]


def _is_address(name: str | Path) -> bool:
    return ":/" in str(name)[2:]
