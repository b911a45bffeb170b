"""``rilievo predict``."""

import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from zlib import crc32

import tyro

from rilievo.batch.options import BatchOptions
from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing
from rilievo.errors import InputError
from rilievo.models import DEFAULT_MODEL
from rilievo.models.quality import recommend
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO|FOLDER|VIDEO")
    ]
    """Photographs, folders (recursive), videos, or quoted patterns such as 'photos/**/*.jpg'; - is
    one photograph on standard input, whose results begin with stdin."""
    options: Annotated[PredictOptions, tyro.conf.arg(name="")]
    batch: Annotated[BatchOptions, tyro.conf.arg(name="")]
    quiet: Annotated[bool, tyro.conf.arg(aliases=("-q",))] = False
    """Say nothing but what went wrong."""
    json: bool = False
    """Print what was done as JSON on standard output: counts, failures, notes, seconds."""


def main(arguments: Sequence[str]) -> int:
    """Predict depth and normals of photographs and videos, and write surfaces.

    Returns:
        0 when everything was done, 1 when some inputs failed, 2 for wrong use, 130 when the
        user stopped it.
    """
    # Pillow warns of corrupt metadata that has no bearing on the pixels.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo predict",
        description="Depth, normals and surfaces of photographs, folders and videos.",
    )
    with _from_stdin(given.inputs) as inputs:
        if given.batch.is_plain and not _elsewhere(given):
            summary = predict_files(inputs, given.options, show=not given.quiet)
        else:
            from rilievo.batch.run import predict_across

            summary = predict_across(inputs, given.options, given.batch, show=not given.quiet)
    if summary.exit_code or not given.quiet:
        complain(str(summary))
    if given.json:
        with printing():
            print(json.dumps(asdict(summary) | {"exit_code": summary.exit_code}, default=str))
    if given.quiet:
        return summary.exit_code
    if summary.done and given.options.quality is None and given.options.model == DEFAULT_MODEL:
        tip = recommend()
        if tip is not None:
            complain(tip)
    return summary.exit_code


@contextmanager
def _from_stdin(inputs: Sequence[str]) -> Iterator[Sequence[str]]:
    """The inputs, with a file in place of ``-`` that lasts as long as the context.

    Raises:
        InputError: If standard input holds nothing.
    """
    if "-" not in inputs:
        yield inputs
        return
    content = b"" if sys.stdin is None else sys.stdin.buffer.read()
    if not content:
        raise InputError("standard input holds nothing; a photograph is expected: < photo.jpg")
    with TemporaryDirectory(prefix="rilievo-") as folder:
        # Whatever it is: files are told by their content.
        path = Path(folder, "stdin.jpg")
        path.write_bytes(content)
        # Whether an earlier run has finished it is told by size and time, here by the content.
        os.utime(path, (crc32(content), crc32(content)))
        yield [str(path) if each == "-" else each for each in inputs]


def _elsewhere(given: _Arguments) -> bool:
    """Whether anything is at an address rather than on disk."""
    return any(":/" in str(name) for name in (*given.inputs, given.options.output))
