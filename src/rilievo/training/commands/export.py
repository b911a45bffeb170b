"""``rilievo export``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import print_to_stderr, printing
from rilievo.errors.messages import for_terminal
from rilievo.schema.fields import option
from rilievo.training.conversion.onnx_export import ExportOptions, export_model


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    model: Annotated[str, option(positional=True, metavar="NAME|FOLDER|ORG/NAME|FILE.onnx")]
    """Model to export, as for 'predict --model', or a third-party ONNX file, which then gets
    rilievo's metadata.
    """
    output: Annotated[Path, option(aliases=("-o",), metavar="FILE.onnx")]
    """File to write."""
    options: Annotated[ExportOptions, option(inline=True)]


def main(arguments: Sequence[str]) -> int:
    """Write a model as an ONNX file."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo export",
        description="Export a model to a self-contained ONNX file.",
        examples=(
            "rilievo export rilievo/small -o small.onnx",
            "rilievo export other.onnx --kind affine_inverse -o ours.onnx",
        ),
    )
    exported = export_model(request.model, request.output, request.options)
    with printing():
        print(exported)
    if exported.kind_warning is not None:
        print_to_stderr(f"rilievo: warning: {for_terminal(exported.kind_warning)}")
    return 0
