"""``rilievo export``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing
from rilievo.errors.messages import for_terminal
from rilievo.schema.fields import option
from rilievo.training.conversion.onnx_export import ExportOptions, export_model


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    model: Annotated[str, option(positional=True, metavar="NAME|FOLDER|ORG/NAME|FILE.onnx")]
    """Model to export, as for 'predict --model'; or another program's ONNX file, which gets
    rilievo's metadata.
    """
    output: Annotated[Path, option(aliases=("-o",), metavar="FILE.onnx")]
    """File to write."""
    options: Annotated[ExportOptions, option(name="")]


def main(arguments: Sequence[str]) -> int:
    """Write a model as an ONNX file."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo export",
        description="Write a model as an ONNX file that needs nothing else to be run.",
        examples=(
            "rilievo export rilievo/small -o small.onnx",
            "rilievo export other.onnx --kind affine_inverse -o ours.onnx",
        ),
    )
    written = export_model(request.model, request.output, request.options)
    with printing():
        print(written)
    if written.doubt is not None:
        complain(f"rilievo: warning: {for_terminal(written.doubt)}")
    return 0
