"""``rilievo predict``."""

import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from rilievo.pipeline.options import PredictOptions
from rilievo.pipeline.run import predict_files


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO|FOLDER|VIDEO")
    ]
    """Photographs, folders (recursive), videos, or quoted patterns such as 'photos/**/*.jpg'."""
    options: Annotated[PredictOptions, tyro.conf.arg(name="")]


def main(arguments: Sequence[str]) -> int:
    """Predict depth and normals of photographs and videos, and write surfaces.

    Returns:
        0 when everything was done, 1 when some inputs failed, 2 for wrong use.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Pillow warns of corrupt metadata that has no bearing on the pixels.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    given = tyro.cli(
        _Arguments,
        args=list(arguments),
        prog="rilievo predict",
        description="Depth, normals and surfaces of photographs, folders and videos.",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    summary = predict_files(given.inputs, given.options)
    print(summary, file=sys.stderr)
    return summary.exit_code
