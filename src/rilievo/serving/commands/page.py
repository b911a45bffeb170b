"""The command ``rilievo page``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.io.files.names import printable
from rilievo.schema.fields import option
from rilievo.serving.browser.folder import write_page


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")] = Path("site")
    """Folder to write the website to. An older page in this folder is replaced."""
    models: Annotated[tuple[str, ...], option(name="with", metavar="MODEL")] = ()
    """Additional models that visitors can choose: ONNX files with metadata, as 'rilievo export'
    writes them, or names such as rilievo/base, zipdepth or moge-2/small."""


def main(arguments: Sequence[str]) -> int:
    """Run ``rilievo page``: write the folder and print what it holds."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo page",
        description="Write a website for any static host. It predicts depth and surfaces of "
        "photographs in the visitor's browser.",
        examples=(
            "rilievo page -o site",
            "rilievo page -o site --with zipdepth",
            "rilievo page -o site --with rilievo/base own.onnx",
        ),
    )
    written = write_page(request.output, request.models)
    folder = printable(written.folder)
    with printing():
        for name, licence in written.models.items():
            say(f"{name} ({licence})")
        say(
            f"{folder}: {written.bytes / 1e6:.1f} MB; to view it, run: "
            f"python -m http.server --directory {folder} --bind 127.0.0.1 8000"
        )
    return 0
