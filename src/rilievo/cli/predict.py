"""``rilievo predict``."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from rilievo.batch.options import BatchOptions
from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing
from rilievo.models import DEFAULT_MODEL
from rilievo.models.quality import recommend
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO|FOLDER|VIDEO")
    ]
    """Photographs, folders (recursive), videos, or quoted patterns such as 'photos/**/*.jpg'."""
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
    if given.batch.is_plain and not _elsewhere(given):
        summary = predict_files(given.inputs, given.options, show=not given.quiet)
    else:
        from rilievo.batch.run import predict_across

        summary = predict_across(given.inputs, given.options, given.batch, show=not given.quiet)
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


def _elsewhere(given: _Arguments) -> bool:
    """Whether anything is at an address rather than on disk."""
    return any(":/" in str(name) for name in (*given.inputs, given.options.output))
